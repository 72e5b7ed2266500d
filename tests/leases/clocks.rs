//! Clocks an hour apart: the database's clock decides on every node.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Shared, ready, variable, was_taken_over};
use crate::harness::faketime::ahead;
use crate::harness::now;
use crate::harness::receiver::Receiver;
use crate::harness::server::Server;
use crate::metrics::until;

/// Tolerance of a moment: the error with which a node knows the database's clock, which is half a round trip.
const ERROR: SignedDuration = SignedDuration::from_millis(20);

/// A timer, and between which moments its client wanted it.
struct Wanted {
    id: String,
    from: Timestamp,
    until: Timestamp,
}

/// Starts a timer `after` that time at a node, whatever its clock shows.
async fn start_after(server: &Server, url: &str, after: SignedDuration) -> Wanted {
    let before = now();
    let when = json!({ "after": { "seconds": after.as_secs_f64() } });
    let id = server.timer(json!({ "url": url, "when": when })).await;
    Wanted { id, from: before + after, until: now() + after }
}

/// Starts a timer at a moment of the real clock.
async fn start_at(server: &Server, url: &str, at: Timestamp) -> Wanted {
    let id = server.timer(json!({ "url": url, "when": { "at": at.to_string() } })).await;
    Wanted { id, from: at, until: at }
}

fn moment(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_an_hour_apart_change_nothing() {
    let shared = Shared::new().await;
    let with =
        |seconds, role| [ahead(seconds), variable("PAUSA_LEASE_SECONDS", "2"), variable("PAUSA_ROLE", role)].concat();
    let fast = shared.node("fast", &with(3600, "worker")).await;
    let slow = shared.node("slow", &with(-3600, "worker")).await;
    let api = shared.node("api", &with(-3600, "api")).await;
    let receiver = Receiver::kind().await;
    for (node, text, sign) in [(&fast, "s ahead of the database's", 1.0), (&slow, "s behind the database's", -1.0)] {
        let body = ready(node, text).await;
        assert!(body.starts_with("ready\nwarning: the clock of this machine is 3600.0 s"), "{body}");
        let off = |seconds: f64| (seconds - sign * 3600.0).abs() < 1.0;
        until(node, "pausa_node_clock_ahead_seconds", off).await;
    }

    let mut wanted = Vec::new();
    for n in 0..60 {
        let after = SignedDuration::from_millis(2_000 + 50 * n);
        wanted.push(start_after(&api, &receiver.url, after).await);
        wanted.push(start_at(&api, &receiver.url, now() + after).await);
    }
    // A pause that ends by itself, and a start in the future, are due by the same clock.
    let paused = start_after(&api, &receiver.url, SignedDuration::from_millis(100)).await;
    let expires = now() + SignedDuration::from_secs(4);
    let query = "mutation($id: ID!, $at: DateTime!) { pause(id: $id, expiry: { at: $at, then: RESUME }) { id state } }";
    let asked = api.ask(query, json!({ "id": paused.id, "at": expires.to_string() })).await;
    let paused_in_time = asked["data"]["pause"]["state"] == "PAUSED";
    let starts = now() + SignedDuration::from_secs(3);
    let query = "mutation($at: DateTime!) { startPiJob(input: { digits: 10, startAt: $at }) { id createdAt } }";
    let pi = api.data(query, json!({ "at": starts.to_string() })).await["startPiJob"].take();
    assert!(moment(&pi["createdAt"]).duration_until(now()).abs() < SignedDuration::from_secs(60), "{pi}");

    receiver.until(wanted.len() + usize::from(paused_in_time)).await;
    let (mut early, mut late) = (SignedDuration::ZERO, SignedDuration::ZERO);
    for wanted in &wanted {
        let came: Vec<_> = receiver.hooks().into_iter().filter(|hook| hook.id() == wanted.id).collect();
        assert_eq!(came.len(), 1, "each fires once");
        early = early.max(came[0].at.duration_until(wanted.from));
        late = late.max(wanted.until.duration_until(came[0].at));
        let task = api.until(&wanted.id, "COMPLETED").await;
        assert_eq!(task["attempt"], 0);
        assert!(!was_taken_over(&api.task(&wanted.id).await), "nobody is taken for dead");
    }
    println!("clocks an hour apart: at most {early:?} early, {late:?} late");
    assert!(early <= ERROR && late < SignedDuration::from_secs(20), "{early:?} early, {late:?} late");
    if paused_in_time {
        let resumed = receiver.hooks().into_iter().find(|hook| hook.id() == paused.id).unwrap();
        assert!(resumed.at + ERROR >= expires, "the pause ended early");
    }
    let pi_id = pi["id"].as_str().unwrap();
    api.until(pi_id, "COMPLETED").await;
    let task = api.task(pi_id).await;
    let queued = task["history"].as_array().unwrap().iter().find(|change| change["to"] == "QUEUED").unwrap();
    assert!(moment(&queued["at"]) + ERROR >= starts, "{task}");
}
