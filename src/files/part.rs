//! An upload that comes in parts: what is in its file is what there is, so it can be taken up after any break.
//!
//! The bytes lie in `unfinished/ID` until all are there; then the file is moved to `uploads/ID`. Its SHA-256 is computed as
//! they come in. Between two parts the state of that computation lies beside the file, so that neither a break nor a new
//! process makes a long file be read again at its end; where that note is lost, or a part was not noted, the file is read.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};
use tokio::fs;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::{CHUNK, Fingerprint, Received, gone, hex, sync_folder};

/// The file of an unfinished upload, open to be written by this process alone.
pub struct Part {
    path: PathBuf,
    whole: PathBuf,
    file: BufWriter<fs::File>,
    size: u64,
    hash: Running,
}

/// The SHA-256 of the first bytes of a file.
#[derive(Clone, Default)]
struct Running {
    hash: Sha256,
    bytes: u64,
}

impl Part {
    /// Opens the file of an upload, or makes it; none where another process writes to it.
    pub(super) async fn open(path: PathBuf, whole: PathBuf) -> io::Result<Option<Part>> {
        let opened = tokio::task::spawn_blocking(move || {
            let (path, file) = open(path, &whole)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let size = file.metadata()?.len();
            let hash = Running::load(&note(&path), size);
            Ok(Some((path, whole, file, size, hash)))
        });
        let Some((path, whole, file, size, hash)) = opened.await?? else { return Ok(None) };
        let file = BufWriter::with_capacity(CHUNK, fs::File::from_std(file));
        Ok(Some(Part { path, whole, file, size, hash }))
    }

    /// The bytes that are there; on disk for good once [`Part::sync`] has said so.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes, and of them no more than fit into `limit` bytes in all.
    pub async fn write(&mut self, bytes: &[u8], limit: u64) -> io::Result<Received> {
        let room = usize::try_from(limit.saturating_sub(self.size)).unwrap_or(usize::MAX);
        let taken = &bytes[..bytes.len().min(room)];
        self.file.write_all(taken).await?;
        if self.hash.bytes == self.size {
            self.hash.update(taken);
        }
        self.size += taken.len() as u64;
        Ok(if taken.len() == bytes.len() { Received::Taken } else { Received::TooLarge })
    }

    /// Brings what was taken to the disk and answers how many bytes are there now.
    pub async fn sync(&mut self) -> io::Result<u64> {
        self.file.flush().await?;
        self.file.get_ref().sync_all().await?;
        if self.path != self.whole {
            self.hash.keep(&note(&self.path)).await;
        }
        Ok(self.size)
    }

    /// All bytes are there: the file is whole, and on disk under its own name, when this answers. Doing it twice is fine.
    pub async fn finish(&mut self) -> io::Result<Fingerprint> {
        self.sync().await?;
        let (path, hash) = (self.path.clone(), self.hash.clone());
        // A part that a crash broke off is on disk but not in the hash.
        self.hash = tokio::task::spawn_blocking(move || hash.reach_end(&path)).await??;
        if self.path != self.whole {
            fs::rename(&self.path, &self.whole).await?;
            for folder in [&self.whole, &self.path].into_iter().filter_map(|path| path.parent()) {
                sync_folder(folder).await?;
            }
            gone(fs::remove_file(note(&self.path)).await)?;
            self.path = self.whole.clone();
        }
        Ok(Fingerprint { size: self.size, sha256: hex(&self.hash.hash.clone().finalize()) })
    }
}

/// The unfinished file; where a crash came between the end of one and the note in the store, the finished one.
fn open(path: PathBuf, whole: &Path) -> io::Result<(PathBuf, File)> {
    let append = |path: &Path| OpenOptions::new().read(true).append(true).open(path);
    match append(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return Ok((path, other?)),
    }
    match append(whole) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return Ok((whole.to_owned(), other?)),
    }
    let file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    Ok((path, file))
}

