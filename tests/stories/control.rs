//! Verbs: in every state, repeated, for many tasks, with an expiry, at a time.

use serde_json::{Value, json};

use crate::harness::csv;
use crate::harness::server::Server;

/// A task of each kind that is not over by itself: slow, large, or still to start.
async fn tasks(server: &Server) -> Vec<String> {
    let upload = server.upload(csv::people(50_000)).await;
    let small = server.upload("a\n1\n").await;
    let base = server.import(&small, json!({ "dataset": "base" })).await;
    server.until(&base, "COMPLETED").await;
    let later = "2999-01-01T00:00:00Z";
    let export = "mutation($at: DateTime) { startExport(input: { dataset: \"base\", startAt: $at }) { id } }";
    let export = server.data(export, json!({ "at": later })).await["startExport"]["id"].take();
    vec![
        server.import(&upload, json!({ "dataset": "slow", "maxRowsPerSecond": 10 })).await,
        server.pi(50_000_000).await,
        server.import(&upload, json!({ "dataset": "later", "startAt": later })).await,
        export.as_str().unwrap().to_owned(),
    ]
}

async fn refused(server: &Server, verb: &str, id: &str, state: &str) {
    let before = server.task(id).await;
    let answer = server.verb(verb, id).await;
    let error = &answer["errors"][0]["extensions"];
    assert_eq!((&error["code"], &error["state"]), (&json!("INVALID_STATE"), &json!(state)), "{verb}: {answer}");
    assert_eq!(server.task(id).await, before, "a refused {verb} changed the task");
}

#[tokio::test]
async fn every_kind_pauses_resumes_and_terminates() {
    let server = Server::with(&[("PAUSA_MAX_RUNNING", "4")]).await;
    for id in tasks(&server).await {
        let start = server.task(&id).await["state"].as_str().unwrap().to_owned();
        if start != "SCHEDULED" {
            server.until(&id, "RUNNING").await;
        }
        server.control("pause", &id).await;
        server.until(&id, "PAUSED").await;
        assert_eq!(server.control("pause", &id).await, "PAUSED");
        assert!(server.task(&id).await["pausedAt"].is_string());
        let resumed = server.control("resume", &id).await;
        assert!(if start == "SCHEDULED" { resumed == "SCHEDULED" } else { resumed != "PAUSED" }, "{resumed}");
        server.control("terminate", &id).await;
        server.until(&id, "TERMINATED").await;
        for verb in ["pause", "resume", "terminate"] {
            refused(&server, verb, &id, "TERMINATED").await;
        }
    }
    let listed = server.data("{ tasks(filter: { states: [TERMINATED] }) { totalCount } }", json!({})).await;
    assert_eq!(listed["tasks"]["totalCount"], 4);
}

#[tokio::test]
async fn a_finished_task_refuses_every_verb_and_can_be_deleted() {
    let server = Server::start().await;
    let done = server.pi(10).await;
    server.until(&done, "COMPLETED").await;
    for verb in ["pause", "resume", "terminate"] {
        refused(&server, verb, &done, "COMPLETED").await;
    }
    let upload = server.upload("a,b\n1\n").await;
    let failed = server.import(&upload, json!({ "dataset": "short" })).await;
    server.until(&failed, "FAILED").await;
    for verb in ["pause", "terminate"] {
        refused(&server, verb, &failed, "FAILED").await;
    }
    let delete = "mutation($id: ID!) { deleteTask(id: $id) }";
    for id in [&done, &failed] {
        assert_eq!(server.data(delete, json!({ "id": id })).await["deleteTask"], json!(id));
        let gone = server.refusal(delete, json!({ "id": id })).await;
        assert_eq!(gone["extensions"]["code"], "NOT_FOUND");
    }
    assert_eq!(server.get(&format!("/download/{done}")).await.status(), 404);
    let running = server.pi(50_000_000).await;
    server.until(&running, "RUNNING").await;
    assert_eq!(server.refusal(delete, json!({ "id": running })).await["extensions"]["code"], "INVALID_STATE");
}

#[tokio::test]
async fn fifty_rapid_pauses_lose_and_duplicate_no_row() {
    let server = Server::start().await;
    let file = csv::people(20_000);
    let upload = server.upload(file.clone()).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 40_000 })).await;
    for _ in 0..50 {
        server.verb("pause", &id).await;
        server.verb("resume", &id).await;
    }
    server.until(&id, "COMPLETED").await;
    assert_eq!(csv::cells(&server.exported("people").await), csv::cells(file.as_bytes()));
    assert_eq!(server.task(&id).await["attempt"], 0);
}

