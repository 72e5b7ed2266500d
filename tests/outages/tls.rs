//! TLS to PostgreSQL: for the store, the datasets and LISTEN. The server of these stories refuses whoever comes without.

use std::fs;
use std::os::unix::fs::chown;

use serde_json::json;
use tempfile::TempDir;

use crate::harness::certificates::{issuer, write_certificate};
use crate::harness::csv;
use crate::harness::postgres::{Postgres, free_address, server_user};
use crate::harness::server::{self, Server};

/// Clients that may connect: the role `with_certificate` only with a certificate of that name.
const HBA: &str =
    "local all all trust\nhostssl all with_certificate 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 trust\n";

/// A server with TLS only, and the files of its clients.
struct Encrypted {
    _postgres: Postgres,
    base: String,
    folder: TempDir,
}

impl Encrypted {
    async fn start() -> Encrypted {
        tokio::task::spawn_blocking(Encrypted::start_blocking).await.unwrap()
    }

    fn start_blocking() -> Encrypted {
        let (address, folder, right) = (free_address(), tempfile::tempdir().unwrap(), issuer());
        fs::write(folder.path().join("root.pem"), right.pem()).unwrap();
        fs::write(folder.path().join("wrong.pem"), issuer().pem()).unwrap();
        write_certificate(folder.path(), "client", &right, "client", "with_certificate");
        let port = format!("port={}", address.port());
        let settings = [
            "listen_addresses=127.0.0.1",
            &port,
            "ssl=on",
            "ssl_cert_file=own.pem",
            "ssl_key_file=own.key",
            "ssl_ca_file=root.pem",
        ];
        let postgres = Postgres::with(&settings, |data| {
            fs::write(data.join("pg_hba.conf"), HBA).unwrap();
            fs::write(data.join("root.pem"), right.pem()).unwrap();
            write_certificate(data, "own", &right, "127.0.0.1", "server");
            for file in ["own.pem", "own.key", "root.pem"] {
                if let Some((user, group)) = server_user() {
                    chown(data.join(file), Some(user), Some(group)).unwrap();
                }
            }
        });
        Encrypted {
            _postgres: postgres,
            base: format!("postgres://postgres@127.0.0.1:{}/postgres", address.port()),
            folder,
        }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn url(&self, parameters: &str) -> String {
        format!("{}?{parameters}", self.base)
    }
}

/// Imports on one node and reads on the other, which hears of it by LISTEN.
async fn works(url: &str, files: &TempDir) {
    let (a, b) = (Server::sharing(url, files, &[]).await, Server::sharing(url, files, &[]).await);
    let upload = a.upload(csv::people(1_000)).await;
    let id = a.import(&upload, json!({ "dataset": "people", "mode": "REPLACE" })).await;
    b.until(&id, "COMPLETED").await;
    assert_eq!(b.rows("people").await, Some(1_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_work_with_tls_only() {
    let server = Encrypted::start().await;
    let (root, files) = (server.file("root.pem"), tempfile::tempdir().unwrap());
    for parameters in ["sslmode=require".to_owned(), format!("sslmode=verify-full&sslrootcert={root}")] {
        works(&server.url(&parameters), &files).await;
    }
    // `prefer`, the default, uses TLS that is offered.
    let folder = format!("file://{}", files.path().display());
    let settings = [("PAUSA_DATABASE_URL", server.base.as_str()), ("PAUSA_FILES_URL", &folder), ("PAUSA_LOG", "info")];
    let (mut node, log) = Server::logging(&settings).await;
    assert_eq!(node.terminate().await, Some(0));
    assert!(!log.await.unwrap().contains("not encrypted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_verified_and_shown() {
    let server = Encrypted::start().await;
    let (root, wrong) = (server.file("root.pem"), server.file("wrong.pem"));
    for (parameters, expected) in [
        (format!("sslmode=verify-full&sslrootcert={wrong}"), "TLS failed: invalid peer certificate"),
        (format!("sslmode=verify-ca&sslrootcert={wrong}"), "TLS failed: invalid peer certificate"),
        ("sslmode=verify-full".to_owned(), "TLS failed: invalid peer certificate"),
        ("sslmode=disable".to_owned(), "no encryption"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("database_url={}", server.url(&parameters));
        let (code, printed) = server::run(folder.path(), &["--set", &url]).await;
        assert_eq!(code, Some(1));
        assert!(printed.contains(expected), "{parameters}: {printed}");
    }
    // The name in the certificate is 127.0.0.1: verify-ca does not look at it.
    let named = server.base.replace("127.0.0.1", "localhost");
    let folder = tempfile::tempdir().unwrap();
    let url = format!("database_url={named}?sslmode=verify-full&sslrootcert={root}");
    let (code, printed) = server::run(folder.path(), &["--set", &url]).await;
    assert!(code == Some(1) && printed.contains("not valid for name"), "{printed}");
    let url = format!("database_url={named}?sslmode=verify-ca&sslrootcert={root}");
    let (code, printed) = server::run(folder.path(), &["--set", &url, "migrate"]).await;
    assert_eq!(code, Some(0), "{printed}");

    // A role that needs a certificate.
    let role = server.base.replace("postgres@", "with_certificate@");
    let create = format!("database_url={}", server.url("sslmode=require"));
    let (code, printed) = server::run(folder.path(), &["--set", &create, "migrate"]).await;
    assert_eq!(code, Some(0), "{printed}");
    create_role(&server.url("sslmode=require")).await;
    let (certificate, key) = (server.file("client.pem"), server.file("client.key"));
    let shown = format!("{role}?sslmode=verify-full&sslrootcert={root}&sslcert={certificate}&sslkey={key}");
    works(&shown, &tempfile::tempdir().unwrap()).await;
    let bare = format!("database_url={role}?sslmode=require");
    let (code, printed) = server::run(folder.path(), &["--set", &bare]).await;
    assert!(code == Some(1) && printed.contains("certificate"), "{printed}");
}

async fn create_role(url: &str) {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql("CREATE ROLE with_certificate LOGIN SUPERUSER").execute(&mut connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_prefers_tls_and_gets_none_logs_it() {
    let address = free_address();
    let postgres = tokio::task::spawn_blocking(move || {
        Postgres::with(&["listen_addresses=127.0.0.1", &format!("port={}", address.port())], |_| {})
    });
    let _postgres = postgres.await.unwrap();
    let files = tempfile::tempdir().unwrap();
    let folder = format!("file://{}", files.path().display());
    for (parameters, lines) in [("", 1), ("?sslmode=disable", 0)] {
        let url = format!("postgres://postgres@{address}/postgres{parameters}");
        let settings = [("PAUSA_DATABASE_URL", url.as_str()), ("PAUSA_FILES_URL", &folder), ("PAUSA_LOG", "info")];
        let (mut node, log) = Server::logging(&settings).await;
        assert_eq!(node.terminate().await, Some(0));
        let log = log.await.unwrap();
        assert_eq!(log.matches("not encrypted").count(), lines, "{log}");
    }
}
