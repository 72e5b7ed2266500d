//! Nodes that share a store and a bucket, and no folder: another node finishes what one began.

use std::io::{Cursor, Read};

use serde_json::json;

use super::buckets::TwoWithBucket;
use super::folder::{is_exact, same_cells};
use super::two_nodes::{roles, runner, taken_over};
use crate::harness::csv;
use crate::harness::origin::{Origin, Script};
use crate::harness::s3::LoggedRequest;
use crate::harness::server::Server;
use crate::harness::watch::Watch;

/// Digits of a computation that takes some seconds.
const DIGITS: u32 = 2_000_000;
/// A computation that takes seconds after its half.
const MANY_DIGITS: u32 = 5_000_000;

/// Returns the text in the result of a computation.
pub async fn digits(server: &Server, id: &str) -> String {
    let zip = server.get(&format!("/download/{id}")).await.bytes().await.unwrap();
    let mut digits = String::new();
    zip::ZipArchive::new(Cursor::new(zip)).unwrap().by_index(0).unwrap().read_to_string(&mut digits).unwrap();
    digits
}

/// Returns a computation that is paused at half, and the digits that it has at its end. A pause copies the parts to the bucket, as thirty
/// seconds of work do. A computation that ends before the pause is followed by one of twice the digits.
async fn paused_at_half(two: &TwoWithBucket, digits_at_least: u32) -> (String, String) {
    for count in (0..5).map(|round| digits_at_least << round) {
        let id = two.a.pi(count).await;
        two.b.until_done(&id, u64::from(count) / 2).await;
        two.b.verb("pause", &id).await;
        let mut watch = Watch::progress(&two.b.url, &id).await;
        let stopped = watch.until(|task| task["state"] == "PAUSED" || task["state"] == "COMPLETED").await;
        if stopped["state"] == "PAUSED" {
            let whole = two.a.pi(count).await;
            two.a.until(&whole, "COMPLETED").await;
            return (id, digits(&two.b, &whole).await);
        }
    }
    panic!("each computation ended before it was paused");
}

/// Deletes what a node keeps of a task that it does not run.
pub fn forget_work(server: &Server, id: &str) {
    let work = server.folder().join("files/work").join(id);
    if work.exists() {
        std::fs::remove_dir_all(work).unwrap();
    }
}

pub async fn slow_export(server: &Server, rate: u32) -> String {
    let input = json!({ "dataset": "people", "maxRowsPerSecond": rate });
    let query = "mutation($input: StartExportInput!) { startExport(input: $input) { id } }";
    let started = server.data(query, json!({ "input": input })).await;
    started["startExport"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_from_the_bucket_goes_on_at_the_checkpoint() {
    let mut two = TwoWithBucket::start(&[]).await;
    let file = csv::people(60_000);
    let upload = two.a.upload(&*file).await;
    let id = two.a.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 10_000 })).await;
    let done = two.a.until_done(&id, 20_000).await["progress"]["done"].as_u64().unwrap();
    let (here, there) = roles(&mut two.a, &mut two.b, &id).await;
    here.kill().await;
    let before = two.bucket.log().await.len();
    taken_over(there, &id, 1, done).await;
    there.until(&id, "COMPLETED").await;
    is_exact(there, "people", &file).await;
    // The other node reads the header, and then only what follows the checkpoint.
    let of_file = |request: &LoggedRequest| request.key.contains(&upload) && !request.key.ends_with("manifest");
    let log = two.bucket.log().await.split_off(before);
    let read: Vec<_> = log.iter().filter(|request| request.method == "GET" && of_file(request)).collect();
    let [header, rest] = &read[..] else { panic!("{read:?}") };
    assert_eq!(header.first_byte(), Some(0), "{header:?}");
    begins_after(&file, rest.first_byte().unwrap(), done);
}

