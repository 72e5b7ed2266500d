//! Fields of tasks by which a console decides what to show and to offer.

use serde_json::{Value, json};

use crate::harness::receiver::{Answer, Receiver};
use crate::harness::server::Server;

async fn fields(server: &Server, id: &str) -> Value {
    let query =
        "query($id: ID!) { task(id: $id) { state allowedVerbs runningOn error { code line column columnName retryable }
        history { to by actor { type name } } ... on TimerTask { nextAttemptAt } } }";
    server.data(query, json!({ "id": id })).await["task"].take()
}

#[tokio::test]
async fn verbs_nodes_and_authors_are_shown_in_each_state() {
    let server = Server::with(&[("PAUSA_NODE", "one node")]).await;
    let id = server.pi(2_000_000).await;
    server.until(&id, "RUNNING").await;
    let running = fields(&server, &id).await;
    assert_eq!((&running["runningOn"], &running["allowedVerbs"]), (&json!("one node"), &json!(["PAUSE", "TERMINATE"])));
    server.control("pause", &id).await;
    let paused = fields(&server, &id).await;
    assert_eq!((&paused["runningOn"], &paused["allowedVerbs"]), (&Value::Null, &json!(["RESUME", "TERMINATE"])));
    server.control("terminate", &id).await;
    let over = fields(&server, &id).await;
    assert_eq!(over["allowedVerbs"], json!([]));
    let actors: Vec<_> = over["history"].as_array().unwrap().iter().map(|change| change["actor"].clone()).collect();
    assert_eq!(actors[..2], [json!({ "type": "CLIENT", "name": null }), json!({ "type": "NODE", "name": "one node" })]);
}

#[tokio::test]
async fn an_error_in_a_file_says_where() {
    let server = Server::start().await;
    let upload = server.upload("a,n\nx,1\ny,two\n").await;
    let columns = json!([{ "name": "n", "type": "INTEGER" }]);
    let id = server.import(&upload, json!({ "dataset": "people", "columns": columns })).await;
    server.until(&id, "FAILED").await;
    let error = json!({ "code": "BAD_USER_INPUT", "line": 3, "column": 2, "columnName": "n", "retryable": false });
    assert_eq!(fields(&server, &id).await["error"], error);
    let upload = server.upload("a,n\nx\n").await;
    let id = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&id, "FAILED").await;
    let error = json!({ "code": "BAD_USER_INPUT", "line": 2, "column": null, "columnName": null, "retryable": false });
    assert_eq!(fields(&server, &id).await["error"], error);
}

#[tokio::test]
async fn a_timer_says_when_it_tries_again() {
    let server = Server::with(&[("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true")]).await;
    let receiver = Receiver::start(|_, _| Answer::RetryAfter(503, "3600")).await;
    let id = server.timer(json!({ "url": receiver.url, "when": { "after": { "seconds": 0 } } })).await;
    receiver.until(1).await;
    server.until(&id, "SCHEDULED").await;
    let waits = fields(&server, &id).await;
    let next: jiff::Timestamp = waits["nextAttemptAt"].as_str().unwrap().parse().unwrap();
    let wait = crate::harness::now().duration_until(next).as_secs();
    assert!((3_000..=3_600).contains(&wait), "{wait}");
    assert_eq!(waits["error"]["retryable"], true);
    server.control("terminate", &id).await;
    assert_eq!(fields(&server, &id).await["nextAttemptAt"], Value::Null);
}

#[tokio::test]
async fn a_response_waits_as_long_as_it_is_asked_to() {
    let server = Server::start().await;
    let id = server.pi(2_000_000).await;
    server.until(&id, "RUNNING").await;
    let query = "mutation($id: ID!, $wait: Float) { pause(id: $id, waitSeconds: $wait) { state } }";
    for wait in [-0.5, 30.5] {
        let refused = server.refusal(query, json!({ "id": id, "wait": wait })).await;
        assert_eq!(refused["extensions"], json!({ "code": "BAD_USER_INPUT", "field": "waitSeconds" }));
    }
    let paused = server.data(query, json!({ "id": id, "wait": 30 })).await;
    assert_eq!(paused["pause"]["state"], "PAUSED");
    let query = "mutation($id: ID!) { terminate(id: $id, waitSeconds: 30) { state } }";
    assert_eq!(server.data(query, json!({ "id": id })).await["terminate"]["state"], "TERMINATED");
}
