//! SIGTERM of a node with a bucket: what a run has reached is kept for the other node, and the grace is kept whatever the bucket does.

use std::time::Duration;

use pausa::clock::Clock;
use pausa::files::hex;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::bucket_takeover::{digits, forget_work, slow_export};
use super::buckets::TwoWithBucket;
use super::folder::same_cells;
use super::two_nodes::{roles, taken_over};
use crate::harness::csv;
use crate::harness::redis::Redis;
use crate::harness::s3::Fault;
use crate::harness::server::{PATIENCE, Server};

/// Digits of a computation that takes seconds after its half.
const DIGITS: u32 = 5_000_000;

/// Grace of the nodes, in seconds, and the time that a process may take beyond it. The promise is 2 s.
const GRACE: (&str, &str) = ("PAUSA_SHUTDOWN_GRACE", "3");
const MAXIMUM: Duration = Duration::from_secs(3 + 5);

/// Ends the node by SIGTERM. Asserts that it keeps its grace.
async fn ends_in_time(server: &mut Server, what: &str) {
    let begin = Clock::monotonic();
    assert!(server.terminate().await.is_some(), "{what}");
    eprintln!("SIGTERM while {what}: {:?}", begin.elapsed());
    assert!(begin.elapsed() < MAXIMUM, "{what}: {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_computation_of_a_node_that_is_stopped_goes_on_from_its_parts_at_the_other() {
    let mut two = TwoWithBucket::start(&[]).await;
    let whole = two.a.pi(DIGITS).await;
    two.a.until(&whole, "COMPLETED").await;
    let id = two.a.pi(DIGITS).await;
    let done = two.b.until_done(&id, u64::from(DIGITS) / 2).await["progress"]["done"].as_u64().unwrap();
    let (here, there) = roles(&mut two.a, &mut two.b, &id).await;
    forget_work(there, &id);
    let before = two.bucket.requests("GET part").await;
    assert_eq!(here.terminate().await, Some(0));
    let keys = two.bucket.keys().await;
    assert!(keys.iter().any(|key| key.contains(&id) && key.contains("/part-")), "{keys:?}");
    // The attempt is not spent, and the progress that was reported does not go back.
    taken_over(there, &id, 0, done).await;
    there.until(&id, "COMPLETED").await;
    assert!(two.bucket.requests("GET part").await > before, "the other node fetched the parts");
    assert!(digits(there, &id).await == digits(there, &whole).await, "every digit is as without an interruption");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_keeps_its_grace_while_the_bucket_hangs() {
    let mut two = TwoWithBucket::start(&[GRACE]).await;
    let file = csv::people(30_000);
    let upload = two.a.upload(&*file).await;
    let import = two.a.import(&upload, json!({ "dataset": "people" })).await;
    two.a.until(&import, "COMPLETED").await;
    let whole = two.a.pi(DIGITS).await;
    two.a.until(&whole, "COMPLETED").await;

    // An export reports what is durable: the first rows soon, and the next ones after half a minute.
    let export = slow_export(&two.a, 500).await;
    two.a.until_done(&export, 1).await;
    let pi = two.a.pi(DIGITS).await;
    two.a.until_done(&pi, u64::from(DIGITS) / 4).await;
    for id in [&pi, &export] {
        assert_eq!(two.a.task(id).await["state"], "RUNNING");
    }
    two.bucket.break_all(Fault::Hang).await;
    let (a, b) = (&mut two.a, &mut two.b);
    tokio::join!(ends_in_time(a, "the bucket hangs"), ends_in_time(b, "the bucket hangs"));
    two.bucket.mend().await;
    two.a.restart().await;
    let faster = "mutation($id: ID!) { updateTask(id: $id, input: { maxRowsPerSecond: 30000 }) { id } }";
    two.a.data(faster, json!({ "id": export })).await;
    for id in [&pi, &export] {
        two.a.until(id, "COMPLETED").await;
        assert_eq!(two.a.task(id).await["attempt"], 0);
    }
    assert!(digits(&two.a, &pi).await == digits(&two.a, &whole).await, "every digit is as without an interruption");
    same_cells(&two.a.get(&format!("/download/{export}")).await.bytes().await.unwrap(), &file);
}

/// The lease is longer than the story: the other node has the task because it was released.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_cannot_be_staged_within_the_grace_is_made_by_the_other_node_and_no_attempt_is_spent() {
    let mut two = TwoWithBucket::start(&[GRACE, ("PAUSA_LEASE_SECONDS", "120")]).await;
    two.bucket.break_some(Fault::Hang, json!({ "method": "PUT", "key": "/data-" })).await;
    let id = two.a.pi(20_000).await;
    let staged = async {
        // The server sends no event for this, so its log is polled.
        while !two.bucket.log().await.iter().any(|request| request.key.contains(&format!("{id}/data-"))) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, staged).await.expect("no result was staged");
    let (here, there) = roles(&mut two.a, &mut two.b, &id).await;
    ends_in_time(here, "a result is staged and the bucket hangs").await;
    let begin = Clock::monotonic();
    two.bucket.mend().await;
    there.until(&id, "COMPLETED").await;
    eprintln!("the other node completed it {:?} after the bucket answered again", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(60), "the other node waited for the lease");
    let task = there.task(&id).await;
    assert_eq!((&task["attempt"], &task["error"]), (&json!(0), &json!(null)), "{task}");
    let released = task["history"].as_array().unwrap().iter().find(|change| change["from"] == "RUNNING").unwrap();
    assert_eq!((&released["to"], &released["reason"]), (&json!("QUEUED"), &json!("the node shuts down")), "{task}");
    let known = "452304d0e15d9e9fd9b63024212bb571de54b9b9f0aa050481f90530ef0b5c5d";
    let digits = digits(there, &id).await;
    assert_eq!(hex(&Sha256::digest(&digits[..10_002])), known, "the first 10,000 digits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_keeps_its_grace_while_redis_is_frozen() {
    let redis = Redis::start().await;
    let mut two = TwoWithBucket::start(&[GRACE, ("PAUSA_REDIS_URL", &redis.url())]).await;
    redis.until_heard_by(2).await;
    let id = two.a.pi(DIGITS).await;
    two.b.until_done(&id, 1).await;
    redis.freeze();
    let (a, b) = (&mut two.a, &mut two.b);
    tokio::join!(ends_in_time(a, "Redis is frozen"), ends_in_time(b, "Redis is frozen"));
    redis.thaw();
    two.a.restart().await;
    two.a.until(&id, "COMPLETED").await;
    assert_eq!(two.a.task(&id).await["attempt"], 0);
}
