//! Imports, from the call of startImport to COMPLETED, next to the loaders of the databases.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::controls::{PAUSES, pauses, terminations};
use crate::figures::{Pair, memory, ms, timed};
use crate::harness::csv;
use crate::harness::postgres::Postgres;
use crate::harness::server::Server;

/// Number of rounds of each comparison.
const ROUNDS: usize = 7;

/// Rows and columns of the files.
const SIZES: [(usize, usize); 2] = [(1_000_000, 10), (120_000, 20)];

/// Numbers of rows at which an import is terminated. The time must not depend on them.
const TERMINATED_AT: [u64; 3] = [10_000, 1_000_000, 10_000_000];

/// Measures SQLite, next to `sqlite3 .import`.
pub async fn sqlite() {
    let server = Server::start().await;
    for (rows, columns) in SIZES {
        let file = CsvFile::new(rows, columns);
        compare(&server, &file, "sqlite3 .import", || file.sqlite()).await;
    }
    drop(server);
    concurrent_imports().await;
    controls(&Server::start().await).await;
}

/// Measures PostgreSQL, next to `psql \copy`.
pub async fn postgres() {
    let postgres = Postgres::start();
    let url = postgres.url();
    let server = Server::with(&[("PAUSA_DATASETS_URL", &url)]).await;
    for (rows, columns) in SIZES {
        let file = CsvFile::new(rows, columns);
        compare(&server, &file, "psql \\copy", || file.psql(&url)).await;
    }
    controls(&server).await;
}

/// CSV file to import.
struct CsvFile {
    folder: TempDir,
    path: PathBuf,
    rows: usize,
    columns: usize,
}

impl CsvFile {
    fn new(rows: usize, columns: usize) -> CsvFile {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, csv::wide(rows, columns)).unwrap();
        CsvFile { folder, path, rows, columns }
    }

    /// Imports into a new database.
    fn sqlite(&self) -> Duration {
        let database = self.folder.path().join("peer.db");
        let took = import_by_sqlite3(&self.path, &database);
        fs::remove_file(database).unwrap();
        took
    }

    /// Measures only the import: the table exists before.
    fn psql(&self, url: &str) -> Duration {
        let columns: Vec<_> = (1..=self.columns).map(|column| format!("c{column} text")).collect();
        psql(url, &format!("CREATE TABLE peer ({})", columns.join(", ")));
        let took = psql(url, &format!("\\copy peer FROM '{}' WITH (FORMAT csv, HEADER)", self.path.display()));
        psql(url, "DROP TABLE peer");
        took
    }
}

/// Runs `sqlite3 .import` into a table `t`.
pub fn import_by_sqlite3(file: &Path, database: &Path) -> Duration {
    let import = format!(".import --csv {} t", file.display());
    run(Command::new("sqlite3").arg(database).arg(import))
}

/// Runs a psql command.
pub fn psql(url: &str, command: &str) -> Duration {
    run(Command::new("psql").args([url, "--no-psqlrc", "--quiet", "--command", command]))
}

/// Runs another program to its end.
fn run(command: &mut Command) -> Duration {
    let begin = pausa::clock::Clock::monotonic();
    assert!(command.stdout(Stdio::null()).status().unwrap().success(), "{command:?}");
    begin.elapsed()
}

async fn compare(server: &Server, file: &CsvFile, peer: &str, mut theirs: impl FnMut() -> Duration) {
    let upload = server.upload(fs::read(&file.path).unwrap()).await;
    let pair = Pair::measure(ROUNDS, &mut theirs, async || {
        let took = timed(import(server, &upload, "bench")).await;
        drop_dataset(server, "bench").await;
        took
    });
    pair.await.print(&format!("import of {} x {}", file.rows, file.columns), peer, file.rows, "rows/s");
}

/// Imports an upload completely.
pub async fn import(server: &Server, upload: &str, dataset: &str) {
    let id = server.import(upload, json!({ "dataset": dataset })).await;
    server.until(&id, "COMPLETED").await;
}

async fn drop_dataset(server: &Server, name: &str) {
    server.data("mutation($name: String!) { dropDataset(name: $name) }", json!({ "name": name })).await;
}

/// Measures five concurrent imports.
async fn concurrent_imports() {
    let server = Server::with(&[("PAUSA_MAX_RUNNING", "5")]).await;
    let upload = server.upload(csv::wide(120_000, 20)).await;
    let took = timed(async {
        let imports = (0..5).map(async |n| import(&server, &upload, &format!("d{n}")).await);
        futures_util::future::join_all(imports).await;
    });
    println!("five imports of 120000 x 20 at once: {}", ms(took.await));
    println!("  peak memory of the server: {:.0} MB", memory(server.pid(), "VmHWM"));
}

/// Measures how fast imports pause, resume and terminate.
async fn controls(server: &Server) {
    let upload = server.upload(csv::wide(3_000_000, 10)).await;
    pauses(server, "import", PAUSES, async |round| {
        if round > 0 {
            drop_dataset(server, "paused").await;
        }
        server.import(&upload, json!({ "dataset": "paused" })).await
    })
    .await;
    let upload = server.upload(csv::wide(12_000_000, 2)).await;
    for rows in TERMINATED_AT {
        let begin = async || server.import(&upload, json!({ "dataset": "ended" })).await;
        terminations(server, "import", rows, 5, begin).await;
    }
}
