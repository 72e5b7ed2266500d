//! Redis with TLS, certificates of clients, and a user who may do only what the documentation lists.

use std::fs;

use tempfile::TempDir;

use super::limits;
use crate::chaos::events::control_works;
use crate::chaos::two_nodes::TwoNodes;
use crate::harness::certificates::{issuer, write_certificate};
use crate::harness::redis::Redis;
use crate::harness::server::{self, Server};
use crate::metrics;
use crate::store::test_store::TestStore;

/// Arguments that add the users of docs/operations.md: one for events, and one for limits of requests as well.
const USERS: &str = "--user pausa on >hunter2 &pausa:* +publish +subscribe \
    --user limits on >hunter2 &pausa:* ~pausa:* +publish +subscribe +evalsha +script|load +get +set +time";

/// A server with TLS that asks for a certificate, and the files of its clients.
struct Encrypted {
    redis: Redis,
    folder: TempDir,
}

impl Encrypted {
    async fn start() -> Encrypted {
        let (folder, right) = (tempfile::tempdir().unwrap(), issuer());
        fs::write(folder.path().join("root.pem"), right.pem()).unwrap();
        fs::write(folder.path().join("wrong.pem"), issuer().pem()).unwrap();
        write_certificate(folder.path(), "own", &right, "127.0.0.1", "server");
        write_certificate(folder.path(), "client", &right, "client", "client");
        let file = |name: &str| folder.path().join(name).display().to_string();
        let files = [("cert", "own.pem"), ("key", "own.key"), ("ca-cert", "root.pem")];
        let files = files.iter().flat_map(|(name, path)| [format!("--tls-{name}-file"), file(path)]);
        let others = ["--save", "", "--user", "default", "off"].map(str::to_owned);
        let arguments: Vec<_> = files.chain(others).chain(USERS.split_whitespace().map(str::to_owned)).collect();
        Encrypted { redis: Redis::encrypted(&arguments).await, folder }
    }

    fn url(&self, login: &str, parameters: &str) -> String {
        let folder = self.folder.path().display();
        format!("rediss://{login}@{}?{}", self.redis.address(), parameters.replace("DIR", &folder.to_string()))
    }
}

const RIGHT: &str = "sslrootcert=DIR/root.pem&sslcert=DIR/client.pem&sslkey=DIR/client.key";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_hear_each_other_over_tls_with_certificates_and_a_user() {
    let server = Encrypted::start().await;
    let url = server.url("pausa:hunter2", RIGHT);
    let settings = [("PAUSA_REDIS_URL", url.as_str()), ("PAUSA_LEASE_SECONDS", "60")];
    let mut two = TwoNodes::start(&settings).await;
    for node in [&two.a, &two.b] {
        metrics::until(node, "pausa_events_up", |up| up == 1.0).await;
    }
    control_works(&mut two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_count_requests_together_as_a_user_who_may_do_nothing_else() {
    let server = Encrypted::start().await;
    let two = limits::nodes(&server.url("limits:hunter2", RIGHT)).await;
    limits::count_together(&two, "198.51.100.7").await;
}

/// Starts a node with that URL, and returns its log.
async fn log(store: &TestStore, files: &TempDir, url: &str) -> String {
    let folder = format!("file://{}", files.path().display());
    let shared = [("PAUSA_DATABASE_URL", store.url.as_str()), ("PAUSA_FILES_URL", &folder)];
    let settings = [shared.as_slice(), &[("PAUSA_REDIS_URL", url)]].concat();
    let (mut node, log) = Server::logging(&settings).await;
    assert_eq!(node.terminate().await, Some(0));
    log.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_redis_refuses_says_why_and_what_to_do() {
    let (server, plain, store) = (Encrypted::start().await, Redis::start().await, TestStore::postgres().await);
    let files = tempfile::tempdir().unwrap();
    let wrong_root = RIGHT.replace("root.pem", "wrong.pem");
    let clear = format!("redis://pausa:hunter2@{}", server.redis.address());
    for (url, expected) in [
        (
            server.url("pausa:hunter2", &wrong_root),
            "sslrootcert in redis_url names the root certificates that are trusted",
        ),
        (server.url("pausa:hunter2", "sslrootcert=DIR/root.pem"), "sslcert and sslkey in redis_url"),
        (server.url("pausa:hunter1", RIGHT), "check the user and the password in redis_url"),
        (clear, "use rediss:// if it uses TLS"),
        (format!("rediss://:open-sesame@{}", plain.address()), "use redis:// instead of rediss://"),
        (format!("redis://{}", plain.address()), "redis_url needs a password"),
        ("redis://127.0.0.1:1".to_owned(), "Redis at 127.0.0.1:1: Connection refused"),
    ] {
        let log = log(&store, &files, &url).await;
        assert!(log.contains(expected), "{expected}: {log}");
        assert!(!log.contains("hunter"), "{log}");
    }
}

#[tokio::test]
async fn a_start_with_a_wrong_url_or_without_its_files_says_what_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty.pem"), "").unwrap();
    let empty = format!("rediss://a:hunter2@db?sslrootcert={}", folder.path().join("empty.pem").display());
    for (url, expected) in [
        ("redis+sentinel://a:hunter2@db", "the name of the master after the addresses"),
        ("rediss://a:hunter2@db?sslrootcert=/none.pem", "setting redis_url: sslrootcert=/none.pem: No such file"),
        (&empty, "empty.pem: expected a PEM file with a certificate"),
    ] {
        let (code, printed) = server::run(folder.path(), &["--set", &format!("redis_url={url}")]).await;
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains(expected) && !printed.contains("hunter2"), "{expected}: {printed}");
    }
}
