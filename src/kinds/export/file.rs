//! The export file: written chunk by chunk. Only what is durable counts as written.
//!
//! In a folder it is a working file that is synced beside the writing. In a bucket it is an unfinished object: its parts and the state of
//! its hash are in the cursor, so any node continues it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

use super::container::CompressedChunk;
use super::spec::{FileCompression, WrittenFile};
use crate::files::{Fingerprint, ResultWriter, WrittenResult, hex};
use crate::runner::{Context, Failure};

/// File of an export, open for one run.
pub struct ExportFile {
    target: FileTarget,
    written: WrittenFile,
    compression: FileCompression,
}

/// Destination of the file.
enum FileTarget {
    /// A working file that every node sees.
    Folder(Arc<File>, Sha256),
    /// An unfinished object.
    Bucket(Box<dyn ResultWriter>),
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
        let target = match context.files().is_one_folder() {
            true => open_working_file(context, name, written.clone()).await?,
            false if written.bytes == written.object.as_ref().map_or(0, |object| object.size) => {
                open_object(context, written.object.clone()).await?
            }
            // The file was finished after the object's last durable state.
            false => None,
        };
        Ok(target.map(|target| ExportFile { target, written, compression }))
    }

    /// Returns what is in the file, durable or not.
    pub fn written(&self) -> WrittenFile {
        match &self.target {
            FileTarget::Folder(_, hash) => WrittenFile { hash: hex(&hash.serialize()), ..self.written.clone() },
            FileTarget::Bucket(_) => self.written.clone(),
        }
    }

    /// Returns the working file, to be synced while writing continues. None for an object.
    pub fn file(&self) -> Option<Arc<File>> {
        match &self.target {
            FileTarget::Folder(file, _) => Some(Arc::clone(file)),
            FileTarget::Bucket(_) => None,
        }
    }

    /// Returns true if the object is durable up to here.
    pub fn is_durable(&self) -> bool {
        self.written.object.as_ref().is_some_and(|object| object.size == self.written.bytes)
    }

    /// Makes the object durable up to here.
    pub async fn sync_object(&mut self) -> Result<(), Failure> {
        if let FileTarget::Bucket(object) = &mut self.target {
            self.written.object = Some(object.sync().await.map_err(io_failure)?);
        }
        Ok(())
    }

    /// Writes the head or tail of the compressed file.
    pub async fn write_frame(self, context: &Context, bytes: Vec<u8>) -> Result<ExportFile, Failure> {
        self.write_chunk(context, CompressedChunk { bytes, ..CompressedChunk::default() }).await
    }

    /// Writes a chunk.
    pub async fn write_chunk(self, context: &Context, mut chunk: CompressedChunk) -> Result<ExportFile, Failure> {
        if chunk.bytes.is_empty() {
            return Ok(self);
        }
        let (bytes, ExportFile { target, written, compression }) = (std::mem::take(&mut chunk.bytes), self);
        let next = WrittenFile {
            bytes: written.bytes + bytes.len() as u64,
            crc: compression.crc(&written, &chunk),
            plain: written.plain + chunk.plain,
            ..written
        };
        match target {
            FileTarget::Folder(file, mut hash) => {
                let target = context.blocking(move || -> io::Result<FileTarget> {
                    file.write_all_at(&bytes, written.bytes)?;
                    hash.update(&bytes);
                    Ok(FileTarget::Folder(file, hash))
                });
                let target = target.await?.map_err(io_failure)?;
                Ok(ExportFile { target, written: next, compression })
            }
            FileTarget::Bucket(mut object) => {
                let durable = object.write(bytes.into()).await.map_err(io_failure)?;
                let written = WrittenFile { object: durable.or(next.object), ..next };
                Ok(ExportFile { target: FileTarget::Bucket(object), written, compression })
            }
        }
    }

    /// Completes the file here and stages it.
    pub async fn finish(self, context: &Context, name: &'static str) -> Result<Fingerprint, Failure> {
        let bytes = self.written.bytes;
        match self.target {
            FileTarget::Folder(file, hash) => {
                let cut = context.blocking(move || file.set_len(bytes));
                cut.await?.map_err(io_failure)?;
                let known = Fingerprint { size: bytes, sha256: hex(&hash.finalize()) };
                crate::kinds::stage_result(context, name, Some(known)).await.map_err(io_failure)
            }
            FileTarget::Bucket(object) => object.finish().await.map_err(io_failure),
        }
    }
}

async fn open_working_file(
    context: &Context,
    name: &'static str,
    written: WrittenFile,
) -> Result<Option<FileTarget>, Failure> {
    let scratch = context.scratch();
    let opened = context.blocking(move || -> io::Result<Option<FileTarget>> {
        let file = scratch.open(name)?;
        let hash = if written.bytes == 0 { Some(Sha256::new()) } else { restore_hash(&written.hash) };
        let complete = file.metadata()?.len() >= written.bytes;
        Ok(hash.filter(|_| complete).map(|hash| FileTarget::Folder(Arc::new(file), hash)))
    });
    opened.await?.map_err(io_failure)
}

async fn open_object(context: &Context, written: Option<WrittenResult>) -> Result<Option<FileTarget>, Failure> {
    let (blobs, scratch) = (&context.files().blobs, context.scratch());
    let object = blobs.write_result(context.id(), &scratch, written).await.map_err(io_failure)?;
    Ok(object.map(FileTarget::Bucket))
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
