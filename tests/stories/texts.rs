//! Texts that a database cannot store: a client's text is refused with its field, and a run's text is stored in a valid
//! form.

use std::sync::Arc;

use async_trait::async_trait;
use pausa::clock::Clock;
use pausa::runner::{BadInput, Context, Failure, Kind, Report, StopReason, TaskPlan};
use pausa::task::{ResultFile, Unit};
use serde_json::{Value, json};

use crate::datasets::database::{database, execute};
use crate::harness::embedded::Embedded;
use crate::harness::postgres::Postgres;
use crate::harness::server::Server;
use crate::harness::watch::Watch;

const IMPORT: &str = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";
const EXPORT: &str = "mutation($input: StartExportInput!) { startExport(input: $input) { id } }";
const PI: &str = "mutation($input: StartPiJobInput!) { startPiJob(input: $input) { id } }";
const TIMER: &str = "mutation($input: StartTimerInput!) { startTimer(input: $input) { id } }";
const LATER: &str = "2999-01-01T00:00:00Z";

/// Starts a server on PostgreSQL, with a database of its own.
async fn on_postgres(name: &str) -> (Arc<Postgres>, Server) {
    let (postgres, url) = database(name).await;
    let server = Server::with(&[("PAUSA_DATABASE_URL", &url)]).await;
    (postgres, server)
}

async fn refused(server: &Server, query: &str, variables: Value, field: &str) {
    let error = server.refusal(query, variables).await;
    let actual = (&error["extensions"]["code"], &error["extensions"]["field"]);
    assert_eq!(actual, (&json!("BAD_USER_INPUT"), &json!(field)), "{error}");
}

/// Sends every text that the API stores or looks up, with a NUL or too long.
async fn texts_of_clients(server: &Server) {
    let upload = server.upload("a,b\n1,2\n").await;
    let import = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&import, "COMPLETED").await;
    let starts = [
        (PI, json!({ "digits": 10 })),
        (TIMER, json!({ "url": "http://example.org", "when": { "at": LATER } })),
        (EXPORT, json!({ "dataset": "people" })),
        (IMPORT, json!({ "dataset": "others", "source": { "uploadId": upload } })),
    ];
    for (start, input) in starts {
        for (field, limit) in [("label", 200), ("idempotencyKey", 200)] {
            for text in ["a\0b".to_owned(), "é".repeat(limit + 1)] {
                let mut input = input.clone();
                input[field] = json!(text);
                refused(server, start, json!({ "input": input }), field).await;
            }
        }
    }
    let waiting =
        json!({ "digits": 10, "label": "é".repeat(200), "idempotencyKey": "é".repeat(200), "startAt": LATER });
    let waiting = server.data(PI, json!({ "input": waiting })).await["startPiJob"]["id"].take();
    for reason in ["a\0b".to_owned(), "é".repeat(1_001)] {
        for verb in ["pause", "resume", "terminate"] {
            let query = format!("mutation($id: ID!, $why: String) {{ {verb}(id: $id, reason: $why) {{ id }} }}");
            refused(server, &query, json!({ "id": waiting, "why": reason }), "reason").await;
        }
        let all = "mutation($why: String) { controlTasks(verb: PAUSE, filter: {}, reason: $why) { changed } }";
        refused(server, all, json!({ "why": reason }), "reason").await;
    }
    let listed = "query($label: String) { tasks(filter: { label: $label }) { totalCount } }";
    refused(server, listed, json!({ "label": "a\0b" }), "filter.label").await;
    let after = "query($after: String) { datasets(after: $after) { nodes { name } } }";
    refused(server, after, json!({ "after": "a\0b" }), "after").await;
    let unknown = json!({ "dataset": "others", "source": { "uploadId": "a\0b" } });
    refused(server, IMPORT, json!({ "input": unknown }), "source.uploadId").await;
    let chosen = json!({ "dataset": "people", "where": [{ "column": "a", "equals": "x\0y" }] });
    refused(server, EXPORT, json!({ "input": chosen }), "where").await;
    let counts = server.data("{ tasks { totalCount } datasets { totalCount } }", json!({})).await;
    assert_eq!(counts, json!({ "tasks": { "totalCount": 2 }, "datasets": { "totalCount": 1 } }));
}

