//! Several nodes on this machine: one that answers requests, two workers, a PostgreSQL server, and what carries events between them.

mod finished;
mod pauses;
mod progress;
mod short_tasks;
mod takeover;

use serde_json::{Value, json};
use tempfile::TempDir;

pub use finished::measure as finished;
pub use pauses::measure as pauses;
pub use progress::measure as progress;
pub use short_tasks::{pi, timers};
pub use takeover::measure as takeover;

use crate::harness::csv;
use crate::harness::postgres::Postgres;
use crate::harness::redis::Redis;
use crate::harness::server::Server;
use crate::timers::ALLOWED;

/// Channel of events between the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Redis,
    Listen,
    Nothing,
}

impl Carrier {
    fn name(self) -> &'static str {
        match self {
            Carrier::Redis => "Redis",
            Carrier::Listen => "LISTEN",
            Carrier::Nothing => "neither",
        }
    }
}

/// The nodes. The workers are called `worker 0` and `worker 1`.
struct Cluster {
    api: Server,
    workers: Vec<Server>,
    postgres: Postgres,
    _redis: Option<Redis>,
    files: TempDir,
}

impl Cluster {
    /// Starts an empty PostgreSQL server, the node for requests, and two workers.
    async fn start(carrier: Carrier) -> Cluster {
        let (postgres, files) = (Postgres::start(), tempfile::tempdir().unwrap());
        let redis = if carrier == Carrier::Redis { Some(Redis::start().await) } else { None };
        let (database, folder) = (postgres.url(), format!("file://{}", files.path().display()));
        let redis_url = redis.as_ref().map(Redis::url).unwrap_or_default();
        let events = if carrier == Carrier::Nothing { "poll" } else { "auto" };
        let shared = [
            ("PAUSA_DATABASE_URL", database.as_str()),
            ("PAUSA_FILES_URL", &folder),
            ("PAUSA_REDIS_URL", &redis_url),
            ("PAUSA_EVENTS", events),
        ];
        let node = async |role, name: &str| {
            Server::with(&[&ALLOWED[..], &shared, &[("PAUSA_ROLE", role), ("PAUSA_NODE", name)]].concat()).await
        };
        let api = node("api", "api").await;
        let workers = vec![node("worker", "worker 0").await, node("worker", "worker 1").await];
        Cluster { api, workers, postgres, _redis: redis, files }
    }

    /// Starts an import with at most this many rows a second, and waits for its first progress.
    async fn slow_import(&self, rows: usize, dataset: &str, rate: u32) -> String {
        let upload = self.api.upload(csv::people(rows)).await;
        let id = self.api.import(&upload, json!({ "dataset": dataset, "maxRowsPerSecond": rate })).await;
        self.api.until_done(&id, 1).await;
        id
    }

    /// Returns the index of the worker that claimed the task last, and the time of that claim.
    async fn claim(&self, id: &str) -> (usize, jiff::Timestamp) {
        let task = self.api.task(id).await;
        let history = task["history"].as_array().unwrap();
        let claimed = |change: &&Value| change["to"] == "RUNNING" && change["from"] == "QUEUED";
        let claim = history.iter().rev().find(claimed).unwrap_or_else(|| panic!("nobody claimed it: {task}"));
        let worker = claim["by"].as_str().unwrap().strip_prefix("node worker ").unwrap();
        (worker.parse().unwrap(), claim["at"].as_str().unwrap().parse().unwrap())
    }
}
