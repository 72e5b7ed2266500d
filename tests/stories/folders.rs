//! Folders whose names have a special meaning in a URL: all files must be inside the configured folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;

use crate::harness::csv;
use crate::harness::server::{PATIENCE, Server};

const NAMES: [&str; 11] = [
    "plain",
    "100%",
    "a%20b",
    "what?",
    "what?mode=memory",
    "a#b",
    "with space ",
    "für データ",
    "up/../here",
    "file:x",
    "a&b=c+d",
];

/// Returns the names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Starts a second server on the folder, which must be refused. Returns the last line of its output.
pub async fn refused(settings: &[(&str, &str)]) -> String {
    let second = Command::new(env!("CARGO_BIN_EXE_pausa"))
        .env("PAUSA_LISTEN", "127.0.0.1:0")
        .env_remove("PAUSA_BLESS")
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let second = tokio::time::timeout(PATIENCE, second).await.unwrap().unwrap();
    assert_eq!(second.status.code(), Some(1));
    String::from_utf8(second.stderr).unwrap().lines().last().unwrap().to_owned()
}

/// Imports a file, restarts the server, and checks that the task and the rows still exist.
async fn keeps_all(settings: &[(&str, &str)], store: &Path) {
    let mut server = Server::with(settings).await;
    let file = csv::people(20);
    let upload = server.upload(&*file).await;
    let id = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&id, "COMPLETED").await;
    let printed = refused(settings).await;
    assert!(printed.contains(&format!("another server uses {}", store.display())), "{printed}");
    server.kill().await;
    server.restart().await;
    assert_eq!(server.task(&id).await["state"], "COMPLETED");
    assert_eq!(server.rows("people").await, Some(20));
    assert!(server.exported("people").await == file.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_may_have_any_name() {
    for name in NAMES {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("up")).unwrap();
        let folder = root.path().join(name).join("data");
        keeps_all(&[("PAUSA_DATA_DIR", folder.to_str().unwrap())], &folder.join("pausa.db")).await;
        let kept: Vec<_> = names(&folder).into_iter().filter(|name| !name.contains(".db-")).collect();
        assert_eq!(kept, ["datasets.db", "files", "pausa.db", "pausa.lock"], "{name}");
        assert_eq!(names(&folder.join("datasets.db-segments")).len(), 1, "{name}");
        let only = if name.contains('/') { vec!["here", "up"] } else { vec![name, "up"] };
        let mut only: Vec<_> = only.into_iter().map(str::to_owned).collect();
        only.sort();
        assert_eq!(names(root.path()), only, "there must be no files outside the folder");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urls_of_files_are_percent_decoded_everywhere() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("{}/{name}", root.path().display());
    let settings = [
        ("PAUSA_DATA_DIR", at("unused")),
        ("PAUSA_DATABASE_URL", format!("sqlite://{}?mode=rwc", at("st%20ore%3F.db"))),
        ("PAUSA_DATASETS_URL", format!("sqlite:{}", at("data%25sets%23.db"))),
        ("PAUSA_FILES_URL", format!("file://{}", at("fi%25les %3F%C3%BC"))),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    keeps_all(&settings, &PathBuf::from(at("st ore?.db"))).await;
    let kept = names(root.path()).into_iter().filter(|name| !name.contains(".db-") || name.ends_with("segments"));
    let expected = ["data%sets#.db", "data%sets#.db-segments", "fi%les ?ü", "st ore?.db", "st ore?.lock", "unused"];
    assert_eq!(kept.collect::<Vec<_>>(), expected);
    for (name, wrong) in [
        ("PAUSA_FILES_URL", "file:///a?b"),
        ("PAUSA_FILES_URL", "file:///%FF"),
        ("PAUSA_DATASETS_URL", "sqlite:/tmp/x.db?mode=ro"),
        ("PAUSA_DATASETS_URL", "sqlite:/tmp/none-here.db?mode=rw"),
        ("PAUSA_DATASETS_URL", "sqlite:%FF"),
    ] {
        let printed = refused(&[("PAUSA_DATA_DIR", &at("other")), (name, wrong)]).await;
        assert!(
            printed.contains("mode=") || printed.contains("files_url") || printed.contains("datasets_url"),
            "{printed}"
        );
    }
}
