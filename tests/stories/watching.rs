//! Subscriptions deliver the current state, every change and the end, for any number of watchers.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::csv;
use crate::harness::server::Server;
use crate::harness::watch::Watch;

#[tokio::test]
async fn progress_starts_with_the_current_value_never_decreases_and_ends_with_the_task() {
    let server = Server::start().await;
    let upload = server.upload(csv::people(2_000)).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 2_000 })).await;
    let mut watch = Watch::progress(&server.url, &id).await;
    let (mut done, mut events, mut state) = (0, 0, String::new());
    while let Some(task) = watch.next().await {
        let now = task["progress"]["done"].as_u64().unwrap();
        assert!(now >= done, "progress decreased from {done} to {now}");
        (done, events, state) = (now, events + 1, task["state"].as_str().unwrap().to_owned());
    }
    assert_eq!((done, state.as_str()), (2_000, "COMPLETED"));
    assert!(events > 3, "only {events} events in a second");
}

#[tokio::test]
async fn two_hundred_watchers_of_one_task_all_see_its_end() {
    let server = Server::start().await;
    let upload = server.upload(csv::people(1_000)).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 1_000 })).await;
    let watches = join_all((0..200).map(|_| Watch::progress(&server.url, &id))).await;
    let ends = watches.into_iter().map(|mut watch| async move {
        watch.until(|task| task["state"] == "COMPLETED").await;
        watch.next().await
    });
    assert!(join_all(ends).await.into_iter().all(|after| after.is_none()), "an event after the final state");
}

#[tokio::test]
async fn changes_of_all_matching_tasks_are_delivered() {
    let server = Server::start().await;
    let query = "subscription { taskChanges(filter: { kinds: [PI] }) { id state kind } }";
    let mut watch = Watch::open(&server.url, "taskChanges", query, json!({})).await;
    // The server does not report when a subscription is active. The first event does.
    let mut first = None;
    while first.is_none() {
        server.pi(10).await;
        first = tokio::time::timeout(Duration::from_millis(200), watch.next()).await.ok();
    }
    let upload = server.upload("a\n1\n").await;
    let import = server.import(&upload, json!({ "dataset": "other" })).await;
    server.until(&import, "COMPLETED").await;
    let mine = server.pi(20).await;
    for state in ["QUEUED", "RUNNING", "COMPLETED"] {
        let event = watch.until(|task| task["kind"] != "PI" || task["id"] == *mine).await;
        assert_eq!(event, json!({ "id": mine, "state": state, "kind": "PI" }));
    }
}

#[tokio::test]
async fn an_unknown_task_cannot_be_watched() {
    let server = Server::start().await;
    let query = "subscription { taskProgress(id: \"01890000-0000-7000-8000-000000000000\") { id } }";
    let body = json!({ "query": query });
    let answer = server
        .client()
        .post(format!("{}/graphql", server.url))
        .header("accept", "multipart/mixed;subscriptionSpec=1.0")
        .json(&body)
        .send();
    let text =
        tokio::time::timeout(Duration::from_secs(20), async { answer.await.unwrap().text().await.unwrap() }).await;
    assert!(text.unwrap().contains("NOT_FOUND"));
}

#[tokio::test]
async fn a_plain_http_client_can_watch_too() {
    let server = Server::start().await;
    let id = server.pi(1_000).await;
    let query = format!("subscription {{ taskProgress(id: \"{id}\") {{ state }} }}");
    let answer = server
        .client()
        .post(format!("{}/graphql", server.url))
        .header("accept", "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json")
        .json(&json!({ "query": query }))
        .send()
        .await
        .unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("multipart/mixed"));
    let text = answer.text().await.unwrap();
    assert!(text.contains("\"payload\":{\"data\":{\"taskProgress\":{\"state\":\"COMPLETED\"}}}"), "{text}");
    assert!(text.trim_end().ends_with("--graphql--"), "{text}");
}