#[tokio::test]
async fn one_verb_stops_many_tasks() {
    let server = Server::start().await;
    let start =
        "mutation { startPiJob(input: { digits: 1000, label: \"batch\", startAt: \"2999-01-01T00:00:00Z\" }) { id } }";
    for _ in 0..20 {
        server.data(start, json!({})).await;
    }
    let other = server.pi(10).await;
    server.until(&other, "COMPLETED").await;
    let query = "mutation($dry: Boolean!) { controlTasks(verb: PAUSE, filter: { label: \"batch\" }, reason: \"night\", dryRun: $dry)
        { matched changed tasks { state history { to by reason } } } }";
    let dry = server.data(query, json!({ "dry": true })).await["controlTasks"].take();
    assert_eq!(dry, json!({ "matched": 20, "changed": 0, "tasks": [] }));
    let real = server.data(query, json!({ "dry": false })).await["controlTasks"].take();
    assert_eq!((&real["matched"], &real["changed"]), (&json!(20), &json!(20)));
    let last = json!({ "to": "PAUSED", "by": "client", "reason": "night" });
    assert!(real["tasks"].as_array().unwrap().iter().all(|task| task["history"][1] == last), "{real}");
    assert_eq!(server.task(&other).await["state"], "COMPLETED");
}

#[tokio::test]
async fn a_pause_expires_as_requested_even_after_a_crash() {
    let mut server = Server::start().await;
    let upload = server.upload(csv::people(5_000)).await;
    let pause =
        "mutation($id: ID!, $expiry: PauseExpiryInput) { pause(id: $id, expiry: $expiry) { state pauseExpiresAt } }";
    let mut ids = Vec::new();
    for then in ["RESUME", "TERMINATE"] {
        let input = json!({ "dataset": then.to_lowercase(), "maxRowsPerSecond": 2_000 });
        let id = server.import(&upload, input).await;
        server.until_done(&id, 1).await;
        let at = (pausa::clock::Clock::system().now() + jiff::SignedDuration::from_millis(1500)).to_string();
        let paused = server.data(pause, json!({ "id": id, "expiry": { "at": at, "then": then } })).await;
        assert_eq!(paused["pause"]["pauseExpiresAt"], json!(at));
        ids.push(id);
    }
    server.kill().await;
    server.restart().await;
    server.until(&ids[0], "COMPLETED").await;
    server.until(&ids[1], "TERMINATED").await;
    let history = server.task(&ids[1]).await["history"].take();
    let expired = history.as_array().unwrap().iter().find(|change| change["to"] == "TERMINATING").unwrap().clone();
    assert_eq!((&expired["by"], &expired["reason"]), (&json!("system"), &json!("the pause expired")));
    assert_eq!((server.rows("resume").await, server.rows("terminate").await), (Some(5_000), None));
}

#[tokio::test]
async fn only_one_import_at_a_time_fills_a_dataset() {
    let server = Server::start().await;
    let upload = server.upload(csv::people(1_000)).await;
    let first = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 10 })).await;
    let start = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";
    let input = json!({ "input": { "source": { "uploadId": upload }, "dataset": "people" } });
    let refusal = server.refusal(start, input.clone()).await;
    let expected = json!({ "code": "CONFLICT", "taskId": first });
    assert_eq!(refusal["extensions"], expected);
    server.control("terminate", &first).await;
    server.until(&first, "TERMINATED").await;
    let second = server.data(start, input.clone()).await["startImport"]["id"].as_str().unwrap().to_owned();
    server.until(&second, "COMPLETED").await;
    assert_eq!(server.refusal(start, input).await["extensions"]["code"], "ALREADY_EXISTS");

    for (mode, rows) in [("APPEND", 2_000), ("REPLACE", 1_000)] {
        let id = server.import(&upload, json!({ "dataset": "people", "mode": mode })).await;
        server.until(&id, "COMPLETED").await;
        assert_eq!(server.rows("people").await, Some(rows), "{mode}");
    }
    let other = server.upload("n,note,name\n1,2,3\n").await;
    let swapped = server.import(&other, json!({ "dataset": "people", "mode": "APPEND" })).await;
    let failed = server.until(&swapped, "FAILED").await;
    assert_eq!(failed["error"]["code"], "BAD_USER_INPUT");
    assert_eq!(server.rows("people").await, Some(1_000));
}

#[tokio::test]
async fn a_repeated_start_starts_one_task() {
    let server = Server::start().await;
    let start = "mutation { startPiJob(input: { digits: 10, idempotencyKey: \"order 7\" }) { id } }";
    let answers = futures_util::future::join_all((0..10).map(|_| server.data(start, json!({})))).await;
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["startPiJob"]["id"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(server.data("{ tasks { totalCount } }", json!({})).await["tasks"]["totalCount"], 1);
}
