//! A separate database for each story, and helpers to use it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use pausa::datasets::{
    Batch, Column, DatasetName, Datasets, ImportPlan, PageLimit, PublishMode, RowRequest, RowWindow, Selection,
    Snapshot, connect,
};
use pausa::task::TaskId;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::harness::caller;
use crate::harness::postgres::Postgres;

/// Makes the names of databases unique.
static NEXT: AtomicU32 = AtomicU32::new(1);

pub struct TestDatabase {
    pub datasets: Arc<dyn Datasets>,
    pub url: String,
    folder: Option<TempDir>,
    _server: Option<Arc<Postgres>>,
}

impl TestDatabase {
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

    /// Opens the same database as another process would.
    pub async fn reconnect(&self) -> Arc<dyn Datasets> {
        connect(&self.url).await.unwrap()
    }

    /// Expires the pins of streams that nobody renews. On SQLite a pin ends with its process, so nothing is needed.
    pub async fn expire(&self) {
        if self.folder.is_none() {
            execute(&self.url, "UPDATE pausa_datasets.pin SET expires = now() - interval '1 second'").await;
        }
    }

    /// Returns the folder of the segments.
    pub fn segments(&self) -> PathBuf {
        self.folder.as_ref().unwrap().path().join("data/datasets.db-segments")
    }

    /// Returns the number of files, or of tables that are not datasets: stagings, and tables that only pins keep.
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

    /// Returns a number from a query on the PostgreSQL database.
    pub async fn number(&self, sql: &'static str) -> i64 {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }

    /// Imports rows and publishes them.
    pub async fn import(&self, name: &str, mode: PublishMode, rows: &[&[&str]]) -> TaskId {
        self.fill(name, mode, batch(rows)).await
    }

    /// Imports a batch and publishes it.
    pub async fn fill(&self, name: &str, mode: PublishMode, rows: Batch) -> TaskId {
        let (task, count) = (crate::harness::task_id(), rows.len() as u64);
        let mut staging = self.datasets.stage(task, 1, &plan(name, mode, rows.width())).await.unwrap();
        staging.write(rows, "end".into()).await.unwrap();
        staging.close().await.unwrap();
        let published = self.datasets.publish(task, 1, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(published, count);
        task
    }

    /// Returns the first cells of a dataset's rows.
    pub async fn firsts(&self, name: &str) -> Vec<String> {
        firsts(&page(&self.datasets, &name.parse().unwrap(), 0, 1000).await)
    }

    /// Returns the first cells of all rows of a snapshot, read in pages of three.
    pub async fn read(&self, snapshot: &Snapshot) -> Vec<String> {
        let lines = self.lines(snapshot, &every(snapshot), 3).await;
        crate::harness::csv::cells(lines.as_bytes()).into_iter().map(|row| row[0].clone()).collect()
    }

    /// Returns the selection of a snapshot as CSV, read in pages of this many rows.
    pub async fn lines(&self, snapshot: &Snapshot, selection: &Selection, rows: u64) -> String {
        let reader = self.datasets.reader(snapshot, selection);
        let (mut text, mut after) = (Vec::new(), 0);
        while after < snapshot.rows {
            let window = RowWindow { after, last: snapshot.rows };
            let page = reader.read(window, PageLimit { rows, bytes: usize::MAX, guard: false }).await.unwrap();
            assert!(page.rows <= rows && page.last > after);
            text.extend(page.lines.into_bytes());
            after = page.last;
        }
        String::from_utf8(text).unwrap()
    }
}

/// Selects all rows and columns.
pub fn every(snapshot: &Snapshot) -> Selection {
    Selection::of(&snapshot.columns, None, &[]).unwrap()
}

/// Returns a plan with columns `c1`, `c2`…
pub fn plan(name: &str, mode: PublishMode, width: usize) -> ImportPlan {
    let columns = (1..=width).map(|column| Column::text(format!("c{column}"))).collect();
    ImportPlan { dataset: name.parse().unwrap(), mode, columns }
}

pub fn batch(rows: &[&[&str]]) -> Batch {
    let mut batch = Batch::new(rows[0].len());
    for row in rows {
        batch.push_row(row.iter().copied().map(Some)).unwrap();
    }
    batch
}

/// Returns rows of one cell: the numbers from `from` to `to`.
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

/// Polls until the condition is true.
pub async fn until(connection: &mut PgConnection, condition: &str) {
    let sql = format!("SELECT ({condition})");
    while !sqlx::query_scalar::<_, bool>(AssertSqlSafe(sql.clone())).fetch_one(&mut *connection).await.unwrap() {
        tokio::task::yield_now().await;
    }
}

/// Creates a database of that name in the server that the tests share. Returns the server and the URL.
pub async fn database(name: &str) -> (Arc<Postgres>, String) {
    let server = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
    execute(&server.url(), &format!("CREATE DATABASE {name}")).await;
    let url = server.url_of(name);
    (server, url)
}

/// Returns at most `limit` rows after number `after`.
pub async fn page(datasets: &Arc<dyn Datasets>, name: &DatasetName, after: u64, limit: u32) -> Batch {
    let request = RowRequest { after: Some(after), limit, ..RowRequest::default() };
    let page = datasets.rows(caller(), name, &request).await.unwrap();
    let numbers = (after..).take(page.batch.len()).map(|number| number + 1);
    assert_eq!(page.numbers, numbers.collect::<Vec<_>>());
    page.batch
}
