//! Clients that read slowly what the node reads from a bucket.

use futures_util::future::join_all;
use serde_json::json;

use super::buckets::TwoWithBucket;
use crate::harness::csv;

/// Clients at once.
const CLIENTS: usize = 16;

/// Most memory that each of them may cost, in bytes: far less than the file.
const EACH: u64 = 4 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_stop_reading_cost_no_memory_and_get_every_byte_later() {
    let mut two = TwoWithBucket::start(&[]).await;
    let file = csv::wide(300_000, 15);
    let upload = two.a.upload(&*file).await;
    let import = two.a.import(&upload, json!({ "dataset": "rows" })).await;
    two.a.until(&import, "COMPLETED").await;
    let export = two.a.export("rows").await;
    two.a.until(&export, "COMPLETED").await;
    // The process has neither imported nor exported.
    two.b.kill().await;
    two.b.restart().await;
    let fresh = &two.b;
    let path = format!("/download/{export}");
    assert!(fresh.get(&path).await.bytes().await.unwrap() == file.as_bytes());
    let before = fresh.peak_memory();
    let begun = join_all((0..CLIENTS).map(async |_| {
        let mut answer = fresh.get(&path).await;
        let first = answer.chunk().await.unwrap().unwrap();
        (answer, first)
    }));
    for (answer, first) in begun.await {
        let rest = answer.bytes().await.unwrap();
        assert!(*first == file.as_bytes()[..first.len()] && *rest == file.as_bytes()[first.len()..]);
    }
    let grown = fresh.peak_memory() - before;
    println!("{CLIENTS} slow downloads of {} bytes: peak memory grew by {grown} bytes", file.len());
    assert!(grown < CLIENTS as u64 * EACH, "{grown}");
}
