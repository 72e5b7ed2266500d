//! Requests: address, time, headers and body.

use axum::http::Version;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use super::{after, and, server, states, with};
use crate::harness::now;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::server::Server;

fn moment(text: &Value) -> Timestamp {
    text.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_task_id_is_appended_to_the_path_of_the_address() {
    let (server, receiver) = (server().await, Receiver::kind().await);
    let table = [
        ("", "/ID"),
        ("/", "/ID"),
        ("/a", "/a/ID"),
        ("/a/", "/a/ID"),
        ("/a/b%20c", "/a/b%20c/ID"),
        ("?x=1", "/ID?x=1"),
        ("/a/?x=1&y=%2F", "/a/ID?x=1&y=%2F"),
        ("/a#part", "/a/ID"),
    ];
    for (path, wanted) in table {
        let id = server.timer(after(&format!("{}{path}", receiver.url), 0.0)).await;
        let done = server.until(&id, "COMPLETED").await;
        assert_eq!(done["progress"]["done"], 1);
        let hook = receiver.hooks().pop().unwrap();
        assert_eq!(hook.path, wanted.replace("ID", &id), "{path}");
        assert_eq!((hook.method.as_str(), hook.body.len()), ("POST", 0));
        assert_eq!((hook.header("content-length"), hook.header("content-type")), ("0", ""));
        assert_eq!((hook.header("webhook-id"), hook.header("webhook-signature")), (&*id, ""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_fires_when_due_and_never_before() {
    let (server, receiver) = (server().await, Receiver::kind().await);
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push(server.timer(after(&receiver.url, 0.3 + 0.02 * f64::from(n))).await);
    }
    let waits = server.task(ids.last().unwrap()).await;
    assert_eq!((waits["kind"].as_str(), waits["state"].as_str()), (Some("TIMER"), Some("SCHEDULED")));
    assert!(waits["secondsLeft"].as_f64().unwrap() > 0.0 && waits["deliveries"] == json!([]));
    let hooks = receiver.until(ids.len()).await;
    for id in &ids {
        server.until(id, "COMPLETED").await;
        let task = server.task(id).await;
        let hook = hooks.iter().find(|hook| hook.id() == *id).unwrap();
        assert!(hook.at >= moment(&task["firesAt"]), "{hook:?} came before {}", task["firesAt"]);
        assert_eq!(states(&task), ["SCHEDULED", "RUNNING", "COMPLETED"]);
        let tries = task["deliveries"].as_array().unwrap();
        assert_eq!((tries.len(), &tries[0]["status"], &tries[0]["error"]), (1, &json!(200), &Value::Null));
        assert!(moment(&tries[0]["at"]) >= moment(&task["firesAt"]) && tries[0]["latenessMs"].as_f64().unwrap() >= 0.0);
        assert_eq!(task["secondsLeft"], 0.0);
    }
    let metrics = server.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("pausa_timer_lateness_seconds_count 40"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delays_are_exact_and_a_past_time_fires_at_once() {
    let (server, receiver) = (server().await, Receiver::kind().await);
    let query = "mutation($input: StartTimerInput!) { startTimer(input: $input) {
        id state createdAt startAt firesAt secondsLeft } }";
    let table = [
        (json!({ "hours": 25 }), 90_000.0),
        (json!({ "hours": 8760, "minutes": 1, "seconds": 0.25 }), 31_536_060.25),
        (json!({ "minutes": 90 }), 5400.0),
    ];
    for (delay, seconds) in table {
        let input = json!({ "url": receiver.url, "when": { "after": delay } });
        let task = server.data(query, json!({ "input": input })).await["startTimer"].take();
        let span = moment(&task["createdAt"]).duration_until(moment(&task["firesAt"])).as_secs_f64();
        assert!((span - seconds).abs() < 0.1, "{task}");
        assert!((task["secondsLeft"].as_f64().unwrap() - seconds).abs() < 1.0, "{task}");
        assert_eq!((&task["state"], &task["startAt"]), (&json!("SCHEDULED"), &task["firesAt"]));
    }
    let past = json!({ "url": receiver.url, "when": { "at": "2020-01-31T12:00:00+02:00" } });
    let task = server.data(query, json!({ "input": past })).await["startTimer"].take();
    assert_eq!((&task["firesAt"], &task["secondsLeft"]), (&json!("2020-01-31T10:00:00Z"), &json!(0.0)));
    receiver.until(1).await;
    let at = now() + SignedDuration::from_millis(300);
    let at = json!({ "url": receiver.url, "when": { "at": at.to_string() } });
    let exact = server.data(query, json!({ "input": at })).await["startTimer"].take();
    let hook = receiver.until(2).await.pop().unwrap();
    assert!(hook.at >= moment(&at["when"]["at"]) && moment(&exact["firesAt"]) >= moment(&at["when"]["at"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_headers_are_sent_unchanged() {
    let (server, receiver) = (server().await, Receiver::kind().await);
    let table = [
        (json!({ "body": "{\"a\": \"Zürich\"}" }), "application/json"),
        (json!({ "body": "plain" }), "text/plain; charset=utf-8"),
        (json!({ "body": "", "headers": [] }), ""),
        (json!({ "body": "a,b", "headers": [{ "name": "Content-Type", "value": "text/csv" }] }), "text/csv"),
    ];
    for (more, media_type) in table {
        let headers =
            json!([{ "name": "X-Team", "value": "blue" }, { "name": "Authorization", "value": "Bearer s3cret" }]);
        let more = if more["headers"].is_null() { and(more, json!({ "headers": headers })) } else { more };
        let id = server.timer(and(after(&receiver.url, 0.0), more.clone())).await;
        server.until(&id, "COMPLETED").await;
        let hook = receiver.hooks().pop().unwrap();
        assert_eq!((hook.id(), hook.header("content-type")), (id, media_type));
        assert_eq!(hook.body, more["body"].as_str().unwrap().as_bytes());
        let sent = more["headers"].as_array().unwrap().len();
        assert_eq!(hook.header("x-team"), if sent == 2 { "blue" } else { "" });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_library_verifies_the_signature_with_each_key() {
    let keys = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"];
    let server = with(&[("PAUSA_WEBHOOK_SECRET", &keys.join(","))]).await;
    let receiver = Receiver::start(|_, before| Answer::Status(if before < 2 { 500 } else { 200 })).await;
    let body = "{\"total\": 3}";
    let id = server.timer(and(after(&receiver.url, 0.0), json!({ "body": body }))).await;
    let hooks = receiver.until(3).await;
    for hook in &hooks {
        for key in keys {
            Webhook::new(key).unwrap().verify(&hook.body, &hook.headers).unwrap();
        }
        let other = Webhook::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert!(other.verify(&hook.body, &hook.headers).is_err());
        assert!(Webhook::new(keys[0]).unwrap().verify(b"{\"total\": 4}", &hook.headers).is_err());
        assert_eq!(hook.header("webhook-id"), id, "the same in all attempts");
    }
}

/// Invalid inputs, with the field that is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_input_is_refused_and_starts_nothing() {
    let query = "mutation($input: StartTimerInput!) { startTimer(input: $input) { id } }";
    let now = json!({ "after": {} });
    let header = |name: &str, value: &str| json!({ "headers": [{ "name": name, "value": value }] });
    let open = "https://example.org/hook";
    let long = "x".repeat(262_145);
    let table = [
        ("url", "ftp://example.org/", json!({})),
        ("url", "file:///etc/passwd", json!({})),
        ("url", "example.org", json!({})),
        ("url", "http://", json!({})),
        ("url", "http://127.0.0.1:9/", json!({})),
        ("url", "http://[::1]/", json!({})),
        ("url", "http://10.1.2.3/", json!({})),
        ("url", "http://169.254.169.254/latest/meta-data/", json!({})),
        ("url", "http://[::ffff:192.168.0.1]/", json!({})),
        ("url", "http://2130706433/", json!({})),
        ("url", "http://0x7f.1/", json!({})),
        ("headers", open, header("Host", "internal")),
        ("headers", open, header("Content-Length", "5")),
        ("headers", open, header("Transfer-Encoding", "chunked")),
        ("headers", open, header("Connection", "close")),
        ("headers", open, header("Webhook-Signature", "v1,x")),
        ("headers", open, header("X-A", "a\r\nHost: internal")),
        ("headers", open, header("X A", "a")),
        ("headers", open, header("", "a")),
        ("body", open, json!({ "body": long })),
        ("timeoutSeconds", open, json!({ "timeoutSeconds": 0 })),
        ("timeoutSeconds", open, json!({ "timeoutSeconds": 601 })),
        ("when.after", open, json!({ "when": { "after": { "hours": -1 } } })),
        ("when.after", open, json!({ "when": { "after": { "seconds": -0.5 } } })),
        ("when.after", open, json!({ "when": { "after": { "hours": 2_000_000_000 } } })),
        ("when.after", open, json!({ "when": { "after": { "seconds": 1e300 } } })),
    ];
    let server = Server::start().await;
    for (field, url, more) in table {
        let input = and(json!({ "url": url, "when": now }), more);
        let error = server.refusal(query, json!({ "input": input })).await;
        let code = (&error["extensions"]["code"], &error["extensions"]["field"]);
        assert_eq!(code, (&json!("BAD_USER_INPUT"), &json!(field)), "{url} {error}");
    }
    for when in [json!({}), json!({ "at": "2030-01-01T00:00:00Z", "after": {} }), json!({ "at": "tomorrow" })] {
        server.refusal(query, json!({ "input": { "url": open, "when": when } })).await;
    }
    assert_eq!(server.data("{ tasks { totalCount } }", json!({})).await["tasks"]["totalCount"], 0);
}

/// A host name may resolve to a private address. That is checked when it is resolved for sending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_name_that_resolves_to_a_private_address_is_refused() {
    let server = Server::start().await;
    let id = server.timer(after("http://localhost:9/hook?key=s3cret", 0.0)).await;
    let task = server.until(&id, "FAILED").await;
    let error = &task["error"];
    assert_eq!(error["code"], "BAD_USER_INPUT");
    assert!(error["message"].as_str().unwrap().contains("PAUSA_OUTBOUND_ALLOW_PRIVATE"), "{error}");
    assert!(!error["message"].as_str().unwrap().contains("s3cret"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_in_the_address_is_used_and_not_shown() {
    let (server, receiver) = (server().await, Receiver::kind().await);
    let url = receiver.url.replace("http://", "http://me:hunter2@") + "/hook?x=1";
    let id = server.timer(after(&url, 0.0)).await;
    let hook = receiver.until(1).await.pop().unwrap();
    assert_eq!(hook.header("authorization"), "Basic bWU6aHVudGVyMg==");
    let task = server.task(&id).await;
    assert_eq!(task["url"], receiver.url.clone() + "/hook?x=1");
    assert!(!task.to_string().contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_starts_one_timer() {
    let (server, receiver) = (server().await, Receiver::kind().await);
    let input = and(after(&receiver.url, 0.2), json!({ "idempotencyKey": "invoice 7", "label": "invoices" }));
    let ids = futures_util::future::join_all((0..10).map(|_| server.timer(input.clone()))).await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    server.until(&ids[0], "COMPLETED").await;
    assert_eq!(receiver.count(), 1);
}

/// Webhooks for one https host share a connection by HTTP/2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_for_one_host_share_an_http_2_connection() {
    let (receiver, certificate) = Receiver::secure().await;
    let known = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(known.path(), certificate).unwrap();
    let server = with(&[("SSL_CERT_FILE", known.path().to_str().unwrap())]).await;
    let first = server.timer(after(&receiver.url, 0.0)).await;
    server.until(&first, "COMPLETED").await;
    let ids = futures_util::future::join_all((0..50).map(|_| server.timer(after(&receiver.url, 0.3)))).await;
    for id in &ids {
        server.until(id, "COMPLETED").await;
    }
    let hooks = receiver.hooks();
    assert_eq!(hooks.len(), 51);
    assert!(hooks.iter().all(|hook| hook.version == Version::HTTP_2), "{:?}", hooks[0].version);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untrusted_certificate_is_named_in_the_error() {
    let (receiver, _) = Receiver::secure().await;
    let server = with(&[("PAUSA_TIMER_ATTEMPTS", "1")]).await;
    let id = server.timer(after(&receiver.url, 0.0)).await;
    let failed = server.until(&id, "FAILED").await;
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(message.contains("certificate"), "{message}");
    assert_eq!(receiver.count(), 0);
}
