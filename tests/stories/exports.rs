//! Exports: selected, counted, compressed, guarded, interrupted; and streams of datasets.

use std::io::Read;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::csv;
use crate::harness::server::{PATIENCE, Server};
use crate::harness::watch::Watch;

const START: &str = "mutation($input: StartExportInput!) { startExport(input: $input) { id } }";

async fn filled(settings: &[(&str, &str)], file: &str) -> Server {
    let server = Server::with(settings).await;
    fill(&server, file, json!({ "dataset": "people" })).await;
    server
}

async fn fill(server: &Server, file: &str, input: Value) {
    let upload = server.upload(file).await;
    let id = server.import(&upload, input).await;
    server.until(&id, "COMPLETED").await;
}

async fn start(server: &Server, input: Value) -> String {
    let data = server.data(START, json!({ "input": input })).await;
    data["startExport"]["id"].as_str().unwrap().to_owned()
}

async fn download(server: &Server, id: &str) -> Vec<u8> {
    server.until(id, "COMPLETED").await;
    server.get(&format!("/download/{id}")).await.bytes().await.unwrap().to_vec()
}

/// The CSV in a file of that packing.
fn unpacked(compression: &str, file: Vec<u8>) -> Vec<u8> {
    let mut csv = Vec::new();
    match compression {
        "GZIP" => flate2::read::GzDecoder::new(file.as_slice()).read_to_end(&mut csv).unwrap(),
        "ZIP" => {
            let mut archive = zip::ZipArchive::new(std::io::Cursor::new(file)).unwrap();
            archive.by_name("people.csv").unwrap().read_to_end(&mut csv).unwrap()
        }
        _ => return file,
    };
    csv
}

#[tokio::test]
async fn selected_rows_are_counted_before_the_first_is_written() {
    let server = Server::start().await;
    let file = csv::people(30_000);
    let columns = json!([{ "name": "n", "type": "INTEGER" }]);
    fill(&server, &file, json!({ "dataset": "people", "columns": columns })).await;
    let filters = json!([{ "column": "n", "from": "9", "to": "20009" }, { "column": "note", "equals": "plain" }]);
    let input = json!({ "dataset": "people", "columns": ["name", "n"], "where": filters, "maxRowsPerSecond": 40_000 });
    let id = start(&server, input).await;
    let mut watch = Watch::progress(&server.url, &id).await;
    let writing = watch.until(|task| task["progress"]["done"].as_u64() > Some(0)).await;
    assert_eq!(writing["progress"]["total"], 19_200, "{writing}");
    let expected: Vec<_> =
        (9..20_009).filter(|n| !matches!(n % 50, 0 | 1)).map(|n| vec![format!("name {n}"), n.to_string()]).collect();
    let cells = csv::cells(&download(&server, &id).await);
    assert_eq!(cells[0], ["name", "n"]);
    assert!(cells[1..] == expected, "{} rows", cells.len() - 1);
    let task = server.task(&id).await;
    assert_eq!((&task["progress"]["done"], &task["progress"]["fraction"]), (&json!(19_200), &json!(1.0)));

    let none = start(&server, json!({ "dataset": "people", "where": [{ "column": "n", "equals": "-1" }] })).await;
    assert_eq!(download(&server, &none).await, b"n,name,note\r\n");
}

#[tokio::test]
async fn selections_that_do_not_fit_the_dataset_start_nothing() {
    let server = Server::start().await;
    let columns = json!([{ "name": "n", "type": "INTEGER" }]);
    fill(&server, &csv::people(10), json!({ "dataset": "people", "columns": columns })).await;
    let table = [
        ("columns", json!({ "columns": ["n", "no such"] })),
        ("columns", json!({ "columns": ["n", "n"] })),
        ("columns", json!({ "columns": [] })),
        ("where", json!({ "where": [{ "column": "x", "equals": "1" }] })),
        ("where", json!({ "where": [{ "column": "n" }] })),
        ("where", json!({ "where": [{ "column": "n", "equals": "one" }] })),
        ("where", json!({ "where": [{ "column": "n", "equals": "1", "to": "2" }] })),
        ("where", json!({ "where": [{ "column": "n", "from": "10", "to": "9" }] })),
        ("maxRowsPerSecond", json!({ "maxRowsPerSecond": 0 })),
        ("dataset", json!({ "dataset": "not a name" })),
    ];
    for (field, mut input) in table {
        if input.get("dataset").is_none() {
            input["dataset"] = json!("people");
        }
        let refusal = server.refusal(START, json!({ "input": input })).await;
        assert_eq!(refusal["extensions"], json!({ "code": "BAD_USER_INPUT", "field": field }), "{input}");
    }
    let tasks = server.data("{ tasks(filter: { kinds: [EXPORT] }) { totalCount } }", json!({})).await;
    assert_eq!(tasks["tasks"]["totalCount"], 0);
}

