//! Reads the YAML files of deploy/ and of Docker Compose, and checks them by the public schemas, with the Python tools that
//! scripts/needs.sh installs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use pausa::config::Config;
use serde_json::Value;

/// The folder of the Python tools.
const TOOLS: &str = "target/manifests/bin";

/// Prints the documents of YAML files as one list in JSON.
const TO_JSON: &str = "import json, sys, yaml
print(json.dumps([part for name in sys.argv[1:] for part in yaml.safe_load_all(open(name)) if part]))";

/// Returns the path of a file of the project.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Returns the text of a file of the project.
pub fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

/// Runs one of the tools, or a program that uses them. It must succeed. Returns what it prints.
pub fn tool(name: &str, arguments: &[&str]) -> String {
    let path = format!("{}:{}", file(TOOLS).display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(name);
    let output =
        command.args(arguments).current_dir(file("")).env("PATH", path).output().expect("run scripts/needs.sh");
    let printed = String::from_utf8(output.stdout).unwrap();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}:\n{printed}{failed}");
    printed
}

/// Returns the documents of YAML files, with merge keys applied.
pub fn documents(names: &[&str]) -> Vec<Value> {
    let read = tool("python", &[&["-c", TO_JSON], names].concat());
    serde_json::from_str(&read).unwrap()
}

/// Returns the documents of a YAML text.
pub fn documents_of(yaml: &str) -> Vec<Value> {
    let written = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(written.path(), yaml).unwrap();
    documents(&[written.path().to_str().unwrap()])
}

/// Asserts that a reference to an image names a version, such as 17.7, or a day.
pub fn assert_pinned(image: &str) {
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    let mut parts = tag.split('-');
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let is_version = |part: &str| part.contains('.') && part.split('.').all(is_number);
    assert!(
        parts.any(|part| is_version(part) || (is_number(part) && part.len() == 8)),
        "{image} does not name a version"
    );
}

/// Runs `pausa health` with these variables. The settings are valid if it asks a server at port 8080.
pub fn assert_settings(variables: &BTreeMap<String, String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pausa"));
    command.arg("health").env_clear().envs(variables);
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    let expected = "pausa: no answer from http://127.0.0.1:8080/readyz";
    assert!(printed.starts_with(expected) || output.status.success(), "{variables:?}: {printed}");
}

/// Returns the number of connections to PostgreSQL of a node with these variables, as docs/operations.md counts them.
pub fn connections(variables: &BTreeMap<String, String>) -> u32 {
    let config = Config::load(None, variables.clone().into_iter(), &[]).unwrap();
    config.store_connections + config.datasets_connections + 3
}

/// Asserts that the program knows the subcommand and its flags.
pub fn assert_subcommand(arguments: &[&str]) {
    let help = Command::new(env!("CARGO_BIN_EXE_pausa")).args([arguments[0], "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains(&format!("Usage: pausa {}", arguments[0])), "{arguments:?}: {help}");
    assert!(arguments[1..].iter().all(|flag| help.contains(flag)), "{arguments:?}: {help}");
}

/// Asserts that README.md describes the AWS_* variables among these, or those whose files they name. The program ignores others.
pub fn assert_aws_variables(variables: &BTreeMap<String, String>) {
    let readme = text("README.md");
    let listed = readme.lines().find(|line| line.starts_with("| AWS_ENDPOINT_URL")).unwrap();
    for name in variables.keys().filter(|name| name.starts_with("AWS_")) {
        assert!(listed.contains(name.trim_end_matches("_FILE")), "{name}");
    }
}

/// Returns the number of seconds in a setting such as `20s` or `5`.
pub fn seconds(text: &str) -> f64 {
    text.trim_end_matches('s').parse().unwrap()
}
