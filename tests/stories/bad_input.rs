//! Invalid input: a code, a message that says where and what to do, and nothing left behind.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::server::Server;

/// Returns every file in a folder, without those of the databases.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else if !name.starts_with("pausa.") && !name.starts_with("datasets.db") && name != "store-id" {
            found.push(name);
        }
    }
    found
}

async fn nothing_is_left(server: &Server) {
    let counts = server.data("{ tasks { totalCount } datasets { totalCount } }", json!({})).await;
    assert_eq!(counts, json!({ "tasks": { "totalCount": 0 }, "datasets": { "totalCount": 0 } }));
    assert_eq!(files(server.folder()), Vec::<String>::new());
}

#[tokio::test]
async fn invalid_input_starts_nothing() {
    let server = Server::start().await;
    let pi = "mutation($digits: Int!) { startPiJob(input: { digits: $digits }) { id } }";
    for digits in
        [json!(0), json!(-1), json!(3.7), json!(1_000_000_000_000_u64), json!("x"), json!(null), json!(100_000_001)]
    {
        let error = server.refusal(pi, json!({ "digits": digits })).await;
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{digits}");
    }
    let import = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";
    let unknown = json!({ "uploadId": "01890000-0000-7000-8000-000000000000" });
    let long = "a".repeat(64);
    let inputs = [
        (json!({ "source": unknown, "dataset": "a\"b" }), "dataset"),
        (json!({ "source": unknown, "dataset": "" }), "dataset"),
        (json!({ "source": unknown, "dataset": "1a" }), "dataset"),
        (json!({ "source": unknown, "dataset": long }), "dataset"),
        (json!({ "source": unknown, "dataset": "ok" }), "source.uploadId"),
        (json!({ "source": { "path": "../secret.csv" }, "dataset": "ok" }), "source.path"),
        (json!({ "source": unknown, "dataset": "ok", "maxRowsPerSecond": 0 }), "maxRowsPerSecond"),
    ];
    for (input, field) in inputs {
        let error = server.refusal(import, json!({ "input": input })).await;
        let found = (&error["extensions"]["code"], &error["extensions"]["field"]);
        assert_eq!(found, (&json!("BAD_USER_INPUT"), &json!(field)), "{error}");
    }
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn unknown_and_invalid_ids_are_refused() {
    let server = Server::start().await;
    for (id, code) in
        [("01890000-0000-7000-8000-000000000000", "NOT_FOUND"), ("nonsense", "BAD_USER_INPUT"), ("", "BAD_USER_INPUT")]
    {
        let task = "query($id: ID!) { task(id: $id) { id } }";
        assert_eq!(server.refusal(task, json!({ "id": id })).await["extensions"]["code"], code);
        for verb in ["pause", "resume", "terminate"] {
            assert_eq!(server.verb(verb, id).await["errors"][0]["extensions"]["code"], code, "{verb} {id}");
        }
        if !id.is_empty() {
            assert_eq!(server.get(&format!("/download/{id}")).await.status(), 404);
        }
    }
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn files_that_are_not_tables_fail_with_their_line_and_leave_no_row() {
    let server = Server::start().await;
    let table: [(&[u8], &str); 6] = [
        (b"", "empty"),
        (b"a,b\n1,2\n3\n", "Line 3 has 1 field,"),
        (b"a,b\n1,2\n3,4,5\n", "Line 3 has 3 fields,"),
        (b"a,b\n1,\xff\n", "Line 2, column \"b\""),
        (b"a,b\n1,\"2\n3,4\n", "Line 2: a quoted field is not closed"),
        (b"a,b\n1,2\n3,\"cut o", "The file may be truncated."),
    ];
    for (file, expected) in table {
        let upload = server.upload(file).await;
        let id = server.import(&upload, json!({ "dataset": "people" })).await;
        let error = server.until(&id, "FAILED").await["error"].take();
        assert_eq!(error["code"], "BAD_USER_INPUT");
        assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
        assert_eq!(server.rows("people").await, None);
    }
    let segments = server.folder().join("datasets.db-segments");
    assert_eq!(std::fs::read_dir(segments).unwrap().count(), 0, "a staging is left");
    let upload = server.upload("a,b\n1,2\n").await;
    let id = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&id, "COMPLETED").await;
    assert_eq!(server.rows("people").await, Some(1));
}

/// Content that is not CSV is refused before a row is written, in each mode, and the dataset is free afterwards.
async fn content_that_is_not_csv_leaves_nothing(database: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rows.csv"), "a\tb\n1\t2\n").unwrap();
    let import_dir = [("PAUSA_IMPORT_DIR", folder.path().to_str().unwrap())];
    let database = database.map(|url| ("PAUSA_DATABASE_URL", url));
    let settings: Vec<_> = import_dir.into_iter().chain(database).collect();
    let server = Server::with(&settings).await;
    let start = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";
    for mode in ["CREATE", "REPLACE", "APPEND"] {
        let input = json!({ "source": { "path": "rows.csv" }, "dataset": "people", "mode": mode });
        let id = server.data(start, json!({ "input": input })).await["startImport"]["id"].take();
        let error = server.until(id.as_str().unwrap(), "FAILED").await["error"].take();
        assert_eq!(error["code"], "BAD_USER_INPUT");
        assert!(error["message"].as_str().unwrap().starts_with("The file looks tab-separated"), "{error}");
        let id = server.import(&server.upload("a,b\n1,2\n").await, json!({ "dataset": "people", "mode": mode })).await;
        server.until(&id, "COMPLETED").await;
    }
    assert_eq!(server.rows("people").await, Some(2));
    let input = json!({ "source": { "path": "rows.csv" }, "dataset": "people", "mode": "APPEND",
        "csv": { "delimiter": "\t" } });
    let id = server.data(start, json!({ "input": input })).await["startImport"]["id"].take();
    server.until(id.as_str().unwrap(), "COMPLETED").await;
    assert_eq!(server.rows("people").await, Some(3));
}

#[tokio::test]
async fn content_that_is_not_csv_leaves_nothing_on_sqlite() {
    content_that_is_not_csv_leaves_nothing(None).await;
}

#[tokio::test]
async fn content_that_is_not_csv_leaves_nothing_on_postgresql() {
    let (_held, url) = crate::datasets::database::database("no_csv").await;
    content_that_is_not_csv_leaves_nothing(Some(&url)).await;
}

#[tokio::test]
async fn odd_but_valid_files_are_imported() {
    let server = Server::start().await;
    let table: [(&[u8], Value, &[&str], u64); 5] = [
        (b"a,b\n", json!({ "dataset": "select" }), &["a", "b"], 0),
        (b"a,a,\n1,2,3\n", json!({ "dataset": "twice" }), &["a", "a_2", "column_3"], 1),
        (
            b"1;2\n",
            json!({ "dataset": "bare", "csv": { "header": false, "delimiter": ";" } }),
            &["column_1", "column_2"],
            1,
        ),
        (b"order\n\"a\nb\"\n", json!({ "dataset": "Table" }), &["order"], 1),
        ("\u{feff}n\u{e4}me\r\nx".as_bytes(), json!({ "dataset": "mark" }), &["n\u{e4}me"], 1),
    ];
    for (file, input, names, rows) in table {
        let dataset = input["dataset"].clone();
        let upload = server.upload(file).await;
        let id = server.import(&upload, input).await;
        server.until(&id, "COMPLETED").await;
        let query = "query($name: String!) { dataset(name: $name) { rowCount columns { name } } }";
        let found = server.data(query, json!({ "name": dataset })).await["dataset"].take();
        let columns: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        assert_eq!(found, json!({ "rowCount": rows, "columns": columns }), "{dataset}");
    }
}

#[tokio::test]
async fn only_files_in_the_import_folder_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("outside.csv"), "a\n1\n").unwrap();
    let inside = folder.path().join("in");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(inside.join("rows.csv"), "a\n1\n2\n").unwrap();
    std::os::unix::fs::symlink("../outside.csv", inside.join("link.csv")).unwrap();
    let server = Server::with(&[("PAUSA_IMPORT_DIR", inside.to_str().unwrap())]).await;
    let import = "mutation($path: String!, $name: String!)
        { startImport(input: { source: { path: $path }, dataset: $name }) { id } }";
    for path in ["../outside.csv", "link.csv", "/etc/passwd", "none.csv", "."] {
        let error = server.refusal(import, json!({ "path": path, "name": "people" })).await;
        assert_eq!(error["extensions"], json!({ "code": "BAD_USER_INPUT", "field": "source.path" }), "{path}");
    }
    let data = server.data(import, json!({ "path": "rows.csv", "name": "people" })).await;
    server.until(data["startImport"]["id"].as_str().unwrap(), "COMPLETED").await;
    assert_eq!(server.rows("people").await, Some(2));
}

#[tokio::test]
async fn invalid_settings_prevent_the_start() {
    for (name, value, found) in [
        ("PAUSA_LEASE_SECONDS", "soon", "setting lease_seconds = \"soon\""),
        ("PAUSA_NONSENSE", "1", "unknown setting PAUSA_NONSENSE"),
        ("PAUSA_DATABASE_URL", "oracle://me:hunter2@db/x", "postgres://USER:PASSWORD@HOST/DATABASE"),
    ] {
        let program =
            tokio::process::Command::new(env!("CARGO_BIN_EXE_pausa")).env(name, value).output().await.unwrap();
        let text = String::from_utf8(program.stderr).unwrap();
        assert!(!program.status.success() && text.contains(found) && !text.contains("hunter2"), "{name}: {text}");
    }
}