#[tokio::test]
async fn formulas_are_guarded_if_requested() {
    let file = "name,=head\r\n=1+1,-5\r\n\"@a,b\",+3.2\r\nplain,-x\r\n";
    let server = filled(&[], file).await;
    assert_eq!(String::from_utf8(server.exported("people").await).unwrap(), file);
    let id = start(&server, json!({ "dataset": "people", "guardFormulas": true })).await;
    let guarded = "name,'=head\r\n'=1+1,-5\r\n\"'@a,b\",+3.2\r\nplain,'-x\r\n";
    assert_eq!(String::from_utf8(download(&server, &id).await).unwrap(), guarded);
}

#[tokio::test]
async fn an_export_that_is_paused_and_killed_gives_the_same_bytes() {
    let mut server = filled(&[("PAUSA_MAX_RUNNING", "3")], &csv::people(30_000)).await;
    interrupted(&mut server).await;
}

#[tokio::test]
async fn on_postgres_an_export_that_is_paused_and_killed_gives_the_same_bytes() {
    let (_held, url) = crate::datasets::database::database("interrupted_exports").await;
    let settings = [("PAUSA_MAX_RUNNING", "3"), ("PAUSA_DATASETS_URL", url.as_str())];
    let mut server = filled(&settings, &csv::people(30_000)).await;
    interrupted(&mut server).await;
}

/// Exports of each packing, undisturbed and disturbed.
async fn interrupted(server: &mut Server) {
    let packings = ["NONE", "GZIP", "ZIP"];
    let input = |compression: &str| {
        let filter = json!([{ "column": "name", "from": "name 1", "to": "name 9" }]);
        json!({ "dataset": "people", "compression": compression, "where": filter, "maxRowsPerSecond": 4_000 })
    };
    let mut undisturbed = Vec::new();
    let started = join_all(packings.map(|compression| start(server, input(compression)))).await;
    for id in &started {
        undisturbed.push(download(server, id).await);
    }
    // All at the same time: one that waits for the others would come to its end. Each takes 7 s.
    let ids = join_all(packings.map(|compression| paused_and_resumed(server, input(compression)))).await;
    server.kill().await;
    server.restart().await;
    let wanted = csv::cells(&undisturbed[0]);
    assert_eq!(wanted.len(), 1 + (1..=30_000).filter(|n: &u32| !n.to_string().starts_with('9')).count());
    for ((id, compression), same) in ids.iter().zip(packings).zip(undisturbed) {
        let file = download(server, id).await;
        assert!(file == same, "{compression}: {} bytes, undisturbed {}", file.len(), same.len());
        assert!(csv::cells(&unpacked(compression, file)) == wanted, "{compression}");
        let result = server.task(id).await["result"].take();
        let name =
            ["people.csv", "people.csv.gz", "people.zip"][packings.iter().position(|p| *p == compression).unwrap()];
        assert_eq!((result["name"].as_str(), result["size"].as_u64()), (Some(name), Some(same.len() as u64)));
        let sha = sha256(&same);
        assert_eq!(result["sha256"], json!(sha), "{compression}");
    }
}

