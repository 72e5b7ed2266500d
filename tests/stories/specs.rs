//! The spec of a task, read back and started again: the same result, also with another name.

use serde_json::{Value, json};

use crate::harness::receiver::Receiver;
use crate::harness::server::Server;

async fn server() -> Server {
    Server::with(&[("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true")]).await
}

/// Starts a task by `mutation` and returns its ID and its spec.
async fn start(server: &Server, mutation: &str, input: &Value) -> (String, Value) {
    let input_type = format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]);
    let query = format!("mutation($input: {input_type}!) {{ {mutation}(input: $input) {{ id spec }} }}");
    let mut data = server.data(&query, json!({ "input": input })).await;
    let task = data[mutation].take();
    (task["id"].as_str().unwrap().to_owned(), task["spec"].clone())
}

/// Starts a task, and the same again with an edited spec. Returns the IDs of both.
async fn twice(server: &Server, mutation: &str, input: Value, edit: impl Fn(&mut Value)) -> [String; 2] {
    let (first, mut spec) = start(server, mutation, &input).await;
    for (field, value) in input.as_object().unwrap() {
        assert!(["idempotencyKey", "when"].contains(&&**field) || spec[field] == *value, "{field}: {spec}");
    }
    assert_eq!(spec["idempotencyKey"], Value::Null, "a repetition is another task");
    server.until(&first, "COMPLETED").await;
    edit(&mut spec);
    let (second, again) = start(server, mutation, &spec).await;
    assert_eq!(again, spec, "what is started again has the spec that it was given");
    assert_ne!(first, second);
    server.until(&second, "COMPLETED").await;
    [first, second]
}

