//! Rows of an import: their types, and bad rows.

use serde_json::{Value, json};

use crate::harness::csv;
use crate::harness::postgres::Postgres;
use crate::harness::server::Server;

/// A row in each notation of each type, and the expected output.
const TYPED: &str = "id,code,price,paid,day,at,note\r\n\
    1,007,1.50,yes,2026-01-31,2026-01-31T12:00:00+02:00,a\r\n\
    -2,008,-3e2,F,0001-01-01,2026-01-31 10:00:00.25,\r\n\
    9223372036854775807,,0.1,,,,\"two\r\nlines\"\r\n";

const WRITTEN: &str = "id,code,price,paid,day,at,note\r\n\
    1,007,1.5,true,2026-01-31,2026-01-31T10:00:00Z,a\r\n\
    -2,008,-300,false,0001-01-01,2026-01-31T10:00:00.25Z,\r\n\
    9223372036854775807,,0.1,,,,\"two\r\nlines\"\r\n";

fn typed() -> Value {
    let columns = [("id", "INTEGER"), ("price", "REAL"), ("paid", "BOOLEAN"), ("day", "DATE"), ("at", "TIMESTAMP")];
    columns.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect()
}

async fn rejects(server: &Server, id: &str) -> Value {
    let query = "query($id: ID!) { task(id: $id) { state result { url } error { message }
        ... on ImportTask { rowsImported rowsRejected rejects { name size contentType url sha256 } } } }";
    server.data(query, json!({ "id": id })).await["task"].take()
}

async fn values_are_exported_in_the_notation_of_their_types(server: &Server) {
    let upload = server.upload(TYPED).await;
    let id = server.import(&upload, json!({ "dataset": "typed", "columns": typed() })).await;
    server.until(&id, "COMPLETED").await;
    let columns = server.data("{ dataset(name: \"typed\") { columns { name type } } }", json!({})).await;
    let kinds: Vec<_> = columns["dataset"]["columns"].as_array().unwrap().iter().map(|c| c["type"].clone()).collect();
    assert_eq!(kinds, ["INTEGER", "TEXT", "REAL", "BOOLEAN", "DATE", "TIMESTAMP", "TEXT"]);
    assert_eq!(String::from_utf8(server.exported("typed").await).unwrap(), WRITTEN);
    // Rows that are appended use the types of the dataset, and the exported file can be imported again.
    let again = server.upload(WRITTEN).await;
    let id = server.import(&again, json!({ "dataset": "typed", "mode": "APPEND" })).await;
    server.until(&id, "COMPLETED").await;
    let rows = server.exported("typed").await;
    assert_eq!((csv::cells(&rows).len(), server.rows("typed").await), (7, Some(6)));
}

#[tokio::test]
async fn typed_columns_in_sqlite() {
    values_are_exported_in_the_notation_of_their_types(&Server::start().await).await;
}

#[tokio::test]
async fn typed_columns_in_postgresql() {
    let postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let url = postgres.url();
    values_are_exported_in_the_notation_of_their_types(&Server::with(&[("PAUSA_DATABASE_URL", &url)]).await).await;
}

#[tokio::test]
async fn types_are_detected_in_a_sample() {
    let server = Server::start().await;
    let upload = server.upload("n,phone,when\n1,0301234,2026-01-31\n2,+49301234,2026-02-01\n").await;
    let id = server.import(&upload, json!({ "dataset": "guessed", "inferTypes": true })).await;
    server.until(&id, "COMPLETED").await;
    let columns = server.data("{ dataset(name: \"guessed\") { columns { type } } }", json!({})).await;
    let expected = json!([{ "type": "INTEGER" }, { "type": "TEXT" }, { "type": "DATE" }]);
    assert_eq!(columns["dataset"]["columns"], expected);
}

#[tokio::test]
async fn a_sample_does_not_change_the_position_in_a_large_file() {
    let server = Server::start().await;
    let upload = server.upload(csv::people(60_000)).await;
    let id = server.import(&upload, json!({ "dataset": "people", "inferTypes": true })).await;
    server.until(&id, "COMPLETED").await;
    assert!(server.exported("people").await == csv::people(60_000).into_bytes());
}

