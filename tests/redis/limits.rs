//! Two nodes count the requests of a caller together by Redis, and each for itself without it.

use crate::chaos::two_nodes::TwoNodes;
use crate::harness::callers::{TRUSTED, is_limited, query, until_refused};
use crate::harness::redis::Redis;

/// Requests that a caller may send at once.
pub const BURST: usize = 30;

/// Two nodes that limit the requests of each caller.
pub async fn nodes(url: &str) -> TwoNodes {
    let limits = [("PAUSA_HTTP_REQUESTS_PER_SECOND", "1"), ("PAUSA_HTTP_REQUEST_BURST", "30"), TRUSTED];
    TwoNodes::start(&[limits.as_slice(), &[("PAUSA_REDIS_URL", url)]].concat()).await
}

/// Two nodes together admit no more requests than the limit.
pub async fn count_together(two: &TwoNodes, caller: &str) {
    let (admitted, refusal) = until_refused(&[&two.a, &two.b], caller).await;
    assert!((BURST..2 * BURST).contains(&admitted), "{admitted}");
    is_limited(refusal).await;
}

/// Each node admits a burst. No request fails.
async fn count_alone(two: &TwoNodes, caller: &str) {
    for node in [&two.a, &two.b] {
        let (admitted, refusal) = until_refused(&[node], caller).await;
        assert!(admitted >= BURST, "{admitted}");
        is_limited(refusal).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_count_a_callers_requests_together() {
    let redis = Redis::start().await;
    let two = nodes(&redis.url()).await;
    redis.until_clients("evalsha", 2).await;
    count_together(&two, "198.51.100.7").await;
    let (admitted, _) = until_refused(&[&two.b], "198.51.100.8").await;
    assert!(admitted >= BURST, "another caller has its own: {admitted}");
    // Buckets are few bytes, and go by themselves.
    let ttl =
        redis.command("EVAL \"return redis.call('PTTL', redis.call('KEYS', '*requests:198.51.100.7')[1])\" 0").await;
    let ttl: u64 = ttl.trim_start_matches(':').trim().parse().unwrap();
    assert!((1..=31_000).contains(&ttl), "{ttl}");
    redis.command("FLUSHALL").await;
    count_together(&two, "198.51.100.7").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_node_counts_its_own_and_no_request_fails() {
    let mut redis = Redis::start().await;
    let two = nodes(&redis.url()).await;
    redis.until_clients("evalsha", 2).await;
    redis.kill();
    count_alone(&two, "198.51.100.1").await;
    redis.restart().await;
    redis.until_clients("evalsha", 2).await;
    count_together(&two, "198.51.100.2").await;
    // Its connections stay open, but nothing answers.
    redis.freeze();
    count_alone(&two, "198.51.100.3").await;
    redis.thaw();
    redis.until_clients("evalsha", 2).await;
    let admitted = query(&two.a, "198.51.100.4").send().await.unwrap();
    assert_eq!(admitted.status(), 200);
}
