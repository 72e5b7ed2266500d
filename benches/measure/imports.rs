//! Imports, from the call of startImport to COMPLETED, beside the databases' own loaders.

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

/// Rounds of each comparison.
const ROUNDS: usize = 7;

/// Rows and columns of the files.
const SIZES: [(usize, usize); 2] = [(1_000_000, 10), (120_000, 20)];

/// Rows at which an import is terminated, to see that the time is the same.
const TERMINATED_AT: [u64; 3] = [10_000, 1_000_000, 10_000_000];

/// Into SQLite, beside `sqlite3 .import`.
pub async fn sqlite() {
    let server = Server::start().await;
    for (rows, columns) in SIZES {
        let file = File::new(rows, columns);
        compare(&server, &file, "sqlite3 .import", || file.sqlite()).await;
    }
    drop(server);
    side_by_side().await;
    controls(&Server::start().await).await;
}

/// Into one private PostgreSQL, beside `psql \copy`.
pub async fn postgres() {
    let postgres = Postgres::start();
    let url = postgres.url();
    let server = Server::with(&[("PAUSA_DATASETS_URL", &url)]).await;
    for (rows, columns) in SIZES {
        let file = File::new(rows, columns);
        compare(&server, &file, "psql \\copy", || file.psql(&url)).await;
    }
    controls(&server).await;
}

/// A file to import.
struct File {
    folder: TempDir,
    path: PathBuf,
    rows: usize,
    columns: usize,
}

impl File {
    fn new(rows: usize, columns: usize) -> File {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, csv::wide(rows, columns)).unwrap();
        File { folder, path, rows, columns }
    }

    /// A new database each time.
    fn sqlite(&self) -> Duration {
        let database = self.folder.path().join("peer.db");
        let took = import_by_sqlite3(&self.path, &database);
        fs::remove_file(database).unwrap();
        took
    }

    /// The import alone: its table is there before.
    fn psql(&self, url: &str) -> Duration {
        let columns: Vec<_> = (1..=self.columns).map(|column| format!("c{column} text")).collect();
        psql(url, &format!("CREATE TABLE peer ({})", columns.join(", ")));
        let took = psql(url, &format!("\\copy peer FROM '{}' WITH (FORMAT csv, HEADER)", self.path.display()));
        psql(url, "DROP TABLE peer");
        took
    }
}

/// `sqlite3 .import` into a table `t`.
pub fn import_by_sqlite3(file: &Path, database: &Path) -> Duration {
    let import = format!(".import --csv {} t", file.display());
    run(Command::new("sqlite3").arg(database).arg(import))
}

/// A command of psql's, to its end.
pub fn psql(url: &str, command: &str) -> Duration {
    run(Command::new("psql").args([url, "--no-psqlrc", "--quiet", "--command", command]))
}

/// Runs a peer to its end.
fn run(command: &mut Command) -> Duration {
    let begin = pausa::clock::Clock::monotonic();
    assert!(command.stdout(Stdio::null()).status().unwrap().success(), "{command:?}");
    begin.elapsed()
}

async fn compare(server: &Server, file: &File, peer: &str, mut theirs: impl FnMut() -> Duration) {
    let upload = server.upload(fs::read(&file.path).unwrap()).await;
    let pair = Pair::measure(ROUNDS, &mut theirs, async || {
        let took = timed(import(server, &upload, "bench")).await;
        drop_dataset(server, "bench").await;
        took
    });
    pair.await.print(&format!("import of {} x {}", file.rows, file.columns), peer, file.rows, "rows/s");
}

/// Imports an upload to the end.
pub async fn import(server: &Server, upload: &str, dataset: &str) {
    let id = server.import(upload, json!({ "dataset": dataset })).await;
    server.until(&id, "COMPLETED").await;
}

async fn drop_dataset(server: &Server, name: &str) {
    server.data("mutation($name: String!) { dropDataset(name: $name) }", json!({ "name": name })).await;
}

/// Five imports at once.
async fn side_by_side() {
    let server = Server::with(&[("PAUSA_MAX_RUNNING", "5")]).await;
    let upload = server.upload(csv::wide(120_000, 20)).await;
    let took = timed(async {
        let imports = (0..5).map(async |n| import(&server, &upload, &format!("d{n}")).await);
        futures_util::future::join_all(imports).await;
    });
    println!("five imports of 120000 x 20 at once: {}", ms(took.await));
    println!("  peak memory of the server: {:.0} MB", memory(server.pid(), "VmHWM"));
}

/// How soon imports observe the verbs.
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
