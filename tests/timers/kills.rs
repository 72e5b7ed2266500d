//! kill -9 while timers are made and fire, and nodes that share a store.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{after, and, with};
use crate::chaos::random::Random;
use crate::chaos::two_nodes::TwoNodes;
use crate::harness::now;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::server::Server;

const KILLS: u32 = 20;

/// Number of deliveries of each task's webhook.
fn counts(receiver: &Receiver) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for hook in receiver.hooks() {
        *counts.entry(hook.id()).or_insert(0) += 1;
    }
    counts
}

/// A client that makes timers, as fast as they are answered, until the server is gone; the ids that were acknowledged.
async fn create(url: String, input: Value, acknowledged: watch::Sender<u64>) -> Vec<String> {
    let (client, mut ids) = (crate::harness::client(), Vec::new());
    let query = "mutation($input: StartTimerInput!) { startTimer(input: $input) { id } }";
    let body = json!({ "query": query, "variables": { "input": input } });
    loop {
        let Ok(answer) = client.post(format!("{url}/graphql")).json(&body).send().await else { return ids };
        let Ok(answer) = answer.json::<Value>().await else { return ids };
        ids.push(answer["data"]["startTimer"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned());
        acknowledged.send_modify(|count| *count += 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_miss_none_that_was_acknowledged() {
    let mut random = Random::new();
    let mut server = with(&[("PAUSA_CRASH_LIMIT", "100")]).await;
    let receiver = Receiver::kind().await;
    let (mut least, mut most) = (Vec::new(), Vec::new());
    for _ in 0..KILLS {
        let acknowledged = watch::Sender::new(0);
        let clients: Vec<_> = (0..4)
            .map(|n| {
                let delivery = if n % 2 == 0 { "AT_LEAST_ONCE" } else { "AT_MOST_ONCE" };
                let delay = 0.001 * random.between(0, 60) as f64;
                let input = and(after(&receiver.url, delay), json!({ "delivery": delivery }));
                tokio::spawn(create(server.url.clone(), input, acknowledged.clone()))
            })
            .collect();
        let enough = random.between(5, 60);
        acknowledged.subscribe().wait_for(|count| *count >= enough).await.unwrap();
        server.kill().await;
        for (n, client) in clients.into_iter().enumerate() {
            let ids = client.await.unwrap();
            if n % 2 == 0 { least.extend(ids) } else { most.extend(ids) }
        }
        server.restart().await;
    }
    for id in &least {
        let task = ended(&server, id).await;
        assert_eq!(task["state"], "COMPLETED", "{task}");
    }
    let (mut unknown, mut doubled) = (0, 0);
    for id in &most {
        let task = ended(&server, id).await;
        if task["state"] == "FAILED" {
            let message = task["error"]["message"].as_str().unwrap();
            assert_eq!(message, "A crash interrupted the delivery. It may have been sent, so it is not sent again.");
            unknown += 1;
        }
    }
    let counts = counts(&receiver);
    for id in &least {
        let came = counts.get(id).copied().unwrap_or_default();
        assert!(came >= 1, "{id} was acknowledged and missed");
        doubled += usize::from(came > 1);
    }
    for id in &most {
        assert!(counts.get(id).copied().unwrap_or_default() <= 1, "{id} came twice");
    }
    println!("{} and {} timers, {doubled} doubled, {unknown} unknown", least.len(), most.len());
    assert!(least.len() + most.len() >= 5 * KILLS as usize);
}

async fn ended(server: &Server, id: &str) -> Value {
    let query = "query($id: ID!) { task(id: $id) { state error { message } } }";
    let task = server.data(query, json!({ "id": id })).await["task"].take();
    if ["COMPLETED", "FAILED"].contains(&task["state"].as_str().unwrap()) {
        return task;
    }
    let mut watch = crate::harness::watch::Watch::progress(&server.url, id).await;
    watch.until(|task| ["COMPLETED", "FAILED"].contains(&task["state"].as_str().unwrap())).await
}

/// An answer is given once the timer is on disk: killed right after it, none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_right_after_the_answer_it_is_there() {
    let (mut server, receiver) = (with(&[]).await, Receiver::kind().await);
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(server.timer(after(&receiver.url, 3600.0)).await);
        server.kill().await;
        server.restart().await;
    }
    for id in &ids {
        assert_eq!(server.task(id).await["state"], "SCHEDULED");
    }
    assert_eq!(receiver.count(), 0);
}

/// Starts a server, creates timers that are due one millisecond after the other, and kills the server before the first is
/// due. Returns the stopped server, the time of the first timer, and the IDs. The time in which a busy machine creates
/// them is unknown: if it is too short, starts again with twice the time.
async fn killed_before_due(many: usize, settings: &[(&str, &str)], url: &str) -> (Server, Timestamp, Vec<String>) {
    let mut ahead = SignedDuration::from_secs(3);
    loop {
        let mut server = with(settings).await;
        let first = now() + ahead;
        let created = (0..many).map(|n| {
            let at = first + SignedDuration::from_millis(i64::try_from(n).unwrap());
            server.timer(json!({ "url": url, "when": { "at": at.to_string() } }))
        });
        let ids = futures_util::future::join_all(created).await;
        server.kill().await;
        // The server claims timers 25 ms before they are due.
        if now() + SignedDuration::from_millis(100) < first {
            return (server, first, ids);
        }
        ahead *= 2;
    }
}

/// Returns the time of the first claim.
fn claimed_at(task: &Value) -> Timestamp {
    let history = task["history"].as_array().unwrap();
    let claim = history.iter().find(|change| change["to"] == "RUNNING").unwrap();
    claim["at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_due_while_no_node_was_up_fires_after_oldest_first() {
    const MANY: usize = 400;
    // All may be sent at once. A host without room for them all would defer some, and those lose their place.
    let settings = [("PAUSA_TIMER_MAX_SENDING_PER_HOST", "400")];
    let receiver = Receiver::kind().await;
    let (mut server, first, ids) = killed_before_due(MANY, &settings, &receiver.url).await;
    let before = receiver.count();
    let outage = now().duration_until(first) + SignedDuration::from_secs(2);
    tokio::time::sleep(outage.try_into().unwrap()).await;
    server.restart().await;
    receiver.until(before + MANY).await;
    let mut claims = Vec::new();
    for id in &ids {
        server.until(id, "COMPLETED").await;
        let task = server.task(id).await;
        assert!(task["deliveries"][0]["latenessMs"].as_f64().unwrap() > 1000.0, "{task}");
        claims.push(claimed_at(&task));
    }
    assert!(claims.is_sorted(), "{claims:?}");
    let counts = counts(&receiver);
    assert!(ids.iter().all(|id| counts[id] == 1), "each fires once");
}

/// Two nodes claim from the same timers. While both keep their leases, each timer fires once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_fire_each_timer_once() {
    // Longer than a busy machine keeps a node from renewing its lease: a node that loses it sends what it claimed again.
    let settings = [("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true"), ("PAUSA_LEASE_SECONDS", "60")];
    let (two, receiver) = (TwoNodes::start(&settings).await, Receiver::kind().await);
    let input = after(&receiver.url, 1.0);
    let made = (0..600).map(|n| if n % 2 == 0 { two.a.timer(input.clone()) } else { two.b.timer(input.clone()) });
    let ids = futures_util::future::join_all(made).await;
    receiver.until(600).await;
    for id in &ids {
        two.a.until(id, "COMPLETED").await;
    }
    assert_eq!((counts(&receiver).len(), receiver.count()), (600, 600));
}

/// One of two nodes dies while it fires timers. Each `AT_LEAST_ONCE` timer fires, and no `AT_MOST_ONCE` timer fires twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_timers_of_a_dead_node_fire_on_the_other_one() {
    let settings = [("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true"), ("PAUSA_LEASE_SECONDS", "1")];
    let (mut two, receiver) = (TwoNodes::start(&settings).await, Receiver::kind().await);
    let most = and(after(&receiver.url, 0.5), json!({ "delivery": "AT_MOST_ONCE" }));
    let made = (0..200).map(|n| two.a.timer(if n % 2 == 0 { most.clone() } else { after(&receiver.url, 0.5) }));
    let ids = futures_util::future::join_all(made).await;
    receiver.until(50).await;
    two.b.kill().await;
    for (n, id) in ids.iter().enumerate() {
        let task = ended(&two.a, id).await;
        let came = counts(&receiver).get(id).copied().unwrap_or_default();
        assert!(if n % 2 == 0 { came <= 1 } else { came >= 1 && task["state"] == "COMPLETED" }, "{came} times: {task}");
    }
}

/// A crash hides nothing of a timer that was taken and had not been sent: it fires, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_and_not_sent_is_not_unknown() {
    let mut server = with(&[("PAUSA_TIMER_MAX_SENDING_PER_HOST", "1")]).await;
    let receiver = Receiver::start(|_, _| Answer::Never).await;
    let most = |at: &str| and(after(&format!("{}{at}", receiver.url), 0.0), json!({ "delivery": "AT_MOST_ONCE" }));
    let sent = server.timer(most("/sent")).await;
    receiver.until(1).await;
    // It waits for its turn behind the one that hangs.
    let taken = server.timer(most("/taken")).await;
    server.until(&taken, "RUNNING").await;
    server.kill().await;
    receiver.change(|_, _| Answer::Status(200));
    server.restart().await;
    assert_eq!(ended(&server, &taken).await["state"], "COMPLETED");
    let unknown = ended(&server, &sent).await;
    assert_eq!(
        unknown["error"]["message"],
        "A crash interrupted the delivery. It may have been sent, so it is not sent again."
    );
    let counts = counts(&receiver);
    assert_eq!((counts[&sent], counts[&taken]), (1, 1));
}