/// Asserts that `from` is a checkpoint, at the end of a row: after its CR, or after both. `done` rows were committed before it.
fn begins_after(file: &str, from: usize, done: u64) {
    let rows = csv::cells(&file.as_bytes()[..from]).len() as u64 - 1;
    assert!(file[..from].ends_with(['\r', '\n']) && rows >= done, "from {from}, after {rows} rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_export_goes_on_at_another_node_with_the_same_bytes() {
    let mut two = TwoWithBucket::start(&[]).await;
    let file = csv::people(30_000);
    let upload = two.a.upload(&*file).await;
    let import = two.a.import(&upload, json!({ "dataset": "people" })).await;
    two.a.until(&import, "COMPLETED").await;
    let id = slow_export(&two.a, 2_000).await;
    two.b.until_done(&id, 1).await;
    assert_eq!(two.b.control("pause", &id).await, "PAUSED");
    let (here, there) = roles(&mut two.a, &mut two.b, &id).await;
    let paused = there.task(&id).await;
    let done = paused["progress"]["done"].as_u64().unwrap();
    assert!((1..30_000).contains(&done), "{paused}");
    here.kill().await;
    let before = two.bucket.log().await.len();
    there.control("resume", &id).await;
    there.until(&id, "COMPLETED").await;
    let task = there.task(&id).await;
    assert_ne!(runner(&task), runner(&paused));
    // The other node begins where this one stopped: it fetches the last rows, which are too few for a part. An export that began again
    // would not.
    let log = two.bucket.log().await.split_off(before);
    let tails = log.iter().filter(|request| request.method == "GET" && request.key.contains(&format!("{id}/tail-")));
    assert_eq!(tails.count(), 1, "{log:?}");
    let bytes = there.get(&format!("/download/{id}")).await.bytes().await.unwrap();
    assert!(bytes == file.as_bytes(), "every byte is as without an interruption");
    let again = slow_export(there, 2_000).await;
    there.until_done(&again, 1).await;
    assert_eq!(there.control("terminate", &again).await, "TERMINATED");
    there.data("mutation($id: ID!) { deleteTask(id: $id) }", json!({ "id": id })).await;
    there.data("mutation($id: ID!) { deleteTask(id: $id) }", json!({ "id": again })).await;
    let left = two.bucket.keys().await;
    assert!(left.iter().all(|key| !key.contains("/results/")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_of_a_node_that_dies_goes_on_after_its_last_part() {
    let mut two = TwoWithBucket::start(&[]).await;
    // Two parts.
    let file = csv::wide(250_000, 8);
    let upload = two.a.upload(&*file).await;
    let import = two.a.import(&upload, json!({ "dataset": "people" })).await;
    two.a.until(&import, "COMPLETED").await;
    let id = slow_export(&two.a, 60_000).await;
    // So many rows are durable once the first part is.
    two.b.until_done(&id, 100_000).await;
    let (here, there) = roles(&mut two.a, &mut two.b, &id).await;
    here.kill().await;
    let before = two.bucket.log().await.len();
    there.until(&id, "COMPLETED").await;
    let task = there.task(&id).await;
    assert_eq!(task["attempt"], 1, "{task}");
    same_cells(&there.get(&format!("/download/{id}")).await.bytes().await.unwrap(), &file);
    // Each node sent one part of the upload. A node that began again would send the first part again.
    let log = two.bucket.log().await;
    let parts = |log: &[LoggedRequest]| -> Vec<_> {
        log.iter().filter(|request| request.key.contains(&id)).filter_map(LoggedRequest::part_number).collect()
    };
    assert_eq!((parts(&log[..before]), parts(&log[before..])), (vec![1], vec![2]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_computation_goes_on_at_another_node() {
    let mut two = TwoWithBucket::start(&[]).await;
    let (id, expected) = paused_at_half(&two, DIGITS).await;
    let keys = two.bucket.keys().await;
    assert!(keys.iter().any(|key| key.contains("/part-")), "{keys:?}");
    let (here, there) = roles(&mut two.a, &mut two.b, &id).await;
    let done = there.task(&id).await["progress"]["done"].as_u64().unwrap();
    here.kill().await;
    there.control("resume", &id).await;
    there.until(&id, "COMPLETED").await;
    let task = there.task(&id).await;
    assert!(task["progress"]["done"].as_u64().unwrap() >= done);
    assert!(digits(there, &id).await == expected, "every digit is as without an interruption");
    let left = two.bucket.keys().await;
    assert!(left.iter().all(|key| !key.contains("/part-")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_computation_of_a_node_that_dies_goes_on_from_its_parts() {
    let mut two = TwoWithBucket::start(&[]).await;
    let (id, expected) = paused_at_half(&two, MANY_DIGITS).await;
    let done = two.b.task(&id).await["progress"]["done"].as_u64().unwrap();
    two.b.control("resume", &id).await;
    // The run that was resumed has read what it needs.
    two.b.until_done(&id, done + 1).await;
    let before = two.bucket.requests("GET part").await;
    let (here, there) = roles(&mut two.a, &mut two.b, &id).await;
    // The node that goes on may have run the task before the pause. What it kept would serve it as well as the bucket.
    forget_work(there, &id);
    here.kill().await;
    there.until(&id, "COMPLETED").await;
    let task = there.task(&id).await;
    assert_eq!((task["attempt"].as_u64(), runner(&task) == "nobody"), (Some(1), false), "{task}");
    assert!(digits(there, &id).await == expected, "every digit is as without an interruption");
    assert!(two.bucket.requests("GET part").await > before, "the other node fetched the parts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_from_a_url_of_a_node_that_dies_requests_the_rest_by_range() {
    let file = csv::wide(100_000, 3);
    let script = Script { body: file.clone().into_bytes(), tag: Some("\"v1\""), ranges: true, ..Script::default() };
    let origin = Origin::start(script).await;
    let mut two = TwoWithBucket::start(&[("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true")]).await;
    let input = json!({ "source": { "url": origin.url }, "dataset": "rows", "maxRowsPerSecond": 20_000 });
    let query = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";
    let started = two.a.data(query, json!({ "input": input })).await;
    let id = started["startImport"]["id"].as_str().unwrap().to_owned();
    let done = two.a.until_done(&id, 30_000).await["progress"]["done"].as_u64().unwrap();
    let (here, there) = roles(&mut two.a, &mut two.b, &id).await;
    here.kill().await;
    let before = origin.requests().len();
    taken_over(there, &id, 1, done).await;
    there.until(&id, "COMPLETED").await;
    is_exact(there, "rows", &file).await;
    // The other node opens the file and reads its header, and then only what follows the checkpoint.
    let requests = &origin.requests()[before..];
    let range = |head: &String| head.lines().find_map(|line| line.strip_prefix("range: ").map(str::to_owned));
    let ranges: Vec<_> = requests.iter().map(range).collect();
    let [None, Some(range)] = &ranges[..] else { panic!("{ranges:?}") };
    let from: usize = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).unwrap().parse().unwrap();
    begins_after(&file, from, done);
}
