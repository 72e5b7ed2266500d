//! A node is frozen for longer than its lease: the other one takes over, and the frozen one does no harm when it resumes.

use rustix::process::Signal;
use serde_json::json;

use super::folder::is_exact;
use super::random::Random;
use super::two_nodes::{LEASE, TwoNodes, roles, taken_over};
use crate::harness::csv;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_does_no_harm_when_it_resumes() {
    let mut random = Random::new();
    let mut two = TwoNodes::start(&[LEASE]).await;
    let file = csv::people(4000);
    let upload = two.a.upload(&*file).await;
    let id = two.a.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 2500 })).await;
    let done = two.a.until_done(&id, random.between(100, 900)).await["progress"]["done"].as_u64().unwrap();
    let (frozen, other) = roles(&mut two.a, &mut two.b, &id).await;
    frozen.signal(Signal::STOP);
    taken_over(other, &id, 1, done + random.between(1, 1500)).await;
    // It resumes while the other one writes, and is frozen and resumed again after the end.
    frozen.signal(Signal::CONT);
    let task = other.until(&id, "COMPLETED").await;
    assert_eq!((&task["attempt"], &task["rowsImported"]), (&json!(1), &json!(4000)));
    let after = other.task(&id).await;
    assert_eq!(frozen.task(&id).await, after, "both nodes show the same");
    is_exact(other, "people", &file).await;
    assert_eq!(other.task(&id).await, after);

    // The node that was frozen still works: it runs the next task alone.
    other.kill().await;
    let again = frozen.import(&upload, json!({ "dataset": "again" })).await;
    frozen.until(&again, "COMPLETED").await;
    is_exact(frozen, "again", &file).await;
    assert_eq!(two.stagings().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_resumes_after_the_end_changes_nothing() {
    let mut two = TwoNodes::start(&[LEASE]).await;
    let file = csv::people(2000);
    let upload = two.a.upload(&*file).await;
    let id = two.a.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 2500 })).await;
    two.a.until_done(&id, 300).await;
    let (frozen, other) = roles(&mut two.a, &mut two.b, &id).await;
    frozen.signal(Signal::STOP);
    other.until(&id, "COMPLETED").await;
    let over = other.task(&id).await;
    frozen.signal(Signal::CONT);
    // Once it claims work again, it has noticed.
    let next = frozen.pi(20_000).await;
    frozen.until(&next, "COMPLETED").await;
    assert_eq!(frozen.task(&id).await, over);
    is_exact(other, "people", &file).await;
    assert_eq!(two.stagings().await, 0);
}

/// Tasks wait while a node resumes whose lease expired: whatever it claims in that moment is run to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_resumes_finishes_what_it_claims() {
    let settings = [LEASE, ("PAUSA_MAX_RUNNING", "1")];
    let mut two = TwoNodes::start(&settings).await;
    let upload = two.a.upload(csv::people(300)).await;
    for round in 1..=2 {
        let mut ids = Vec::new();
        let slow = json!({ "dataset": format!("slow_{round}"), "maxRowsPerSecond": 150 });
        let slow = two.a.import(&upload, slow).await;
        let done = two.a.until_done(&slow, 1).await["progress"]["done"].as_u64().unwrap();
        let (frozen, other) = roles(&mut two.a, &mut two.b, &slow).await;
        frozen.signal(Signal::STOP);
        taken_over(other, &slow, 1, done).await;
        // The other one has no free slot: these wait for the node that resumes.
        for quick in 1..=3 {
            let dataset = format!("quick_{round}_{quick}");
            ids.push((other.import(&upload, json!({ "dataset": &dataset })).await, dataset));
        }
        frozen.signal(Signal::CONT);
        ids.push((slow.clone(), format!("slow_{round}")));
        for (id, dataset) in &ids {
            let task = other.until(id, "COMPLETED").await;
            assert_eq!(task["rowsImported"], 300);
            assert_eq!(frozen.rows(dataset).await, Some(300));
        }
    }
    assert_eq!(two.stagings().await, 0);
}
