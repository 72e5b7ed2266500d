//! The house stays as ARCHITECTURE.md draws it: a `use` that points the wrong way fails here.

use std::fs;
use std::path::{Path, PathBuf};

use pausa::task::Code;

/// From the left, where everything is put together, to the right, where nothing is known of the rest. Each may use what
/// stands to its right.
const LAYERS: [&[&str]; 11] = [
    &["main"],
    &["app", "telemetry"],
    &["http"],
    &["api"],
    &["kinds"],
    &["gql"],
    &["state"],
    &["runner"],
    &["backup"],
    &["store", "bus", "files", "datasets"],
    &["metrics", "task", "clock", "config", "disk", "spans"],
];

/// Crates that only some places may name.
const KEPT: [(&str, &[&str]); 7] = [
    ("sqlx", &["src/store", "src/datasets", "src/bus/postgres.rs"]),
    ("rusqlite", &["src/datasets/sqlite", "src/backup"]),
    ("async_graphql", &["src/gql", "src/api", "src/kinds/api.rs", "src/kinds/*/api.rs"]),
    ("axum", &["src/http", "src/app.rs"]),
    ("prometheus_client", &["src/metrics"]),
    ("reqwest", &["src/telemetry"]),
    ("tokio::fs", &["src/files", "src/kinds/import/rejects.rs"]),
];

/// The file that may contain the texts of error codes.
const CODE_TEXTS: &str = "src/task/code.rs";

/// The longest file that is still read in one go.
const LINES: usize = 400;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn read_all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        (name, fs::read_to_string(path).unwrap())
    };
    sources(&root.join("src")).into_iter().map(read).collect()
}

/// The layer of a file, by the first part of its path below `src`.
fn layer(file: &str) -> Option<usize> {
    let module = file.strip_prefix("src/")?.split(['/', '.']).next()?;
    LAYERS.iter().position(|names| names.contains(&module))
}

/// True if `file` is at `place` or below it. A `*` in a place stands for one folder.
fn is_at(file: &str, place: &str) -> bool {
    let mut parts = file.split('/');
    place.split('/').all(|wanted| parts.next().is_some_and(|part| wanted == "*" || wanted == part))
}

#[test]
fn uses_point_to_the_right() {
    let mut wrong = Vec::new();
    for (file, text) in read_all() {
        let Some(from) = layer(&file) else { continue };
        for line in text.lines() {
            for (_, path) in line.match_indices("crate::").map(|(at, found)| line.split_at(at + found.len())) {
                let module: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let to = LAYERS.iter().position(|names| names.contains(&module.as_str()));
                if to.is_some_and(|to| to < from) {
                    wrong.push(format!("{file}: {}", line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these point to the left:\n{}", wrong.join("\n"));
}

#[test]
fn crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for (file, text) in read_all() {
        for (name, places) in KEPT {
            let kept = places.iter().any(|place| is_at(&file, place));
            let path = format!("{name}::");
            for line in text.lines().filter(|line| !kept && line.contains(&path) && !line.trim().starts_with("//")) {
                wrong.push(format!("{file}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "these are out of place:\n{}", wrong.join("\n"));
}

#[test]
fn error_codes_are_written_in_one_place() {
    let mut wrong = Vec::new();
    for (file, text) in read_all() {
        if file == CODE_TEXTS {
            continue;
        }
        for code in Code::ALL {
            let literal = format!("\"{code}\"");
            wrong.extend(
                text.lines().filter(|line| line.contains(&literal)).map(|line| format!("{file}: {}", line.trim())),
            );
        }
    }
    assert!(wrong.is_empty(), "these belong to task::Code:\n{}", wrong.join("\n"));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for (file, text) in read_all() {
        assert!(text.starts_with("//!"), "{file} does not begin with what it is");
        assert!(text.lines().count() <= LINES, "{file} is longer than {LINES} lines");
    }
}

/// Others name blobs and working files by ID and name, so that another blob store needs no file system.
#[test]
fn no_path_leaves_files() {
    let mut wrong = Vec::new();
    for (file, text) in read_all().into_iter().filter(|(file, _)| file.starts_with("src/files/")) {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_port = file == "src/files/blobs/mod.rs";
        for line in code.lines().map(str::trim).filter(|line| line.contains("Path") && !line.starts_with("//")) {
            let is_public =
                ["pub fn", "pub async fn", "pub type", "pub use"].iter().any(|start| line.starts_with(start));
            let opens_root = line.contains("fn open(root: &Path,");
            if (is_port || is_public) && !opens_root {
                wrong.push(format!("{file}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "a path leaves `files`:\n{}", wrong.join("\n"));
}
