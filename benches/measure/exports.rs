//! Exports, from the call of startExport to COMPLETED, next to the tools of the databases on the same rows.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pausa::clock::Clock;
use serde_json::{Value, json};

use crate::controls::{PAUSES, pauses};
use crate::figures::{Pair, memory, ms, spread, timed};
use crate::harness::csv;
use crate::harness::postgres::Postgres;
use crate::harness::server::Server;
use crate::imports::{import, import_by_sqlite3, psql};

/// Number of rounds of each comparison.
const ROUNDS: usize = 7;

const ROWS: usize = 1_000_000;
const COLUMNS: usize = 10;

/// Number of rows of the dataset that is read in pages.
const MANY: usize = 10_000_100;

/// Number of pages that are measured.
const PAGES: usize = 100;

const START: &str = "mutation($input: StartExportInput!) { startExport(input: $input) { id } }";

/// Measures SQLite, next to `sqlite3 -csv`.
pub async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, database) = (folder.path().join("rows.csv"), folder.path().join("peer.db"));
    fs::write(&rows, csv::wide(ROWS, COLUMNS)).unwrap();
    import_by_sqlite3(&rows, &database);
    let to = folder.path().join("peer.csv");
    all(&Server::start().await, "sqlite3 -csv", || sqlite_export(&database, &to)).await;
}

/// Measures PostgreSQL, next to `psql \copy to`, both from Pausa's table.
pub async fn postgres() {
    let postgres = Postgres::start();
    let url = postgres.url();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("peer.csv");
    let server = Server::with(&[("PAUSA_DATASETS_URL", &url)]).await;
    all(&server, "psql \\copy to", || psql_export(&url, &to)).await;
}

async fn all(server: &Server, peer: &str, theirs: impl FnMut() -> Duration) {
    let file = csv::wide(ROWS, COLUMNS);
    import(server, &server.upload(file.as_str()).await, "t").await;
    let pair = Pair::measure(ROUNDS, theirs, async || export(server, json!({ "dataset": "t" })).await);
    pair.await.print(&format!("export of {ROWS} x {COLUMNS}"), peer, ROWS, "rows/s");
    variants(server).await;
    stream(server, file.len()).await;
    pauses(server, "export", PAUSES, async |_| start(server, json!({ "dataset": "t" })).await).await;
    println!("peak memory of the server: {:.0} MB", memory(server.pid(), "VmHWM"));
    pages(server).await;
}

async fn start(server: &Server, input: Value) -> String {
    server.data(START, json!({ "input": input })).await["startExport"]["id"].as_str().unwrap().to_owned()
}

async fn export(server: &Server, input: Value) -> Duration {
    let work = async {
        let id = start(server, input).await;
        server.until(&id, "COMPLETED").await;
    };
    timed(work).await
}

fn sqlite_export(database: &Path, to: &Path) -> Duration {
    let begin = Clock::monotonic();
    let mut command = Command::new("sqlite3");
    command.args(["-csv", "-header"]).arg(database).arg("SELECT * FROM t").stdout(File::create(to).unwrap());
    assert!(command.status().unwrap().success());
    begin.elapsed()
}

fn psql_export(url: &str, to: &Path) -> Duration {
    let columns: Vec<_> = (1..=COLUMNS).map(|column| format!("c{column}")).collect();
    let copy = format!("\\copy t ({}) to '{}' csv header", columns.join(","), to.display());
    psql(url, &copy)
}

async fn variants(server: &Server) {
    for compression in ["GZIP", "ZIP"] {
        let took = export(server, json!({ "dataset": "t", "compression": compression })).await;
        println!("the same as {compression}: {}", ms(took));
    }
    let filter = json!([{ "column": "c1", "from": "1", "to": "2" }]);
    let took = export(server, json!({ "dataset": "t", "where": filter })).await;
    println!("a tenth of the rows, selected by a filter and counted first: {}", ms(took));
}

async fn stream(server: &Server, size: usize) {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let read = async {
            let mut answer = server.get("/datasets/t.csv").await;
            let mut bytes = 0;
            while let Some(chunk) = answer.chunk().await.unwrap() {
                bytes += chunk.len();
            }
            assert_eq!(bytes, size);
        };
        times.push(timed(read).await);
    }
    spread("GET /datasets/t.csv", times);
}

/// Measures pages of 50 rows at the start and at the end.
async fn pages(server: &Server) {
    import(server, &server.upload(csv::wide(MANY, 2)).await, "many").await;
    let query =
        "query($after: String) { dataset(name: \"many\") { rows(first: 50, after: $after) { nodes { number } } } }";
    for after in [0, MANY - 50] {
        let mut times = Vec::new();
        for _ in 0..PAGES {
            times.push(timed(server.data(query, json!({ "after": after.to_string() }))).await);
        }
        spread(&format!("a page of 50 rows after row {after}"), times);
    }
}
