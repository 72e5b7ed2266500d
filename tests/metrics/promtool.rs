//! Calls promtool.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The place where scripts/needs.sh puts it, else the one in PATH.
fn promtool() -> Command {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/promtool/promtool");
    Command::new(if unpacked.exists() { unpacked } else { PathBuf::from("promtool") })
}

fn passed(output: &Output) {
    let said = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success() && !said.contains("error"), "{said}");
}

/// `promtool check metrics` finds nothing wrong.
pub fn check_metrics(text: &str) {
    use std::io::Write;
    let mut check = promtool();
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut child = check.spawn().expect("promtool is needed: run scripts/needs.sh");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.is_empty(), "promtool check metrics:\n{said}\n{text}");
    passed(&output);
}
