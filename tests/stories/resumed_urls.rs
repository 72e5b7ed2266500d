//! An import from a URL whose copy of the file is lost, as on another node: it goes on from its checkpoint, by range.

use std::fs;
use std::io::Write;

use serde_json::json;

use crate::chaos::folder::is_tidy;
use crate::harness::csv;
use crate::harness::origin::{Origin, Script};
use crate::harness::server::Server;

const START: &str = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";

/// Starts an import from `origin`, and kills the server in the middle. Starts it again without what it downloaded, after `change`.
async fn lose_the_copy(origin: &Origin, change: impl FnOnce(&mut Script)) -> (Server, String) {
    lose_the_copy_with(&[], origin, change).await
}

async fn lose_the_copy_with(
    settings: &[(&str, &str)],
    origin: &Origin,
    change: impl FnOnce(&mut Script),
) -> (Server, String) {
    let mut server = Server::with(&[settings, &[("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true")]].concat()).await;
    let input = json!({ "source": { "url": origin.url }, "dataset": "rows", "maxRowsPerSecond": 20_000 });
    let id = server.data(START, json!({ "input": input })).await["startImport"]["id"].as_str().unwrap().to_owned();
    server.until_done(&id, 30_000).await;
    server.kill().await;
    for folder in fs::read_dir(server.folder().join("files/work")).unwrap() {
        fs::remove_dir_all(folder.unwrap().path()).unwrap();
    }
    origin.change(change);
    server.restart().await;
    (server, id)
}

fn script(body: Vec<u8>) -> Script {
    Script { body, tag: Some("\"v1\""), ranges: true, ..Script::default() }
}

async fn is_exact(server: &Server, id: &str, file: &str) {
    server.until(id, "COMPLETED").await;
    assert_eq!(server.task(id).await["attempt"], 1);
    assert!(csv::cells(&server.exported("rows").await) == csv::cells(file.as_bytes()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_is_requested_by_range() {
    let file = csv::wide(100_000, 3);
    let origin = Origin::start(script(file.clone().into_bytes())).await;
    let (server, id) = lose_the_copy(&origin, |_| {}).await;
    is_exact(&server, &id, &file).await;
    let requests = origin.requests();
    let last = requests.last().unwrap();
    let from =
        last.lines().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    assert!(from.is_some_and(|from| from > 400_000), "{last}");
    assert!(last.contains("if-range: \"v1\""), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_ranges_sends_what_is_skipped() {
    let file = csv::wide(100_000, 3);
    let origin = Origin::start(script(file.clone().into_bytes())).await;
    let (server, id) = lose_the_copy(&origin, |script| script.ranges = false).await;
    is_exact(&server, &id, &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packed_file_is_read_again_and_no_row_is_doubled() {
    let file = csv::wide(100_000, 3);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(file.as_bytes()).unwrap();
    let origin = Origin::start(script(packed.finish().unwrap())).await;
    let (server, id) = lose_the_copy(&origin, |_| {}).await;
    is_exact(&server, &id, &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changed_fails_and_says_so() {
    for ranges in [true, false] {
        let origin = Origin::start(script(csv::wide(100_000, 3).into_bytes())).await;
        let change = |script: &mut Script| {
            *script =
                Script { tag: Some("\"v2\""), ranges, body: csv::wide(100_000, 2).into_bytes(), ..Script::default() };
        };
        let (server, id) = lose_the_copy(&origin, change).await;
        server.until(&id, "FAILED").await;
        let error = server.task(&id).await["error"].take();
        assert_eq!(error["code"], "BAD_USER_INPUT", "{error}");
        assert!(error["message"].as_str().unwrap().contains("changed since the import began"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_vanished_fails_and_says_so() {
    let origin = Origin::start(script(csv::wide(100_000, 3).into_bytes())).await;
    let gone = |script: &mut Script| script.head = Some("HTTP/1.1 404 Not Found".to_owned());
    let (server, id) = lose_the_copy(&origin, gone).await;
    server.until(&id, "FAILED").await;
    let error = server.task(&id).await["error"].take();
    let message = "The server of the URL responded with 404 Not Found.";
    assert_eq!(error, json!({ "code": "BAD_USER_INPUT", "message": message }));
    assert_eq!(server.rows("rows").await, None, "rolled back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stays_broken_fails_the_import_after_its_attempts_and_nothing_is_left() {
    let file = csv::wide(100_000, 3);
    let origin = Origin::start(script(file.into_bytes())).await;
    let few = [("PAUSA_RETRY_LIMIT", "1"), ("PAUSA_RETRY_BACKOFF_SECONDS", "0.05")];
    let broken = |script: &mut Script| script.head = Some("HTTP/1.1 503 Service Unavailable".to_owned());
    let (server, id) = lose_the_copy_with(&few, &origin, broken).await;
    server.until(&id, "FAILED").await;
    let failed = server.task(&id).await;
    assert_eq!((&failed["error"]["code"], &failed["attempt"]), (&json!("UNAVAILABLE"), &json!(1)), "{failed}");
    is_tidy(&server, &[], &[]);
}
