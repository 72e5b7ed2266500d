//! Many timers started by one call: all or none, on both databases.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{after, and, with};
use crate::chaos::random::Random;
use crate::harness::postgres::Postgres;
use crate::harness::receiver::Receiver;
use crate::harness::server::Server;
use crate::harness::watch::Watch;
use crate::store::test_store::TestStore;

const START: &str = "mutation($inputs: [StartTimerInput!]!) { startTimers(inputs: $inputs) { id label } }";
const START_ONE: &str = "mutation($input: StartTimerInput!) { startTimer(input: $input) { id } }";
const NOWHERE: &str = "http://127.0.0.1:9/hook";

/// Runs the story on SQLite and on PostgreSQL.
async fn on_both(settings: &[(&str, &str)], story: impl AsyncFn(Server)) {
    story(with(settings).await).await;
    let test_store = TestStore::postgres().await;
    story(with(&[settings, &[("PAUSA_DATABASE_URL", test_store.url.as_str())]].concat()).await).await;
}

/// Returns inputs of timers that fire in an hour, labelled by their index.
fn hours(count: usize) -> Vec<Value> {
    (0..count).map(|n| and(after(NOWHERE, 3600.0), json!({ "label": n.to_string() }))).collect()
}

async fn start(server: &Server, inputs: &[Value]) -> Vec<String> {
    let tasks = server.data(START, json!({ "inputs": inputs })).await["startTimers"].take();
    let tasks = tasks.as_array().unwrap();
    assert!(
        tasks.iter().zip(inputs).all(|(task, input)| task["label"] == input["label"]),
        "in the order of the inputs"
    );
    tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
}

/// Returns code and field of the refusal.
async fn refused(server: &Server, inputs: &[Value]) -> (String, String) {
    let error = server.refusal(START, json!({ "inputs": inputs })).await["extensions"].take();
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (text("code"), text("field"))
}

