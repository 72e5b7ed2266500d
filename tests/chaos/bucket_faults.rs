//! Faults of the bucket that begin while an import reads from it: the import waits, and loses and doubles no row. The log stays short.

use std::fmt::Write;
use std::time::Duration;

use pausa::clock::Clock;
use serde_json::json;

use super::buckets::TwoWithBucket;
use super::folder::is_exact;
use crate::harness::csv;
use crate::harness::s3::{Bucket, Fault};
use crate::harness::server::Server;
use crate::harness::watch::Watch;
use crate::outages::warnings;

/// Rows of the file, and rows a second of the imports. The file has 39 MB, and a node requests two segments of 8 MiB at once: so most
/// of it is not requested yet when the fault begins.
const ROWS: usize = 30_000;
const RATE: usize = 6_000;

/// Maximum time until the import waits. Requests are repeated for 8 s, and one without an answer ends after 10 s.
const WAITS: Duration = Duration::from_secs(25);

/// Maximum time until a waiting import goes on. The longest delay between two attempts is 30 s.
const GOES_ON: Duration = Duration::from_secs(45);

/// Returns a file with rows of 1.3 kB.
fn long_rows() -> String {
    let (mut text, filler) = (String::from("n,text\r\n"), "x".repeat(1_290));
    for n in 1..=ROWS {
        write!(text, "{n},{n} {filler}\r\n").unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_waits_while_the_bucket_fails_under_it_and_ends_with_each_row_once() {
    let two = TwoWithBucket::start(&[("PAUSA_RETRY_LIMIT", "1")]).await;
    let file = long_rows();
    let upload = two.a.upload(&*file).await;
    for fault in [Fault::Failing, Fault::SlowDown, Fault::Hang] {
        let dataset = format!("{fault:?}").to_lowercase();
        let id = two.a.import(&upload, json!({ "dataset": dataset, "maxRowsPerSecond": RATE })).await;
        let mut watch = Watch::progress(&two.b.url, &id).await;
        let done = |task: &serde_json::Value| task["progress"]["done"].as_u64().unwrap();
        watch.until(|task| done(task) > 0).await;

        two.bucket.break_all(fault).await;
        let begin = Clock::monotonic();
        let waiting = watch.until(|task| task["error"]["code"] == "UNAVAILABLE").await;
        let waits = begin.elapsed();
        assert!(done(&waiting) < ROWS as u64, "{fault:?}: it ended before: {waiting}");
        two.bucket.mend().await;
        let begin = Clock::monotonic();
        watch.until(|task| done(task) > done(&waiting)).await;
        let goes_on = begin.elapsed();
        println!("{fault:?} while an import runs: it waits after {waits:?}, and goes on {goes_on:?} after the end");
        assert!(waits < WAITS && goes_on < GOES_ON, "{fault:?}: {waits:?}, {goes_on:?}");

        two.b.until(&id, "COMPLETED").await;
        let task = two.a.task(&id).await;
        assert_eq!((&task["attempt"], &task["rowsImported"]), (&json!(0), &json!(ROWS)), "{fault:?}: {task}");
        is_exact(&two.b, &dataset, &file).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_bucket_is_one_warning_and_one_line_at_its_end_beside_those_of_tasks_and_requests() {
    let bucket = Bucket::create().await;
    let own = bucket.settings();
    let mut settings: Vec<(&str, &str)> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    settings.push(("PAUSA_LOG", "info"));
    let (mut node, log) = Server::logging(&settings).await;
    let file = csv::people(1_000);
    let upload = node.upload(&*file).await;
    let mut waits = 0;
    for fault in [Fault::Failing, Fault::Hang] {
        bucket.break_all(fault).await;
        let mut ids = Vec::new();
        for n in 0..4 {
            let dataset = format!("{fault:?}_{n}").to_lowercase();
            ids.push(node.import(&upload, json!({ "dataset": dataset })).await);
        }
        for id in &ids {
            let mut watch = Watch::progress(&node.url, id).await;
            watch.until(|task| task["error"]["code"] == "UNAVAILABLE").await;
        }
        let sent = node.client().post(format!("{}/uploads", node.url)).body(file.clone()).send().await.unwrap();
        assert_eq!(sent.status(), 503);
        bucket.mend().await;
        for id in &ids {
            node.until(id, "COMPLETED").await;
            let task = node.task(id).await;
            waits += task["history"].as_array().unwrap().iter().filter(|change| change["to"] == "SCHEDULED").count();
        }
    }
    assert_eq!(node.terminate().await, Some(0));
    let log = log.await.unwrap();
    for line in [" WARN pausa::files::blobs::s3::availability: S3 is unavailable", "S3 is available again"] {
        assert_eq!(log.matches(line).count(), 2, "{line}: {log}");
    }
    let of_tasks = log.matches("import attempt failed; retrying").count();
    let of_uploads = log.matches("could not store an upload").count();
    assert_eq!((of_tasks, of_uploads, warnings(&log).len()), (waits, 2, waits + 2 + 2), "{log}");
}
