//! Every cell is preserved byte for byte, whatever it contains and however large the file is.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::harness::csv;
use crate::harness::server::Server;

/// A header and rows of any text, and how they are written.
#[derive(Clone, Debug)]
struct Table {
    rows: Vec<Vec<String>>,
    crlf: bool,
    quoted: bool,
}

fn tables() -> impl Strategy<Value = Table> {
    let cell = prop_oneof![any::<String>(), "[a,\"\r\n;\t' \u{feff}]{0,6}"];
    let rows = (1_usize..5)
        .prop_flat_map(move |width| prop::collection::vec(prop::collection::vec(cell.clone(), width), 1..20));
    (rows, any::<bool>(), any::<bool>()).prop_map(|(mut rows, crlf, quoted)| {
        let header = (1..=rows[0].len()).map(|n| format!("column {n}")).collect();
        rows.insert(0, header);
        Table { rows, crlf, quoted }
    })
}

fn written(table: &Table) -> Vec<u8> {
    let mut writer = ::csv::WriterBuilder::new();
    writer.terminator(if table.crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') });
    writer.quote_style(if table.quoted { ::csv::QuoteStyle::Always } else { ::csv::QuoteStyle::Necessary });
    let mut writer = writer.from_writer(Vec::new());
    table.rows.iter().for_each(|row| writer.write_record(row).unwrap());
    writer.into_inner().unwrap()
}

#[test]
fn any_table_of_texts_is_preserved_by_import_and_export() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&tables(), |table| {
        let exported = runtime.block_on(async {
            let upload = server.upload(written(&table)).await;
            let id = server.import(&upload, json!({ "dataset": "any", "mode": "REPLACE" })).await;
            server.until(&id, "COMPLETED").await;
            server.exported("any").await
        });
        prop_assert_eq!(csv::cells(&exported), table.rows);
        Ok(())
    });
    checked.unwrap();
}

/// The most memory that a server had while it imported and exported so many rows, in bytes.
async fn peak(rows: usize) -> u64 {
    let server = Server::start().await;
    let upload = server.upload(csv::people(rows)).await;
    let id = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&id, "COMPLETED").await;
    let id = server.export("people").await;
    server.until(&id, "COMPLETED").await;
    server.peak_memory()
}

#[tokio::test]
async fn a_file_ten_times_as_large_needs_the_same_memory() {
    let (small, large) = (peak(60_000).await, peak(600_000).await);
    assert!(large * 10 < small * 13, "{small} bytes for 60,000 rows, {large} for 600,000");
}

#[tokio::test]
async fn a_cell_of_many_megabytes_is_preserved_and_an_unclosed_one_is_refused() {
    let server = Server::start().await;
    let long = "x\r\n".repeat(10 << 20);
    let upload = server.upload(format!("n,text\n1,\"{long}\"\n")).await;
    let id = server.import(&upload, json!({ "dataset": "long" })).await;
    server.until(&id, "COMPLETED").await;
    let cells = csv::cells(&server.exported("long").await);
    assert!(cells[1][1] == long, "{} bytes came back", cells[1][1].len());
    let upload = server.upload(format!("n,text\n1,\"{}", "x".repeat(70 << 20))).await;
    let id = server.import(&upload, json!({ "dataset": "endless" })).await;
    server.until(&id, "FAILED").await;
    let message = server.task(&id).await["error"]["message"].take();
    assert_eq!(message, "Line 2: the record is longer than 64 MiB. A quote may be left open.");
}