async fn count(server: &Server) -> u64 {
    server.data("{ tasks { totalCount } }", json!({})).await["tasks"]["totalCount"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_starts_a_thousand_timers_and_all_fire() {
    on_both(&[], async |server| {
        let receiver = Receiver::kind().await;
        let mut changes =
            Watch::open(&server.url, "taskChanges", "subscription { taskChanges { id state } }", json!({})).await;
        assert_eq!(start(&server, &[]).await, [""; 0]);
        let inputs: Vec<_> = (0..1000).map(|_| after(&receiver.url, 0.5)).collect();
        let ids: HashSet<_> = start(&server, &inputs).await.into_iter().collect();
        assert_eq!(ids.len(), 1000);
        let mut told = HashSet::new();
        while told.len() < ids.len() {
            let change = changes.next().await.unwrap();
            told.insert(change["id"].as_str().unwrap().to_owned());
        }
        assert_eq!(told, ids, "subscribers receive each");
        let came: HashSet<_> = receiver.until(1000).await.iter().map(|hook| hook.id()).collect();
        assert_eq!(came, ids);
        let last = ids.iter().next().unwrap();
        server.until(last, "COMPLETED").await;
        let task = server.task(last).await;
        assert_eq!(super::states(&task), ["SCHEDULED", "RUNNING", "COMPLETED"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refused_timer_starts_none() {
    on_both(&[], async |server| {
        let table = [
            (json!({ "url": "ftp://example.org" }), "inputs.17.url"),
            (json!({ "timeoutSeconds": 0 }), "inputs.17.timeoutSeconds"),
            (json!({ "headers": [{ "name": "Host", "value": "x" }] }), "inputs.17.headers"),
            (json!({ "when": { "after": { "hours": -1 } } }), "inputs.17.when.after"),
        ];
        for (bad, field) in table {
            let mut inputs = hours(100);
            inputs[17] = and(inputs[17].clone(), bad);
            assert_eq!(refused(&server, &inputs).await, ("BAD_USER_INPUT".to_owned(), field.to_owned()));
        }
        assert_eq!(refused(&server, &hours(1001)).await, ("BAD_USER_INPUT".to_owned(), "inputs".to_owned()));
        assert_eq!(count(&server).await, 0);
        assert_eq!(start(&server, &hours(1000)).await.len(), 1000);
        assert_eq!(count(&server).await, 1000);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_batch_starts_only_new_timers() {
    on_both(&[], async |server| {
        let keyed = |n: usize| and(hours(n + 1).pop().unwrap(), json!({ "idempotencyKey": format!("order {n}") }));
        let batch: Vec<_> = (0..10).map(keyed).collect();
        let first = start(&server, &batch).await;
        assert_eq!(start(&server, &batch).await, first);
        let mixed: Vec<_> = (5..15).map(keyed).collect();
        let second = start(&server, &mixed).await;
        assert_eq!(second[..5], first[5..], "those that are known");
        assert_eq!(count(&server).await, 15);
        // A key means the same for a single start.
        let alone = server.data(START_ONE, json!({ "input": keyed(3) })).await;
        assert_eq!(alone["startTimer"]["id"], json!(first[3]));

        let twice = start(&server, &[keyed(20), keyed(21), keyed(20)]).await;
        assert_eq!((&twice[0], twice[0] == twice[1]), (&twice[2], false));
        let other = |n: usize| and(keyed(n), json!({ "url": "http://127.0.0.1:9/other" }));
        let conflict = ("CONFLICT".to_owned(), "inputs.2.idempotencyKey".to_owned());
        assert_eq!(refused(&server, &[keyed(30), keyed(31), other(30)]).await, conflict);
        let query = json!({ "inputs": [keyed(32), keyed(33), other(7)] });
        let error = server.refusal(START, query).await["extensions"].take();
        assert_eq!(error, json!({ "code": "CONFLICT", "taskId": first[7], "field": "inputs.2.idempotencyKey" }));
        assert_eq!(count(&server).await, 17, "a refused call starts none");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_beyond_the_limit_of_waiting_tasks_is_refused_completely() {
    on_both(&[("PAUSA_MAX_WAITING", "10")], async |server| {
        for _ in 0..3 {
            let error = server.refusal(START, json!({ "inputs": hours(11) })).await["extensions"].take();
            assert_eq!((&error["code"], &error["field"]), (&json!("TOO_BUSY"), &Value::Null));
        }
        assert_eq!(count(&server).await, 0);
        assert_eq!(start(&server, &hours(6)).await.len(), 6, "a refused batch does not count");
        assert_eq!(refused(&server, &hours(5)).await.0, "TOO_BUSY");
        assert_eq!(start(&server, &hours(4)).await.len(), 4);
        assert_eq!(count(&server).await, 10);
    })
    .await;
}

/// The answer comes once all timers are on disk: a kill right after it loses none. A call without an answer started all or none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_right_after_the_answer_loses_none() {
    let postgres = Postgres::start();
    let (url, mut random) = (postgres.url(), Random::new());
    for settings in [vec![], vec![("PAUSA_DATABASE_URL", url.as_str())]] {
        let mut server = with(&settings).await;
        for kills in 1..=5 {
            start(&server, &hours(1000)).await;
            server.kill().await;
            if !settings.is_empty() {
                postgres.crash();
            }
            server.restart().await;
            assert_eq!(count(&server).await, 1000 * kills);
        }
        // Killed during the start: all or none exist.
        for _ in 0..5 {
            let before = count(&server).await;
            let body = json!({ "query": START, "variables": { "inputs": hours(1000) } });
            let call = server.client().post(format!("{}/graphql", server.url)).json(&body).send();
            let call = tokio::spawn(call);
            tokio::time::sleep(Duration::from_millis(random.between(0, 400))).await;
            server.kill().await;
            // The call got an answer, or the connection broke off.
            let _ = call.await.unwrap();
            server.restart().await;
            let added = count(&server).await - before;
            assert!([0, 1000].contains(&added), "{added} of 1000");
        }
    }
}
