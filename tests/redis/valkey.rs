//! Valkey in place of Redis: events, outages, and limits of requests.

use super::limits;
use crate::chaos::events::control_works;
use crate::chaos::two_nodes::TwoNodes;
use crate::harness::redis::Redis;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_valkey_nodes_hear_each_other_also_after_it_was_killed_and_frozen() {
    let mut valkey = Redis::valkey().await;
    assert!(valkey.command("INFO server").await.contains("server_name:valkey"));
    let mut two = TwoNodes::start(&[("PAUSA_REDIS_URL", &*valkey.url()), ("PAUSA_LEASE_SECONDS", "60")]).await;
    valkey.until_heard_by(2).await;
    control_works(&mut two).await;

    valkey.kill();
    control_works(&mut two).await;
    valkey.restart().await;
    valkey.until_heard_by(2).await;
    control_works(&mut two).await;

    valkey.freeze();
    control_works(&mut two).await;
    valkey.thaw();
    valkey.until_heard_by(2).await;
    control_works(&mut two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_valkey_two_nodes_count_a_callers_requests_together() {
    let valkey = Redis::valkey().await;
    let two = limits::nodes(&valkey.url()).await;
    valkey.until_clients("evalsha", 2).await;
    limits::count_together(&two, "198.51.100.7").await;
}
