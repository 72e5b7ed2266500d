//! The main workflow: import, watch, pause, resume, export, pi, terminate, download.

use std::io::{Cursor, Read};
use std::time::Duration;

use pausa::files::hex;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::csv;
use crate::harness::server::Server;
use crate::harness::watch::Watch;

#[tokio::test]
async fn an_import_that_is_paused_and_resumed_exports_the_same_file() {
    let server = Server::start().await;
    let file = csv::people(3_000);
    let upload = server.upload(file.clone()).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 1_000 })).await;
    server.until_done(&id, 200).await;

    assert_eq!(server.control("pause", &id).await, "PAUSED");
    let paused = server.task(&id).await;
    let mut watch = Watch::progress(&server.url, &id).await;
    assert_eq!(watch.next().await.unwrap()["progress"]["done"], paused["progress"]["done"]);
    let nothing = tokio::time::timeout(Duration::from_secs(1), watch.next()).await;
    assert!(nothing.is_err(), "a paused task made progress: {nothing:?}");
    assert_eq!(server.task(&id).await, paused);
    assert_eq!(server.rows("people").await, None, "rows are visible before the import is COMPLETED");

    assert!(["QUEUED", "RUNNING"].contains(&&*server.control("resume", &id).await));
    let done = watch.until(|task| task["state"] == "COMPLETED").await;
    assert_eq!(done["rowsImported"], 3_000);
    assert_eq!(done["progress"], json!({ "phase": "done", "done": 3_000, "total": 3_000, "fraction": 1.0 }));
    assert_eq!(server.rows("people").await, Some(3_000));

    let back = server.exported("people").await;
    assert_eq!(csv::cells(&back), csv::cells(file.as_bytes()));
    let history: Vec<_> =
        server.task(&id).await["history"].as_array().unwrap().iter().map(|c| c["to"].clone()).collect();
    assert_eq!(history, ["QUEUED", "RUNNING", "PAUSING", "PAUSED", "QUEUED", "RUNNING", "COMPLETED"]);
}

#[tokio::test]
async fn rows_can_be_read_in_pages() {
    let server = Server::start().await;
    let upload = server.upload(csv::wide(1_200, 3)).await;
    let id = server.import(&upload, json!({ "dataset": "wide" })).await;
    server.until(&id, "COMPLETED").await;
    let query = "query($after: String) { dataset(name: \"wide\") { columns { name type }
        rows(first: 500, after: $after) { totalCount nodes { number cells } pageInfo { hasNextPage endCursor } } } }";
    let (mut after, mut seen) = (json!(null), 0);
    loop {
        let page = server.data(query, json!({ "after": after })).await["dataset"].take();
        assert_eq!(page["columns"][1], json!({ "name": "c2", "type": "TEXT" }));
        for row in page["rows"]["nodes"].as_array().unwrap() {
            seen += 1;
            let cells = json!([format!("{seen}-1"), format!("{seen}-2"), format!("{seen}-3")]);
            assert_eq!((&row["number"], &row["cells"]), (&json!(seen), &cells));
        }
        if page["rows"]["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["rows"]["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(seen, 1_200);
}

#[tokio::test]
async fn digits_of_pi_are_downloaded_as_a_zip() {
    let known = [
        (1, "3.1", None),
        (1_000, "3.14159", Some("823a2e34f63c5d5f30a27733976df5a1ab57feaab505f40d95d3dd3fefa425cc")),
        (10_000, "3.14159", Some("452304d0e15d9e9fd9b63024212bb571de54b9b9f0aa050481f90530ef0b5c5d")),
        (100_000, "3.14159", Some("6fba00bd4d732bf518635d1e28e5292c8db6ee4c26285fe43d5ae9d104655cd9")),
    ];
    let server = Server::start().await;
    for (digits, start, sha256) in known {
        let id = server.pi(digits).await;
        server.until(&id, "COMPLETED").await;
        let answer = server.get(&format!("/download/{id}")).await;
        let name = format!("attachment; filename=\"digits_of_pi_{id}.zip\"");
        assert_eq!(answer.headers()["content-disposition"], name.as_str());
        let mut zip = zip::ZipArchive::new(Cursor::new(answer.bytes().await.unwrap())).unwrap();
        assert_eq!(zip.len(), 1);
        let mut text = String::new();
        zip.by_name(&format!("digits_of_pi_{id}.txt")).unwrap().read_to_string(&mut text).unwrap();
        assert!(text.starts_with(start) && text.len() == digits as usize + 2);
        if let Some(sha256) = sha256 {
            assert_eq!(hex(&Sha256::digest(&text)), sha256, "{digits} digits");
        }
    }
}

#[tokio::test]
async fn a_long_computation_is_paused_resumed_and_terminated() {
    let server = Server::start().await;
    let id = server.pi(20_000_000).await;
    server.until_done(&id, 1).await;
    server.control("pause", &id).await;
    server.until(&id, "PAUSED").await;
    let paused = server.task(&id).await;
    server.control("resume", &id).await;
    server.until_done(&id, paused["progress"]["done"].as_u64().unwrap() + 1).await;
    server.control("terminate", &id).await;
    server.until(&id, "TERMINATED").await;
    let work = server.folder().join("files/work");
    assert_eq!(std::fs::read_dir(work).unwrap().count(), 0, "files of a terminated task remain");
    assert_eq!(server.get(&format!("/download/{id}")).await.status(), 409);
}

#[tokio::test]
async fn a_short_computation_does_not_wait_for_a_long_one() {
    let server = Server::start().await;
    let long = server.pi(50_000_000).await;
    server.until_done(&long, 1).await;
    let short = server.pi(10_000).await;
    server.until(&short, "COMPLETED").await;
    assert_eq!(server.task(&long).await["state"], "RUNNING");
    server.control("terminate", &long).await;
    server.until(&long, "TERMINATED").await;
}