/// Where the state of the hash lies.
pub(super) fn note(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

impl Running {
    fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// Takes in what the file has beyond the bytes that are hashed already.
    fn reach_end(mut self, path: &Path) -> io::Result<Running> {
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

    /// Writes the note: the count, the state, and the hash of both, so that one that is torn is known as such.
    async fn keep(&self, path: &Path) {
        let mut note = self.bytes.to_le_bytes().to_vec();
        note.extend_from_slice(&self.hash.serialize());
        let seal = Sha256::digest(&note);
        note.extend_from_slice(&seal);
        if let Err(error) = fs::write(path, note).await {
            tracing::warn!(%error, path = %path.display(), "could not save the hash of an unfinished upload; its file is read again at the end");
        }
    }

    /// Reads the note, where there is a good one of no more than `size` bytes.
    fn load(path: &Path, size: u64) -> Running {
        let read = || {
            let note = std::fs::read(path).ok()?;
            let (note, seal) = note.split_at_checked(note.len().checked_sub(32)?)?;
            let (bytes, state) = note.split_first_chunk::<8>()?;
            let state = SerializedState::<Sha256>::try_from(state).ok()?;
            let hash = Sha256::deserialize(&state).ok()?;
            let bytes = u64::from_le_bytes(*bytes);
            (seal == Sha256::digest(note).as_slice() && bytes <= size).then_some(Running { hash, bytes })
        };
        read().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        async fn part(&self) -> Option<Part> {
            Part::open(self.0.path().join("part"), self.0.path().join("whole")).await.unwrap()
        }

        fn hash(&self, bytes: &[u8]) -> Fingerprint {
            Fingerprint { size: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
        }
    }

    fn place() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    #[tokio::test]
    async fn parts_become_a_file_with_its_hash_whatever_became_of_the_note() {
        for lost in ["", "no note", "torn", "behind"] {
            let place = place();
            let mut first = place.part().await.unwrap();
            first.write(b"first,", 100).await.unwrap();
            assert_eq!(first.sync().await.unwrap(), 6);
            drop(first);
            let note = place.0.path().join("part.sha256");
            match lost {
                "no note" => std::fs::remove_file(note).unwrap(),
                "torn" => std::fs::write(&note, &std::fs::read(&note).unwrap()[..60]).unwrap(),
                "behind" => {
                    // Written, and the process killed before it could be noted.
                    let mut file = OpenOptions::new().append(true).open(place.0.path().join("part")).unwrap();
                    io::Write::write_all(&mut file, b"more,").unwrap();
                }
                _ => {}
            }
            let mut second = place.part().await.unwrap();
            second.write(b"second", 100).await.unwrap();
            let whole = second.finish().await.unwrap();
            let bytes = std::fs::read(place.0.path().join("whole")).unwrap();
            assert_eq!(whole, place.hash(&bytes), "{lost}");
            assert_eq!(bytes, if lost == "behind" { &b"first,more,second"[..] } else { b"first,second" });
            assert_eq!(std::fs::read_dir(place.0.path()).unwrap().count(), 1, "nothing else is left");
        }
    }

    #[tokio::test]
    async fn a_file_that_was_moved_but_not_noted_in_the_store_is_finished_again() {
        let place = place();
        std::fs::write(place.0.path().join("whole"), "all").unwrap();
        let mut part = place.part().await.unwrap();
        assert_eq!(part.size(), 3);
        assert_eq!(part.finish().await.unwrap(), place.hash(b"all"));
    }

    #[tokio::test]
    async fn one_writes_at_a_time_and_no_more_than_fits() {
        let place = place();
        let mut part = place.part().await.unwrap();
        assert!(place.part().await.is_none());
        assert_eq!(part.write(b"12345", 4).await.unwrap(), Received::TooLarge);
        assert_eq!(part.sync().await.unwrap(), 4);
        assert_eq!(std::fs::read(place.0.path().join("part")).unwrap(), b"1234");
    }
}