const COMMON: [(&str, &str); 4] = [
    ("label", r#""nightly \"best\"""#),
    ("tags", r#"["a","z\u00fc"]"#),
    ("priority", "-7"),
    ("idempotencyKey", r#""once""#),
];

/// The input with the fields of every start.
fn with_common(mut input: Value) -> Value {
    for (name, value) in COMMON {
        input[name] = serde_json::from_str(value).unwrap();
    }
    input
}

#[tokio::test]
async fn an_import_is_repeated_into_another_dataset() {
    let server = server().await;
    let upload = server.upload("n;who\n1;'Z\u{fc}rich;'\n2;NIL\nx;bad\n").await;
    let input = with_common(json!({
        "source": { "uploadId": upload }, "dataset": "people", "mode": "REPLACE", "inferTypes": false,
        "csv": { "delimiter": ";", "quote": "'", "header": true, "nullValue": "NIL", "encoding": "UTF-8" },
        "columns": [{ "name": "n", "type": "INTEGER" }], "onBadRow": "SKIP", "maxBadRows": 1, "maxRowsPerSecond": 5000.0
    }));
    let [first, second] = twice(&server, "startImport", input, |spec| spec["dataset"] = json!("others")).await;
    assert_eq!(server.exported("people").await, server.exported("others").await);
    let rejects = async |id: &str| server.get(&format!("/download/{id}/rejects")).await.bytes().await.unwrap();
    assert_eq!(rejects(&first).await, rejects(&second).await);

    // The file stays as long as a task names it.
    let delete = "mutation($id: ID!) { deleteTask(id: $id) }";
    server.data(delete, json!({ "id": first })).await;
    let spec =
        server.data("query($id: ID!) { task(id: $id) { spec } }", json!({ "id": second })).await["task"]["spec"].take();
    let (third, _) = start(&server, "startImport", &spec).await;
    server.until(&third, "COMPLETED").await;
    assert_eq!(server.rows("others").await, Some(2));
}

#[tokio::test]
async fn an_export_is_repeated_with_another_compression() {
    let server = server().await;
    let upload = server.upload("n,who\n1,a\n2,b\n3,c\n").await;
    server.until(&server.import(&upload, json!({ "dataset": "people" })).await, "COMPLETED").await;
    let input = with_common(json!({
        "dataset": "people", "columns": ["who", "n"], "compression": "NONE", "guardFormulas": true,
        "where": [{ "column": "n", "from": "2" }, { "column": "who", "in": ["a", "b"] }], "maxRowsPerSecond": 0.5
    }));
    let edit = |spec: &mut Value| {
        spec["where"] = json!([{ "column": "n", "from": "2", "to": "3" }]);
        spec["label"] = json!("again");
    };
    let edited = async |id: String| server.get(&format!("/download/{id}")).await.text().await.unwrap();
    let [first, second] = twice(&server, "startExport", input, edit).await;
    assert_eq!((edited(first).await, edited(second).await), ("who,n\r\nb,2\r\n".into(), "who,n\r\nb,2\r\n".into()));
}

#[tokio::test]
async fn digits_of_pi_are_computed_again() {
    let server = server().await;
    let input = with_common(json!({ "digits": 1000 }));
    let [first, second] = twice(&server, "startPiJob", input, |spec| spec["priority"] = json!(100)).await;
    let size = async |id: &str| server.task(id).await["result"]["size"].clone();
    assert_eq!(size(&first).await, size(&second).await);
}

#[tokio::test]
async fn a_timer_is_sent_again_with_its_secrets_put_back() {
    let (server, receiver) = (server().await, Receiver::kind().await);
    let url = receiver.url.replace("http://", "http://me:pass@");
    let secret = json!({ "name": "Authorization", "value": "Bearer abc" });
    let input = json!({
        "url": format!("{url}/hook?x=1"), "when": { "after": { "seconds": 0.05 } }, "delivery": "AT_MOST_ONCE", "body": "{\"a\": 1}",
        "headers": [{ "name": "X-Trace", "value": "7" }, secret], "timeoutSeconds": 2.5
    });
    let (first, mut spec) = start(&server, "startTimer", &input).await;
    let masked = json!([{ "name": "X-Trace", "value": "7" }, { "name": "Authorization", "value": "***" }]);
    assert_eq!((&spec["headers"], &spec["url"]), (&masked, &json!(format!("{}/hook?x=1", url.replace("pass", "***")))));
    server.until(&first, "COMPLETED").await;

    let query = "mutation($input: StartTimerInput!) { startTimer(input: $input) { id spec } }";
    let all = "mutation($inputs: [StartTimerInput!]!) { startTimers(inputs: $inputs) { id } }";
    let refused = server.refusal(query, json!({ "input": spec })).await;
    assert_eq!(refused["extensions"], json!({ "code": "BAD_USER_INPUT", "field": "url" }), "{refused}");
    spec["url"] = input["url"].clone();
    let refused = server.refusal(all, json!({ "inputs": [spec] })).await;
    assert_eq!(refused["extensions"], json!({ "code": "BAD_USER_INPUT", "field": "inputs.0.headers" }), "{refused}");
    spec["headers"][1] = secret;
    let (second, _) = start(&server, "startTimer", &spec).await;
    server.until(&second, "COMPLETED").await;
    let hooks = receiver.hooks();
    let sent = |place: usize| (hooks[place].header("authorization").to_owned(), hooks[place].body.clone());
    assert_eq!((hooks.len(), sent(0)), (2, sent(1)));
    assert_eq!((&*hooks[0].id(), &*hooks[1].id()), (&*first, &*second));
}

#[tokio::test]
async fn a_password_of_a_source_is_masked_and_its_mask_refused() {
    let server = server().await;
    let query = "mutation($input: StartImportInput!) { startImport(input: $input) { id spec } }";
    let input = |url: &str| json!({ "source": { "url": url }, "dataset": "people", "startAt": "2999-01-01T00:00:00Z" });
    let started = server.data(query, json!({ "input": input("https://me:pass@example.org/a.csv") })).await;
    let spec = &started["startImport"]["spec"];
    assert_eq!(spec["source"]["url"], "https://me:***@example.org/a.csv");
    assert_eq!(spec["startAt"], "2999-01-01T00:00:00Z");
    server.control("terminate", started["startImport"]["id"].as_str().unwrap()).await;
    let refused = server.refusal(query, json!({ "input": spec })).await;
    assert_eq!(refused["extensions"], json!({ "code": "BAD_USER_INPUT", "field": "source.url" }), "{refused}");
}

#[tokio::test]
async fn tags_and_priorities_are_checked() {
    let server = server().await;
    let query = "mutation($input: StartPiJobInput!) { startPiJob(input: $input) { tags priority version createdBy } }";
    let many: Vec<_> = (0..17).map(|n| n.to_string()).collect();
    for (field, value) in [
        ("tags", json!(many)),
        ("tags", json!([""])),
        ("tags", json!(["x".repeat(65)])),
        ("tags", json!(["a\0b"])),
        ("priority", json!(101)),
        ("priority", json!(-101)),
    ] {
        let mut input = json!({ "digits": 10 });
        input[field] = value;
        let refused = server.refusal(query, json!({ "input": input })).await;
        assert_eq!(refused["extensions"], json!({ "code": "BAD_USER_INPUT", "field": field }), "{refused}");
    }
    let input = json!({ "digits": 10, "tags": ["b", "\u{1f600}".repeat(64), "a", "b"], "priority": 100 });
    let task = server.data(query, json!({ "input": input })).await["startPiJob"].take();
    assert_eq!((&task["tags"], &task["priority"]), (&json!(["a", "b", "\u{1f600}".repeat(64)]), &json!(100)));
    assert_eq!((&task["version"], &task["createdBy"]), (&json!(1), &json!("anonymous")));
}
