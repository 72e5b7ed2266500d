//! docker-compose.yml, its proxy and its secrets: valid, and consistent with the program.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::manifests::{assert_pinned, assert_settings, documents, file, seconds, text, tool};

const FILES: [&str; 2] = ["docker-compose.yml", "docker-compose.single.yml"];

/// Services that run Pausa.
fn nodes(compose: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let services = compose["services"].as_object().unwrap().iter();
    services.filter(|(_, service)| service["build"] == ".").map(|(name, service)| (name.as_str(), service))
}

/// The variables of a service, with those of the image. Files of secrets are replaced by those in `secrets`.
pub fn variables(service: &Value, secrets: &str) -> BTreeMap<String, String> {
    let of_image = [("PAUSA_LISTEN", "0.0.0.0:8080"), ("PAUSA_DATA_DIR", "/var/lib/pausa")];
    let mut variables: BTreeMap<_, _> =
        of_image.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    for (name, value) in service["environment"].as_object().unwrap() {
        let value = value.as_str().unwrap().replace("/run/secrets", secrets).replace("${PAUSA_LOG:-info}", "info");
        variables.insert(name.clone(), value);
    }
    variables
}

/// Makes the secrets in a folder, as the script does in the project.
pub fn make_secrets(folder: &std::path::Path) -> String {
    std::fs::create_dir_all(folder.join("deploy/compose")).unwrap();
    let script = folder.join("deploy/compose/make-secrets.sh");
    std::fs::copy(file("deploy/compose/make-secrets.sh"), &script).unwrap();
    let run = || Command::new(&script).output().unwrap();
    let made = run();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let before = std::fs::read(folder.join("secrets/database_url")).unwrap();
    assert!(run().status.success());
    assert_eq!(std::fs::read(folder.join("secrets/database_url")).unwrap(), before, "a second run changes nothing");
    folder.join("secrets").display().to_string()
}

#[test]
fn the_files_are_valid_and_name_versions() {
    tool("check-jsonschema", &["--builtin-schema", "vendor.compose-spec", FILES[0], FILES[1]]);
    for compose in documents(&FILES) {
        for service in compose["services"].as_object().unwrap().values() {
            assert_pinned(service["image"].as_str().unwrap());
        }
        for (_, node) in nodes(&compose) {
            assert_eq!(node["image"], concat!("pausa:", env!("CARGO_PKG_VERSION")));
        }
    }
    for line in text("Dockerfile").lines().filter_map(|line| line.strip_prefix("FROM ")) {
        assert_pinned(line.split(' ').next().unwrap());
    }
}

#[test]
fn the_program_accepts_the_settings_of_each_node() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = make_secrets(folder.path());
    for compose in documents(&FILES) {
        for (name, node) in nodes(&compose) {
            let variables = variables(node, &secrets);
            assert_settings(&variables);
            assert!(name == "pausa" || variables["PAUSA_NODE"] == name, "{name}");
        }
    }
}

#[test]
fn each_node_has_time_to_drain_and_to_stop() {
    for compose in documents(&FILES) {
        for (name, node) in nodes(&compose) {
            let variables = variables(node, "");
            let setting = |name: &str, default| variables.get(name).map_or(default, |value| seconds(value));
            let needed = setting("PAUSA_SHUTDOWN_DRAIN", 0.0) + setting("PAUSA_SHUTDOWN_GRACE", 10.0) + 2.0;
            assert!(seconds(node["stop_grace_period"].as_str().unwrap()) > needed, "{name}");
        }
    }
}

#[test]
fn what_the_services_use_exists() {
    let folder = tempfile::tempdir().unwrap();
    make_secrets(folder.path());
    for compose in documents(&FILES) {
        let services = compose["services"].as_object().unwrap();
        for (name, secret) in compose["secrets"].as_object().into_iter().flatten() {
            let path = secret["file"].as_str().unwrap();
            assert!(folder.path().join(path).exists(), "{path}");
            assert!(services.values().any(|service| names(&service["secrets"]).contains(&name.as_str())), "{name}");
        }
        for service in services.values() {
            assert!(names(&service["secrets"]).iter().all(|secret| compose["secrets"].get(secret).is_some()));
            let needed = service["depends_on"].as_object().into_iter().flatten();
            for (needed, how) in needed {
                let checked = services[needed].get("healthcheck").is_some();
                assert!(checked || how["condition"] == "service_completed_successfully", "{needed}");
            }
            for volume in names(&service["volumes"]) {
                let (name, rest) = volume.split_once(':').unwrap_or(("/", ""));
                let found =
                    if name.starts_with("./") { file(name).exists() } else { compose["volumes"].get(name).is_some() };
                assert!(found || name == "/", "{volume} {rest}");
            }
        }
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn the_proxy_sends_requests_to_every_node_that_serves_the_api() {
    let compose = documents(&FILES).remove(0);
    let caddyfile = text("deploy/compose/Caddyfile");
    let line = caddyfile.lines().find(|line| line.trim().starts_with("reverse_proxy ")).unwrap();
    let upstreams: Vec<_> = line.split(['{', '}']).filter_map(|part| part.split_once(':')?.1.split_once(':')).collect();
    let serving = nodes(&compose).filter(|(_, node)| node["environment"]["PAUSA_ROLE"] == "api").map(|(name, _)| name);
    assert_eq!(upstreams, serving.map(|name| (name, "8080")).collect::<Vec<_>>());
    let of_proxy = names(&compose["services"]["proxy"]["ports"]);
    assert_eq!(of_proxy, ["127.0.0.1:8080:8080"]);
    assert!(caddyfile.contains("health_uri /readyz"));
}
