//! The services of docker-compose.yml as processes: the same variables, arguments, secrets and configuration of the proxy.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::compose::{make_secrets, variables};
use super::manifests::{documents, file};
use super::objects::Objects;
use crate::harness::redis::Redis;
use crate::harness::server::{PATIENCE, Server};
use crate::store::test_store::TestStore;

/// The processes of docker-compose.yml.
pub struct Topology {
    /// Nodes that serve the API.
    pub api: Vec<Server>,
    /// Nodes that run tasks, by their names.
    pub workers: BTreeMap<String, Server>,
    /// The address of the cluster.
    pub proxy: Server,
    /// Files that the nodes keep in S3.
    pub objects: Objects,
    /// Valkey, the channel of events between the nodes.
    pub redis: Redis,
    _test_store: TestStore,
    _folder: tempfile::TempDir,
}

impl Topology {
    /// Starts everything, and waits until the proxy has found a node.
    pub async fn start() -> Topology {
        let compose = documents(&["docker-compose.yml"]).remove(0);
        let services = &compose["services"];
        let folder = tempfile::tempdir().unwrap();
        let secrets = make_secrets(folder.path());
        let test_store = TestStore::postgres().await;
        std::fs::write(format!("{secrets}/database_url"), &test_store.url).unwrap();
        let redis = Redis::valkey_with(&arguments(&services["valkey"], &secrets)).await;
        replace(&format!("{secrets}/redis_url"), "valkey:6379", &redis.address());
        let objects = Objects::start(&services["s3"], &secrets).await;
        let (mut api, mut workers, mut ports) = (Vec::new(), BTreeMap::new(), Vec::new());
        for name in ["api-1", "api-2", "worker-1", "worker-2"] {
            let port = free_port();
            let settings = settings(&services[name], &secrets, objects.endpoint(), port);
            let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let server = Server::with(&settings).await;
            match name.starts_with("api") {
                true => (api.push(server), ports.push(port)),
                false => (drop(workers.insert(name.to_owned(), server)), ()),
            };
        }
        let proxy = start_proxy(&ports).await;
        Topology { api, workers, proxy, objects, redis, _test_store: test_store, _folder: folder }
    }
}

/// The arguments of a service's program. Its secrets are those in the folder `secrets`.
pub fn arguments(service: &Value, secrets: &str) -> Vec<String> {
    let command = service["command"].as_array().unwrap().iter();
    let texts = command.map(|argument| argument.as_str().unwrap().replace("/run/secrets", secrets));
    texts.filter(|argument| argument != "valkey-server").collect()
}

fn replace(path: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{path}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

/// The variables of a node, with the services of this machine.
fn settings(service: &Value, secrets: &str, s3: &str, port: u16) -> Vec<(String, String)> {
    let mut variables = variables(service, secrets);
    variables.remove("PAUSA_DATA_DIR");
    for (name, value) in [
        ("PAUSA_LISTEN", format!("127.0.0.1:{port}")),
        ("AWS_ENDPOINT_URL", s3.to_owned()),
        ("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true".to_owned()),
        ("PAUSA_LOG", "warn".to_owned()),
    ] {
        variables.insert(name.to_owned(), value);
    }
    variables.into_iter().collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts the proxy in front of API nodes, and waits until it has found one.
/// Returns the configuration of the proxy. Caddy 2.6, that of Debian, has another name for `request_buffers`, and reads whole requests.
async fn proxy_config(caddy: &Path) -> String {
    let text = std::fs::read_to_string(file("deploy/compose/Caddyfile")).unwrap();
    let version =
        Command::new(caddy).arg("version").output().await.expect("caddy is needed: run scripts/needs.sh").stdout;
    let version = String::from_utf8(version).unwrap();
    if version.trim_start_matches('v').starts_with("2.6.") {
        text.replace("request_buffers 64KiB", "buffer_requests")
    } else {
        text
    }
}

async fn start_proxy(nodes: &[u16]) -> Server {
    let unpacked = file("target/caddy/caddy");
    let program = if unpacked.exists() { unpacked } else { PathBuf::from("caddy") };
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let config = folder.path().join("Caddyfile");
    std::fs::write(&config, proxy_config(&program).await).unwrap();
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
    command.env("PROXY_PORT", port.to_string()).stderr(Stdio::null()).kill_on_drop(true);
    for (index, node) in nodes.iter().enumerate() {
        command.env(format!("API_{}", index + 1), format!("127.0.0.1:{node}"));
    }
    let child = command.spawn().expect("caddy is needed: run scripts/needs.sh");
    let proxy = Server::reached_at(child, &format!("http://127.0.0.1:{port}"));
    let ready = async {
        let probe = format!("{}/readyz", proxy.url);
        while !proxy.client().get(&probe).send().await.is_ok_and(|answer| answer.status() == 200) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("the proxy is not ready");
    proxy
}
