//! Webhooks at the final states of tasks: signed, at least once, and no crash loses one.

use serde_json::{Value, json};
use standardwebhooks::Webhook;

use super::{states, with};
use crate::harness::receiver::{Answer, Hook, Receiver};
use crate::harness::server::Server;
use crate::store::test_store::TestStore;

const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn body(hook: &Hook) -> Value {
    serde_json::from_slice(&hook.body).unwrap()
}

async fn pi(server: &Server, input: Value) -> String {
    let query = "mutation($input: StartPiJobInput!) { startPiJob(input: $input) { id } }";
    let data = server.data(query, json!({ "input": input })).await;
    data["startPiJob"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_final_state_is_told_to_the_url_as_it_is_with_a_signature() {
    let (server, receiver) =
        (with(&[("PAUSA_WEBHOOK_SECRET", &format!("whsec_{SECRET}"))]).await, Receiver::kind().await);
    let url = format!("{}/hook?x=1", receiver.url.replace("http://", "http://me:pass@"));
    let id = pi(&server, json!({ "digits": 100, "label": "mine", "tags": ["a"], "notifyUrl": url })).await;
    server.until(&id, "COMPLETED").await;
    let hook = receiver.until(1).await.remove(0);
    assert_eq!((hook.path.as_str(), hook.header("content-type")), ("/hook?x=1", "application/json"));
    Webhook::new(SECRET).unwrap().verify(&hook.body, &hook.headers).unwrap();
    let told = body(&hook);
    let result = server.task(&id).await["result"].take();
    assert_eq!((&told["type"], &told["data"]["result"]), (&json!("task.completed"), &result));
    let data = &told["data"];
    assert_eq!((&data["id"], &data["kind"], &data["state"]), (&json!(id), &json!("PI"), &json!("COMPLETED")));
    assert_eq!((&data["label"], &data["tags"], &data["error"]), (&json!("mine"), &json!(["a"]), &Value::Null));

    // A task that waits is terminated, and one fails, is resumed and fails again: three more.
    let later = pi(&server, json!({ "digits": 100, "startAt": "2999-01-01T00:00:00Z", "notifyUrl": url })).await;
    server.control("terminate", &later).await;
    assert_eq!(body(&receiver.until(2).await[1])["type"], "task.terminated");
    let bad = server.upload("a\n1,2\n").await;
    let failing = server.import(&bad, json!({ "dataset": "people", "notifyUrl": url })).await;
    server.until(&failing, "FAILED").await;
    let told = body(&receiver.until(3).await[2]);
    assert_eq!((&told["type"], &told["data"]["error"]["code"]), (&json!("task.failed"), &json!("BAD_USER_INPUT")));
    server.verb_state("resume", &failing).await;
    receiver.until(4).await;

    // Each notice is a timer, which has no notice itself.
    let list =
        "{ tasks(filter: { kinds: [TIMER] }) { nodes { id state label spec notifyUrl ... on TimerTask { url } } } }";
    let timers = server.data(list, json!({})).await["tasks"]["nodes"].take();
    let timers = timers.as_array().unwrap();
    assert_eq!(timers.len(), 4);
    assert!(
        timers.iter().all(|timer| timer["notifyUrl"].is_null() && !timer.to_string().contains("pass")),
        "{timers:?}"
    );
    let shown = server.data("query($id: ID!) { task(id: $id) { notifyUrl spec } }", json!({ "id": id })).await;
    let masked = json!(url.replace("pass", "***"));
    assert_eq!((&shown["task"]["notifyUrl"], &shown["task"]["spec"]["notifyUrl"]), (&masked, &masked));
    let ids: std::collections::HashSet<_> =
        receiver.hooks().iter().map(|hook| hook.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_is_set_changed_and_removed_later_and_its_address_checked() {
    let (server, receiver) = (with(&[]).await, Receiver::kind().await);
    let update = "mutation($id: ID!, $url: String!) { updateTask(id: $id, input: { notifyUrl: $url }) { notifyUrl } }";
    let id = pi(&server, json!({ "digits": 10, "startAt": "2999-01-01T00:00:00Z" })).await;
    for url in ["ftp://example.org", "nothing", "http://me:***@example.org"] {
        let refused = server.refusal(update, json!({ "id": id, "url": url })).await;
        assert_eq!(refused["extensions"], json!({ "code": "BAD_USER_INPUT", "field": "notifyUrl" }), "{url}");
    }
    server.data(update, json!({ "id": id, "url": format!("{}/old", receiver.url) })).await;
    let set = server.data(update, json!({ "id": id, "url": format!("{}/new", receiver.url) })).await;
    assert_eq!(set["updateTask"]["notifyUrl"], format!("{}/new", receiver.url));
    server.control("terminate", &id).await;
    assert_eq!(receiver.until(1).await[0].path, "/new");
    let late = server.refusal(update, json!({ "id": id, "url": "" })).await;
    assert_eq!(late["extensions"], json!({ "code": "INVALID_STATE", "field": "notifyUrl", "state": "TERMINATED" }));

    let silent =
        pi(&server, json!({ "digits": 10, "startAt": "2999-01-01T00:00:00Z", "notifyUrl": receiver.url })).await;
    server.data(update, json!({ "id": silent, "url": "" })).await;
    server.control("terminate", &silent).await;
    // The next notice is not that of the silent task.
    pi(&server, json!({ "digits": 10, "notifyUrl": format!("{}/last", receiver.url) })).await;
    assert_eq!(receiver.until(2).await[1].path, "/last");
}

#[tokio::test]
async fn a_private_receiver_is_refused_at_the_start() {
    let server = Server::start().await;
    let query = "mutation { startPiJob(input: { digits: 10, notifyUrl: \"http://127.0.0.1/\" }) { id } }";
    let refused = server.refusal(query, json!({})).await;
    assert_eq!(refused["extensions"], json!({ "code": "BAD_USER_INPUT", "field": "notifyUrl" }));
}

/// Kills the server between the final state and the delivery, as often as the receiver says.
async fn killed_before_the_delivery(database: &[(&str, &str)]) {
    let receiver = Receiver::start(|_, _| Answer::Never).await;
    let mut server = with(&[database, &[("PAUSA_LEASE_SECONDS", "2")]].concat()).await;
    let id = pi(&server, json!({ "digits": 1000, "notifyUrl": receiver.url })).await;
    let deleted = pi(&server, json!({ "digits": 10, "notifyUrl": receiver.url })).await;
    server.until(&id, "COMPLETED").await;
    server.until(&deleted, "COMPLETED").await;
    server.data("mutation($id: ID!) { deleteTask(id: $id) }", json!({ "id": deleted })).await;
    receiver.until(2).await;
    server.kill().await;
    receiver.change(|_, _| Answer::Status(200));
    server.restart().await;
    let hooks = receiver.until(4).await;
    let told: std::collections::BTreeSet<_> =
        hooks[2..].iter().map(|hook| body(hook)["data"]["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        told,
        std::collections::BTreeSet::from([id.clone(), deleted]),
        "also of a task that is deleted meanwhile"
    );
    for hook in &hooks[2..] {
        let first = hooks[..2].iter().find(|first| first.header("webhook-id") == hook.header("webhook-id"));
        assert_eq!(first.unwrap().body, hook.body, "the same notice is sent again");
        let timer = hook.header("webhook-id");
        server.until(timer, "COMPLETED").await;
        assert_eq!(states(&server.task(timer).await).last(), Some(&"COMPLETED"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_sends_its_notices_after_a_restart_on_sqlite() {
    killed_before_the_delivery(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_sends_its_notices_after_a_restart_on_postgres() {
    let store = TestStore::postgres().await;
    killed_before_the_delivery(&[("PAUSA_DATABASE_URL", &store.url)]).await;
}