#[tokio::test]
async fn bad_rows_go_to_the_rejects_and_can_be_corrected_and_imported() {
    let mut server = Server::start().await;
    let mut file = b"n,age\r\n".to_vec();
    for n in 1..=3000 {
        let line = match n {
            500 => b"500\r\n".to_vec(),
            1500 => b"1500,\xff\r\n".to_vec(),
            2500 => b"2500,old\r\n".to_vec(),
            n => format!("{n},{}\r\n", n % 90).into_bytes(),
        };
        file.extend(line);
    }
    let upload = server.upload(file).await;
    let input = json!({ "dataset": "people", "onBadRow": "SKIP", "maxBadRows": 3, "maxRowsPerSecond": 3000,
        "columns": [{ "name": "age", "type": "INTEGER" }] });
    let id = server.import(&upload, input).await;
    server.until_done(&id, 600).await;
    server.kill().await;
    server.restart().await;
    server.until_done(&id, 1600).await;
    assert_eq!(server.control("pause", &id).await, "PAUSED");
    assert_eq!(rejects(&server, &id).await["rejects"], Value::Null);
    server.control("resume", &id).await;
    server.until(&id, "COMPLETED").await;

    let task = rejects(&server, &id).await;
    assert_eq!(
        (&task["rowsImported"], &task["rowsRejected"], &task["result"]),
        (&json!(2997), &json!(3), &Value::Null)
    );
    assert_eq!(task["rejects"]["url"], format!("/download/{id}/rejects"));
    let answer = server.get(task["rejects"]["url"].as_str().unwrap()).await;
    assert!(answer.headers()["content-disposition"].to_str().unwrap().contains("people.rejects.csv"));
    let bytes = answer.bytes().await.unwrap();
    let expected = b"pausa_line,pausa_column,pausa_reason,n,age\r\n501,,1 field instead of 2,500\r\n\
        1501,age,byte 1 is not valid UTF-8,1500,\xff\r\n\
        2501,age,\"\"\"old\"\" is not an INTEGER from -9223372036854775808 to 9223372036854775807\",2500,old\r\n";
    assert_eq!(bytes.escape_ascii().to_string(), expected.escape_ascii().to_string());
    assert_eq!(server.get(&format!("/download/{id}")).await.status(), 404);

    let mended =
        String::from_utf8_lossy(&bytes).replace(",500\r", ",500,1\r").replace('\u{fffd}', "2").replace(",old", ",3");
    let upload = server.upload(mended).await;
    let id = server.import(&upload, json!({ "dataset": "people", "mode": "APPEND" })).await;
    server.until(&id, "COMPLETED").await;
    assert_eq!(server.rows("people").await, Some(3000));
    assert_eq!(csv::cells(&server.exported("people").await)[2998..], [["500", "1"], ["1500", "2"], ["2500", "3"]]);
}

