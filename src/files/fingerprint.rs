//! Size and SHA-256 of a file.

use std::fs::File;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes per read.
const CHUNK: usize = 256 * 1024;

/// Identifies the content of a complete file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, lowercase hex.
    pub sha256: String,
}

impl Fingerprint {
    /// Reads a file from its current position to its end. Blocks.
    pub(super) fn read(mut file: &File) -> io::Result<Fingerprint> {
        let (mut hash, mut size, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
        loop {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                return Ok(Fingerprint { size, sha256: hex(&hash.finalize()) });
            }
            hash.update(&chunk[..read]);
            size += read as u64;
        }
    }
}

/// Returns lowercase hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
