//! Responses of the receiver, and what follows.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{after, and, server, states, with};
use crate::harness::receiver::{Answer, Receiver};

/// Returns status and error of each attempt.
fn attempts(task: &Value) -> Vec<(Option<u64>, Option<&str>)> {
    let attempts = task["deliveries"].as_array().unwrap();
    attempts.iter().map(|one| (one["status"].as_u64(), one["error"].as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_2xx_is_success() {
    let server = server().await;
    for status in [200, 201, 202, 204, 226] {
        let receiver = Receiver::start(move |_, _| Answer::Status(status)).await;
        let id = server.timer(after(&receiver.url, 0.0)).await;
        server.until(&id, "COMPLETED").await;
        assert_eq!(attempts(&server.task(&id).await), [(Some(status.into()), None)]);
        assert_eq!(receiver.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_attempt_is_retried_until_it_succeeds() {
    let server = server().await;
    let receiver = Receiver::start(|_, before| match before {
        0 => Answer::Status(500),
        1 => Answer::Redirect,
        2 => Answer::RetryAfter(503, "1"),
        3 => Answer::RetryAfter(429, "0"),
        _ => Answer::Status(204),
    });
    let receiver = receiver.await;
    let id = server.timer(after(&receiver.url, 0.1)).await;
    server.until(&id, "COMPLETED").await;
    let task = server.task(&id).await;
    let statuses: Vec<_> = attempts(&task).into_iter().map(|(status, _)| status.unwrap()).collect();
    assert_eq!(statuses, [500, 307, 503, 429, 204]);
    assert_eq!(attempts(&task)[0].1, Some("HTTP 500 Internal Server Error: as the story requires"));
    assert_eq!(task["error"], Value::Null);
    assert_eq!(&states(&task)[..4], ["SCHEDULED", "RUNNING", "SCHEDULED", "RUNNING"]);
    let reason = task["history"][2]["reason"].as_str().unwrap();
    assert_eq!(reason, "Attempt 1 of 10 failed: HTTP 500 Internal Server Error: as the story requires.");
    let hooks = receiver.hooks();
    assert!(hooks.iter().all(|hook| !hook.path.contains("elsewhere")), "no redirect is followed");
    let waited = hooks[2].at.duration_until(hooks[3].at);
    assert!(waited.as_secs_f64() >= 1.0, "Retry-After: 1, and it came after {waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_410_and_the_last_attempt_end_the_timer() {
    let server = with(&[("PAUSA_TIMER_ATTEMPTS", "3")]).await;
    let gone = Receiver::start(|_, _| Answer::Status(410)).await;
    let id = server.timer(after(&gone.url, 0.0)).await;
    let task = server.until(&id, "FAILED").await;
    assert_eq!((task["error"]["code"].as_str(), gone.count()), (Some("NOT_FOUND"), 1));

    let receiver = Receiver::start(|_, _| Answer::Status(502)).await;
    let id = server.timer(after(&receiver.url, 0.0)).await;
    server.until(&id, "FAILED").await;
    let task = server.task(&id).await;
    let message = "All 3 attempts failed. Last error: HTTP 502 Bad Gateway: as the story requires.";
    assert_eq!(task["error"], json!({ "code": "UNAVAILABLE", "message": message }));
    assert_eq!(task["history"].as_array().unwrap().last().unwrap()["reason"], message);
    assert_eq!((receiver.count(), attempts(&task).len()), (3, 3));

    // After a resume it has all its attempts again.
    receiver.change(|_, before| Answer::Status(if before < 5 { 502 } else { 200 }));
    assert_eq!(server.control("resume", &id).await, "QUEUED");
    server.until(&id, "COMPLETED").await;
    assert_eq!(receiver.count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_connections_and_unknown_hosts_are_retried() {
    let server = with(&[("PAUSA_TIMER_ATTEMPTS", "2")]).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [format!("http://{closed}/"), "http://no-such-host.invalid/".to_owned()] {
        for delivery in ["AT_LEAST_ONCE", "AT_MOST_ONCE"] {
            let id = server.timer(and(after(&url, 0.0), json!({ "delivery": delivery }))).await;
            let task = server.until(&id, "FAILED").await;
            let message = task["error"]["message"].as_str().unwrap();
            assert!(message.starts_with("All 2 attempts failed. Last error: could not connect"), "{message}");
        }
    }
}

/// Without a response in time, the receiver may still have handled the request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_is_retried_only_with_at_least_once() {
    let server = server().await;
    let receiver = Receiver::start(|_, before| if before == 0 { Answer::Never } else { Answer::Status(200) }).await;
    let hanging = and(after(&receiver.url, 0.0), json!({ "timeoutSeconds": 0.3 }));
    let id = server.timer(hanging.clone()).await;
    server.until(&id, "COMPLETED").await;
    let task = server.task(&id).await;
    assert_eq!(attempts(&task), [(None, Some("no response within 0.3 seconds")), (Some(200), None)]);

    let id = server.timer(and(hanging, json!({ "delivery": "AT_MOST_ONCE" }))).await;
    let task = server.until(&id, "FAILED").await;
    assert_eq!(task["error"]["message"], "The delivery failed: no response within 0.3 seconds.");
    assert_eq!(receiver.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_response_within_the_timeout_counts() {
    let server = server().await;
    let receiver = Receiver::start(|_, _| Answer::Late(Duration::from_millis(700))).await;
    let id = server.timer(after(&receiver.url, 0.0)).await;
    server.until(&id, "COMPLETED").await;
    assert_eq!(receiver.count(), 1);
}
