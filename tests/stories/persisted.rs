//! Persisted documents: clients name a document by its ID, and the operator may allow only those of a list.

use reqwest::Response;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::settings::refused;
use crate::harness::server::Server;
use crate::harness::watch::Watch;

const START: &str = "mutation($digits: Int!) { startPiJob(input: { digits: $digits }) { id } }";
const PROGRESS: &str = "subscription($id: ID!) { taskProgress(id: $id) { state } }";
/// SHA-256 of `{__typename}`.
const HASH: &str = "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38";
const VERSION: &str = "{ server { version } }";

fn file(content: &Value) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content.to_string()).unwrap();
    file
}

async fn posted(server: &Server, body: &Value) -> Response {
    let asked = server.client().post(format!("{}/graphql", server.url)).json(body);
    asked.header("accept", "application/graphql-response+json").send().await.unwrap()
}

async fn told(server: &Server, body: Value) -> Value {
    posted(server, &body).await.json().await.unwrap()
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn only_listed_documents_run_where_the_operator_says_so() {
    let list = json!({ "start": START, "progress": PROGRESS, "version": VERSION, "old": "{ removedField }" });
    let list = file(&list);
    let path = list.path().to_str().unwrap();
    let settings = [("PAUSA_GRAPHQL_PERSISTED_DOCUMENTS", path), ("PAUSA_GRAPHQL_PERSISTED_DOCUMENTS_ONLY", "true")];
    let (mut server, log) = Server::logging(&settings).await;
    let answer = told(&server, json!({ "documentId": "start", "variables": { "digits": 10 } })).await;
    let id = answer["data"]["startPiJob"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    Watch::open(&server.url, "taskProgress", PROGRESS, json!({ "id": id })).await.until(is_completed).await;
    let parts = json!({ "documentId": "progress", "variables": { "id": id } });
    let parts = server.client().post(format!("{}/graphql", server.url)).json(&parts);
    let parts = parts.header("accept", "multipart/mixed;subscriptionSpec=1.0").send().await.unwrap();
    assert!(parts.text().await.unwrap().contains("COMPLETED"));

    let by_get = async |id: &str| server.get(&format!("/graphql?documentId={id}")).await;
    assert!(by_get("version").await.text().await.unwrap().starts_with(r#"{"data":{"server""#));
    assert_eq!(by_get("start").await.status(), 405);

    let refused = posted(&server, &json!({ "query": "{ __typename }" })).await;
    assert_eq!(refused.status(), 400);
    assert_eq!(code(&refused.json().await.unwrap()), "FORBIDDEN");
    let registered = json!({ "query": "{__typename}", "documentId": format!("sha256:{HASH}") });
    assert_eq!(code(&told(&server, registered).await), "FORBIDDEN");
    let answer = told(&server, json!({ "documentId": "nothing" })).await;
    assert_eq!(code(&answer), "PERSISTED_QUERY_NOT_FOUND");
    assert!(answer["errors"][0]["message"].as_str().unwrap().starts_with("The documentId \"nothing\" is not known."));
    assert_eq!(code(&told(&server, json!({ "documentId": "old" })).await), "BAD_USER_INPUT");
    let socket = Watch::open(&server.url, "server", "{ server { node } }", json!({})).await.result().await;
    assert_eq!(socket.unwrap_err()[0]["extensions"]["code"], "FORBIDDEN");

    assert_eq!(server.terminate().await, Some(0));
    let log = log.await.unwrap();
    assert!(log.contains("persisted documents do not fit the schema") && log.contains("\"old\""), "{log}");
}

fn is_completed(task: &Value) -> bool {
    task["state"] == "COMPLETED"
}

#[tokio::test]
async fn listed_documents_run_beside_others_and_clients_register_theirs() {
    let list = file(&json!({ "format": "apollo-persisted-query-manifest", "version": 1,
        "operations": [{ "id": "v", "name": "V", "type": "query", "body": VERSION }] }));
    let server = Server::with(&[("PAUSA_GRAPHQL_PERSISTED_DOCUMENTS", list.path().to_str().unwrap())]).await;
    assert!(told(&server, json!({ "documentId": "v" })).await["data"]["server"]["version"].is_string());
    let id = format!("sha256:{HASH}");
    assert_eq!(code(&told(&server, json!({ "documentId": id })).await), "PERSISTED_QUERY_NOT_FOUND");
    for body in [json!({ "documentId": id, "query": "{__typename}" }), json!({ "documentId": id })] {
        assert_eq!(told(&server, body).await, json!({ "data": { "__typename": "Query" } }));
    }

    let server = Server::with(&[("PAUSA_GRAPHQL_PERSISTED_QUERY_CACHE_BYTES", "0")]).await;
    let body = json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": HASH } } });
    assert_eq!(code(&told(&server, body).await), "PERSISTED_QUERY_NOT_SUPPORTED");
}

#[tokio::test]
async fn a_list_that_cannot_be_used_stops_the_start() {
    const LIST: &str = "PAUSA_GRAPHQL_PERSISTED_DOCUMENTS";
    let (wrong, list) = (file(&json!({ "sha256:00": VERSION })), file(&json!({})));
    let (wrong, list) = (wrong.path().to_str().unwrap(), list.path().to_str().unwrap());
    for (settings, expected) in [
        (vec![(LIST, "/nowhere")], "graphql.persisted_documents = \"/nowhere\" (from the variable PAUSA_GRAPHQL_"),
        (vec![(LIST, wrong)], "the ID \"sha256:00\" is not the hash of its document"),
        (vec![("PAUSA_GRAPHQL_PERSISTED_DOCUMENTS_ONLY", "true")], "or graphql.persisted_documents to name a file"),
        (vec![(LIST, list), ("PAUSA_GRAPHQL_PERSISTED_DOCUMENTS_ONLY", "1")], "expected true or false"),
    ] {
        let text = refused(&settings).await;
        assert!(text.contains(expected), "{text}");
    }
}
