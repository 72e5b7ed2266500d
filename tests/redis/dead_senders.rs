//! A node that is killed between the commit of a change and its event: the others learn of the change when its lease ends.

use serde_json::json;

use crate::harness::csv;
use crate::harness::proxy::{Proxy, Traffic, Upstream};
use crate::harness::redis::Redis;
use crate::harness::server::Server;
use crate::harness::watch::Watch;
use crate::store::test_store::TestStore;

const CHANGES: &str = "subscription { taskChanges(initial: 10) { id state } }";

/// One of two nodes expires the dead one and tells the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_learn_of_a_change_whose_node_was_killed_before_it_sent_the_event() {
    let (test_store, files, redis) = (TestStore::postgres().await, tempfile::tempdir().unwrap(), Redis::start().await);
    let proxy = Proxy::start(Upstream::Tcp(redis.address().parse().unwrap())).await;
    let through = redis.url().replace(&redis.address(), &proxy.address().to_string());
    let node = async |redis: &str, role| {
        let settings = [("PAUSA_REDIS_URL", redis), ("PAUSA_ROLE", role), ("PAUSA_LEASE_SECONDS", "2")];
        Server::sharing(&test_store.url, &files, &settings).await
    };
    let mut dies = node(&through, "all").await;
    let others = [node(&redis.url(), "api").await, node(&redis.url(), "api").await];
    redis.until_heard_by(3).await;
    let upload = dies.upload(csv::people(100_000)).await;
    let id = dies.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 500 })).await;
    let mut watches = Vec::new();
    for other in &others {
        let mut one = Watch::progress(&other.url, &id).await;
        one.until(|task| task["state"] == "RUNNING" && task["progress"]["done"].as_u64().unwrap() > 0).await;
        let mut all = Watch::open(&other.url, "taskChanges", CHANGES, json!({})).await;
        all.until(|task| task["id"] == id).await;
        watches.extend([one, all]);
    }

    // It commits PAUSED, and its event is lost with it.
    proxy.set(Traffic::Drop);
    assert_eq!(dies.control("pause", &id).await, "PAUSED");
    dies.kill().await;
    for watch in &mut watches {
        watch.until(|task| task["id"] == id && task["state"] == "PAUSED").await;
    }
}
