//! An upload while it comes in: streamed to disk, counted and hashed on the way.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::fs;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::{CHUNK, Fingerprint, gone, hex, sync_folder};

/// A file that is coming in. Dropped before [`Incoming::finish`], it leaves a `.part` file that [`Incoming::abandon`], or
/// the next start, removes.
pub struct Incoming {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<fs::File>,
    hash: Sha256,
    size: u64,
    limit: u64,
}

/// What became of a piece of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is taken.
    Taken,
    /// With it the upload is larger than allowed.
    TooLarge,
}

impl Incoming {
    pub(super) async fn begin(path: PathBuf, limit: u64) -> io::Result<Incoming> {
        let part = path.with_extension("part");
        let file = BufWriter::with_capacity(CHUNK, fs::File::create_new(&part).await?);
        Ok(Incoming { path, part, file, hash: Sha256::new(), size: 0, limit })
    }

    /// Takes the next bytes, unless they are too many.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<Received> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Ok(Received::TooLarge);
        }
        self.hash.update(bytes);
        self.file.write_all(bytes).await?;
        Ok(Received::Taken)
    }

    /// The file is whole: it is on disk when this answers.
    pub async fn finish(mut self) -> io::Result<Fingerprint> {
        self.file.flush().await?;
        self.file.get_ref().sync_all().await?;
        fs::rename(&self.part, &self.path).await?;
        sync_folder(self.path.parent().unwrap_or(Path::new("."))).await?;
        Ok(Fingerprint { size: self.size, sha256: hex(&self.hash.finalize()) })
    }

    /// The file will not become whole: nothing is left of it.
    pub async fn abandon(self) -> io::Result<()> {
        drop(self.file);
        gone(fs::remove_file(&self.part).await)
    }
}
