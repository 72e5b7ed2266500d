//! graphql-js, the reference implementation, in a process of its own.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request, in the shape of GraphQL over HTTP.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The document.
    pub query: String,
    /// Name of the operation to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_name: Option<String>,
    /// Values of the variables.
    pub variables: Value,
}

/// The answer of graphql-js.
#[derive(Debug, Deserialize)]
pub struct Answer {
    /// Reason for which the request is refused before anything runs.
    pub error: Option<String>,
    /// The data, as JSON with its keys in order. Only if the requests are executed.
    pub data: Option<String>,
    /// True if there are errors of fields.
    #[serde(default)]
    pub failed: bool,
}

/// Returns the answers of graphql-js to the requests. With `resolvers`, a file of this folder, they are executed.
pub fn answers(sdl: &str, requests: &[Request], resolvers: Option<&str>) -> Vec<Answer> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let here = root.join("tests/transport/differential");
    let library = root.join("../../target/graphql-js/node_modules");
    assert!(library.join("graphql").exists(), "graphql-js is missing: run scripts/needs.sh");
    let mut command = Command::new("node");
    command.arg(here.join("graphql_js.mjs")).arg(library).args(resolvers.map(|file| here.join(file)));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node");
    let mut input = child.stdin.take().unwrap();
    let mut lines = serde_json::to_string(sdl).unwrap() + "\n";
    requests.iter().for_each(|request| lines += &(serde_json::to_string(request).unwrap() + "\n"));
    let writer = thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Answer> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), requests.len(), "graphql-js ended early");
    answers
}
