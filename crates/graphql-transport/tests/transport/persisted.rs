//! Documents that requests name by hash or ID.

use graphql_transport::{PersistedDocuments, Settings};
use serde_json::{Value, json};

use super::standin::{Server, serve};
use super::{hear, post, say, session};

fn hash(text: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn by_hash(hash: &str) -> Value {
    json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash}}})
}

fn with_query(mut body: Value, query: &str) -> Value {
    body["query"] = query.into();
    body
}

async fn told(server: &Server, body: Value) -> (u16, Value) {
    let answer = post(server).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Returns the code of the error.
async fn code(server: &Server, body: Value) -> String {
    let (_, answer) = told(server, body).await;
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn listed(only: bool) -> Settings {
    let manifest = json!({"greeting": "{hello}", format!("sha256:{}", hash("{number(of:1)}")): "{number(of:1)}"});
    let persisted = PersistedDocuments::from_json(manifest.to_string().as_bytes()).unwrap();
    Settings { persisted, persisted_only: only, ..Settings::default() }
}

#[tokio::test]
async fn a_client_registers_a_query_and_then_sends_its_hash() {
    let server = serve(0, Settings::default()).await;
    let asked = by_hash(&hash("{hello}"));
    let (status, answer) = told(&server, asked.clone()).await;
    assert_eq!((status, &answer["errors"][0]["message"]), (200, &json!("PersistedQueryNotFound")));
    assert_eq!(answer["errors"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND");
    for body in [with_query(asked.clone(), "{hello}"), asked] {
        assert_eq!(told(&server, body).await.1["data"]["hello"], "hello ");
    }
    let wrong = with_query(by_hash(&hash("{hello}")), "{number(of:1)}");
    assert_eq!(told(&server, wrong).await.0, 400);
    let mut other = by_hash(&hash("{hello}"));
    other["extensions"]["persistedQuery"]["version"] = 2.into();
    assert_eq!(code(&server, other).await, "BAD_USER_INPUT");
}

#[tokio::test]
async fn a_mutation_is_never_run_by_the_hash_in_a_get() {
    let server = serve(0, Settings::default()).await;
    let hash = hash("mutation{count}");
    assert_eq!(told(&server, with_query(by_hash(&hash), "mutation{count}")).await.1["data"]["count"], 1);
    let extensions = format!(r#"{{"persistedQuery":{{"version":1,"sha256Hash":"{hash}"}}}}"#);
    let url = format!("http://{}/graphql?extensions={extensions}", server.address);
    assert_eq!(reqwest::get(url).await.unwrap().status(), 405);
    assert_eq!(told(&server, by_hash(&hash)).await.1["data"]["count"], 2);
}

#[tokio::test]
async fn registered_queries_take_bounded_memory_or_none() {
    let server = serve(0, Settings { persisted_query_bytes: 1_000, ..Settings::default() }).await;
    let queries: Vec<String> = (0..9).map(|number| format!("{{number(of:{number})}}")).collect();
    for query in &queries {
        told(&server, with_query(by_hash(&hash(query)), query)).await;
    }
    assert_eq!(told(&server, by_hash(&hash(&queries[8]))).await.1["data"]["number"], 8);
    assert_eq!(code(&server, by_hash(&hash(&queries[0]))).await, "PERSISTED_QUERY_NOT_FOUND");
    let server = serve(0, Settings { persisted_query_bytes: 0, ..Settings::default() }).await;
    assert_eq!(code(&server, by_hash(&hash("{hello}"))).await, "PERSISTED_QUERY_NOT_SUPPORTED");
    assert_eq!(told(&server, with_query(by_hash(&hash("{hello}")), "{hello}")).await.1["data"]["hello"], "hello ");
}

#[tokio::test]
async fn persisted_documents_are_run_by_their_ids_and_only_they_where_the_server_says_so() {
    for only in [false, true] {
        let server = serve(0, listed(only)).await;
        assert_eq!(told(&server, json!({"documentId": "greeting"})).await.1["data"]["hello"], "hello ");
        let id = format!("sha256:{}", hash("{number(of:1)}"));
        assert_eq!(told(&server, json!({"documentId": id})).await.1["data"]["number"], 1);
        assert_eq!(told(&server, by_hash(&hash("{number(of:1)}"))).await.1["data"]["number"], 1);
        for unknown in ["other", &"x".repeat(1_000), &format!("sha256:{}", hash("{number(of:3)}"))] {
            assert_eq!(code(&server, json!({"documentId": unknown})).await, "PERSISTED_QUERY_NOT_FOUND");
        }
        assert_eq!(told(&server, json!({"documentId": "greeting", "query": "{hello}"})).await.0, 400);
        assert_eq!(told(&server, json!({"query": "{number(of:1)}"})).await.1["data"]["number"], 1);
        assert_eq!(told(&server, json!({"query": "{hello}"})).await.1["data"]["hello"], "hello ");
        let (_, answer) = told(&server, json!({"query": "{number(of:2)}"})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", only, "{answer}");
        let (_, answer) = told(&server, with_query(by_hash(&hash("{number(of:2)}")), "{number(of:2)}")).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", only, "{answer}");
        let mut socket = session(&server).await;
        say(&mut socket, json!({"type": "subscribe", "id": "1", "payload": {"documentId": "greeting"}})).await;
        assert_eq!(hear(&mut socket).await["payload"]["data"]["hello"], "hello ");
        assert_eq!(hear(&mut socket).await["type"], "complete");
        say(&mut socket, json!({"type": "subscribe", "id": "1", "payload": {"documentId": "other"}})).await;
        assert_eq!(hear(&mut socket).await["type"], "error");
    }
}

#[tokio::test]
async fn apollos_manifest_is_read_and_anything_else_refused() {
    let apollo = json!({"format": "apollo-persisted-query-manifest", "version": 1,
        "operations": [{"id": "a", "body": "{hello}", "name": "A", "type": "query"}]});
    let server = serve(
        0,
        Settings {
            persisted: PersistedDocuments::from_json(apollo.to_string().as_bytes()).unwrap(),
            ..Settings::default()
        },
    )
    .await;
    assert_eq!(told(&server, json!({"documentId": "a"})).await.1["data"]["hello"], "hello ");
    let hashed = json!({"sha256:00": "{hello}"}).to_string();
    let twice = r#"{"operations":[{"id":"a","body":"{b}"},{"id":"a","body":"{c}"}]}"#;
    for (wrong, text) in [
        ("", "it is not valid JSON"),
        ("[]", "it must be a JSON object"),
        (r#"{"a":1}"#, "it must be a JSON object"),
        (&hashed, "the ID \"sha256:00\" is not the hash of its document, which is"),
        (twice, "the ID \"a\" occurs twice"),
    ] {
        let error = PersistedDocuments::from_json(wrong.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(text), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn a_registered_query_is_also_found_by_its_document_id() {
    let server = serve(0, Settings::default()).await;
    let id = format!("sha256:{}", hash("{hello}"));
    assert_eq!(code(&server, json!({"documentId": id})).await, "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(told(&server, json!({"documentId": id, "query": "{number(of:1)}"})).await.0, 400);
    for body in [json!({"documentId": id, "query": "{hello}"}), json!({"documentId": id}), by_hash(&hash("{hello}"))] {
        assert_eq!(told(&server, body).await.1["data"]["hello"], "hello ");
    }
}
