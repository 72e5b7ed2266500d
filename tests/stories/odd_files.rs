//! Odd files in tests/data: NAME.csv, and NAME.json with the input of the import and the expected outcome.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::server::Server;
use crate::harness::watch::Watch;

/// Expected outcome of a file: either its rows or its error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OddFile {
    /// Input of startImport, without source and dataset.
    #[serde(default)]
    input: Value,
    #[serde(default)]
    columns: Vec<String>,
    /// Default: TEXT.
    types: Option<Vec<String>>,
    #[serde(default)]
    rows: Value,
    rejects: Option<String>,
    error: Option<Value>,
}

#[tokio::test]
async fn each_odd_file_has_its_expected_outcome_on_sqlite() {
    each_odd_file_has_its_expected_outcome(&Server::start().await).await;
}

#[tokio::test]
async fn each_odd_file_has_its_expected_outcome_on_postgresql() {
    let (_held, url) = crate::datasets::database::database("odd_files").await;
    each_odd_file_has_its_expected_outcome(&Server::with(&[("PAUSA_DATABASE_URL", &url)]).await).await;
}

async fn each_odd_file_has_its_expected_outcome(server: &Server) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    names.sort();
    assert!(names.len() > 40, "only {} files", names.len());
    let mut wrong = Vec::new();
    for (number, path) in names.iter().enumerate() {
        let odd: OddFile = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let file = std::fs::read(path.with_extension("csv")).unwrap();
        let (expected, found) = (odd.outcome(), outcome(server, &format!("odd_{number}"), file, odd.input).await);
        if found != expected {
            wrong.push(format!("{}: expected {expected:#}, found {found:#}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl OddFile {
    /// Returns the expected outcome, in the form of [`outcome`].
    fn outcome(&self) -> Value {
        if let Some(error) = &self.error {
            return json!({ "error": error, "rows": null });
        }
        let types = self.types.clone().unwrap_or_else(|| vec!["TEXT".to_owned(); self.columns.len()]);
        let columns: Vec<_> =
            self.columns.iter().zip(types).map(|(name, of)| json!({ "name": name, "type": of })).collect();
        json!({ "columns": columns, "rows": self.rows, "rejects": self.rejects })
    }
}

/// Imports a file. Returns its rows and rejects, or its error.
async fn outcome(server: &Server, dataset: &str, file: Vec<u8>, input: Value) -> Value {
    let upload = server.upload(file).await;
    let mut input = if input.is_null() { json!({}) } else { input };
    input["dataset"] = json!(dataset);
    let id = server.import(&upload, input).await;
    let mut watch = Watch::progress(&server.url, &id).await;
    let ended = watch.until(|task| ["COMPLETED", "FAILED"].map(Value::from).contains(&task["state"])).await;
    if ended["state"] == "FAILED" {
        return json!({ "error": server.task(&id).await["error"], "rows": server.rows(dataset).await });
    }
    let query = "query($name: String!) { dataset(name: $name) { columns { name type } rows { nodes { cells } } } }";
    let found = server.data(query, json!({ "name": dataset })).await["dataset"].take();
    let rows: Vec<_> = found["rows"]["nodes"].as_array().unwrap().iter().map(|row| row["cells"].clone()).collect();
    let rejects = server.get(&format!("/download/{id}/rejects")).await;
    let rejects = if rejects.status() == 404 { None } else { Some(rejects.text().await.unwrap()) };
    json!({ "columns": found["columns"], "rows": rows, "rejects": rejects })
}