/// Returns the rejects of a task as text.
async fn rejected(server: &Server, id: &str) -> String {
    let task = rejects(server, id).await;
    let answer = server.get(task["rejects"]["url"].as_str().unwrap()).await;
    assert_eq!(answer.status(), 200);
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(task["rejects"]["size"], json!(bytes.len()));
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A FAILED import that exceeded maxBadRows is rolled back and keeps its rejects until it is resumed or deleted.
async fn too_many_bad_rows_leave_their_rejects(mut server: Server) {
    let good: String = (1..=20_000).map(|n| format!("{n},x\n")).collect();
    let upload = server.upload(format!("a,b\n{good}3\n{good}4\n5\n{good}")).await;
    let input = json!({ "dataset": "people", "onBadRow": "SKIP", "maxBadRows": 1 });
    let id = server.import(&upload, input).await;
    server.until(&id, "FAILED").await;
    let task = rejects(&server, &id).await;
    let expected = "2 rows are bad, but maxBadRows is 1. Last bad row: Line 40003 has 1 field, but the header has 2.";
    assert_eq!((&task["error"]["message"], &task["rowsRejected"]), (&json!(expected), &json!(2)));
    let file = "pausa_line,pausa_column,pausa_reason,a,b\r\n20002,,1 field instead of 2,3\r\n\
        40003,,1 field instead of 2,4\r\n";
    assert_eq!(rejected(&server, &id).await, file);
    assert_eq!(
        (server.rows("people").await, server.get(&format!("/download/{id}")).await.status().as_u16()),
        (None, 409)
    );

    server.kill().await;
    server.restart().await;
    assert_eq!(rejected(&server, &id).await, file);
    server.control("resume", &id).await;
    server.until(&id, "FAILED").await;
    assert_eq!(rejected(&server, &id).await, file);
    // The dataset is free: the file without its bad rows can be imported.
    let other = server.import(&upload, json!({ "dataset": "people", "onBadRow": "SKIP" })).await;
    server.until(&other, "COMPLETED").await;
    assert_eq!(server.rows("people").await, Some(60_000));

    let kept = server.folder().join("files/results").join(&id);
    assert!(kept.exists());
    server.data("mutation($id: ID!) { deleteTask(id: $id) }", json!({ "id": id })).await;
    assert!(!kept.exists());
    assert_eq!(server.get(&format!("/download/{id}/rejects")).await.status(), 404);
}

#[tokio::test]
async fn too_many_bad_rows_leave_their_rejects_on_sqlite() {
    too_many_bad_rows_leave_their_rejects(Server::start().await).await;
}

#[tokio::test]
async fn too_many_bad_rows_leave_their_rejects_on_postgresql() {
    let (_held, url) = crate::datasets::database::database("kept_rejects").await;
    too_many_bad_rows_leave_their_rejects(Server::with(&[("PAUSA_DATABASE_URL", &url)]).await).await;
}

#[tokio::test]
async fn a_row_that_the_database_rejects_is_a_bad_row() {
    let postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let server = Server::with(&[("PAUSA_DATABASE_URL", &postgres.url())]).await;
    let line = |n: usize| {
        if n.is_multiple_of(20_000) || n == 39_999 { format!("{n},a\0b\r\n") } else { format!("{n},plain\r\n") }
    };
    let file = "n,text\r\n".to_owned() + &(1..=90_000).map(line).collect::<String>();
    let upload = server.upload(file.clone()).await;
    let id = server.import(&upload, json!({ "dataset": "texts", "onBadRow": "SKIP" })).await;
    server.until(&id, "COMPLETED").await;
    let task = rejects(&server, &id).await;
    assert_eq!((&task["rowsImported"], &task["rowsRejected"]), (&json!(89_995), &json!(5)));
    let bad: Vec<_> = csv::cells(&server.get(&format!("/download/{id}/rejects")).await.bytes().await.unwrap());
    let lines: Vec<_> =
        bad[1..].iter().map(|cells| (cells[0].as_str(), cells[1].as_str(), cells[3].as_str())).collect();
    let expected = [("20001", "20000"), ("40000", "39999"), ("40001", "40000"), ("60001", "60000"), ("80001", "80000")];
    assert_eq!(lines, expected.map(|(line, n)| (line, "text", n)));
    let rows = csv::cells(&server.exported("texts").await);
    let good = csv::cells(file.as_bytes()).into_iter().filter(|cells| !cells[1].contains('\0'));
    assert!(rows.into_iter().eq(good), "the good rows are imported in their order");
    let id = server.import(&upload, json!({ "dataset": "none" })).await;
    server.until(&id, "FAILED").await;
    let message = server.task(&id).await["error"]["message"].take();
    assert_eq!(message, "Line 20001, column \"text\": PostgreSQL cannot store a NUL byte in a text.");
    let id = server.import(&upload, json!({ "dataset": "none", "onBadRow": "SKIP", "maxBadRows": 2 })).await;
    server.until(&id, "FAILED").await;
    let kept = csv::cells(rejected(&server, &id).await.as_bytes());
    let lines: Vec<_> = kept[1..].iter().map(|cells| cells[0].as_str()).collect();
    assert_eq!(lines, ["20001", "40000", "40001"]);
}
