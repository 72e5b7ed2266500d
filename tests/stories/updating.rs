//! Changes of tasks after their start: what each state allows, and what a running task does with a new rate limit.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::chaos::two_nodes::TwoNodes;
use crate::harness::csv::people;
use crate::harness::receiver::Receiver;
use crate::harness::server::Server;
use crate::harness::watch::Watch;

const UPDATE: &str = "mutation($id: ID!, $input: UpdateTaskInput!, $reason: String) {
    updateTask(id: $id, input: $input, reason: $reason) { id state version label tags priority startAt maxRowsPerSecond pauseExpiresAt
        history { from to by reason } } }";

const ROWS: &str = "subscription($id: ID!) { taskProgress(id: $id) { version state label maxRowsPerSecond progress { done updatedAt } } }";

async fn update(server: &Server, id: &str, input: Value) -> Value {
    server.data(UPDATE, json!({ "id": id, "input": input, "reason": "a story" })).await["updateTask"].take()
}

async fn refused(server: &Server, id: &str, input: Value) -> Value {
    server.refusal(UPDATE, json!({ "id": id, "input": input })).await["extensions"].take()
}

/// Rows done, and when.
fn point(event: &Value) -> (f64, Timestamp) {
    (event["progress"]["done"].as_f64().unwrap(), event["progress"]["updatedAt"].as_str().unwrap().parse().unwrap())
}

