//! The manifests in deploy/kubernetes: valid, and consistent with each other and with the program.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::manifests::{
    assert_aws_variables, assert_pinned, assert_settings, assert_subcommand, connections, documents, documents_of,
    file, seconds, text, tool,
};
use crate::harness::redis::Redis;
use crate::harness::server::Server;
use crate::metrics::until;
use crate::store::test_store::TestStore;

/// Oldest and newest version of Kubernetes whose schemas the manifests match.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

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

/// Returns the deployments that run Pausa.
fn nodes() -> Vec<Value> {
    let mut deployments = objects("Deployment");
    deployments.retain(|deployment| container(deployment)["name"] == "pausa");
    assert_eq!(deployments.len(), 2);
    deployments
}

/// Returns the deployment of Valkey.
fn valkey() -> Value {
    objects("Deployment").into_iter().find(|deployment| container(deployment)["name"] == "valkey").unwrap()
}

/// Runs the command of README.md that creates the secret, without a cluster, and writes the files that pods see of it.
fn secret() -> tempfile::TempDir {
    let readme = text("README.md");
    let command = readme.split("VALKEY=").nth(1).unwrap().split("kubectl apply").next().unwrap();
    let command = format!("set -eu; VALKEY={} --dry-run=client --output json", command.trim_end());
    let secret: Value = serde_json::from_str(&tool("bash", &["-c", &command])).unwrap();
    assert_eq!((&secret["metadata"]["name"], &secret["metadata"]["namespace"]), (&json!("pausa"), &json!("pausa")));
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in secret["data"].as_object().unwrap() {
        std::fs::write(folder.path().join(name), BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap();
    }
    folder
}

/// Returns the variables of a deployment's nodes, with a secret in a folder.
fn variables(deployment: &Value, secret: &tempfile::TempDir) -> BTreeMap<String, String> {
    let mut variables = settings();
    for variable in container(deployment)["env"].as_array().unwrap() {
        let value = variable["value"].as_str().unwrap_or("from-elsewhere");
        let value = value.replace("/run/secrets/pausa", secret.path().to_str().unwrap());
        variables.insert(variable["name"].as_str().unwrap().to_owned(), value);
    }
    variables
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
    let secret = secret();
    for deployment in nodes() {
        let variables = variables(&deployment, &secret);
        assert_settings(&variables);
        assert_aws_variables(&variables);
        let arguments = container(&deployment)["args"].as_array().unwrap().iter();
        assert_subcommand(&arguments.map(|argument| argument.as_str().unwrap()).collect::<Vec<_>>());
        let role = &deployment["metadata"]["labels"]["app.kubernetes.io/component"];
        assert_eq!(variables["PAUSA_ROLE"], *role);
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
    for deployment in nodes() {
        let spec = &deployment["spec"]["template"]["spec"];
        assert!(spec["terminationGracePeriodSeconds"].as_f64().unwrap() > needed, "{needed} s are needed");
        let probe = &container(&deployment)["readinessProbe"];
        let noticed = probe["periodSeconds"].as_f64().unwrap() * probe["failureThreshold"].as_f64().unwrap();
        assert!(noticed + probe["timeoutSeconds"].as_f64().unwrap() < seconds(&settings["PAUSA_SHUTDOWN_DRAIN"]));
    }
}

#[test]
fn selectors_ports_and_probes_match_the_nodes() {
    let deployments = nodes();
    let service = service("pausa");
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
}

#[test]
fn every_container_is_hardened_and_has_probes_and_resources() {
    for deployment in objects("Deployment") {
        let (name, container) = (&deployment["metadata"]["name"], container(&deployment));
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert!(pod["securityContext"]["runAsUser"].as_u64().unwrap() > 0, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        let context = &container["securityContext"];
        assert_eq!(
            (&context["readOnlyRootFilesystem"], &context["allowPrivilegeEscalation"]),
            (&json!(true), &json!(false)),
            "{name}"
        );
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{name}");
        for (group, resource) in [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")] {
            assert!(container["resources"][group][resource].is_string(), "{name}: {group} {resource}");
        }
        assert!(container["readinessProbe"].is_object() && container["livenessProbe"].is_object(), "{name}");
        assert_pinned(container["image"].as_str().unwrap());
        for volume in pod["volumes"].as_array().unwrap() {
            assert!(volume["emptyDir"].is_object() || volume["secret"].is_object(), "{name}: {volume} is shared");
        }
    }
}

#[test]
fn network_policies_let_each_pod_reach_what_it_uses_and_nothing_reaches_valkey_but_nodes() {
    let (deployments, policies) = (objects("Deployment"), objects("NetworkPolicy"));
    let selected = |deployment: &Value| -> Vec<&Value> {
        policies
            .iter()
            .filter(|policy| selects(&policy["spec"]["podSelector"]["matchLabels"], pod_labels(deployment)))
            .collect()
    };
    for deployment in &deployments {
        let types: Vec<_> =
            selected(deployment).iter().flat_map(|policy| policy["spec"]["policyTypes"].as_array().unwrap()).collect();
        assert!(["Ingress", "Egress"].iter().all(|kind| types.iter().any(|known| *known == kind)), "{types:?}");
    }
    let valkey = valkey();
    let (service, port) = (service("pausa-valkey"), &container(&valkey)["ports"][0]);
    assert!(selects(&service["spec"]["selector"], pod_labels(&valkey)));
    assert_eq!(
        (&service["spec"]["ports"][0]["port"], &service["spec"]["ports"][0]["targetPort"]),
        (&json!(6379), &port["name"])
    );
    assert_eq!(port["containerPort"], 6379);
    let [policy] = selected(&valkey)[..] else { panic!("one policy is for Valkey alone") };
    let ingress = &policy["spec"]["ingress"][0];
    assert_eq!(ingress["ports"], json!([{ "port": port["name"] }]));
    assert!(policy["spec"]["egress"].is_null(), "it connects to nothing");
    for node in nodes() {
        assert!(selects(&ingress["from"][0]["podSelector"]["matchLabels"], pod_labels(&node)));
        let rules: Vec<_> = selected(&node)
            .iter()
            .flat_map(|policy| policy["spec"]["egress"].as_array().into_iter().flatten())
            .collect();
        let allowed = |port: u64| {
            rules.iter().any(|rule| rule["ports"].as_array().unwrap().iter().any(|known| known["port"] == port))
        };
        assert!([53, 443, 5432, 6379].into_iter().all(allowed), "{rules:?}");
        let to_valkey = rules.iter().find(|rule| rule["ports"] == json!([{ "port": 6379 }])).unwrap();
        assert!(selects(&to_valkey["to"][0]["podSelector"]["matchLabels"], pod_labels(&valkey)));
    }
}

fn service(name: &str) -> Value {
    objects("Service").into_iter().find(|service| service["metadata"]["name"] == name).unwrap()
}

#[test]
fn the_secret_has_each_file_that_is_used() {
    let secret = secret();
    for node in nodes() {
        let variables = variables(&node, &secret);
        let files =
            variables.iter().filter(|(name, _)| name.ends_with("_FILE")).map(|(_, path)| std::path::Path::new(path));
        assert!(files.clone().count() == 4 && files.clone().all(std::path::Path::exists), "{variables:?}");
        let redis = reqwest::Url::parse(&std::fs::read_to_string(secret.path().join("redis_url")).unwrap()).unwrap();
        assert_eq!((redis.host_str(), redis.port()), (Some("pausa-valkey"), Some(6379)));
    }
    assert!(secret.path().join("valkey_config").exists());
    let valkey = valkey();
    let items = &valkey["spec"]["template"]["spec"]["volumes"][0]["secret"]["items"];
    assert_eq!(items, &json!([{ "key": "valkey_config", "path": "valkey_config" }]), "Valkey sees no other secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_uses_valkey_as_the_manifests_start_it() {
    let (secret, deployment, store) = (secret(), valkey(), TestStore::postgres().await);
    let arguments = container(&deployment)["args"].as_array().unwrap()[1..]
        .iter()
        .map(|argument| argument.as_str().unwrap().replace("/run/secrets/valkey", secret.path().to_str().unwrap()));
    let valkey = Redis::valkey_with(&arguments.collect::<Vec<_>>()).await;
    let url = std::fs::read_to_string(secret.path().join("redis_url")).unwrap();
    let url = url.replace("pausa-valkey:6379", &valkey.address());
    let node = Server::with(&[("PAUSA_DATABASE_URL", store.url.as_str()), ("PAUSA_REDIS_URL", url.as_str())]).await;
    until(&node, "pausa_events_up", |up| up == 1.0).await;
}

#[test]
fn the_readme_waits_for_deployments_and_forwards_a_port_that_exist() {
    let readme = text("README.md");
    let named = |command: &str| -> Vec<[&str; 2]> {
        let lines = readme.lines().filter_map(|line| line.strip_prefix("kubectl -n pausa ")?.strip_prefix(command));
        lines.map(|rest| rest.split_whitespace().chain([""]).take(2).collect::<Vec<_>>().try_into().unwrap()).collect()
    };
    let expected = nodes().into_iter().map(|node| format!("deployment/{}", node["metadata"]["name"].as_str().unwrap()));
    let found = named("rollout status").into_iter().map(|[name, _]| name.to_owned());
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    let port = &service("pausa")["spec"]["ports"][0]["port"];
    assert_eq!(named("port-forward"), [["service/pausa", &format!("8080:{port}")]]);
}

#[test]
fn the_documentation_has_the_connections_at_the_autoscalers_maximum() {
    let (secret, scaler) = (secret(), objects("HorizontalPodAutoscaler").remove(0));
    let (mut pods, mut needed) = (0, 0);
    for node in nodes() {
        let scaled = node["metadata"]["name"] == scaler["spec"]["scaleTargetRef"]["name"];
        let replicas = if scaled { &scaler["spec"]["maxReplicas"] } else { &node["spec"]["replicas"] };
        let surge = &node["spec"]["strategy"]["rollingUpdate"]["maxSurge"];
        let most = u32::try_from(replicas.as_u64().unwrap() + surge.as_u64().unwrap()).unwrap();
        (pods, needed) = (pods + most, needed + most * connections(&variables(&node, &secret)));
    }
    let sentence = format!("{pods} × {} = {needed}", needed / pods);
    assert!(text("docs/deployment.md").contains(&sentence), "{sentence}");
}

#[test]
fn kustomize_builds_all_objects_in_one_namespace() {
    let built = documents_of(&tool("kubectl", &["kustomize", FOLDER]));
    let files = resources();
    let listed = documents(&files.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(built.len(), listed.len());
    for object in &built {
        assert!(object["kind"] == "Namespace" || object["metadata"]["namespace"] == "pausa", "{object}");
    }
    let version = concat!(":", env!("CARGO_PKG_VERSION"));
    let deployments = built.iter().filter(|object| object["kind"] == "Deployment");
    let images: Vec<_> = deployments.map(|deployment| container(deployment)["image"].as_str().unwrap()).collect();
    assert_eq!(images.iter().filter(|image| image.ends_with(version)).count(), 2, "{images:?}");
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
