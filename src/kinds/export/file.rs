//! The export file: written chunk by chunk. Only what is synced to disk counts as written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

use super::container::CompressedChunk;
use super::spec::{FileCompression, WrittenFile};
use crate::files::{Fingerprint, hex};
use crate::runner::{Context, Failure};

/// File of an export, open for one run.
pub struct ExportFile {
    file: Arc<File>,
    written: WrittenFile,
    hash: Sha256,
    compression: FileCompression,
}

impl ExportFile {
    /// Opens the file after what is `written`. Does not truncate what a crash left after that: the same bytes overwrite it, so that a
    /// run that lost its lease does no harm. Returns None if the file is shorter than `written`.
    pub async fn open(
        context: &Context,
        name: &'static str,
        written: WrittenFile,
        compression: FileCompression,
    ) -> Result<Option<ExportFile>, Failure> {
        let scratch = context.scratch();
        let opened = context.blocking(move || -> io::Result<Option<ExportFile>> {
            let file = scratch.open(name)?;
            let hash = if written.bytes == 0 { Some(Sha256::new()) } else { restore_hash(&written.hash) };
            let complete = file.metadata()?.len() >= written.bytes;
            Ok(hash.filter(|_| complete).map(|hash| ExportFile { file: Arc::new(file), written, hash, compression }))
        });
        opened.await?.map_err(io_failure)
    }

    /// Returns what is in the file, synced or not.
    pub fn written(&self) -> WrittenFile {
        WrittenFile { hash: hex(&self.hash.serialize()), ..self.written.clone() }
    }

    /// Returns the file itself, to be synced while writing continues.
    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Writes the head or tail of the compressed file.
    pub async fn write_frame(self, context: &Context, bytes: Vec<u8>) -> Result<ExportFile, Failure> {
        self.write_chunk(context, CompressedChunk { bytes, ..CompressedChunk::default() }).await
    }

    /// Writes a chunk.
    pub async fn write_chunk(mut self, context: &Context, chunk: CompressedChunk) -> Result<ExportFile, Failure> {
        if chunk.bytes.is_empty() {
            return Ok(self);
        }
        let added = context.blocking(move || -> io::Result<ExportFile> {
            self.file.write_all_at(&chunk.bytes, self.written.bytes)?;
            self.hash.update(&chunk.bytes);
            self.written.crc = self.compression.crc(&self.written, &chunk);
            self.written.plain += chunk.plain;
            self.written.bytes += chunk.bytes.len() as u64;
            Ok(self)
        });
        added.await?.map_err(io_failure)
    }

    /// Truncates the file here. Does not sync it.
    pub async fn finish(self, context: &Context) -> Result<Fingerprint, Failure> {
        let cut = context.blocking(move || -> io::Result<Fingerprint> {
            self.file.set_len(self.written.bytes)?;
            Ok(Fingerprint { size: self.written.bytes, sha256: hex(&self.hash.finalize()) })
        });
        cut.await?.map_err(io_failure)
    }
}

/// Returns the failure of reading or writing the file.
pub fn io_failure(error: io::Error) -> Failure {
    Failure::io("the export file", &error)
}

/// Returns the hash with this state. None if the text is not a state.
fn restore_hash(state: &str) -> Option<Sha256> {
    let digits = state.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let bytes: Vec<u8> = digits.collect::<Option<_>>()?;
    let state = SerializedState::<Sha256>::try_from(bytes.as_slice()).ok()?;
    Sha256::deserialize(&state).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_resumes_at_a_stored_state() {
        for length in [0, 1, 63, 64, 65, 1000] {
            let (text, end) = (vec![b'x'; length], [b'y'; 77]);
            let stored = hex(&Sha256::new().chain_update(&text).serialize());
            let restored = restore_hash(&stored).unwrap().chain_update(end).finalize();
            assert_eq!(restored, Sha256::new().chain_update(&text).chain_update(end).finalize());
        }
        assert!(restore_hash("00ff").is_none() && restore_hash("").is_none() && restore_hash("é").is_none());
    }
}
