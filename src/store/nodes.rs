//! Verbs of nodes: to join, to renew a lease, to claim tasks, and to release the tasks of nodes whose lease ended.
//!
//! The database's clock decides when a lease ends, so the clocks of the nodes need not agree. SQLite has no clock but the one of its
//! only process, which passes its time. In the table, the column `name` has the ID of a node, and `label` its name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::change::{Select, change_rows};
use super::claimant::Claimant;
use super::lines::json;
use super::sql::{self, Sql};
use super::write::{Committed, Write};
use super::{Error, Store, notices, row};
use crate::access::Caller;
use crate::numbers::{micros, signed, unsigned};
use crate::task::{Author, ControlRequest, NodeIdentity, Task, TaskChange};

/// Data with which a node registers.
#[derive(Clone, Debug)]
pub struct NodeProfile {
    /// The node.
    pub node: NodeIdentity,
    /// Its role, such as `worker`.
    pub role: String,
    /// Version of its program.
    pub version: String,
    /// Time of its start.
    pub started_at: Timestamp,
    /// Maximum number of long tasks that it runs at once.
    pub max_running: usize,
}

/// Data of a node's heartbeat.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeStatus {
    /// Number of tasks that run on it.
    pub running: usize,
    /// True while it shuts down.
    pub draining: bool,
    /// True while the disk of its working files is full.
    pub disk_full: bool,
}

/// The other listed nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherNodes {
    /// End of the next of their leases.
    pub next_lease_end: Option<Timestamp>,
    /// Number of active ones with the same name.
    pub namesakes: u64,
    /// Number of active ones that run tasks and whose disk is not full.
    pub with_space: u64,
}

impl Store {
    /// Returns the time of the database's own clock. None if it has none.
    #[tracing::instrument(target = "otlp.store", name = "store.database_time", skip_all)]
    pub async fn database_time(&self) -> Result<Option<Timestamp>, Error> {
        let Some(statement) = self.sql.database_time.clone() else { return Ok(None) };
        let row = self.read_one(sqlx::query(statement)).await?;
        Ok(Some(row::moment(&row, "at")?))
    }

    /// Adds the node to the list of nodes, with a lease.
    #[tracing::instrument(target = "otlp.store", name = "store.join", skip_all)]
    pub async fn join(&self, profile: &NodeProfile, now: Timestamp, lease: Duration) -> Result<(), Error> {
        let (profile, sql) = (profile.clone(), Arc::clone(&self.sql));
        let join = move || {
            let query = sqlx::query(sql.join.clone())
                .bind(profile.node.id.clone())
                .bind(micros(lease))
                .bind(profile.node.name.clone())
                .bind(profile.role.clone())
                .bind(profile.version.clone())
                .bind(profile.started_at.as_microsecond())
                .bind(signed(profile.max_running));
            sql.dialect.bind_now(query, now)
        };
        self.execute(join).await.map(drop)
    }

    /// Renews the lease of the node with this ID. False if the node is not listed: its lease has expired, and other nodes have its
    /// tasks.
    #[tracing::instrument(target = "otlp.store", name = "store.heartbeat", skip_all)]
    pub async fn heartbeat(
        &self,
        id: &str,
        status: NodeStatus,
        now: Timestamp,
        lease: Duration,
    ) -> Result<bool, Error> {
        let (id, sql) = (id.to_owned(), Arc::clone(&self.sql));
        let renew = move || {
            let query = sqlx::query(sql.heartbeat.clone()).bind(id.clone()).bind(micros(lease));
            let query = query.bind(signed(status.running)).bind(i64::from(status.draining));
            let query = query.bind(i64::from(status.disk_full));
            sql.dialect.bind_now(query, now)
        };
        Ok(self.execute(renew).await? == 1)
    }