/// Starts an export, pauses it after 3,000 rows, resumes it, and waits until it has written 10,000. Starts another one if the
/// export ends before it is paused.
async fn paused_and_resumed(server: &Server, input: Value) -> String {
    loop {
        let id = start(server, input.clone()).await;
        let before = server.until_done(&id, 3000).await["progress"]["done"].as_u64().unwrap();
        let refused = server.verb("pause", &id).await.get("errors").is_some();
        let mut watch = Watch::progress(&server.url, &id).await;
        let stopped = watch.until(|task| task["state"] == "PAUSED" || task["state"] == "COMPLETED").await;
        if stopped["state"] == "COMPLETED" {
            continue;
        }
        assert!(!refused, "{stopped}");
        assert!(stopped["progress"]["done"].as_u64().unwrap() >= before, "progress never goes back");
        server.control("resume", &id).await;
        server.until_done(&id, 10_000).await;
        return id;
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    pausa::files::hex(&sha2::Sha256::digest(bytes))
}

#[tokio::test]
async fn a_terminated_export_leaves_no_file_and_no_pin() {
    let server = filled(&[("PAUSA_MAX_RUNNING", "3")], &csv::people(20_000)).await;
    let mut ids = Vec::new();
    for compression in ["NONE", "GZIP", "ZIP"] {
        let input = json!({ "dataset": "people", "compression": compression, "maxRowsPerSecond": 2000 });
        ids.push(start(&server, input).await);
    }
    for id in &ids {
        server.until_done(id, 1).await;
    }
    server.data("mutation { dropDataset(name: \"people\") }", json!({})).await;
    let segments = server.folder().join("datasets.db-segments");
    assert_eq!(std::fs::read_dir(&segments).unwrap().count(), 1, "they read it");
    for id in &ids {
        server.control("terminate", id).await;
        server.until(id, "TERMINATED").await;
        assert_eq!(server.get(&format!("/download/{id}")).await.status(), 409);
    }
    for folder in ["files/work", "files/results"] {
        assert_eq!(std::fs::read_dir(server.folder().join(folder)).unwrap().count(), 0, "{folder}");
    }
    assert_eq!(std::fs::read_dir(&segments).unwrap().count(), 0, "nobody reads it any more");
}

#[tokio::test]
async fn a_dataset_is_streamed_to_a_client() {
    let file = csv::people(1000);
    let server = filled(&[], &file).await;
    let whole = server.get("/datasets/people.csv").await;
    assert_eq!(whole.headers()["content-type"], "text/csv; charset=utf-8");
    assert_eq!(whole.headers()["content-disposition"], "attachment; filename=\"people.csv\"");
    assert!(whole.bytes().await.unwrap() == file.as_bytes());
    let some = server.get("/datasets/people.csv?columns=note,n&guardFormulas=true").await;
    assert!(some.text().await.unwrap().starts_with("note,n\r\n\"a, \"\"b\"\"\",1\r\nplain,2\r\n"));
    let one = server.get(r#"/datasets/people.csv?columns=note,n&where=[{"column":"n","equals":"2"}]"#).await;
    assert_eq!(one.text().await.unwrap(), "note,n\r\nplain,2\r\n");
    let head = server.client().head(format!("{}/datasets/people.csv", server.url)).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), head.headers()["content-type"].as_bytes()),
        (200, &b"text/csv; charset=utf-8"[..])
    );
    for (path, status, code) in [
        ("/datasets/none.csv", 404, "NOT_FOUND"),
        ("/datasets/people", 404, "NOT_FOUND"),
        ("/datasets/people.csv?columns=x", 400, "BAD_USER_INPUT"),
        ("/datasets/people.csv?where=x", 400, "BAD_USER_INPUT"),
        (r#"/datasets/people.csv?where=[{"column":"x","equals":"2"}]"#, 400, "BAD_USER_INPUT"),
        (r#"/datasets/people.csv?where=[{"column":"n","is":"2"}]"#, 400, "BAD_USER_INPUT"),
        ("/datasets/people.csv?rows=2", 400, "BAD_USER_INPUT"),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status(), status, "{path}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{path}");
    }
    let tasks = server.data("{ tasks(filter: { kinds: [EXPORT] }) { totalCount } }", json!({})).await;
    assert_eq!(tasks["tasks"]["totalCount"], 0);
}

/// Waits until the segments of a server are so many: nothing tells when a stream lets go.
async fn until_segments(server: &Server, count: usize) {
    let folder = server.folder().join("datasets.db-segments");
    let reached = async {
        while std::fs::read_dir(&folder).unwrap().count() != count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}

#[tokio::test]
async fn a_slow_client_reads_the_dataset_as_of_the_request() {
    let file = csv::wide(300_000, 10);
    let mut server = filled(&[], &file).await;
    let mut slow = server.get("/datasets/people.csv").await;
    let left = server.get("/datasets/people.csv").await;
    let mut bytes = slow.chunk().await.unwrap().unwrap().to_vec();
    server.data("mutation { dropDataset(name: \"people\") }", json!({})).await;
    until_segments(&server, 1).await;
    while let Some(chunk) = slow.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    assert!(bytes == file.as_bytes(), "{} bytes", bytes.len());
    drop(left);
    until_segments(&server, 0).await;

    // One that is cut off is seen to be, and what it held is let go of at the next start.
    fill(&server, &file, json!({ "dataset": "people" })).await;
    let mut cut = server.get("/datasets/people.csv").await;
    cut.chunk().await.unwrap().unwrap();
    server.data("mutation { dropDataset(name: \"people\") }", json!({})).await;
    server.kill().await;
    let end = loop {
        match cut.chunk().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(end.is_err(), "a stream that broke off looks whole");
    server.restart().await;
    until_segments(&server, 0).await;
}

#[tokio::test]
async fn a_shutdown_ends_a_stream_visibly_incomplete() {
    let file = csv::wide(300_000, 10);
    let mut server = filled(&[], &file).await;
    let mut stream = server.get("/datasets/people.csv").await;
    let mut bytes = stream.chunk().await.unwrap().unwrap().len();
    let reading = async {
        loop {
            match stream.chunk().await {
                Ok(Some(chunk)) => bytes += chunk.len(),
                end => return (end, bytes),
            }
        }
    };
    let (code, (end, bytes)) = tokio::join!(server.terminate(), reading);
    assert_eq!(code, Some(0));
    assert!(end.is_err() || bytes == file.len(), "{bytes} of {} bytes look whole", file.len());
}
