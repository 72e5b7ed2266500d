//! A file that is read by position while it may still grow.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use super::remote::RemoteFile;
use super::transfer::ReadCancelled;
use crate::lock::lock;
use crate::runner::Failure;

/// File that is read by position. Reading at its end waits while it grows. Clones share the same file.
#[derive(Clone)]
pub struct GrowingFile {
    bytes: FileBytes,
    growth: Arc<SharedGrowth>,
}

/// Place of the bytes.
#[derive(Clone)]
enum FileBytes {
    Local(Arc<File>),
    Remote(Arc<RemoteFile>),
}

/// State of a growing file, shared by its clones.
struct SharedGrowth {
    state: Mutex<GrowthState>,
    changed: Condvar,
    encoding: OnceLock<&'static str>,
}

struct GrowthState {
    /// Number of bytes that may be read: they are on disk.
    length: u64,
    /// Estimated size of the complete file, in bytes.
    expected: Option<u64>,
    end: Option<GrowthEnd>,
}

/// Reason for which a file does not grow any more.
enum GrowthEnd {
    Complete,
    Failed(Failure),
    Cancelled,
}

impl GrowingFile {
    /// A complete file.
    pub fn complete(file: File) -> io::Result<GrowingFile> {
        let length = file.metadata()?.len();
        Ok(GrowingFile::new(file, GrowthState { length, expected: Some(length), end: Some(GrowthEnd::Complete) }))
    }

    /// A growing file of which the first `length` bytes may be read.
    pub fn partial(file: File, length: u64) -> GrowingFile {
        GrowingFile::new(file, GrowthState { length, expected: None, end: None })
    }

    /// A complete file elsewhere.
    pub fn remote(file: RemoteFile) -> GrowingFile {
        let length = file.size();
        let state = GrowthState { length, expected: Some(length), end: Some(GrowthEnd::Complete) };
        GrowingFile::of(FileBytes::Remote(Arc::new(file)), state)
    }

    fn new(file: File, state: GrowthState) -> GrowingFile {
        GrowingFile::of(FileBytes::Local(Arc::new(file)), state)
    }

    fn of(bytes: FileBytes, state: GrowthState) -> GrowingFile {
        let growth = SharedGrowth { state: Mutex::new(state), changed: Condvar::new(), encoding: OnceLock::new() };
        GrowingFile { bytes, growth: Arc::new(growth) }
    }

    /// Reads at `at`. Waits until the file has grown so far. Returns 0 at the end of the complete file.
    ///
    /// # Errors
    /// With a [`Failure`] inside if the file cannot become complete, and [`ReadCancelled`] inside after [`GrowingFile::cancel`].
    pub fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let available = self.wait(at)?;
        let most = usize::try_from(available).unwrap_or(usize::MAX).min(buffer.len());
        let read = match &self.bytes {
            FileBytes::Local(file) => file.read_at(&mut buffer[..most], at)?,
            FileBytes::Remote(file) => file.read_at(&mut buffer[..most], at)?,
        };
        match read {
            0 if most > 0 => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was truncated while it was read"))
            }
            read => Ok(read),
        }
    }

    /// Waits until bytes may be read at `at`. Returns their number, or 0 at the end.
    fn wait(&self, at: u64) -> io::Result<u64> {
        let mut state = self.state();
        loop {
            match &state.end {
                _ if state.length > at => return Ok(state.length - at),
                Some(GrowthEnd::Complete) => return Ok(0),
                Some(GrowthEnd::Failed(failure)) => return Err(io::Error::other(failure.clone())),
                Some(GrowthEnd::Cancelled) => return Err(io::Error::other(ReadCancelled)),
                None => state = self.growth.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Returns true if reading at `at` does not wait.
    pub fn is_ready(&self, at: u64) -> bool {
        let state = self.state();
        state.length > at || state.end.is_some()
    }

    /// Returns a reader from `at` on.
    pub fn reader_at(&self, at: u64) -> GrowingFileReader {
        GrowingFileReader { input: self.clone(), at }
    }

    /// Returns the size in bytes. None until the file is complete.
    pub fn size(&self) -> Option<u64> {
        let state = self.state();
        matches!(state.end, Some(GrowthEnd::Complete)).then_some(state.length)
    }

    /// Returns the size or estimated size in bytes, if it is known.
    pub fn expected(&self) -> Option<u64> {
        self.state().expected
    }

    /// Returns the encoding of the original file.
    pub fn encoding(&self) -> &'static str {
        self.growth.encoding.get().copied().unwrap_or("UTF-8")
    }

    /// Sets the encoding of the original file, before the first byte may be read.
    pub fn set_encoding(&self, name: &'static str) {
        // The first call wins.
        let _ = self.growth.encoding.set(name);
    }

    /// Returns true if reading was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.state().end, Some(GrowthEnd::Cancelled))
    }

    /// Allows reading up to `length` bytes, of about `expected`.
    pub fn grow(&self, length: u64, expected: Option<u64>) {
        let mut state = self.state();
        (state.length, state.expected) = (length, expected);
        drop(state);
        self.growth.changed.notify_all();
    }

    /// Marks the file as complete.
    pub fn finish(&self) {
        let mut state = self.state();
        state.expected = Some(state.length);
        drop(state);
        self.end(GrowthEnd::Complete);
    }

    /// Marks the file as failed: readers at its end get this failure.
    pub fn fail(&self, failure: Failure) {
        self.end(GrowthEnd::Failed(failure));
    }

    /// Cancels reading and wakes all waiting readers.
    pub fn cancel(&self) {
        if let FileBytes::Remote(file) = &self.bytes {
            file.cancel();
        }
        self.end(GrowthEnd::Cancelled);
    }

    /// Ends the growth. The first call wins.
    fn end(&self, end: GrowthEnd) {
        self.state().end.get_or_insert(end);
        self.growth.changed.notify_all();
    }

    /// The state stays valid if a thread panics while it holds the lock.
    fn state(&self) -> MutexGuard<'_, GrowthState> {
        lock(&self.growth.state)
    }
}

/// Sequential reader of a growing file.
pub struct GrowingFileReader {
    input: GrowingFile,
    at: u64,
}

impl Read for GrowingFileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_reader_at_the_growing_end_waits_and_gets_every_byte() {
        let mut file = tempfile::tempfile().unwrap();
        let input = GrowingFile::partial(file.try_clone().unwrap(), 0);
        let mut reading = input.reader_at(0);
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            reading.read_to_string(&mut text).map(|_| text)
        });
        for n in 1..=100 {
            file.write_all(b"abc").unwrap();
            input.grow(n * 3, None);
        }
        assert_eq!(input.size(), None);
        input.finish();
        assert_eq!(reader.join().unwrap().unwrap(), "abc".repeat(100));
        assert_eq!((input.size(), input.expected()), (Some(300), Some(300)));
    }

    #[test]
    fn a_failure_comes_after_the_last_byte_and_a_cancellation_wakes_readers() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let failing = GrowingFile::partial(file.try_clone().unwrap(), 3);
        failing.fail(Failure::input("truncated"));
        let mut text = String::new();
        let error = failing.reader_at(0).read_to_string(&mut text).unwrap_err();
        let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>()).unwrap();
        assert_eq!((text.as_str(), failure.message.as_str()), ("abc", "truncated"));

        let waiting = GrowingFile::partial(file, 3);
        let (other, at) = (waiting.clone(), 3);
        let reader = std::thread::spawn(move || other.read_at(&mut [0], at).map_err(|error| error.to_string()));
        waiting.cancel();
        assert_eq!(reader.join().unwrap(), Err(ReadCancelled.to_string()));
    }
}
