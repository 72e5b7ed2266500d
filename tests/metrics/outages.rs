//! Metrics while a database is unavailable, and of a node that was frozen.

use std::sync::Arc;

use rustix::process::Signal;
use serde_json::json;

use super::{scrape, until};
use crate::chaos::two_nodes::{LEASE, TwoNodes, roles};
use crate::harness::csv;
use crate::harness::postgres::Postgres;
use crate::harness::redis::Redis;
use crate::harness::server::{PATIENCE, Server};
use crate::store::test_store::TestStore;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_a_database_and_its_end_are_visible() {
    let postgres = Arc::new(tokio::task::spawn_blocking(Postgres::start).await.unwrap());
    let server = Server::with(&[("PAUSA_DATABASE_URL", &postgres.url())]).await;
    server.data("{ tasks { nodes { id } } datasets { nodes { name } } }", json!({})).await;
    let before = scrape(&server).await;
    before.is(&[("pausa_store_up", 1.0), ("pausa_datasets_up", 1.0), ("pausa_events_gaps_total", 0.0)]);
    until(&server, "pausa_events_up", |up| up == 1.0).await;
    assert!(before.has(r#"pausa_datasets_connections{state="idle"}"#));

    let stopped = Arc::clone(&postgres);
    tokio::task::spawn_blocking(move || stopped.stop()).await.unwrap();
    for query in ["{ tasks { nodes { id } } }", "{ datasets { nodes { name } } }"] {
        assert_eq!(server.refusal(query, json!({})).await["extensions"]["code"], "UNAVAILABLE");
    }
    let outage = scrape(&server).await;
    outage.is(&[("pausa_store_up", 0.0), ("pausa_datasets_up", 0.0)]);
    assert!(outage.value("pausa_store_unavailable_errors_total") >= 1.0);
    assert!(outage.value("pausa_datasets_unavailable_errors_total") >= 1.0);
    assert!(outage.value(r#"pausa_graphql_errors_total{code="UNAVAILABLE"}"#) >= 2.0);

    until(&server, "pausa_events_up", |up| up == 0.0).await;

    let again = Arc::clone(&postgres);
    tokio::task::spawn_blocking(move || again.serve()).await.unwrap();
    // The server may use connections from before the outage first.
    let answered = async {
        while server
            .ask("{ tasks { nodes { id } } datasets { nodes { name } } }", json!({}))
            .await
            .get("errors")
            .is_some()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("the databases did not answer in time");
    until(&server, "pausa_events_gaps_total", |gaps| gaps >= 1.0).await.is(&[("pausa_datasets_up", 1.0)]);
    until(&server, "pausa_store_up", |up| up == 1.0).await;
    until(&server, "pausa_events_up", |up| up == 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_redis_and_its_end_are_visible() {
    let (postgres, mut redis) = (TestStore::postgres().await, Redis::start().await);
    let server = Server::with(&[("PAUSA_DATABASE_URL", &postgres.url), ("PAUSA_REDIS_URL", &redis.url())]).await;
    until(&server, "pausa_events_up", |up| up == 1.0).await;
    redis.freeze();
    until(&server, "pausa_events_up", |up| up == 0.0).await.is(&[("pausa_store_up", 1.0)]);
    redis.thaw();
    until(&server, "pausa_events_up", |up| up == 1.0).await;
    redis.kill();
    until(&server, "pausa_events_up", |up| up == 0.0).await;
    redis.restart().await;
    until(&server, "pausa_events_up", |up| up == 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_counts_its_lost_lease() {
    let mut two = TwoNodes::start(&[LEASE]).await;
    let upload = two.a.upload(csv::people(2_000)).await;
    let id = two.a.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 2_500 })).await;
    two.a.until_done(&id, 300).await;
    let (frozen, other) = roles(&mut two.a, &mut two.b, &id).await;
    frozen.signal(Signal::STOP);
    other.until(&id, "COMPLETED").await;
    frozen.signal(Signal::CONT);
    until(frozen, "pausa_leases_lost_total", |lost| lost == 1.0).await;
    until(frozen, "pausa_runs_lost_total", |lost| lost == 1.0).await;
    scrape(other).await.is(&[("pausa_leases_lost_total", 0.0), ("pausa_runs_lost_total", 0.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_that_receives_a_stop_request_measures_it_whichever_node_runs_the_task() {
    let mut two = TwoNodes::start(&[]).await;
    let upload = two.a.upload(csv::people(5_000)).await;
    let id = two.a.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 500 })).await;
    two.a.until_done(&id, 10).await;
    let (runs, asked) = roles(&mut two.a, &mut two.b, &id).await;
    for verb in ["pause", "terminate"] {
        asked.control(verb, &id).await;
        let sample = format!("pausa_stop_duration_seconds_count{{verb=\"{verb}\"}}");
        until(asked, &sample, |count| count == 1.0).await;
        scrape(runs).await.is(&[(&sample, 0.0)]);
    }
}
