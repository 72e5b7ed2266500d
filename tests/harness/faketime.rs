//! Processes whose clock is wrong: libfaketime moves the time of day and leaves the monotonic clocks as they are.

use std::path::PathBuf;

/// Returns the variables of a process whose clock is this many seconds ahead of the machine's; behind if negative.
pub fn ahead(seconds: i64) -> Vec<(String, String)> {
    let pairs = [
        ("LD_PRELOAD", library().display().to_string()),
        ("FAKETIME", format!("{seconds:+}s")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Returns the library, where Debian and Ubuntu install it.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut found = folders.map(|folder| folder.join("faketime/libfaketime.so.1")).filter(|library| library.exists());
    found.next().expect("libfaketime is not installed: run scripts/needs.sh")
}
