//! Subscriptions deliver the current state, every change and the end, for any number of watchers.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use pausa::clock::Clock;

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

#[tokio::test]
async fn a_subscription_begins_with_the_newest_tasks_and_delivers_progress() {
    let server = Server::start().await;
    let mut earlier = Vec::new();
    for _ in 0..3 {
        let id = server.pi(10).await;
        server.until(&id, "COMPLETED").await;
        earlier.push(id);
    }
    let query = "subscription($initial: Int) { taskChanges(initial: $initial, progress: true) {
        id state progress { done } } }";
    let mut watch = Watch::open(&server.url, "taskChanges", query, json!({ "initial": 2 })).await;
    for id in &earlier[1..] {
        let task = watch.next().await.unwrap();
        assert_eq!((&task["id"], &task["state"]), (&json!(id), &json!("COMPLETED")));
    }
    let upload = server.upload(csv::people(4_000)).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 2_000 })).await;
    let begin = Clock::monotonic();
    let (mut states, mut reports, mut done) = (Vec::new(), 0, 0);
    loop {
        let task = watch.next().await.unwrap();
        assert_eq!(task["id"], *id);
        let now = task["progress"]["done"].as_u64().unwrap();
        assert!(now >= done, "progress decreased from {done} to {now}");
        done = now;
        let state = task["state"].as_str().unwrap().to_owned();
        match states.last() == Some(&state) {
            true => reports += 1,
            false => states.push(state),
        }
        if states.last().unwrap() == "COMPLETED" {
            break;
        }
    }
    assert_eq!((states, done), (vec!["QUEUED".into(), "RUNNING".into(), "COMPLETED".into()], 4_000));
    let most = 2 * begin.elapsed().as_secs() + 2;
    assert!(reports >= 2 && reports <= most, "{reports} reports in {:?}", begin.elapsed());

    for initial in [-1, 501] {
        let body = json!({ "query": query, "variables": { "initial": initial } });
        let request = server.client().post(format!("{}/graphql", server.url)).json(&body);
        let answer = request.header("accept", "multipart/mixed;subscriptionSpec=1.0").send().await.unwrap();
        let text = tokio::time::timeout(Duration::from_secs(20), answer.text()).await.unwrap().unwrap();
        assert!(text.contains(r#""code":"BAD_USER_INPUT","field":"initial""#), "{text}");
    }
}
