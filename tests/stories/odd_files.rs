//! A table of odd files, tests/data: each NAME.csv with NAME.json, which says how it is imported and what comes out.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::server::Server;

/// What is told of one file: either its rows or its error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    /// What startImport gets beside source and dataset.
    #[serde(default)]
    input: Value,
    #[serde(default)]
    columns: Vec<String>,
    /// TEXT where it is not given.
    types: Option<Vec<String>>,
    #[serde(default)]
    rows: Value,
    rejects: Option<String>,
    error: Option<Value>,
}

#[tokio::test]
async fn each_odd_file_gives_what_is_told_of_it() {
    let server = Server::start().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    names.sort();
    assert!(names.len() > 40, "{} files are told of", names.len());
    for (number, path) in names.iter().enumerate() {
        let told: Told = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let file = std::fs::read(path.with_extension("csv")).unwrap();
        check(&server, &format!("odd_{number}"), file, told, &path.display().to_string()).await;
    }
}

async fn check(server: &Server, dataset: &str, file: Vec<u8>, told: Told, path: &str) {
    let upload = server.upload(file).await;
    let mut input = if told.input.is_null() { json!({}) } else { told.input };
    input["dataset"] = json!(dataset);
    let id = server.import(&upload, input).await;
    if let Some(error) = told.error {
        server.until(&id, "FAILED").await;
        assert_eq!(server.task(&id).await["error"], error, "{path}");
        assert_eq!(server.rows(dataset).await, None, "{path}");
        return;
    }
    server.until(&id, "COMPLETED").await;
    let query = "query($name: String!) { dataset(name: $name) { columns { name type } rows { nodes { cells } } } }";
    let found = server.data(query, json!({ "name": dataset })).await["dataset"].take();
    let types = told.types.unwrap_or_else(|| vec!["TEXT".to_owned(); told.columns.len()]);
    let columns: Vec<_> =
        told.columns.iter().zip(types).map(|(name, of)| json!({ "name": name, "type": of })).collect();
    assert_eq!(found["columns"], json!(columns), "{path}");
    let rows: Vec<_> = found["rows"]["nodes"].as_array().unwrap().iter().map(|row| row["cells"].clone()).collect();
    assert_eq!(json!(rows), told.rows, "{path}");
    let rejects = server.get(&format!("/download/{id}/rejects")).await;
    match told.rejects {
        Some(text) => assert_eq!(rejects.text().await.unwrap(), text, "{path}"),
        None => assert_eq!(rejects.status(), 404, "{path}"),
    }
}
