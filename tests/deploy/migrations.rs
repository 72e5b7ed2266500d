//! A version of the program on tables that a newer version has migrated, and nodes that migrate at the same time.

use std::sync::Arc;

use pausa::store::{Error, Store};
use pausa::task::State;
use pausa::task::change::End;

use crate::harness::caller;
use crate::harness::server::{self, Server};
use crate::store::test_store::{MANY, TestStore, at, end, node, plain};

/// A migration that no version of the program has.
const LATER: i64 = 9_999;

/// Migrates the store as a newer version does, with a column of its own. `runs_from`: what the migration says.
async fn migrate_later(test_store: &TestStore, runs_from: Option<i64>) {
    let checksum = if test_store.url.starts_with("sqlite:") { "x'00'" } else { "decode('00', 'hex')" };
    let applied = format!(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES ({LATER}, 'later', TRUE, {checksum}, 0)"
    );
    test_store.execute("ALTER TABLE tasks ADD COLUMN later TEXT NOT NULL DEFAULT 'new'").await.unwrap();
    test_store.execute(&applied).await.unwrap();
    if let Some(runs_from) = runs_from {
        let says = format!("INSERT INTO schema_support (migration, runs_from) VALUES ({LATER}, {runs_from})");
        test_store.execute(&says).await.unwrap();
    }
}

async fn connect(test_store: &TestStore) -> Result<Store, Error> {
    Store::connect(&test_store.url, Arc::new(|_| {})).await
}

async fn test_stores() -> [TestStore; 2] {
    [TestStore::sqlite(), TestStore::postgres().await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_runs_with_the_migrations_of_the_next_one() {
    for test_store in test_stores().await {
        test_store.with_nodes().await.close().await;
        migrate_later(&test_store, Some(Store::newest_schema())).await;
        let store = connect(&test_store).await.unwrap();
        let created = store.create(caller(), plain(), MANY).await.unwrap().into_task();
        let claimed = store.claim(&node("a"), at(1), 1).await.unwrap().remove(0);
        assert_eq!(claimed.id, created.id);
        assert_eq!(end(&store, &claimed, End::Done).await.state, State::Completed);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_refuses_migrations_that_do_not_support_it() {
    for runs_from in [Some(LATER), Some(Store::newest_schema() + 1), None] {
        for test_store in test_stores().await {
            test_store.open().await.close().await;
            migrate_later(&test_store, runs_from).await;
            let refused = connect(&test_store).await.err().unwrap().to_string();
            let newest = Store::newest_schema();
            let expected =
                format!("knows the migrations up to {newest} and cannot run with migration {LATER}. Start the newer");
            assert!(refused.contains(&expected), "{refused}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_serves_a_store_of_the_next_version_and_migrates_nothing() {
    let test_store = TestStore::postgres().await;
    let settings = [("PAUSA_DATABASE_URL", test_store.url.as_str())];
    let mut server = Server::with(&settings).await;
    assert_eq!(server.terminate().await, Some(0));
    migrate_later(&test_store, Some(Store::newest_schema())).await;
    server.restart().await;
    let id = server.pi(1_000).await;
    server.until(&id, "COMPLETED").await;
    let untouched = "UPDATE tasks SET later = 'seen' WHERE later = 'new'";
    assert_eq!(test_store.execute(untouched).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_migrate_an_empty_database_at_the_same_time_wait_for_each_other() {
    let (test_store, folder) = (TestStore::postgres().await, tempfile::tempdir().unwrap());
    let url = format!("database_url={}", test_store.url);
    let arguments = ["migrate", "--set", &url];
    let migrations = (0..4).map(|_| server::run(folder.path(), &arguments));
    for (code, printed) in futures_util::future::join_all(migrations).await {
        assert!(code == Some(0) && printed.contains("up to date"), "{printed}");
    }
}

#[tokio::test]
async fn migrate_refuses_a_file_that_a_server_uses() {
    let server = Server::start().await;
    let (code, printed) = server::run(server.folder(), &["migrate"]).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("another server uses") && printed.contains("pausa.db"), "{printed}");
}
