//! An import that is being published while the database of the datasets is held up or unavailable.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::{Proxied, nothing_is_left};
use crate::harness::csv;
use crate::harness::server::{PATIENCE, Server};
use crate::harness::watch::Watch;

/// Rows of the imports.
const ROWS: usize = 1_000;

/// A node whose datasets are on a PostgreSQL server, and a connection that nobody cuts.
struct Published {
    proxied: Proxied,
    server: Server,
    other: PgConnection,
}

impl Published {
    async fn start() -> Published {
        let proxied = Proxied::start().await;
        let server = Server::with(&[("PAUSA_DATASETS_URL", &proxied.url)]).await;
        let other = PgConnection::connect(&proxied.postgres.url()).await.unwrap();
        Published { proxied, server, other }
    }

    /// Starts an import, and holds it up while it is published.
    async fn held_up(&mut self, file: String, input: Value) -> String {
        let upload = self.server.upload(file).await;
        self.run("BEGIN; LOCK TABLE pausa_datasets.dataset IN EXCLUSIVE MODE").await;
        let id = self.server.import(&upload, input).await;
        let waiting = async {
            let sql = "SELECT count(*) FROM pg_locks
                WHERE relation = 'pausa_datasets.dataset'::regclass AND NOT granted";
            // PostgreSQL sends no event for this, so it is polled.
            while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut self.other).await.unwrap() == 0 {}
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the import was not published");
        id
    }

    async fn run(&mut self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.other).await.unwrap();
    }

    /// Makes the server unavailable, and waits until the task says so.
    async fn cut(&mut self, id: &str) {
        self.proxied.proxy.cut();
        let mut watch = Watch::progress(&self.server.url, id).await;
        watch.until(|task| task["error"]["code"] == "UNAVAILABLE").await;
        // What waited for the lock finds that its client is gone.
        self.run("ROLLBACK").await;
    }

    /// Checks that the dataset has all rows, and that nothing else is left.
    async fn is_exact(&self, dataset: &str) {
        nothing_is_left(&self.proxied.postgres.url(), &self.server, &[]).await;
        let file = self.server.exported(dataset).await;
        assert_eq!(csv::cells(&file), csv::cells(csv::people(ROWS).as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_that_waits_for_its_database_continues_by_itself() {
    let mut published = Published::start().await;
    let id = published.held_up(csv::people(ROWS), json!({ "dataset": "people" })).await;
    published.cut(&id).await;
    assert_eq!(published.server.task(&id).await["state"], "RUNNING");
    published.proxied.proxy.listen().await;
    published.server.until(&id, "COMPLETED").await;
    published.is_exact("people").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_that_waits_for_its_database_can_be_terminated() {
    let mut published = Published::start().await;
    let id = published.held_up(csv::people(ROWS), json!({ "dataset": "people" })).await;
    published.cut(&id).await;
    assert_eq!(published.server.verb_state("terminate", &id).await, "TERMINATING");
    published.proxied.proxy.listen().await;
    published.server.until(&id, "TERMINATED").await;
    assert_eq!(published.server.rows("people").await, None);
    let upload = published.server.upload(csv::people(ROWS)).await;
    let again = published.server.import(&upload, json!({ "dataset": "people" })).await;
    published.server.until(&again, "COMPLETED").await;
    published.is_exact("people").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_termination_that_comes_too_late_completes_the_task_with_its_rejects() {
    let mut published = Published::start().await;
    let schema = json!([{ "name": "n", "type": "INTEGER" }]);
    let input = json!({ "dataset": "numbers", "onBadRow": "SKIP", "columns": schema });
    let id = published.held_up("n\r\n1\r\nx\r\n2\r\n".to_owned(), input).await;
    assert_eq!(published.server.verb_state("terminate", &id).await, "TERMINATING");
    published.run("ROLLBACK").await;
    published.server.until(&id, "COMPLETED").await;
    assert_eq!(published.server.rows("numbers").await, Some(2));
    let rejects = published.server.get(&format!("/download/{id}/rejects")).await;
    assert!(rejects.text().await.unwrap().contains('x'));
}
