//! Pause, resume and terminate of timers.

use jiff::Timestamp;
use serde_json::json;

use super::{after, and, server, states, with};
use crate::harness::now;
use crate::harness::receiver::{Answer, Receiver};

/// Waits until another timer, due later, has fired: a timer that was due before it and has not fired will not fire.
async fn pass(server: &crate::harness::server::Server, url: &str, seconds: f64) {
    let id = server.timer(after(url, seconds)).await;
    server.until(&id, "COMPLETED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_timer_does_not_fire_until_it_is_resumed() {
    let (server, receiver) = (server().await, Receiver::kind().await);
    let (late, early) = (server.timer(after(&receiver.url, 3.0)).await, server.timer(after(&receiver.url, 12.0)).await);
    assert_eq!(server.control("pause", &late).await, "PAUSED");
    assert_eq!(server.control("pause", &early).await, "PAUSED");
    pass(&server, &receiver.url, 3.1).await;
    assert_eq!(receiver.count(), 1, "only the other one");
    assert_eq!(server.control("resume", &early).await, "SCHEDULED");
    assert_eq!(server.control("resume", &late).await, "QUEUED");
    server.until(&late, "COMPLETED").await;
    assert_eq!(receiver.count(), 2, "at once, because it is overdue");
    server.until(&early, "COMPLETED").await;
    let (task, hook) = (server.task(&early).await, receiver.hooks().pop().unwrap());
    assert!(hook.at >= task["firesAt"].as_str().unwrap().parse::<Timestamp>().unwrap(), "not before its due time");
    assert_eq!(states(&task), ["SCHEDULED", "PAUSED", "SCHEDULED", "RUNNING", "COMPLETED"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_timer_never_fires() {
    let (server, receiver) = (server().await, Receiver::kind().await);
    let id = server.timer(after(&receiver.url, 3.0)).await;
    assert_eq!(server.control("terminate", &id).await, "TERMINATED");
    pass(&server, &receiver.url, 3.1).await;
    assert_eq!(receiver.count(), 1);
    let refused = server.verb("resume", &id).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "INVALID_STATE");
}

/// Hundreds of timers are stopped at the moment at which they are due: each fires or is stopped, and none does both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_that_is_stopped_when_due_fires_or_stops() {
    let (server, receiver) = (server().await, Receiver::kind().await);
    for verb in ["pause", "terminate"] {
        let due = now() + jiff::SignedDuration::from_millis(600);
        let input = json!({ "url": receiver.url, "when": { "at": due.to_string() } });
        let ids = futures_util::future::join_all((0..100).map(|_| server.timer(input.clone()))).await;
        let early = std::time::Duration::try_from(now().duration_until(due)).unwrap_or_default();
        tokio::time::sleep(early.saturating_sub(std::time::Duration::from_millis(20))).await;
        let answers = futures_util::future::join_all(ids.iter().map(|id| server.verb(verb, id))).await;
        pass(&server, &receiver.url, 0.1).await;
        let fired = receiver.hooks();
        for (id, answer) in ids.iter().zip(answers) {
            let state = server.task(id).await["state"].as_str().unwrap().to_owned();
            let came = fired.iter().filter(|hook| hook.id() == *id).count();
            match state.as_str() {
                "COMPLETED" => assert_eq!(came, 1),
                "PAUSED" => assert_eq!(came, 0, "{answer}"),
                // Its request may have been in progress when it was abandoned.
                "TERMINATED" => assert!(came <= 1, "{answer}"),
                other => panic!("{other}: {answer}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_that_is_being_sent_is_stopped_too() {
    let server = server().await;
    let receiver = Receiver::start(|_, before| if before == 0 { Answer::Never } else { Answer::Status(200) }).await;
    let input = |delivery: &str| and(after(&receiver.url, 0.0), json!({ "delivery": delivery }));

    // A termination abandons the request at once.
    let id = server.timer(input("AT_LEAST_ONCE")).await;
    receiver.until(1).await;
    assert_eq!(server.control("terminate", &id).await, "TERMINATED");
    let abandoned = &server.task(&id).await["deliveries"][0];
    assert_eq!(abandoned["error"], "stopped before a response");

    // A pause waits shortly for the response. The request is repeated after the resume.
    let id = server.timer(input("AT_LEAST_ONCE")).await;
    receiver.until(2).await;
    server.control("pause", &id).await;
    server.until(&id, "PAUSED").await;
    assert_eq!(server.control("resume", &id).await, "QUEUED");
    server.until(&id, "COMPLETED").await;
    assert_eq!(receiver.count(), 3);

    // A timer with AT_MOST_ONCE is not repeated.
    let id = server.timer(input("AT_MOST_ONCE")).await;
    receiver.until(4).await;
    server.control("pause", &id).await;
    let task = server.until(&id, "FAILED").await;
    assert_eq!(task["error"]["message"], "The delivery failed: stopped before a response.");
    assert_eq!(receiver.count(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_shutdown_releases_timers_and_counts_no_attempt() {
    let (mut server, receiver) = (server().await, Receiver::kind().await);
    let id = server.timer(after(&receiver.url, 0.5)).await;
    assert_eq!(server.terminate().await, Some(0));
    server.restart().await;
    server.until(&id, "COMPLETED").await;
    assert_eq!((server.task(&id).await["attempt"].as_u64(), receiver.count()), (Some(0), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_waiting_tasks_are_refused_with_a_retry_delay() {
    let (server, receiver) = (with(&[("PAUSA_MAX_WAITING", "3")]).await, Receiver::kind().await);
    let ids = [server.timer(after(&receiver.url, 60.0)).await, server.timer(after(&receiver.url, 60.0)).await];
    let soon = server.timer(after(&receiver.url, 0.2)).await;
    let query = "mutation($input: StartTimerInput!) { startTimer(input: $input) { id } }";
    let refused = server.refusal(query, json!({ "input": after(&receiver.url, 60.0) })).await;
    assert_eq!(refused["extensions"]["code"], "TOO_BUSY");
    assert_eq!(refused["extensions"]["retryAfterSeconds"], 1);
    server.until(&soon, "COMPLETED").await;
    server.timer(after(&receiver.url, 60.0)).await;
    assert_eq!(server.control("terminate", &ids[0]).await, "TERMINATED");
    server.timer(after(&receiver.url, 60.0)).await;
    assert_eq!(receiver.count(), 1);
}
