//! The file: written piece by piece, synced to disk beside that, and never said to hold more than what is synced.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

use super::container::Packed;
use super::spec::{Compression, Written};
use crate::files::{Fingerprint, hex};
use crate::runner::{Context, Failure};

/// The file of an export, open for one run.
pub struct Output {
    file: Arc<File>,
    written: Written,
    hash: Sha256,
    compression: Compression,
}

impl Output {
    /// Opens the file behind what is `written`. What a crash left behind that is not cut off: the same bytes are written
    /// over it, so that a run that lost its lease does no harm. None where the file is shorter than it should be.
    pub async fn open(
        context: &Context,
        path: &Path,
        written: Written,
        compression: Compression,
    ) -> Result<Option<Output>, Failure> {
        let path = path.to_owned();
        let opened = context.blocking(move || -> io::Result<Option<Output>> {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            let hash = if written.bytes == 0 { Some(Sha256::new()) } else { restore(&written.hash) };
            let whole = file.metadata()?.len() >= written.bytes;
            Ok(hash.filter(|_| whole).map(|hash| Output { file: Arc::new(file), written, hash, compression }))
        });
        opened.await?.map_err(lost)
    }

    /// What is in the file, synced or not.
    pub fn written(&self) -> Written {
        Written { hash: hex(&self.hash.serialize()), ..self.written.clone() }
    }

    /// The file itself, to be synced beside the writing.
    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Adds what stands before the pieces, or behind them.
    pub async fn frame(self, context: &Context, bytes: Vec<u8>) -> Result<Output, Failure> {
        self.add(context, Packed { bytes, ..Packed::default() }).await
    }

    /// Adds a piece.
    pub async fn add(mut self, context: &Context, piece: Packed) -> Result<Output, Failure> {
        if piece.bytes.is_empty() {
            return Ok(self);
        }
        let added = context.blocking(move || -> io::Result<Output> {
            self.file.write_all_at(&piece.bytes, self.written.bytes)?;
            self.hash.update(&piece.bytes);
            self.written.crc = self.compression.crc(&self.written, &piece);
            self.written.plain += piece.plain;
            self.written.bytes += piece.bytes.len() as u64;
            Ok(self)
        });
        added.await?.map_err(lost)
    }

    /// Ends the file here; it is still to be synced.
    pub async fn finish(self, context: &Context) -> Result<Fingerprint, Failure> {
        let cut = context.blocking(move || -> io::Result<Fingerprint> {
            self.file.set_len(self.written.bytes)?;
            Ok(Fingerprint { size: self.written.bytes, sha256: hex(&self.hash.finalize()) })
        });
        cut.await?.map_err(lost)
    }
}

/// What could not be done to the file.
pub fn lost(error: io::Error) -> Failure {
    Failure::io("the exported file", &error)
}

/// The hash whose state was noted; none where that is not one.
fn restore(state: &str) -> Option<Sha256> {
    let digits = state.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let bytes: Vec<u8> = digits.collect::<Option<_>>()?;
    let state = SerializedState::<Sha256>::try_from(bytes.as_slice()).ok()?;
    Sha256::deserialize(&state).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_goes_on_where_it_was_noted() {
        for length in [0, 1, 63, 64, 65, 1000] {
            let (text, end) = (vec![b'x'; length], [b'y'; 77]);
            let noted = hex(&Sha256::new().chain_update(&text).serialize());
            let restored = restore(&noted).unwrap().chain_update(end).finalize();
            assert_eq!(restored, Sha256::new().chain_update(&text).chain_update(end).finalize());
        }
        assert!(restore("00ff").is_none() && restore("").is_none() && restore("é").is_none());
    }
}