/// Sends invalid names of uploaded files in every supported way.
async fn names_of_files(server: &Server) {
    let form = |name: &str| {
        let name = name.to_owned();
        reqwest::multipart::Form::new().part("file", reqwest::multipart::Part::text("a\n1\n").file_name(name))
    };
    let long = "é".repeat(1_001);
    let sent = server.client().post(format!("{}/uploads", server.url)).multipart(form(&long)).send().await.unwrap();
    assert_eq!(sent.status(), 400);
    let error: Value = sent.json().await.unwrap();
    assert_eq!(error["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{error}");
    // "a\0b" in Base64.
    let tus = server.client().post(format!("{}/uploads", server.url)).header("tus-resumable", "1.0.0");
    let begun = tus.header("upload-length", "3").header("upload-metadata", "filename YQBi").send().await.unwrap();
    assert_eq!(begun.status(), 400, "{}", begun.text().await.unwrap());
    for path in ["/uploads/a%00b", "/download/a%00b", "/datasets/a%00b.csv"] {
        let answer = server.client().head(format!("{}{path}", server.url)).header("tus-resumable", "1.0.0").send();
        assert_eq!(answer.await.unwrap().status(), 404, "{path}");
    }
}

/// Returns the task when it is COMPLETED or FAILED.
async fn ended(server: &Server, id: &str) -> Value {
    let mut watch = Watch::progress(&server.url, id).await;
    watch.until(|task| task["state"] == "COMPLETED" || task["state"] == "FAILED").await
}

/// Imports files with a NUL in a cell, in a column name and in the reason of a bad row.
async fn texts_of_runs(server: &Server, holds_nul: bool) {
    let cells = server.upload("a,b\n1,x\0y\n").await;
    let import = server.import(&cells, json!({ "dataset": "cells" })).await;
    let expected = if holds_nul { "COMPLETED" } else { "FAILED" };
    let task = ended(server, &import).await;
    assert_eq!(task["state"], expected, "{task}");
    assert!(holds_nul || task["error"]["message"].as_str().unwrap().contains("NUL"), "{task}");
    let header = server.upload("a\0b,c\n1,2\n").await;
    let import = server.import(&header, json!({ "dataset": "header" })).await;
    assert_eq!(ended(server, &import).await["state"], "COMPLETED");
    assert_eq!(server.exported("header").await, b"a\0b,c\r\n1,2\r\n");
    let numbers = server.upload("a,b\n1\0,2\n").await;
    let columns = json!([{ "name": "a", "type": "INTEGER" }]);
    let import = server.import(&numbers, json!({ "dataset": "numbers", "columns": columns })).await;
    assert_eq!(ended(server, &import).await["error"]["code"], "BAD_USER_INPUT");
}

#[tokio::test]
async fn on_sqlite_texts_of_clients_are_refused_with_their_field() {
    let server = Server::start().await;
    texts_of_clients(&server).await;
    names_of_files(&server).await;
}

#[tokio::test]
async fn on_postgres_texts_of_clients_are_refused_with_their_field() {
    let (_postgres, server) = on_postgres("texts_of_clients").await;
    texts_of_clients(&server).await;
    names_of_files(&server).await;
}

#[tokio::test]
async fn on_sqlite_texts_of_runs_are_stored() {
    texts_of_runs(&Server::start().await, true).await;
}

#[tokio::test]
async fn on_postgres_texts_of_runs_are_stored() {
    let (_postgres, server) = on_postgres("texts_of_runs").await;
    texts_of_runs(&server, false).await;
}

#[tokio::test]
async fn lone_surrogates_are_not_valid_text() {
    let server = Server::start().await;
    for body in [
        r#"{"query":"mutation { startPiJob(input: { digits: 10, label: \"\ud800\" }) { id } }"}"#,
        r#"{"query":"mutation { startPiJob(input: { digits: 10, label: \"\\uD800\" }) { id } }"}"#,
        r#"{"query":"mutation($l: String) { startPiJob(input: { digits: 10, label: $l }) { id } }","variables":{"l":"\udc00"}}"#,
    ] {
        let sent = server.client().post(format!("{}/graphql", server.url)).header("content-type", "application/json");
        let answer: Value = sent.body(body).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{body}: {answer}");
    }
    assert_eq!(server.data("{ tasks { totalCount } }", json!({})).await["tasks"]["totalCount"], 0);
}

/// A kind whose result and cursor have a text from its spec.
struct Speaking;

#[async_trait]
impl Kind for Speaking {
    fn name(&self) -> &'static str {
        "speaking"
    }

    fn plan(&self, _spec: &Value) -> Result<TaskPlan, BadInput> {
        Ok(TaskPlan { unit: Unit::Terms, total: None, unique_key: None, upload: None, concurrency_key: None })
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, StopReason> {
        let spec: Value = context.spec()?;
        let text = spec["text"].as_str().unwrap().replace("smile", "\u{1f600}");
        match spec["where"].as_str().unwrap() {
            "cursor" => context.commit(&text, Report { phase: "speaking", done: 1, total: None }).await?,
            "last cursor" => context.set_checkpoint(&text, Report { phase: "speaking", done: 1, total: None })?,
            "error" => return Err(Failure::input(text).into()),
            _ => {}
        }
        let (name, sha256) = (text.clone(), "1f".to_owned());
        Ok(Some(ResultFile { name, size: 1, content_type: "text/plain\0".to_owned(), sha256 }))
    }

    async fn rollback(&self, _context: &Context) -> Result<(), Failure> {
        Ok(())
    }
}

/// PostgreSQL with an encoding that lacks most characters: what it refuses is refused once, and never retried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_encoding_of_the_database_lacks_is_refused() {
    let postgres = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
    let create = "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    execute(&postgres.url(), create).await;
    let settings = [("PAUSA_DATABASE_URL", &*postgres.url_of("latin"))];
    let server = Embedded::start(&settings, vec![Arc::new(Speaking)], Clock::system()).await;
    let good = server.ask("mutation { startPiJob(input: { digits: 10, label: \"é\" }) { id } }").await;
    assert!(good.get("errors").is_none(), "{good}");
    for query in [
        "mutation { startPiJob(input: { digits: 10, label: \"\u{1f600}\" }) { id } }",
        "{ tasks(filter: { label: \"\u{1f600}\" }) { totalCount } }",
    ] {
        let refused = server.ask(query).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{refused}");
    }
    for place in ["cursor", "last cursor", "error", "result"] {
        let spec = format!("{{ text: \"a smile\", where: \"{place}\" }}");
        let query = format!("mutation {{ startCustom(input: {{ name: \"speaking\", spec: {spec} }}) {{ id }} }}");
        let id = server.ask(&query).await["data"]["startCustom"]["id"].as_str().unwrap().to_owned();
        let failed = server.until(&id, "FAILED").await;
        assert_eq!(failed["error"]["code"], "BAD_USER_INPUT", "{place}: {failed}");
        assert_eq!(failed["attempt"], 0, "{place}: {failed}");
    }
    assert!(server.end().await);
}
