//! The dashboard and the alert rules in deploy/ match the metrics of a real server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Scrape, promtool, until};
use crate::harness::csv;
use crate::harness::receiver::Receiver;
use crate::harness::server::Server;
use crate::harness::watch::Watch;
use crate::store::test_store::TestStore;

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn dashboard() -> Value {
    serde_json::from_str(&std::fs::read_to_string(deployed("grafana/pausa.json")).unwrap()).unwrap()
}

/// Returns the panels that show data.
fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

fn expressions(dashboard: &Value) -> Vec<&str> {
    let targets = panels(dashboard).into_iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap()).collect()
}

/// Returns the metrics of this server that a text names.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("pausa_") || word.starts_with("process_")).collect()
}

/// Scrapes a server on which every metric family that its own kinds can change has changed.
async fn scraped() -> Scrape {
    let (test_store, receiver) = (TestStore::postgres().await, Receiver::kind().await);
    let server =
        Server::with(&[("PAUSA_DATABASE_URL", &test_store.url), ("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true")]).await;
    let upload = server.upload(csv::people(1_000)).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 1_000 })).await;
    server.until_done(&id, 10).await;
    server.control("pause", &id).await;
    server.until(&id, "PAUSED").await;
    until(&server, r#"pausa_tasks_unfinished{kind="import",state="PAUSED"}"#, |paused| paused == 1.0).await;
    server.control("resume", &id).await;
    server.until(&id, "COMPLETED").await;
    server.exported("people").await;
    let pi = server.pi(1_000).await;
    server.until(&pi, "COMPLETED").await;
    let later = json!({ "url": receiver.url, "when": { "after": { "seconds": 3600.0 } } });
    let timer = server.timer(later.clone()).await;
    server.control("terminate", &timer).await;
    server.timer(later).await;
    server.refusal("{ nothing }", json!({})).await;
    Watch::progress(&server.url, &timer).await.next().await;
    until(&server, r#"pausa_tasks_unfinished{kind="timer",state="SCHEDULED"}"#, |timers| timers == 1.0).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_of_the_dashboard_and_of_the_rules_exists() {
    let seen = scraped().await;
    promtool::check_metrics(&seen.text);
    let (dashboard, rules) = (dashboard(), std::fs::read_to_string(deployed("prometheus/alerts.yml")).unwrap());
    let mut used: BTreeSet<_> = expressions(&dashboard).into_iter().flat_map(named).collect();
    used.extend(named(&rules));
    assert!(used.len() > 30, "{used:?}");
    let names = seen.names();
    let unknown: Vec<_> = used.difference(&names).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not in\n{}", seen.text);
}

#[test]
fn the_alert_rules_are_valid_and_fire_when_required() {
    let rules = deployed("prometheus/alerts.yml");
    promtool::passes(&["check", "rules", rules.to_str().unwrap()]);
    promtool::passes(&["test", "rules", deployed("prometheus/alerts-test.yml").to_str().unwrap()]);
}

#[test]
fn the_dashboard_has_a_selectable_data_source_and_only_valid_queries() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(variables.iter().any(|variable| variable["name"] == "datasource" && variable["type"] == "datasource"));
    let all = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = all.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), all.len(), "each panel has a unique ID");
    for panel in panels(&dashboard) {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty() && !panel["description"].as_str().unwrap().is_empty());
    }
    let rules = expressions(&dashboard).into_iter().enumerate().map(|(n, expression)| {
        let expression = expression.replace("$__rate_interval", "5m").replace("$instance", ".*");
        json!({ "record": format!("panel:{n}"), "expr": expression })
    });
    // JSON is valid YAML.
    let groups = json!({ "groups": [{ "name": "panels", "rules": rules.collect::<Vec<_>>() }] });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), groups.to_string()).unwrap();
    promtool::passes(&["check", "rules", file.path().to_str().unwrap()]);
}
