//! Timers that are due while PostgreSQL or Redis is unavailable: each is delivered, once.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::chaos::two_nodes::TwoNodes;
use crate::harness::now;
use crate::harness::postgres::Postgres;
use crate::harness::proxy::Traffic;
use crate::harness::receiver::Receiver;
use crate::harness::redis::Redis;
use crate::harness::server::Server;
use crate::outages::until_ready;
use crate::store::test_store::TestStore;

/// Number of timers. Every other one is AT_MOST_ONCE.
const TIMERS: usize = 300;

/// Time between the moments at which two timers are due, in milliseconds.
const INTERVAL: i64 = 10;

/// Number of times that the connections of a node are cut or lost while its timers are due.
const CUTS: usize = 8;

/// Longer than any outage of the stories: nobody is taken for dead.
const LEASE: (&str, &str) = ("PAUSA_LEASE_SECONDS", "60");
const PRIVATE: (&str, &str) = ("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true");

/// Timers that are due one after the other.
struct DueTimers {
    ids: Vec<String>,
    first: Timestamp,
    receiver: Receiver,
}

impl DueTimers {
    /// Starts timers, the first of which is due in two seconds.
    async fn start(server: &Server) -> DueTimers {
        let (receiver, first) = (Receiver::kind().await, now() + SignedDuration::from_secs(2));
        let input = |n: usize| {
            let delivery = if n.is_multiple_of(2) { "AT_LEAST_ONCE" } else { "AT_MOST_ONCE" };
            let at = first + SignedDuration::from_millis(INTERVAL * i64::try_from(n).unwrap());
            json!({ "url": receiver.url, "when": { "at": at.to_string() }, "delivery": delivery })
        };
        let query = "mutation($inputs: [StartTimerInput!]!) { startTimers(inputs: $inputs) { id } }";
        let inputs: Vec<_> = (0..TIMERS).map(input).collect();
        let data = server.data(query, json!({ "inputs": inputs })).await;
        let started = data["startTimers"].as_array().unwrap().iter();
        let ids = started.map(|task| task["id"].as_str().unwrap().to_owned()).collect();
        DueTimers { ids, first, receiver }
    }

    /// Waits until this part of the timers is due.
    async fn until_due(&self, part: usize) {
        let at = self.first + SignedDuration::from_millis(INTERVAL * i64::try_from(part).unwrap());
        tokio::time::sleep(now().duration_until(at).try_into().unwrap_or(Duration::ZERO)).await;
    }

    /// Checks that each timer was delivered once. A timer whose outcome no node knows is FAILED, and was not sent twice.
    async fn are_delivered_once(&self, server: &Server) {
        until_ready(server, 200).await;
        let mut unknown = 0;
        for id in &self.ids {
            let task = ended(server, id).await;
            let came = self.receiver.hooks().iter().filter(|hook| hook.id() == *id).count();
            match task["state"].as_str().unwrap() {
                "COMPLETED" => assert_eq!(came, 1, "{task}"),
                _ => {
                    let error = task["error"]["message"].as_str().unwrap();
                    assert!(error.contains("may have been sent") && came <= 1, "{came}: {task}");
                    unknown += 1;
                }
            }
        }
        println!("{} timers delivered once, {unknown} unknown", self.ids.len() - unknown);
    }
}

/// Waits until the timer has ended.
async fn ended(server: &Server, id: &str) -> Value {
    let mut watch = crate::harness::watch::Watch::progress(&server.url, id).await;
    watch.until(|task| ["COMPLETED", "FAILED"].contains(&task["state"].as_str().unwrap())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_that_are_due_while_postgresql_is_stopped_are_delivered_once() {
    let postgres = Arc::new(tokio::task::spawn_blocking(Postgres::start).await.unwrap());
    let two = TwoNodes::on(TestStore::of(postgres.url()), &[LEASE, PRIVATE]).await;
    let timers = DueTimers::start(&two.a).await;
    timers.until_due(TIMERS / 3).await;
    for crash in 1..=2 {
        let stopped = Arc::clone(&postgres);
        tokio::task::spawn_blocking(move || stopped.stop()).await.unwrap();
        timers.until_due(TIMERS * crash / 2).await;
        let again = Arc::clone(&postgres);
        tokio::task::spawn_blocking(move || again.serve()).await.unwrap();
        timers.receiver.until(timers.receiver.count() + 1).await;
    }
    timers.are_delivered_once(&two.a).await;
}

/// Each cut may come between the commit of a claim and its answer.
async fn the_connections_are_lost(reset: bool) {
    let postgres = Arc::new(tokio::task::spawn_blocking(Postgres::start).await.unwrap());
    let (mut proxy, url) = postgres.proxy("postgres").await;
    let server = Server::with(&[("PAUSA_DATABASE_URL", &url), LEASE, PRIVATE]).await;
    let timers = DueTimers::start(&server).await;
    for cut in 0..CUTS {
        timers.until_due(TIMERS * cut / CUTS).await;
        if reset {
            proxy.cut();
            proxy.listen().await;
        } else {
            proxy.set(Traffic::Drop);
            proxy.set(Traffic::Pass);
        }
    }
    timers.are_delivered_once(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_that_are_due_while_connections_to_postgresql_are_cut_are_delivered_once() {
    the_connections_are_lost(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_that_are_due_while_connections_to_postgresql_are_half_open_are_delivered_once() {
    the_connections_are_lost(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_that_are_due_while_redis_is_flushed_and_killed_are_delivered_once() {
    let mut redis = Redis::start().await;
    let url = redis.url();
    let two = TwoNodes::start(&[("PAUSA_REDIS_URL", url.as_str()), LEASE, PRIVATE]).await;
    redis.until_heard_by(2).await;
    let timers = DueTimers::start(&two.a).await;
    timers.until_due(TIMERS / 4).await;
    assert_eq!(redis.command("FLUSHALL").await, "+OK\r\n");
    timers.until_due(TIMERS / 2).await;
    redis.kill();
    // Node `b` cannot hear of these.
    let late = DueTimers::start(&two.a).await;
    timers.until_due(TIMERS).await;
    late.until_due(TIMERS / 2).await;
    redis.restart().await;
    assert_eq!(redis.command("FLUSHALL").await, "+OK\r\n");
    for timers in [timers, late] {
        timers.are_delivered_once(&two.b).await;
    }
}
