//! docs/api.md: its shell commands run against a server, its table has every error code, and the GraphQL of every page is valid.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use apollo_compiler::{ExecutableDocument, Schema};
use pausa::task::Code;
use tokio::process::Command;

use crate::harness::server::{PATIENCE, Server};

const PAGE: &str = "docs/api.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// Returns the code blocks of a page in this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("\n```{language}\n");
    page.split(&begin).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

/// Returns README.md and the pages of docs/.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    pages.chain([root().join("README.md")]).collect()
}

#[test]
fn graphql_in_the_documentation_is_valid() {
    let schema = Schema::parse_and_validate(pausa::api::sdl(), "schema.graphql").unwrap();
    let (mut checked, mut wrong) = (0, String::new());
    for page in pages() {
        for text in blocks(&read(&page), "graphql") {
            checked += 1;
            if let Err(invalid) = ExecutableDocument::parse_and_validate(&schema, text, &page) {
                wrong += &format!("{}\n", invalid.errors);
            }
        }
    }
    assert!(checked > 8, "{checked} blocks");
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn the_shell_commands_run() {
    let server = Server::start().await;
    let commands = blocks(&read(PAGE), "sh").join("\n");
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &commands]).current_dir(root()).env("PAUSA", &server.url).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, bash.output()).await.expect("commands that end").unwrap();
    let (output, errors) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{output}{errors}");
    assert_eq!(output.lines().count(), 2, "the original and its copy: {output}");
    assert_eq!(server.rows("people").await, Some(2_000));
}

#[test]
fn every_error_code_is_in_the_table() {
    let page = read(PAGE);
    let rows = page.split("\n| code ").nth(1).unwrap().lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap());
    assert_all_codes(cells.flat_map(|cell| cell.split(',')).map(str::trim));
}

#[test]
fn the_kit_knows_every_error_code() {
    let text = read("client-examples/kit/src/errors.ts");
    assert_all_codes(text.lines().filter_map(|line| line.strip_prefix("  | '")?.split('\'').next()));
}

fn assert_all_codes<'a>(found: impl Iterator<Item = &'a str>) {
    let found: BTreeSet<_> = found.collect();
    assert_eq!(found, BTreeSet::from(Code::ALL.map(Code::as_str)));
}
