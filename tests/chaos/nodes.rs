//! Two nodes on one store: each answers requests for any task, and replaces the other if that dies.

use serde_json::json;

use super::folder::is_exact;
use super::random::Random;
use super::two_nodes::{LEASE, TwoNodes, roles, runner, taken_over};
use crate::harness::csv;
use crate::harness::watch::Watch;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_paused_at_the_node_that_does_not_run_it() {
    let mut two = TwoNodes::start(&[]).await;
    let file = csv::people(6000);
    let upload = two.a.upload(&*file).await;
    let id = two.a.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 4000 })).await;
    let mut done = 0;
    for _ in 0..5 {
        two.b.until_done(&id, done + 200).await;
        let (here, there) = roles(&mut two.a, &mut two.b, &id).await;
        assert_eq!(there.control("pause", &id).await, "PAUSED");
        let paused = here.task(&id).await;
        assert_eq!(paused["state"], "PAUSED");
        done = paused["progress"]["done"].as_u64().unwrap();
        assert_eq!(there.task(&id).await["progress"]["done"], done);
        here.control("resume", &id).await;
        // Both may claim it now. Its progress shows which one did.
        there.until_done(&id, done + 1).await;
    }
    two.b.until(&id, "COMPLETED").await;
    assert_eq!(two.a.task(&id).await["attempt"], 0);
    is_exact(&two.b, "people", &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_is_watched_at_the_node_that_does_not_run_it() {
    let mut two = TwoNodes::start(&[]).await;
    let file = csv::people(3000);
    let upload = two.b.upload(&*file).await;
    let id = two.b.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 3000 })).await;
    two.a.until(&id, "RUNNING").await;
    let (_, there) = roles(&mut two.a, &mut two.b, &id).await;
    let mut watch = Watch::progress(&there.url, &id).await;
    let (mut seen, mut last) = (Vec::new(), json!(null));
    while let Some(now) = watch.next().await {
        seen.push(now["progress"]["done"].as_u64().unwrap());
        last = now;
    }
    assert_eq!((&last["state"], &last["progress"]["done"]), (&json!("COMPLETED"), &json!(3000)));
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen.len() >= 4, "it progressed while it was watched: {seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_of_state_is_delivered_once() {
    let mut two = TwoNodes::start(&[]).await;
    let file = csv::people(500);
    let upload = two.a.upload(&*file).await;
    let query = "subscription($filter: TaskFilter) { taskChanges(filter: $filter) { id state } }";
    let filter = json!({ "filter": { "label": "watched" } });
    let mut watches = Vec::new();
    for node in [&two.a, &two.b] {
        watches.push(Watch::open(&node.url, "taskChanges", query, filter.clone()).await);
    }
    // An answer of the same server shows that the subscriptions have begun.
    let warm = two.a.import(&upload, json!({ "dataset": "warm", "label": "watched" })).await;
    for watch in &mut watches {
        watch.until(|task| task["id"] == warm && task["state"] == "COMPLETED").await;
    }
    let id = two.a.import(&upload, json!({ "dataset": "people", "label": "watched" })).await;
    two.a.until(&id, "COMPLETED").await;
    let last = two.a.import(&upload, json!({ "dataset": "last", "label": "watched" })).await;
    let ran = roles(&mut two.a, &mut two.b, &id).await.0.url.clone();
    let watch = &mut watches[usize::from(ran == two.b.url)];
    let mut told = Vec::new();
    loop {
        let now = watch.next().await.unwrap();
        if now["id"] == id {
            told.push(now["state"].as_str().unwrap().to_owned());
        } else if now["id"] == last && now["state"] == "COMPLETED" {
            break;
        }
    }
    assert_eq!(told.iter().filter(|state| *state == "RUNNING").count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|state| *state == "COMPLETED").count(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_is_replaced() {
    let mut random = Random::new();
    let mut two = TwoNodes::start(&[LEASE]).await;
    let file = csv::people(6000);
    let upload = two.a.upload(&*file).await;
    // So slow that it does not end before the last kill.
    let id = two.a.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 200 })).await;
    let mut done = 0;
    for death in 1..=3 {
        done = two.a.until_done(&id, done + random.between(20, 200)).await["progress"]["done"].as_u64().unwrap();
        let (here, there) = roles(&mut two.a, &mut two.b, &id).await;
        here.kill().await;
        taken_over(there, &id, death, done).await;
        let task = there.task(&id).await;
        assert_ne!(runner(&task), "nobody");
        here.restart().await;
    }
    // After the last kill, the task ends on the other node while the first one is down.
    let (here, there) = roles(&mut two.a, &mut two.b, &id).await;
    here.kill().await;
    let unlimited = "mutation($id: ID!) { updateTask(id: $id, input: { maxRowsPerSecond: 0 }) { id } }";
    there.data(unlimited, json!({ "id": id })).await;
    let task = there.until(&id, "COMPLETED").await;
    assert_eq!((&task["attempt"], &task["rowsImported"]), (&json!(4), &json!(6000)));
    is_exact(there, "people", &file).await;
    assert_eq!(two.stagings().await, 0);
}

/// Events between nodes are lost while a node is not connected. It reads watched tasks again once it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_misses_nothing_when_the_connection_breaks() {
    let mut two = TwoNodes::start(&[("PAUSA_LEASE_SECONDS", "60")]).await;
    let upload = two.a.upload(csv::people(6000)).await;
    let id = two.a.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 1000 })).await;
    two.a.until_done(&id, 100).await;
    let disconnector = two.disconnector();
    let (here, there) = roles(&mut two.a, &mut two.b, &id).await;
    let mut watch = Watch::progress(&there.url, &id).await;
    watch.until(|task| task["state"] == "RUNNING").await;
    there.signal(rustix::process::Signal::STOP);
    assert_eq!(disconnector.disconnect().await, 2, "both nodes listen");
    assert_eq!(here.control("pause", &id).await, "PAUSED");
    there.signal(rustix::process::Signal::CONT);
    // Nothing else happens to the task, so no other event could show it.
    watch.until(|task| task["state"] == "PAUSED").await;
}
