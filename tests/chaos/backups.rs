//! Backups while tasks run: each is restored and its tasks run to the end, and nothing is lost or duplicated.

use std::path::Path;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::process::Command;

use super::folder::{is_exact, same_cells};
use super::random::Random;
use crate::harness::csv;
use crate::harness::receiver::Receiver;
use crate::harness::server::{Server, run};
use crate::harness::tus::Tus;

const BACKUPS: usize = 10;
const SETTINGS: [(&str, &str); 2] = [("PAUSA_MAX_RUNNING", "12"), ("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true")];
const ROWS: usize = 20_000;
const DIGITS: u32 = 300_000;

/// Tasks of the server that is backed up.
struct Story {
    file: String,
    imports: Vec<(String, &'static str)>,
    export: String,
    pi: String,
    timers: Vec<String>,
    upload: String,
}

/// A backup, the progress before it, and the acknowledged bytes of the unfinished upload.
struct Backup {
    scratch: TempDir,
    before: Vec<(String, u64)>,
    sent: usize,
}

async fn begin(server: &Server, hooks: &Receiver) -> Story {
    let file = csv::people(ROWS);
    let upload = server.upload(&*file).await;
    let base = server.import(&upload, json!({ "dataset": "base" })).await;
    server.until(&base, "COMPLETED").await;
    let mut imports = Vec::new();
    for (dataset, rate, mode) in [("slow", 1000, "CREATE"), ("base", 1500, "APPEND"), ("quick", 4000, "CREATE")] {
        let input = json!({ "dataset": dataset, "maxRowsPerSecond": rate, "mode": mode });
        imports.push((server.import(&upload, input).await, dataset));
    }
    let query = "mutation($input: StartExportInput!) { startExport(input: $input) { id } }";
    let input = json!({ "input": { "dataset": "base", "maxRowsPerSecond": 3000 } });
    let export = server.data(query, input).await["startExport"]["id"].as_str().unwrap().to_owned();
    let pi = server.pi(DIGITS).await;
    let mut timers = Vec::new();
    for n in 0..20 {
        let input = json!({ "url": hooks.url, "when": { "after": { "seconds": n } } });
        timers.push(server.timer(input).await);
    }
    let upload = Tus::begin(server, file.len()).await.path;
    Story { file, imports, export, pi, timers, upload }
}

async fn done(server: &Server, id: &str) -> u64 {
    server.task(id).await["progress"]["done"].as_u64().unwrap()
}

/// Deletes, drops, replaces and terminates while a backup is made.
async fn churn(server: &Server, story: &Story, random: &mut Random) {
    let upload = server.upload(&*csv::people(50)).await;
    for _ in 0..random.between(1, 3) {
        let id = server.import(&upload, json!({ "dataset": "churn", "mode": "REPLACE" })).await;
        server.until(&id, "COMPLETED").await;
        let export = server.export("churn").await;
        server.until(&export, "COMPLETED").await;
        for id in [id, export] {
            server.data("mutation($id: ID!) { deleteTask(id: $id) }", json!({ "id": id })).await;
        }
    }
    server.data("mutation { dropDataset(name: \"churn\") }", json!({})).await;
    let doomed = server.import(&upload, json!({ "dataset": "doomed", "maxRowsPerSecond": 10 })).await;
    server.until_done(&doomed, 1).await;
    server.control("terminate", &doomed).await;
    if random.once_in(2) {
        let id = &story.imports[0].0;
        // On a slow machine it may have ended by now.
        server.verb("pause", id).await;
        server.verb("resume", id).await;
    }
}

/// Makes a backup while clients change what they can.
async fn make_backup(server: &Server, story: &Story, random: &mut Random, sent: usize) -> Backup {
    let scratch = tempfile::tempdir().unwrap();
    let mut before = Vec::new();
    for id in story.imports.iter().map(|(id, _)| id).chain([&story.export, &story.pi]) {
        before.push((id.clone(), done(server, id).await));
    }
    let folder = scratch.path().join("backup");
    let arguments = ["backup", folder.to_str().unwrap()];
    let (made, ()) = tokio::join!(run(server.folder(), &arguments), churn(server, story, random));
    assert_eq!(made.0, Some(0), "{}", made.1);
    assert!(!made.1.contains("warning"), "{}", made.1);
    Backup { scratch, before, sent }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_ten_backups_is_restored_and_runs_to_the_end() {
    let mut random = Random::new();
    let hooks = Receiver::kind().await;
    let server = Server::with(&SETTINGS).await;
    let story = begin(&server, &hooks).await;
    let mut backups = Vec::new();
    for n in 0..BACKUPS {
        let tus = Tus::at(&server, story.upload.clone());
        let (from, to) = (story.file.len() * n / (BACKUPS + 1), story.file.len() * (n + 1) / (BACKUPS + 1));
        assert_eq!(tus.send(from, &story.file.as_bytes()[from..to]).await.0, 204);
        backups.push(make_backup(&server, &story, &mut random, to).await);
    }
    let first = &backups[0].before;
    assert!(first.iter().any(|(_, done)| *done < ROWS as u64), "the backup was made while tasks ran: {first:?}");
    drop(server);
    for some in backups.chunks(5) {
        join_all(some.iter().map(|backup| runs_to_its_end(backup, &story, &hooks))).await;
    }
}

/// Restores a backup from a copy of it, as on another machine.
async fn restored(backup: &Path) -> Server {
    let (data, moved) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let moved = moved.path().join("moved");
    Command::new("cp").arg("-r").args([backup, &moved]).status().await.unwrap();
    let (code, said) = run(data.path(), &["restore", moved.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{said}");
    Server::at(&SETTINGS, data).await
}

async fn runs_to_its_end(backup: &Backup, story: &Story, hooks: &Receiver) {
    let server = restored(&backup.scratch.path().join("backup")).await;
    for (id, before) in &backup.before {
        let now = done(&server, id).await;
        assert!(now >= *before, "{id} is at {now}, but was at {before} before the backup");
    }
    let tus = Tus::at(&server, story.upload.clone());
    let offset = tus.offset().await;
    assert_eq!(offset, backup.sent, "every acknowledged byte is in the backup");
    assert_eq!(tus.send(offset, &story.file.as_bytes()[offset..]).await.0, 204);
    // The backup may have been made between the pause and the resume.
    let first = &story.imports[0].0;
    if ["PAUSING", "PAUSED"].contains(&server.task(first).await["state"].as_str().unwrap()) {
        server.until(first, "PAUSED").await;
        server.control("resume", first).await;
    }
    let sent = server.import(tus.id(), json!({ "dataset": "sent" })).await;
    for id in story.imports.iter().map(|(id, _)| id).chain([&story.export, &story.pi, &sent]).chain(&story.timers) {
        let task = server.until(id, "COMPLETED").await;
        assert_eq!(task["error"], Value::Null, "{task}");
    }
    is_exact(&server, "slow", &story.file).await;
    is_exact(&server, "quick", &story.file).await;
    is_exact(&server, "sent", &story.file).await;
    let rest = story.file.split_once("\r\n").unwrap().1;
    is_exact(&server, "base", &format!("{}{rest}", story.file)).await;
    let export = server.get(&format!("/download/{}", story.export)).await.bytes().await.unwrap();
    same_cells(&export, &story.file);
    let pi = server.task(&story.pi).await;
    let zip = server.get(&format!("/download/{}", story.pi)).await.bytes().await.unwrap();
    assert_eq!(pi["result"]["sha256"], json!(pausa::files::hex(&Sha256::digest(&zip))));
    for id in &story.timers {
        assert!(hooks.hooks().iter().any(|hook| hook.id() == *id), "{id} was delivered");
    }
    has_no_stray_files(&server).await;
}

/// Every file belongs to a task, an upload or a dataset.
async fn has_no_stray_files(server: &Server) {
    let query = "{ tasks(first: 500) { edges { node { id kind state } } } datasets(first: 100) { nodes { name } } }";
    let data = server.data(query, json!({})).await;
    let names: Vec<_> = data["tasks"]["edges"].as_array().unwrap().iter().collect();
    let known = |name: &str| names.iter().any(|edge| edge["node"]["id"] == name.trim_end_matches(".db"));
    assert_eq!(super::folder::names(server, "files/work"), [] as [&str; 0]);
    for folder in ["files/results", "datasets.db-segments"] {
        for name in super::folder::names(server, folder) {
            let churned =
                data["datasets"]["nodes"].as_array().unwrap().iter().any(|dataset| dataset["name"] == "churn");
            assert!(known(&name) || churned, "{folder}/{name} belongs to no task or dataset");
        }
    }
}
