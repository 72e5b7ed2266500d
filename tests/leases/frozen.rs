//! A node that fires timers is frozen for longer than its lease. When it continues, it sends nothing that another node has decided.

use std::collections::HashMap;

use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Shared, lost_its_lease, variable};
use crate::harness::now;
use crate::harness::receiver::{Answer, Hook, Receiver};
use crate::harness::server::Server;
use crate::metrics::until;

const ROUNDS: usize = 3;
const TIMERS: usize = 1_500;

/// Starts timers that are due in two seconds, every other one AT_MOST_ONCE, with and without a body. Returns their IDs.
async fn start_timers(server: &Server, url: &str) -> Vec<String> {
    let query = "mutation($inputs: [StartTimerInput!]!) { startTimers(inputs: $inputs) { id } }";
    let at = (now() + jiff::SignedDuration::from_secs(3)).to_string();
    let mut ids = Vec::new();
    for part in 0..TIMERS / 500 {
        let input = |n: usize| {
            let delivery = if n.is_multiple_of(2) { "AT_LEAST_ONCE" } else { "AT_MOST_ONCE" };
            let body = if n % 4 < 2 { Value::Null } else { json!("a body") };
            json!({ "url": url, "when": { "at": at }, "delivery": delivery, "body": body })
        };
        let inputs: Vec<_> = (0..500).map(|n| input(part * 500 + n)).collect();
        let data = server.data(query, json!({ "inputs": inputs })).await;
        ids.extend(data["startTimers"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()));
    }
    ids
}

async fn ended(server: &Server, id: &str) -> Value {
    let query = "query($id: ID!) { task(id: $id) { state finishedAt } }";
    loop {
        let task = server.data(query, json!({ "id": id })).await["task"].take();
        if ["COMPLETED", "FAILED"].contains(&task["state"].as_str().unwrap()) {
            return task;
        }
        let mut watch = crate::harness::watch::Watch::progress(&server.url, id).await;
        watch.until(|task| ["COMPLETED", "FAILED"].contains(&task["state"].as_str().unwrap())).await;
    }
}

fn by_task(hooks: Vec<Hook>) -> HashMap<String, Vec<Timestamp>> {
    let mut found: HashMap<String, Vec<Timestamp>> = HashMap::new();
    for hook in hooks {
        found.entry(hook.id()).or_default().push(hook.at);
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_sends_nothing_that_another_node_decided() {
    let shared = Shared::new().await;
    let settings = [variable("PAUSA_LEASE_SECONDS", "2"), variable("PAUSA_TIMER_MAX_SENDING_PER_HOST", "200")].concat();
    let (a, b) = (shared.node("a", &settings).await, shared.node("b", &settings).await);
    let receiver = Receiver::start(|_, _| Answer::Late(std::time::Duration::from_millis(10))).await;
    for round in 1..=ROUNDS {
        let before = receiver.count();
        let ids = start_timers(&a, &receiver.url).await;
        receiver.until(before + TIMERS / 10).await;
        b.signal(Signal::STOP);
        let mut ends = HashMap::new();
        for id in &ids {
            ends.insert(id.clone(), ended(&a, id).await);
        }
        let decided = receiver.count();
        b.signal(Signal::CONT);
        lost_its_lease(&b, round as f64).await;
        until(&b, "pausa_tasks_running", |running| running == 0.0).await;
        // What it sends now for a timer of its own comes after whatever it might have sent for the others.
        let next = b.timer(json!({ "url": receiver.url, "when": { "after": {} } })).await;
        ended(&b, &next).await;
        assert_eq!(receiver.count() - decided, 1, "the frozen node sent what another node had decided");

        let came = by_task(receiver.hooks());
        let (mut doubled, mut unknown) = (0, 0);
        for (n, id) in ids.iter().enumerate() {
            let (hooks, end) = (came.get(id).cloned().unwrap_or_default(), &ends[id]);
            let failed = end["state"] == "FAILED";
            if n.is_multiple_of(2) {
                assert!(!failed && !hooks.is_empty(), "{id}: {end}");
                doubled += usize::from(hooks.len() > 1);
            } else {
                assert!(hooks.len() <= 1 && (failed || hooks.len() == 1), "{id} came {} times: {end}", hooks.len());
                unknown += usize::from(failed);
                let at: Timestamp = end["finishedAt"].as_str().unwrap().parse().unwrap();
                assert!(!failed || hooks.iter().all(|hook| *hook <= at), "{id} was sent after it had FAILED");
            }
        }
        println!("round {round}: {doubled} AT_LEAST_ONCE doubled, {unknown} AT_MOST_ONCE unknown, of {TIMERS}");
    }
}