    /// Returns what concerns this node about the others.
    #[tracing::instrument(target = "otlp.store", name = "store.other_nodes", skip_all)]
    pub async fn other_nodes(&self, profile: &NodeProfile, now: Timestamp) -> Result<OtherNodes, Error> {
        let query = sqlx::query(self.sql.other_nodes.clone())
            .bind(profile.node.id.clone())
            .bind(profile.node.name.clone())
            .bind(profile.started_at.as_microsecond());
        let row = self.read_one(self.sql.dialect.bind_now(query, now)).await?;
        Ok(OtherNodes {
            next_lease_end: row::moment_if(&row, "lease_until")?,
            namesakes: unsigned(row.try_get("namesakes")?),
            with_space: unsigned(row.try_get("with_space")?),
        })
    }

    /// Removes a node that holds no task from the list of nodes. If it holds one, its lease ends later, and others take the task.
    #[tracing::instrument(target = "otlp.store", name = "store.leave", skip_all)]
    pub async fn leave(&self, id: &str) -> Result<(), Error> {
        let id = id.to_owned();
        self.execute(move || sqlx::query(sql::LEAVE).bind(id.clone())).await.map(drop)
    }

    /// Releases the tasks that the node with this ID runs or publishes, because it ends before their runs do. Counts no attempt. Later
    /// writes of these runs are refused. Tasks that it pauses or rolls back stay with it until its lease ends.
    #[tracing::instrument(target = "otlp.store", name = "store.hand_over", skip_all)]
    pub async fn hand_over(&self, id: &str, request: ControlRequest) -> Result<Vec<Arc<Task>>, Error> {
        self.commit(Write::transaction((id.to_owned(), request), hand_over)).await
    }

    /// Claims at most `limit` queued tasks, oldest first. Claims none for a node that is not listed.
    #[tracing::instrument(target = "otlp.store", name = "store.claim", skip_all)]
    pub async fn claim(&self, claimant: &Claimant, now: Timestamp, limit: usize) -> Result<Vec<Arc<Task>>, Error> {
        let node = claimant.node.clone();
        let select = Select::Queued { claimant: claimant.clone(), limit: signed(limit) };
        self.change_all(select, move |task| task.claim(&node, now)).await
    }

    /// Claims tasks that no node has and whose run has ended: they are to be published, paused or rolled back.
    #[tracing::instrument(target = "otlp.store", name = "store.claim_ends", skip_all)]
    pub async fn claim_ends(&self, claimant: &Claimant, now: Timestamp, limit: usize) -> Result<Vec<Arc<Task>>, Error> {
        let node = claimant.node.clone();
        let select = Select::Ends { claimant: claimant.clone(), due: now.as_microsecond(), limit: signed(limit) };
        self.change_all(select, move |task| task.claim(&node, now)).await
    }

    /// Applies what is due: at most `limit` starts and retries, and at most `limit` ends of pauses. Short tasks are not
    /// considered.
    #[tracing::instrument(target = "otlp.store", name = "store.process_due", skip_all)]
    pub async fn process_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Arc<Task>>, Error> {
        let (at, limit) = (now.as_microsecond(), signed(limit));
        let mut changed = self.change_all(Select::Due { at, limit }, move |task| task.process_due(now)).await?;
        changed.extend(self.change_all(Select::ExpiredPauses { at, limit }, move |task| task.process_due(now)).await?);
        Ok(changed)
    }

