//! The manifests in deploy/kubernetes: valid, and consistent with each other and with the program.

use std::collections::BTreeMap;

use serde_json::Value;

use super::manifests::{assert_pinned, assert_settings, documents, file, seconds, tool};

/// Oldest and newest version of Kubernetes whose schemas the manifests match.
const VERSIONS: [&str; 2] = ["1.30", "1.35"];

const FOLDER: &str = "deploy/kubernetes";

/// Returns the names of the files that the kustomization lists.
fn resources() -> Vec<String> {
    let kustomization = documents(&[&format!("{FOLDER}/kustomization.yaml")]).remove(0);
    let listed = kustomization["resources"].as_array().unwrap().iter();
    listed.map(|name| format!("{FOLDER}/{}", name.as_str().unwrap())).collect()
}

/// Returns all objects, by kind.
fn objects(kind: &str) -> Vec<Value> {
    let files = resources();
    let mut all = documents(&files.iter().map(String::as_str).collect::<Vec<_>>());
    all.retain(|object| object["kind"] == kind);
    assert!(!all.is_empty(), "{kind}");
    all
}

fn container(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

/// The labels of the pods of a deployment.
fn pod_labels(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["metadata"]["labels"]
}

/// True if pods with these labels are selected.
fn selects(selector: &Value, labels: &Value) -> bool {
    selector.as_object().unwrap().iter().all(|(name, value)| labels[name] == *value)
}

fn settings() -> BTreeMap<String, String> {
    let map = objects("ConfigMap").remove(0);
    let data = map["data"].as_object().unwrap().clone();
    data.into_iter().map(|(name, value)| (name, value.as_str().unwrap().to_owned())).collect()
}

#[test]
fn every_file_is_listed_and_valid() {
    let files = resources();
    for version in VERSIONS {
        for name in &files {
            tool("kubernetes-validate", &["--strict", "--kubernetes-version", version, name]);
        }
    }
    let mut found: Vec<_> = std::fs::read_dir(file(FOLDER)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    found.retain(|name| !["kustomization.yaml", "prometheus-adapter.yaml"].iter().any(|other| name == other));
    assert_eq!(found.len(), files.len(), "{found:?}");
}

#[test]
fn the_program_accepts_the_settings_of_each_node() {
    let secret = tempfile::tempdir().unwrap();
    for (name, value) in [("database_url", "postgres://pausa:x@db/pausa"), ("redis_url", "rediss://:x@redis:6379")] {
        std::fs::write(secret.path().join(name), value).unwrap();
    }
    for deployment in objects("Deployment") {
        let mut variables = settings();
        for variable in container(&deployment)["env"].as_array().unwrap() {
            let value = variable["value"].as_str().unwrap_or("from-elsewhere");
            let value = value.replace("/run/secrets/pausa", secret.path().to_str().unwrap());
            variables.insert(variable["name"].as_str().unwrap().to_owned(), value);
        }
        assert_settings(&variables);
        let role = &deployment["metadata"]["labels"]["app.kubernetes.io/component"];
        assert_eq!(variables["PAUSA_ROLE"], *role);
        assert_pinned(container(&deployment)["image"].as_str().unwrap());
        let mounted = &container(&deployment)["volumeMounts"];
        assert!(
            mounted.as_array().unwrap().iter().any(|mount| mount["mountPath"] == variables["PAUSA_DATA_DIR"].as_str())
        );
    }
}

#[test]
fn each_node_has_time_to_drain_and_to_stop() {
    let settings = settings();
    let needed = seconds(&settings["PAUSA_SHUTDOWN_DRAIN"]) + seconds(&settings["PAUSA_SHUTDOWN_GRACE"]) + 2.0;
    for deployment in objects("Deployment") {
        let spec = &deployment["spec"]["template"]["spec"];
        assert!(spec["terminationGracePeriodSeconds"].as_f64().unwrap() > needed, "{needed} s are needed");
        let probe = &container(&deployment)["readinessProbe"];
        let noticed = probe["periodSeconds"].as_f64().unwrap() * probe["failureThreshold"].as_f64().unwrap();
        assert!(noticed + probe["timeoutSeconds"].as_f64().unwrap() < seconds(&settings["PAUSA_SHUTDOWN_DRAIN"]));
    }
}

#[test]
fn selectors_ports_and_probes_match_the_nodes() {
    let deployments = objects("Deployment");
    let service = objects("Service").remove(0);
    let port = &service["spec"]["ports"][0]["targetPort"];
    for deployment in &deployments {
        assert!(selects(&deployment["spec"]["selector"]["matchLabels"], pod_labels(deployment)));
        let container = container(deployment);
        assert_eq!(container["ports"][0]["name"], *port);
        let listen = &settings()["PAUSA_LISTEN"];
        assert!(listen.ends_with(&format!(":{}", container["ports"][0]["containerPort"])), "{listen}");
        for (probe, path) in
            [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
        {
            assert_eq!(container[probe]["httpGet"]["path"], path);
            assert_eq!(container[probe]["httpGet"]["port"], *port);
        }
    }
    let serving = deployments.iter().filter(|deployment| selects(&service["spec"]["selector"], pod_labels(deployment)));
    assert_eq!(serving.map(|deployment| &deployment["metadata"]["name"]).collect::<Vec<_>>(), ["pausa-api"]);
    for budget in objects("PodDisruptionBudget") {
        let selector = &budget["spec"]["selector"]["matchLabels"];
        let selected = deployments.iter().filter(|deployment| selects(selector, pod_labels(deployment)));
        assert_eq!(
            selected.map(|deployment| &deployment["metadata"]["name"]).collect::<Vec<_>>(),
            [&budget["metadata"]["name"]]
        );
    }
    for policy in objects("NetworkPolicy") {
        let selector = &policy["spec"]["podSelector"]["matchLabels"];
        assert!(deployments.iter().any(|deployment| selects(selector, pod_labels(deployment))));
    }
}

#[test]
fn the_autoscaler_uses_a_metric_that_the_adapter_makes_of_one_of_the_server() {
    let scaler = objects("HorizontalPodAutoscaler").remove(0);
    let target = &scaler["spec"]["scaleTargetRef"];
    assert!(objects("Deployment").iter().any(|deployment| deployment["metadata"]["name"] == target["name"]));
    let metric = &scaler["spec"]["metrics"][0]["external"]["metric"]["name"];
    let adapter = documents(&[&format!("{FOLDER}/prometheus-adapter.yaml")]).remove(0);
    let rule = &adapter["rules"]["external"][0];
    assert_eq!(rule["name"]["as"], *metric);
    for query in [&rule["seriesQuery"], &rule["metricsQuery"]] {
        assert!(query.as_str().unwrap().contains("pausa_tasks_unfinished{state=\"QUEUED\""), "{query}");
    }
    let operations = super::manifests::text("docs/operations.md");
    assert!(operations.contains("| pausa_tasks_unfinished | kind, state |"));
}
