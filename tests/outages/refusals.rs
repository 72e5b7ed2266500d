//! A start that PostgreSQL refuses says so in the server's own words, and never the password.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::harness::postgres::{Postgres, free_address};
use crate::harness::server;

/// Starts the program with that database. It must fail. Returns what it printed.
async fn refusal(url: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (code, printed) = server::run(folder.path(), &["--set", &format!("database_url={url}")]).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(!printed.contains("hunter2") && !printed.contains("pool timed out"), "{printed}");
    printed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_of_a_start_names_its_cause() {
    let address = free_address();
    let postgres = tokio::task::spawn_blocking(move || {
        let port = format!("port={}", address.port());
        Postgres::with(&["listen_addresses=127.0.0.1", &port], |data| {
            std::fs::write(data.join("pg_hba.conf"), "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
                .unwrap();
        })
    });
    let postgres = postgres.await.unwrap();
    let mut connection = PgConnection::connect(&format!("{}&port={}", postgres.url(), address.port())).await.unwrap();
    for statement in
        ["CREATE ROLE me LOGIN PASSWORD 'right'", "CREATE ROLE nobody LOGIN PASSWORD 'hunter2' CONNECTION LIMIT 0"]
    {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    let port = address.port();
    let nothing = free_address();
    for (url, expected) in [
        (format!("postgres://me:hunter2@{nothing}/postgres"), "nothing listens there (connection refused)"),
        (format!("postgres://me:hunter2@127.0.0.1:{port}/postgres"), "password authentication failed for user \"me\""),
        (format!("postgres://me:right@127.0.0.1:{port}/elsewhere"), "database \"elsewhere\" does not exist"),
        (format!("postgres://nobody:hunter2@127.0.0.1:{port}/postgres"), "too many connections for role \"nobody\""),
        (format!("postgres://me:hunter2@127.0.0.1:{port}/postgres?sslmode=require"), "the server offers no TLS"),
        (
            format!("postgres://me:hunter2@127.0.0.1:{port}/postgres?sslmode=verify-full&sslrootcert=/none.pem"),
            "sslrootcert=/none.pem: No such file",
        ),
        ("postgres://me:hunter2@localhost/postgres?host=/none".to_owned(), "there is no socket"),
    ] {
        let printed = refusal(&url).await;
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
    let printed = refusal(&format!("postgres://nobody:hunter2@127.0.0.1:{port}/postgres")).await;
    assert!(printed.contains("store_connections and datasets_connections"), "{printed}");
}