    /// Returns the names of the nodes with these IDs. Leaves out nodes that are not listed any more.
    #[tracing::instrument(target = "otlp.store", name = "store.node_names", skip_all, fields(%caller))]
    pub async fn node_names(&self, caller: &Caller, ids: &[String]) -> Result<HashMap<String, String>, Error> {
        let query = sqlx::query(self.sql.node_names.clone()).bind(json(ids)?);
        let rows = self.read(query.fetch_all(&self.pool)).await?;
        Ok(rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("label")?))).collect::<sqlx::Result<_>>()?)
    }

    /// Returns the tasks that the node with this ID owns.
    #[tracing::instrument(target = "otlp.store", name = "store.owned", skip_all)]
    pub async fn owned(&self, id: &str) -> Result<Vec<Arc<Task>>, Error> {
        let rows = self.read(sqlx::query(self.sql.owned.clone()).bind(id.to_owned()).fetch_all(&self.pool)).await?;
        Ok(rows.iter().map(|row| Ok(Arc::new(row::task(row)?))).collect::<sqlx::Result<_>>()?)
    }

    /// Releases the tasks of nodes whose lease has ended. `limit`: see [`Task::lease_expired`]. The events of the last
    /// changes of these nodes may be lost, so they are reported as uncertain.
    #[tracing::instrument(target = "otlp.store", name = "store.rescue", skip_all)]
    pub async fn rescue(&self, now: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        let write = Write::transaction((DeadNodes::LeaseEnded, now, limit), rescue);
        let Rescued { tasks, last_beat } = self.commit(write).await?;
        if let Some(last_beat) = last_beat {
            (self.on_uncertain)(Duration::try_from(last_beat.duration_until(now)).unwrap_or_default());
        }
        Ok(tasks)
    }

    /// Releases the tasks of all listed nodes. Only for a store to which no other process can write.
    #[tracing::instrument(target = "otlp.store", name = "store.rescue_all", skip_all)]
    pub async fn rescue_all(&self, now: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        Ok(self.commit(Write::transaction((DeadNodes::All, now, limit), rescue)).await?.tasks)
    }
}

/// Nodes whose tasks are to be released.
enum DeadNodes {
    LeaseEnded,
    All,
}

/// Outcome of a rescue.
struct Rescued {
    /// The released tasks.
    tasks: Vec<Arc<Task>>,
    /// The earliest of the last heartbeats of the dead nodes. None if there are none.
    last_beat: Option<Timestamp>,
}

async fn hand_over(
    conn: &mut AnyConnection,
    sql: &Sql,
    (id, request): &(String, ControlRequest),
) -> sqlx::Result<Committed<Vec<Arc<Task>>>> {
    let rows = sqlx::query(sql.owned.clone()).bind(id.clone()).fetch_all(&mut *conn).await?;
    Ok(Committed::of(change_rows(conn, sql, &rows, &|task: &mut Task| task.hand_over(request)).await?))
}

async fn rescue(
    conn: &mut AnyConnection,
    sql: &Sql,
    (dead, now, limit): &(DeadNodes, Timestamp, u32),
) -> sqlx::Result<Committed<Rescued>> {
    let query = match dead {
        DeadNodes::LeaseEnded => sql.dialect.bind_now(sqlx::query(sql.dead_nodes.clone()), *now),
        DeadNodes::All => sqlx::query(sql.all_nodes.clone()),
    };
    let (mut released, mut last_beat) = (Vec::new(), None);
    for row in query.fetch_all(&mut *conn).await? {
        let node = NodeIdentity { id: row.try_get("id")?, name: row.try_get("label")? };
        last_beat = last_beat.into_iter().chain([row::moment(&row, "beat_at")?]).min();
        released.extend(expire_node(conn, sql, &node, *now, *limit).await?);
    }
    let Committed { value: tasks, mut changes } = Committed::of(released);
    notices::add(conn, sql, &mut changes).await?;
    Ok(Committed { value: Rescued { tasks, last_beat }, changes })
}

/// Releases the tasks of a node whose lease ended, and removes it from the list of nodes.
async fn expire_node(
    conn: &mut AnyConnection,
    sql: &Sql,
    node: &NodeIdentity,
    now: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<TaskChange>> {
    let reason = format!("the lease of node {} expired", node.name);
    let request = ControlRequest::by(Author::system(), now).with_reason(reason);
    let expire = |task: &mut Task| task.lease_expired(limit, &request);
    let rows = sqlx::query(sql.owned.clone()).bind(node.id.clone()).fetch_all(&mut *conn).await?;
    let released = change_rows(conn, sql, &rows, &expire).await?;
    sqlx::query(sql::DELETE_NODE).bind(node.id.clone()).execute(conn).await?;
    Ok(released)
}