/// Changes the rate of an import at `server` down, up and away. Another server may run it.
async fn change_rates(server: &Server) {
    let file = people(20_000);
    let upload = server.upload(file.clone()).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 1 })).await;
    let mut watch = Watch::open(&server.url, "taskProgress", ROWS, json!({ "id": id })).await;
    let first = watch.until(|event| event["progress"]["done"].as_u64().unwrap() >= 1).await;
    assert_eq!(first["maxRowsPerSecond"], 1.0);

    // At one row a second, this would take hours.
    let faster = update(server, &id, json!({ "maxRowsPerSecond": 4000 })).await;
    assert_eq!(faster["maxRowsPerSecond"], 4000.0);
    watch.until(|event| event["progress"]["done"].as_u64().unwrap() >= 5_000).await;
    let slower = update(server, &id, json!({ "maxRowsPerSecond": 2.5, "label": "slow" })).await;
    let version = slower["version"].as_u64().unwrap();
    let seen = watch.until(|event| event["version"].as_u64().unwrap() >= version).await;
    assert_eq!((&seen["label"], &seen["maxRowsPerSecond"]), (&json!("slow"), &json!(2.5)), "subscribers see it");
    // Commits from before the change may still come.
    let known = point(&seen).0;
    let (rows, begin) = point(&watch.until(|event| point(event).0 > known).await);
    for _ in 0..3 {
        let (before, at) = point(&watch.next().await.unwrap());
        let allowed = 2.5 * begin.duration_until(at).as_secs_f64() + 2.0;
        assert!(before - rows <= allowed, "{} rows, {allowed} allowed", before - rows);
    }
    let away = update(server, &id, json!({ "maxRowsPerSecond": 0 })).await;
    assert_eq!(away["maxRowsPerSecond"], Value::Null);
    watch.until(|event| event["state"] == "COMPLETED").await;
    assert_eq!(server.exported("people").await, file.into_bytes());
    let by_client = "changed maxRowsPerSecond to 2.5: a story";
    let history = server.task(&id).await["history"].as_array().unwrap().clone();
    let updates: Vec<_> = history.iter().filter(|change| change["from"] == change["to"]).collect();
    assert_eq!((updates.len(), &updates[0]["by"], &updates[0]["to"]), (3, &json!("client"), &json!("RUNNING")));
    assert!(updates[1]["reason"].as_str().unwrap().ends_with("maxRowsPerSecond to 2.5: a story"), "{by_client}");
    assert_eq!(refused(server, &id, json!({ "maxRowsPerSecond": 1 })).await["code"], "INVALID_STATE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_import_follows_a_new_rate_limit() {
    change_rates(&Server::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_on_another_node_follows_a_new_rate_limit() {
    let store = crate::store::test_store::TestStore::postgres().await;
    let nodes = TwoNodes::differing(store, &[("PAUSA_ROLE", "api")], &[("PAUSA_ROLE", "worker")]).await;
    change_rates(&nodes.a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_export_follows_a_new_rate_limit() {
    let server = Server::start().await;
    let upload = server.upload(people(3_000)).await;
    server.until(&server.import(&upload, json!({ "dataset": "people" })).await, "COMPLETED").await;
    let query = "mutation($input: StartExportInput!) { startExport(input: $input) { id } }";
    let input = json!({ "dataset": "people", "maxRowsPerSecond": 0.5 });
    let data = server.data(query, json!({ "input": input })).await;
    let id = data["startExport"]["id"].as_str().unwrap();
    server.until_done(id, 1).await;
    update(&server, id, json!({ "maxRowsPerSecond": 100 })).await;
    server.until_done(id, 100).await;
    update(&server, id, json!({ "maxRowsPerSecond": 0 })).await;
    server.until(id, "COMPLETED").await;
}

#[tokio::test]
async fn each_value_is_checked_and_a_refused_one_leaves_the_others() {
    let server = Server::start().await;
    let id = server.pi(10).await;
    server.until(&id, "COMPLETED").await;
    let (later, past) = ("2999-01-01T00:00:00Z", "1999-01-01T00:00:00Z");
    let bad = |field: &str| json!({ "code": "BAD_USER_INPUT", "field": field });
    let not_now = |field: &str| json!({ "code": "INVALID_STATE", "field": field, "state": "COMPLETED" });
    for (input, wanted) in [
        (json!({ "label": "x".repeat(201) }), bad("label")),
        (json!({ "tags": [""] }), bad("tags")),
        (json!({ "priority": 101 }), bad("priority")),
        (json!({ "maxRowsPerSecond": 5 }), bad("maxRowsPerSecond")),
        (json!({ "firesAt": later }), bad("firesAt")),
        (json!({ "pauseExpiry": { "at": past, "then": "RESUME" } }), bad("pauseExpiry.at")),
        (json!({ "pauseExpiry": { "at": later, "then": "PAUSE" } }), bad("pauseExpiry.then")),
        (json!({ "pauseExpiry": { "at": later, "then": "RESUME" } }), not_now("pauseExpiry")),
        (json!({ "startAt": later }), not_now("startAt")),
    ] {
        let mut input = input;
        if input.get("priority").is_none() {
            input["priority"] = json!(7);
        }
        assert_eq!(refused(&server, &id, input.clone()).await, wanted, "{input}");
    }
    let same = update(&server, &id, json!({})).await;
    assert_eq!((&same["priority"], same["history"].as_array().unwrap().len()), (&json!(0), 3), "nothing was changed");
    let changed = update(&server, &id, json!({ "label": "a", "tags": ["z", "b"], "priority": 7 })).await;
    assert_eq!(
        (&changed["label"], &changed["tags"], &changed["priority"]),
        (&json!("a"), &json!(["b", "z"]), &json!(7))
    );
    assert!(changed["version"].as_u64() > same["version"].as_u64());
    let said = json!({ "from": "COMPLETED", "to": "COMPLETED", "by": "client", "reason": "changed label to a, tags to b z, priority to 7: a story" });
    assert_eq!(changed["history"].as_array().unwrap().last(), Some(&said));
    let missing = refused(&server, "00000000-0000-7000-8000-000000000000", json!({ "priority": 1 })).await;
    assert_eq!(missing["code"], "NOT_FOUND");
}

#[tokio::test]
async fn starts_and_ends_of_pauses_are_moved() {
    let server = Server::start().await;
    let query = "mutation($input: StartPiJobInput!) { startPiJob(input: $input) { id } }";
    let input = json!({ "digits": 10, "startAt": "2999-01-01T00:00:00Z" });
    let started = server.data(query, json!({ "input": input })).await;
    let id = started["startPiJob"]["id"].as_str().unwrap();
    update(&server, id, json!({ "startAt": "2998-01-01T00:00:00Z" })).await;
    server.control("pause", id).await;
    let expiry = |at: &str| json!({ "pauseExpiry": { "at": at, "then": "TERMINATE" } });
    let paused = update(&server, id, expiry("2999-01-01T00:00:00Z")).await;
    assert_eq!(
        (&paused["startAt"], &paused["pauseExpiresAt"]),
        (&json!("2998-01-01T00:00:00Z"), &json!("2999-01-01T00:00:00Z"))
    );
    let soon = (crate::harness::now() + jiff::SignedDuration::from_secs(1)).to_string();
    update(&server, id, expiry(&soon)).await;
    server.until(id, "TERMINATED").await;

    let started = server.data(query, json!({ "input": input })).await;
    let id = started["startPiJob"]["id"].as_str().unwrap();
    update(&server, id, json!({ "startAt": "1999-01-01T00:00:00Z" })).await;
    server.until(id, "COMPLETED").await;
}

#[tokio::test]
async fn a_timer_is_moved_until_it_fires() {
    let (server, receiver) = (Server::with(&[("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true")]).await, Receiver::kind().await);
    let when = json!({ "at": "2999-01-01T00:00:00Z" });
    let id = server.timer(json!({ "url": receiver.url, "when": when })).await;
    assert_eq!(refused(&server, &id, json!({ "startAt": "2998-01-01T00:00:00Z" })).await["field"], "startAt");
    update(&server, &id, json!({ "firesAt": "2998-01-01T00:00:00Z" })).await;
    assert_eq!(server.task(&id).await["firesAt"], "2998-01-01T00:00:00Z");
    let spec = server.data("query($id: ID!) { task(id: $id) { spec } }", json!({ "id": id })).await;
    assert_eq!(spec["task"]["spec"]["when"]["at"], "2998-01-01T00:00:00Z");
    assert_eq!(receiver.count(), 0);
    let soon = (crate::harness::now() + jiff::SignedDuration::from_millis(300)).to_string();
    update(&server, &id, json!({ "firesAt": soon })).await;
    let hook = receiver.until(1).await.remove(0);
    assert!(hook.at >= soon.parse::<Timestamp>().unwrap(), "a timer never fires early");
    server.until(&id, "COMPLETED").await;
    let over = refused(&server, &id, json!({ "firesAt": soon })).await;
    assert_eq!(over, json!({ "code": "INVALID_STATE", "field": "firesAt", "state": "COMPLETED" }));
}
