//! A database of its own for each story, and what a story does with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use pausa::datasets::{Batch, Column, Datasets, Mode, Plan, Snapshot, connect};
use pausa::task::TaskId;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::harness::postgres::Postgres;

/// Makes the names of databases differ.
static NEXT: AtomicU32 = AtomicU32::new(1);

pub struct Place {
    pub datasets: Arc<dyn Datasets>,
    pub url: String,
    folder: Option<TempDir>,
    _server: Option<Arc<Postgres>>,
}

impl Place {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/data/datasets.db", folder.path().display());
        let datasets = connect(&url).await.unwrap();
        Self { datasets, url, folder: Some(folder), _server: None }
    }

    pub async fn postgres() -> Self {
        let server = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
        let name = format!("story_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        execute(&server.url(), &format!("CREATE DATABASE {name}")).await;
        let url = server.url_of(&name);
        let datasets = connect(&url).await.unwrap();
        Self { datasets, url, folder: None, _server: Some(server) }
    }

    /// The same database, as another process would see it.
    pub async fn reconnect(&self) -> Arc<dyn Datasets> {
        connect(&self.url).await.unwrap()
    }

    /// The folder of the segments.
    pub fn segments(&self) -> PathBuf {
        self.folder.as_ref().unwrap().path().join("data/datasets.db-segments")
    }

    /// Files, or tables beside the datasets: stagings and what only pins hold.
    pub async fn files(&self) -> usize {
        if self.folder.is_some() {
            return std::fs::read_dir(self.segments()).unwrap().count();
        }
        let sql = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND (n.nspname = 'public' OR n.nspname = 'pausa_datasets' AND c.relname LIKE '%-%')";
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        usize::try_from(count).unwrap()
    }

    /// A number that a query on the PostgreSQL database answers.
    pub async fn number(&self, sql: &'static str) -> i64 {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }

    /// Imports rows and publishes them.
    pub async fn import(&self, name: &str, mode: Mode, rows: &[&[&str]]) -> TaskId {
        let task = crate::harness::task_id();
        let mut staging = self.datasets.stage(task, 1, &plan(name, mode, rows[0].len())).await.unwrap();
        staging.write(batch(rows), "end".into()).await.unwrap();
        staging.close().await.unwrap();
        let published = self.datasets.publish(task, 1, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(published, rows.len() as u64);
        task
    }

    /// The first cells of a dataset's rows.
    pub async fn firsts(&self, name: &str) -> Vec<String> {
        firsts(&self.datasets.rows(&name.parse().unwrap(), 0, 1000).await.unwrap())
    }

    /// The first cells of all rows of a snapshot, three a page.
    pub async fn read(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let page = self.datasets.read(snapshot, all.len() as u64, 3).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(firsts(&page));
        }
    }
}

/// A plan with columns `c1`, `c2`…
pub fn plan(name: &str, mode: Mode, width: usize) -> Plan {
    let columns = (1..=width).map(|column| Column::text(format!("c{column}"))).collect();
    Plan { dataset: name.parse().unwrap(), mode, columns }
}

pub fn batch(rows: &[&[&str]]) -> Batch {
    let mut batch = Batch::new(rows[0].len());
    for row in rows {
        batch.push_row(row.iter().copied().map(Some)).unwrap();
    }
    batch
}

/// Rows of one cell: the numbers from `from` to `to`.
pub fn numbers(from: u64, to: u64) -> Batch {
    let mut batch = Batch::new(1);
    for number in from..=to {
        batch.push_row([Some(number.to_string().as_str())]).unwrap();
    }
    batch
}

pub fn firsts(batch: &Batch) -> Vec<String> {
    batch.rows().map(|mut row| row.next().unwrap().unwrap_or("NULL").to_owned()).collect()
}

/// Runs statements on a PostgreSQL database.
pub async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
}
