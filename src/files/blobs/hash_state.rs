//! The SHA-256 of the first bytes of a file, saved beside it so that a later process continues the computation.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};
use tokio::fs;

use crate::files::hex;

/// Bytes per read.
const CHUNK: usize = 256 * 1024;

/// SHA-256 of the first `bytes` bytes of a file.
#[derive(Clone, Default)]
pub(super) struct HashState {
    hash: Sha256,
    bytes: u64,
}

impl HashState {
    /// Returns the count of bytes that are hashed.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// Hashes the rest of the file. Blocks.
    pub(super) fn read_to_end(mut self, path: &Path) -> io::Result<HashState> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.bytes))?;
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(self),
                read => self.update(&chunk[..read]),
            }
        }
    }

    /// Returns the SHA-256, lowercase hex.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// Returns the state as text: the count and the state, in hex.
    pub(super) fn text(&self) -> String {
        format!("{:016x}{}", self.bytes, hex(&self.hash.serialize()))
    }

    /// Reads what [`HashState::text`] returned. None if it is something else.
    pub(super) fn parse(text: &str) -> Option<HashState> {
        let (bytes, state) = text.split_at_checked(16)?;
        let digits = state.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        let state: Vec<u8> = digits.collect::<Option<_>>()?;
        let state = SerializedState::<Sha256>::try_from(state.as_slice()).ok()?;
        let (hash, bytes) = (Sha256::deserialize(&state).ok()?, u64::from_str_radix(bytes, 16).ok()?);
        Some(HashState { hash, bytes })
    }

    /// Saves the state: the count, the state and the hash of both, by which a torn file is recognized. Not synced: without a valid
    /// state the file is read again.
    pub(super) async fn save(&self, path: &Path) {
        let mut state = self.bytes.to_le_bytes().to_vec();
        state.extend_from_slice(&self.hash.serialize());
        let checksum = Sha256::digest(&state);
        state.extend_from_slice(&checksum);
        if let Err(error) = fs::write(path, state).await {
            tracing::warn!(%error, path = %path.display(), "could not save the hash of an unfinished upload; its file is read again at the end");
        }
    }

    /// Loads the state of a file of `size` bytes. The empty state if there is no valid one.
    pub(super) fn load(path: &Path, size: u64) -> HashState {
        let read = || {
            let saved = std::fs::read(path).ok()?;
            let (saved, checksum) = saved.split_at_checked(saved.len().checked_sub(32)?)?;
            let (bytes, state) = saved.split_first_chunk::<8>()?;
            let state = SerializedState::<Sha256>::try_from(state).ok()?;
            let hash = Sha256::deserialize(&state).ok()?;
            let bytes = u64::from_le_bytes(*bytes);
            (checksum == Sha256::digest(saved).as_slice() && bytes <= size).then_some(HashState { hash, bytes })
        };
        read().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_continues_from_its_text() {
        for length in [0, 1, 63, 64, 65, 1000] {
            let mut first = HashState::default();
            first.update(&vec![b'x'; length]);
            let mut second = HashState::parse(&first.text()).unwrap();
            assert_eq!(second.bytes(), length as u64);
            first.update(b"more");
            second.update(b"more");
            assert_eq!(first.sha256(), second.sha256());
        }
        for other in ["", "00ff", "0000000000000000zz", "é00000000000000000"] {
            assert!(HashState::parse(other).is_none(), "{other}");
        }
    }
}
