//! Runs promtool.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Uses the promtool that scripts/needs.sh installed, otherwise the one in PATH.
fn promtool(arguments: &[&str]) -> Command {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/promtool/promtool");
    let mut command = Command::new(if unpacked.exists() { unpacked } else { PathBuf::from("promtool") });
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Asserts that `promtool check metrics` reports nothing.
pub fn check_metrics(text: &str) {
    let mut check = promtool(&["check", "metrics"]).spawn().expect("promtool is needed: run scripts/needs.sh");
    check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.is_empty(), "promtool check metrics:\n{printed}\n{text}");
}

/// Asserts that promtool succeeds.
pub fn passes(arguments: &[&str]) {
    let output = promtool(arguments).output().expect("promtool is needed: run scripts/needs.sh");
    let printed = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "promtool {arguments:?}:\n{printed}");
}
