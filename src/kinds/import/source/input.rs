//! The text of a file, read by position while it may still be growing.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::runner::Failure;

/// A file that is read by position, whose end may not have come yet: reading there waits. Clones are the same file.
#[derive(Clone)]
pub struct Input {
    file: Arc<File>,
    growth: Arc<Growth>,
}

/// How far a file has grown.
struct Growth {
    state: Mutex<State>,
    changed: Condvar,
    encoding: OnceLock<&'static str>,
}

struct State {
    /// Bytes that may be read: they are on disk.
    length: u64,
    /// Bytes that the whole file is thought to have.
    expected: Option<u64>,
    end: Option<End>,
}

/// Why a file grows no more.
enum End {
    Whole,
    Failed(Failure),
    Halted,
}

/// Reading of a growing file was called off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reading was called off")]
pub struct Halted;

impl Input {
    /// A file that is whole, as long as it is now.
    pub fn whole(file: File) -> io::Result<Input> {
        let length = file.metadata()?.len();
        Ok(Input::new(file, State { length, expected: Some(length), end: Some(End::Whole) }))
    }

    /// A file of which the first `length` bytes may be read, and more will come.
    pub fn growing(file: File, length: u64) -> Input {
        Input::new(file, State { length, expected: None, end: None })
    }

    fn new(file: File, state: State) -> Input {
        let growth = Growth { state: Mutex::new(state), changed: Condvar::new(), encoding: OnceLock::new() };
        Input { file: Arc::new(file), growth: Arc::new(growth) }
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Reads at `at`, and waits there for the file to grow. Nothing is read at its end.
    ///
    /// # Errors
    /// A [`Failure`] inside where the file will not become whole; [`Halted`] inside after [`Input::halt`].
    pub fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let left = self.wait(at)?;
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        match self.file.read_at(&mut buffer[..most], at)? {
            0 if most > 0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it was cut off while it was read")),
            read => Ok(read),
        }
    }

    /// The bytes that may be read from `at` on, once there are any; 0 at the end.
    fn wait(&self, at: u64) -> io::Result<u64> {
        let mut state = self.state();
        loop {
            match &state.end {
                _ if state.length > at => return Ok(state.length - at),
                Some(End::Whole) => return Ok(0),
                Some(End::Failed(failure)) => return Err(io::Error::other(failure.clone())),
                Some(End::Halted) => return Err(io::Error::other(Halted)),
                None => state = self.growth.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Reading at `at` would not wait.
    pub fn is_ready(&self, at: u64) -> bool {
        let state = self.state();
        state.length > at || state.end.is_some()
    }

    /// Reads from `at` on.
    pub fn from(&self, at: u64) -> Reading {
        Reading { input: self.clone(), at }
    }

    /// Bytes, once the file is whole.
    pub fn size(&self) -> Option<u64> {
        let state = self.state();
        matches!(state.end, Some(End::Whole)).then_some(state.length)
    }

    /// Bytes that the whole file has or is thought to have.
    pub fn expected(&self) -> Option<u64> {
        self.state().expected
    }

    /// The encoding that the text was in before it became UTF-8.
    pub fn encoding(&self) -> &'static str {
        self.growth.encoding.get().copied().unwrap_or("UTF-8")
    }

    /// Names the encoding that the text was in, before its first byte may be read.
    pub fn name_encoding(&self, name: &'static str) {
        // The first name stands.
        let _ = self.growth.encoding.set(name);
    }

    /// Reading was called off.
    pub fn is_halted(&self) -> bool {
        matches!(self.state().end, Some(End::Halted))
    }

    /// So many bytes may be read now, of about `expected`.
    pub fn grow(&self, length: u64, expected: Option<u64>) {
        let mut state = self.state();
        (state.length, state.expected) = (length, expected);
        drop(state);
        self.growth.changed.notify_all();
    }

    /// The file is whole.
    pub fn finish(&self) {
        let mut state = self.state();
        state.expected = Some(state.length);
        drop(state);
        self.end(End::Whole);
    }

    /// The file will not become whole: who comes to the end of what there is gets this failure.
    pub fn fail(&self, failure: Failure) {
        self.end(End::Failed(failure));
    }

    /// Nobody waits any more, and nothing more comes.
    pub fn halt(&self) {
        self.end(End::Halted);
    }

    /// The first end stands.
    fn end(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.growth.changed.notify_all();
    }

    /// A panic while it was locked leaves a whole state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.growth.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An input's bytes from some place on, in their order.
pub struct Reading {
    input: Input,
    at: u64,
}

impl Read for Reading {
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
    fn who_reads_at_the_growing_end_waits_for_bytes_and_gets_them_all() {
        let mut file = tempfile::tempfile().unwrap();
        let input = Input::growing(file.try_clone().unwrap(), 0);
        let mut reading = input.from(0);
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
    fn a_failure_is_heard_behind_the_last_byte_and_a_halt_wakes_who_waits() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let failing = Input::growing(file.try_clone().unwrap(), 3);
        failing.fail(Failure::input("cut off"));
        let mut text = String::new();
        let error = failing.from(0).read_to_string(&mut text).unwrap_err();
        let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>()).unwrap();
        assert_eq!((text.as_str(), failure.message.as_str()), ("abc", "cut off"));

        let waiting = Input::growing(file, 3);
        let (other, at) = (waiting.clone(), 3);
        let reader = std::thread::spawn(move || other.read_at(&mut [0], at).map_err(|error| error.to_string()));
        waiting.halt();
        assert_eq!(reader.join().unwrap(), Err(Halted.to_string()));
    }
}
