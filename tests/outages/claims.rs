//! Connections that are lost while a node claims tasks: a claim may be committed although its answer is lost.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;

use super::Proxied;
use crate::harness::postgres::Postgres;
use crate::harness::proxy::Traffic;
use crate::harness::server::Server;

/// Number of tasks, and of losses while a worker runs the first half of them.
const TASKS: usize = 60;
const LOSSES: usize = 10;

/// Each commit takes 100 ms, so most losses come between a commit and its answer.
const SLOW_COMMITS: [&str; 2] = ["commit_delay=100000", "commit_siblings=0"];

/// Waits until that many tasks are COMPLETED.
async fn until_completed(server: &Server, wanted: usize) {
    let query = "{ tasks(filter: { states: [COMPLETED] }, first: 1) { totalCount } }";
    while server.data(query, json!({})).await["tasks"]["totalCount"].as_u64().unwrap() < wanted as u64 {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_were_claimed_without_an_answer_run_while_their_node_lives() {
    let postgres = tokio::task::spawn_blocking(|| Postgres::with(&SLOW_COMMITS, |_| {})).await.unwrap();
    let (mut proxied, files) = (Proxied::on(Arc::new(postgres)).await, tempfile::tempdir().unwrap());
    let node = async |url: &str, role| {
        let settings = [("PAUSA_ROLE", role), ("PAUSA_LEASE_SECONDS", "60"), ("PAUSA_MAX_RUNNING", "2")];
        Server::sharing(url, &files, &settings).await
    };
    let api = node(&proxied.postgres.url(), "api").await;
    let ids = join_all((0..TASKS).map(|_| api.pi(1_000))).await;
    let _worker = node(&proxied.url, "worker").await;
    for loss in 0..LOSSES {
        until_completed(&api, loss * TASKS / (2 * LOSSES)).await;
        if loss % 2 == 0 {
            proxied.proxy.cut();
            proxied.proxy.listen().await;
        } else {
            proxied.proxy.set(Traffic::Drop);
            proxied.proxy.set(Traffic::Pass);
        }
    }
    for id in &ids {
        api.until(id, "COMPLETED").await;
        assert_eq!(api.task(id).await["attempt"], 0);
    }
}
