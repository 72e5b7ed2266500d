//! A node that cannot renew its lease in time is not ready until it has renewed it.

use sqlx::{Connection, PgConnection};

use super::{Shared, variable};
use crate::outages::until_ready;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_lease_is_over_is_not_ready_until_it_has_renewed_it() {
    let shared = Shared::new().await;
    let node = shared.node("a", &variable("PAUSA_LEASE_SECONDS", "2")).await;
    assert_eq!(until_ready(&node, 200).await, "ready\n");
    let mut other = PgConnection::connect(&shared.test_store.url).await.unwrap();
    // The server responds, but nobody can write a lease.
    sqlx::raw_sql("BEGIN; LOCK TABLE pausa.nodes IN EXCLUSIVE MODE").execute(&mut other).await.unwrap();
    assert_eq!(until_ready(&node, 503).await, "the lease of this node is lost\n");
    assert_eq!(node.get("/healthz").await.status(), 200, "a restart would not help");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(until_ready(&node, 200).await, "ready\n");
}
