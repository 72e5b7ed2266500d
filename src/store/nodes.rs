//! Verbs of nodes: to join, to renew a lease, to claim tasks, and to release the tasks of dead nodes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::change::{Select, change_rows};
use super::sql::{self, Sql};
use super::write::{Committed, Write};
use super::{Error, Store, row};
use crate::task::{Author, ControlRequest, Task, TaskChange};

impl Store {
    /// Adds the node to the list of nodes, with a lease.
    #[tracing::instrument(target = "otlp.store", name = "store.join", skip_all)]
    pub async fn join(&self, node: &str, now: Timestamp, lease: Duration) -> Result<(), Error> {
        let (node, until) = (node.to_owned(), lease_end(now, lease));
        self.execute(move || sqlx::query(sql::JOIN).bind(node.clone()).bind(until)).await.map(drop)
    }

    /// Renews the lease of the node. False if the node is not listed: its lease has expired, and other nodes have its tasks.
    #[tracing::instrument(target = "otlp.store", name = "store.heartbeat", skip_all)]
    pub async fn heartbeat(&self, node: &str, now: Timestamp, lease: Duration) -> Result<bool, Error> {
        let (node, until) = (node.to_owned(), lease_end(now, lease));
        let renewed = self.execute(move || sqlx::query(sql::HEARTBEAT).bind(node.clone()).bind(until)).await?;
        Ok(renewed == 1)
    }

    /// Returns when the next lease of another node ends.
    #[tracing::instrument(target = "otlp.store", name = "store.next_lease_end", skip_all)]
    pub async fn next_lease_end(&self, node: &str) -> Result<Option<Timestamp>, Error> {
        let row = self.read(sqlx::query(sql::NEXT_LEASE_END).bind(node.to_owned()).fetch_one(&self.pool)).await?;
        Ok(row::moment_if(&row, "lease_until")?)
    }

    /// Removes a node that holds no task from the list of nodes.
    #[tracing::instrument(target = "otlp.store", name = "store.leave", skip_all)]
    pub async fn leave(&self, node: &str) -> Result<(), Error> {
        let node = node.to_owned();
        self.execute(move || sqlx::query(sql::DELETE_NODE).bind(node.clone())).await.map(drop)
    }

    /// Claims at most `limit` queued tasks, oldest first. Claims none for a node that is not listed.
    #[tracing::instrument(target = "otlp.store", name = "store.claim", skip_all)]
    pub async fn claim(&self, node: &str, now: Timestamp, limit: usize) -> Result<Vec<Arc<Task>>, Error> {
        let (node, limit) = (node.to_owned(), i64::try_from(limit).unwrap_or(i64::MAX));
        let select = Select::Queued { node: node.clone(), limit };
        self.change_all(select, move |task| task.claim(&node, now)).await
    }

    /// Claims tasks that no node has and whose run has ended: they are to be published, paused or rolled back.
    #[tracing::instrument(target = "otlp.store", name = "store.claim_ends", skip_all)]
    pub async fn claim_ends(&self, node: &str, now: Timestamp, limit: usize) -> Result<Vec<Arc<Task>>, Error> {
        let (node, limit) = (node.to_owned(), i64::try_from(limit).unwrap_or(i64::MAX));
        let select = Select::Ends { node: node.clone(), due: now.as_microsecond(), limit };
        self.change_all(select, move |task| task.claim(&node, now)).await
    }

    /// Applies what is due: at most `limit` starts and retries, and at most `limit` ends of pauses. Short tasks are not
    /// considered.
    #[tracing::instrument(target = "otlp.store", name = "store.process_due", skip_all)]
    pub async fn process_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Arc<Task>>, Error> {
        let (at, limit) = (now.as_microsecond(), i64::try_from(limit).unwrap_or(i64::MAX));
        let mut changed = self.change_all(Select::Due { at, limit }, move |task| task.process_due(now)).await?;
        changed.extend(self.change_all(Select::ExpiredPauses { at, limit }, move |task| task.process_due(now)).await?);
        Ok(changed)
    }

    /// Releases the tasks of nodes whose lease ended before `now`. A task whose nodes died more than `limit` times in a row
    /// fails.
    #[tracing::instrument(target = "otlp.store", name = "store.rescue", skip_all)]
    pub async fn rescue(&self, now: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        self.rescue_from(DeadNodes::LeaseEndedBefore(now.as_microsecond()), now, limit).await
    }

    /// Releases the tasks of all listed nodes. Only for a store to which no other process can write.
    #[tracing::instrument(target = "otlp.store", name = "store.rescue_all", skip_all)]
    pub async fn rescue_all(&self, now: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        self.rescue_from(DeadNodes::LeaseEndedBefore(i64::MAX), now, limit).await
    }

    /// Releases the tasks of an earlier process with this node's name.
    #[tracing::instrument(target = "otlp.store", name = "store.rescue_own", skip_all)]
    pub async fn rescue_own(&self, node: &str, now: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        self.rescue_from(DeadNodes::Named(node.to_owned()), now, limit).await
    }

    async fn rescue_from(&self, dead: DeadNodes, now: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        self.commit(Write::transaction((dead, now, limit), rescue)).await
    }
}

/// Nodes whose tasks are to be released.
enum DeadNodes {
    LeaseEndedBefore(i64),
    Named(String),
}

async fn rescue(
    conn: &mut AnyConnection,
    sql: &Sql,
    (dead, now, limit): &(DeadNodes, Timestamp, u32),
) -> sqlx::Result<Committed<Vec<Arc<Task>>>> {
    let nodes = match dead {
        DeadNodes::Named(node) => vec![node.clone()],
        DeadNodes::LeaseEndedBefore(moment) => {
            let rows = sqlx::query(sql.dead_nodes.clone()).bind(*moment).fetch_all(&mut *conn).await?;
            rows.iter().map(|row| row.try_get("name")).collect::<sqlx::Result<_>>()?
        }
    };
    let mut released = Vec::new();
    for node in nodes {
        released.extend(expire_node(conn, sql, &node, *now, *limit).await?);
    }
    Ok(Committed::of(released))
}

/// Releases the tasks of a dead node and removes it from the list of nodes.
async fn expire_node(
    conn: &mut AnyConnection,
    sql: &Sql,
    node: &str,
    now: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<TaskChange>> {
    let request = ControlRequest::by(Author::system(), now).with_reason(format!("the lease of node {node} expired"));
    let expire = |task: &mut Task| task.lease_expired(limit, &request);
    let rows = sqlx::query(sql.owned.clone()).bind(node.to_owned()).fetch_all(&mut *conn).await?;
    let released = change_rows(conn, sql, &rows, &expire).await?;
    sqlx::query(sql::DELETE_NODE).bind(node.to_owned()).execute(conn).await?;
    Ok(released)
}

/// End of a lease, in microseconds since 1970-01-01 UTC.
fn lease_end(now: Timestamp, lease: Duration) -> i64 {
    now.as_microsecond().saturating_add(i64::try_from(lease.as_micros()).unwrap_or(i64::MAX))
}
