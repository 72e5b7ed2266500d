//! The verbs of nodes: living, claiming, taking up what the dead left.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::sql::{self, Sql};
use super::write::{Change, Changed, Select, change_rows};
use super::{Error, Op, Store, row};
use crate::task::{ControlRequest, Task};

impl Store {
    /// The node is alive from now on, for a lease.
    #[tracing::instrument(target = "otlp.store", name = "store.join", skip_all)]
    pub async fn join(&self, node: &str, now: Timestamp, lease: Duration) -> Result<(), Error> {
        let (node, until) = (node.to_owned(), until(now, lease));
        self.write(Op::transaction(move |conn| {
            let query = sqlx::query(sql::JOIN).bind(node.clone()).bind(until);
            Box::pin(async move { query.execute(conn).await.map(drop) })
        }))
        .await
    }

    /// The node is still alive. False where the others took it for dead: its tasks are theirs.
    #[tracing::instrument(target = "otlp.store", name = "store.heartbeat", skip_all)]
    pub async fn heartbeat(&self, node: &str, now: Timestamp, lease: Duration) -> Result<bool, Error> {
        let (node, until) = (node.to_owned(), until(now, lease));
        self.write(Op::transaction(move |conn| {
            let query = sqlx::query(sql::HEARTBEAT).bind(node.clone()).bind(until);
            Box::pin(async move { Ok(query.execute(conn).await?.rows_affected() == 1) })
        }))
        .await
    }

    /// When the lease of one of the other nodes ends, unless that is heard of before.
    #[tracing::instrument(target = "otlp.store", name = "store.next_lease_end", skip_all)]
    pub async fn next_lease_end(&self, node: &str) -> Result<Option<Timestamp>, Error> {
        let row = self.read(sqlx::query(sql::NEXT_LEASE_END).bind(node.to_owned()).fetch_one(&self.pool)).await?;
        Ok(row::moment_if(&row, "lease_until")?)
    }

    /// The node has ended and holds no task.
    #[tracing::instrument(target = "otlp.store", name = "store.leave", skip_all)]
    pub async fn leave(&self, node: &str) -> Result<(), Error> {
        let node = node.to_owned();
        self.write(Op::transaction(move |conn| {
            let query = sqlx::query(sql::FORGET_NODE).bind(node.clone());
            Box::pin(async move { query.execute(conn).await.map(drop) })
        }))
        .await
    }

    /// Takes at most `limit` queued tasks, the oldest first; none for a node that is not listed, as nobody watches its
    /// lease.
    #[tracing::instrument(target = "otlp.store", name = "store.claim", skip_all)]
    pub async fn claim(&self, node: &str, now: Timestamp, limit: usize) -> Result<Vec<Arc<Task>>, Error> {
        let (node, limit) = (node.to_owned(), i64::try_from(limit).unwrap_or(i64::MAX));
        let select = Select::Queued { node: node.clone(), limit };
        self.change_all(select, move |task| task.claim(&node, now)).await
    }

    /// Takes tasks that nobody holds and whose end is asked for: to publish, to say PAUSED, or to undo.
    #[tracing::instrument(target = "otlp.store", name = "store.claim_ends", skip_all)]
    pub async fn claim_ends(&self, node: &str, now: Timestamp, limit: usize) -> Result<Vec<Arc<Task>>, Error> {
        let (node, limit) = (node.to_owned(), i64::try_from(limit).unwrap_or(i64::MAX));
        let select = Select::Ends { node: node.clone(), due: now.as_microsecond(), limit };
        self.change_all(select, move |task| task.claim(&node, now)).await
    }

    /// Moves on tasks whose moment has come, but for short ones: at most `limit` starts and tries, and as many ends of pauses.
    #[tracing::instrument(target = "otlp.store", name = "store.due", skip_all)]
    pub async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Arc<Task>>, Error> {
        let (at, limit) = (now.as_microsecond(), i64::try_from(limit).unwrap_or(i64::MAX));
        let mut moved = self.change_all(Select::Due { at, limit }, move |task| task.due(now)).await?;
        moved.extend(self.change_all(Select::Expired { at, limit }, move |task| task.due(now)).await?);
        Ok(moved)
    }

    /// Gives free what nodes hold whose lease ended before `now`, after `limit` deaths in a row as failed.
    #[tracing::instrument(target = "otlp.store", name = "store.rescue", skip_all)]
    pub async fn rescue(&self, now: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        self.rescue_where(Dead::Before(now.as_microsecond()), now, limit).await
    }

    /// Gives free what every listed node holds: for a store that only this process can write.
    #[tracing::instrument(target = "otlp.store", name = "store.rescue_all", skip_all)]
    pub async fn rescue_all(&self, now: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        self.rescue_where(Dead::Before(i64::MAX), now, limit).await
    }

    /// Gives free what an earlier process of this node's name held.
    #[tracing::instrument(target = "otlp.store", name = "store.rescue_own", skip_all)]
    pub async fn rescue_own(&self, node: &str, now: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        self.rescue_where(Dead::Named(node.to_owned()), now, limit).await
    }

    async fn rescue_where(&self, dead: Dead, now: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        let (sql, dead) = (Arc::clone(&self.sql), Arc::new(dead));
        let op: Op<Vec<Changed>> = Op::transaction(move |conn| {
            let (sql, dead) = (Arc::clone(&sql), Arc::clone(&dead));
            Box::pin(async move { rescue(conn, &sql, &dead, now, limit).await })
        });
        let freed = self.write_and_tell(op, Vec::clone).await?;
        Ok(freed.into_iter().map(|(task, _)| task).collect())
    }
}

/// Which nodes are taken for dead.
enum Dead {
    Before(i64),
    Named(String),
}

async fn rescue(
    conn: &mut AnyConnection,
    sql: &Sql,
    dead: &Dead,
    now: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<Changed>> {
    let nodes = match dead {
        Dead::Named(node) => vec![node.clone()],
        Dead::Before(before) => {
            let rows = sqlx::query(sql.dead_nodes.clone()).bind(*before).fetch_all(&mut *conn).await?;
            rows.iter().map(|row| row.try_get("name")).collect::<sqlx::Result<_>>()?
        }
    };
    let mut freed = Vec::new();
    for node in nodes {
        let ask = ControlRequest::by("system", now).with_reason(format!("node {node} fell silent"));
        let expire = move |task: &mut Task| task.lease_expired(limit, &ask);
        freed.extend(bury(conn, sql, &node, &expire).await?);
    }
    Ok(freed)
}

/// The node is listed, and stays so until the transaction ends.
pub(super) async fn listed(conn: &mut AnyConnection, sql: &Sql, node: &str) -> sqlx::Result<bool> {
    Ok(sqlx::query(sql.listed.clone()).bind(node.to_owned()).fetch_optional(conn).await?.is_some())
}

async fn bury(conn: &mut AnyConnection, sql: &Sql, node: &str, expire: &Change) -> sqlx::Result<Vec<Changed>> {
    let rows = sqlx::query(sql.owned.clone()).bind(node.to_owned()).fetch_all(&mut *conn).await?;
    let freed = change_rows(conn, sql, &rows, expire).await?;
    sqlx::query(sql::FORGET_NODE).bind(node.to_owned()).execute(conn).await?;
    Ok(freed)
}

/// A lease as the store counts it.
fn until(now: Timestamp, lease: Duration) -> i64 {
    now.as_microsecond().saturating_add(i64::try_from(lease.as_micros()).unwrap_or(i64::MAX))
}
