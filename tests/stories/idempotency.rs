//! Idempotency keys: a repeated call starts one task. A key that was used for another input is refused.

use serde_json::{Value, json};

use crate::harness::server::Server;

const PI: &str = "mutation($input: StartPiJobInput!) { startPiJob(input: $input) { id } }";
const TIMER: &str = "mutation($input: StartTimerInput!) { startTimer(input: $input) { id } }";
const IMPORT: &str = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";
const EXPORT: &str = "mutation($input: StartExportInput!) { startExport(input: $input) { id } }";

async fn started(server: &Server, start: &str, input: &Value) -> String {
    let data = server.data(start, json!({ "input": input })).await;
    let task = data.as_object().unwrap().values().next().unwrap();
    task["id"].as_str().unwrap().to_owned()
}

/// Checks that the start is refused with the ID of the task that owns the key.
async fn refused(server: &Server, start: &str, input: &Value, task: &str) {
    let error = server.refusal(start, json!({ "input": input })).await;
    let extensions = &error["extensions"];
    assert_eq!(extensions, &json!({ "code": "CONFLICT", "taskId": task, "field": "idempotencyKey" }), "{error}");
}

async fn count(server: &Server) -> u64 {
    server.data("{ tasks { totalCount } }", json!({})).await["tasks"]["totalCount"].as_u64().unwrap()
}

#[tokio::test]
async fn a_key_is_valid_only_for_its_kind_and_its_input() {
    let server = Server::start().await;
    let pi = json!({ "digits": 10, "idempotencyKey": "order 7" });
    let first = started(&server, PI, &pi).await;
    assert_eq!(started(&server, PI, &pi).await, first);
    let later = json!({ "at": "2999-01-01T00:00:00Z" });
    let timer = json!({ "url": "http://example.org", "when": later, "idempotencyKey": "order 7" });
    refused(&server, TIMER, &timer, &first).await;
    for other in [
        json!({ "digits": 11, "idempotencyKey": "order 7" }),
        json!({ "digits": 10, "label": "again", "idempotencyKey": "order 7" }),
    ] {
        refused(&server, PI, &other, &first).await;
    }
    assert_eq!(count(&server).await, 1);
    let written = "mutation { startPiJob(input: { idempotencyKey: \"order 7\", digits: 10 }) { id } }";
    assert_eq!(
        server.data(written, json!({})).await["startPiJob"]["id"],
        first,
        "the notation of the input does not matter"
    );
}

#[tokio::test]
async fn a_delay_sent_again_later_is_the_same_input() {
    let server = Server::start().await;
    let after = json!({ "after": { "hours": 2 } });
    let timer = json!({ "url": "http://example.org", "when": after, "idempotencyKey": "reminder" });
    let first = started(&server, TIMER, &timer).await;
    assert_eq!(started(&server, TIMER, &timer).await, first);
    let mut other = timer.clone();
    other["when"]["after"]["hours"] = json!(3);
    refused(&server, TIMER, &other, &first).await;
}

#[tokio::test]
async fn the_same_file_sent_again_is_the_same_input() {
    let server = Server::start().await;
    let input = |upload: &str, dataset: &str| json!({ "source": { "uploadId": upload }, "dataset": dataset, "idempotencyKey": "nightly" });
    let upload = server.upload("a,b\n1,2\n").await;
    let first = started(&server, IMPORT, &input(&upload, "people")).await;
    server.until(&first, "COMPLETED").await;
    let again = server.upload("a,b\n1,2\n").await;
    assert_eq!(started(&server, IMPORT, &input(&again, "people")).await, first);
    let other = server.upload("a,b\n1,3\n").await;
    refused(&server, IMPORT, &input(&other, "people"), &first).await;
    refused(&server, IMPORT, &input(&upload, "others"), &first).await;
    refused(&server, EXPORT, &json!({ "dataset": "people", "idempotencyKey": "nightly" }), &first).await;
    assert_eq!(count(&server).await, 1);
}

const TIMERS: &str = "mutation($inputs: [StartTimerInput!]!) { startTimers(inputs: $inputs) { id } }";

#[tokio::test]
async fn a_key_of_each_kind_is_refused_for_every_other_kind() {
    let server = Server::start().await;
    let upload = server.upload("a,b\n1,2\n").await;
    server.until(&server.import(&upload, json!({ "dataset": "people" })).await, "COMPLETED").await;
    let later = "2999-01-01T00:00:00Z";
    let kinds = [
        (PI, json!({ "digits": 10, "startAt": later })),
        (TIMER, json!({ "url": "http://example.org", "when": { "at": later } })),
        (EXPORT, json!({ "dataset": "people", "startAt": later })),
        (IMPORT, json!({ "source": { "uploadId": upload }, "dataset": "others", "startAt": later })),
    ];
    let with_key = |input: &Value, key: &str| {
        let mut input = input.clone();
        input["idempotencyKey"] = json!(key);
        input
    };
    for (place, (start, input)) in kinds.iter().enumerate() {
        let key = format!("key {place}");
        let first = started(&server, start, &with_key(input, &key)).await;
        assert_eq!(started(&server, start, &with_key(input, &key)).await, first);
        for (other, (again, other_input)) in kinds.iter().enumerate() {
            let mut edited = with_key(other_input, &key);
            if other == place {
                edited["priority"] = json!(1);
            }
            refused(&server, again, &edited, &first).await;
        }
        // In a list of timers, the refused one is named and none is started.
        let mut timer = with_key(&kinds[1].1, &key);
        timer["label"] = json!("another");
        let inputs = json!({ "inputs": [kinds[1].1, timer] });
        let error = server.refusal(TIMERS, inputs).await;
        let wanted = json!({ "code": "CONFLICT", "taskId": first, "field": "inputs.1.idempotencyKey" });
        assert_eq!(error["extensions"], wanted, "{error}");
        server.control("terminate", &first).await;
    }
    assert_eq!(count(&server).await, 1 + kinds.len() as u64);
}
