//! The log of an outage of Redis: one warning when it begins, and one line when it ends.

use serde_json::json;

use crate::harness::csv;
use crate::harness::redis::Redis;
use crate::harness::server::Server;
use crate::metrics::{scrape, until};
use crate::outages::warnings;
use crate::store::test_store::TestStore;

/// Lines of an outage of the events and of the limits of requests: its beginning and its end.
const LINES: [&str; 4] = [
    "event channel unavailable",
    "event channel available again",
    "cannot count requests at Redis",
    "the nodes count requests together again",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_redis_is_one_warning_and_one_line_at_its_end_however_many_events_are_not_sent() {
    let (store, mut redis) = (TestStore::postgres().await, Redis::start().await);
    let settings = [
        ("PAUSA_DATABASE_URL", store.url.as_str()),
        ("PAUSA_REDIS_URL", &redis.url()),
        ("PAUSA_HTTP_REQUESTS_PER_SECOND", "1000"),
        ("PAUSA_LOG", "info"),
    ];
    let (mut node, log) = Server::logging(&settings).await;
    until(&node, "pausa_events_up", |up| up == 1.0).await;
    redis.until_clients("evalsha", 1).await;
    // It sends ten events a second.
    let upload = node.upload(csv::people(200_000)).await;
    let id = node.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 1_000 })).await;
    node.until_done(&id, 1).await;
    for killed in [true, false] {
        let before = scrape(&node).await.value("pausa_events_gaps_total");
        if killed {
            redis.kill();
        } else {
            redis.freeze();
        }
        // Requests are counted meanwhile, and a gap comes each second.
        let mut gaps = before;
        while gaps < before + 6.0 {
            node.task(&id).await;
            gaps = scrape(&node).await.value("pausa_events_gaps_total");
        }
        if killed {
            redis.restart().await;
        } else {
            redis.thaw();
        }
        until(&node, "pausa_events_up", |up| up == 1.0).await;
        redis.until_clients("evalsha", 1).await;
    }
    assert_eq!(node.terminate().await, Some(0));
    let log = log.await.unwrap();
    for line in LINES {
        assert_eq!(log.matches(line).count(), 2, "{line}: {log}");
    }
    assert_eq!(warnings(&log).len(), 4, "{log}");
}
