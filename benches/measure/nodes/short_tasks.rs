//! Many short tasks through two workers. None may be lost or run twice.

use std::fs;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use pausa::clock::Clock;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, Row};

use super::{Carrier, Cluster};
use crate::load::{self, Receiver, clients};

/// Number of tasks, clients that start them, and tasks in each call.
const TASKS: usize = 10_000;
const CLIENTS: usize = 8;
const BATCH: usize = 50;

const DIGITS: u32 = 10;

/// Time between two looks at how many tasks are left.
const LOOK: Duration = Duration::from_millis(50);

/// Measures timers that are due at one moment.
pub async fn timers() {
    for carrier in [Carrier::Redis, Carrier::Listen] {
        let (cluster, receiver) = (Cluster::start(carrier).await, Receiver::start().await);
        let due = Clock::system().now() + SignedDuration::from_secs(8);
        let url = receiver.url.clone();
        let call = move |n: usize| {
            let input = || format!(r#"{{ url: "{url}", when: {{ at: "{due}" }} }}"#);
            (n < TASKS / BATCH).then(|| load::operation(&(0..BATCH).map(|_| input()).collect::<Vec<_>>()))
        };
        let (timers, _) = clients(&cluster.api.url, CLIENTS, call).await;
        let wait = Clock::system().now().duration_until(due);
        assert!(wait.is_positive(), "starting the timers took too long");
        tokio::time::sleep(wait.try_into().unwrap()).await;
        let begin = Clock::monotonic();
        let arrived = receiver.until(TASKS).await;
        let rate = TASKS as f64 / begin.elapsed().as_secs_f64();
        until_all_completed(&cluster).await;
        assert!(timers.iter().all(|(id, _)| arrived.contains_key(id)), "a timer was lost");
        assert_eq!(receiver.count(), TASKS, "each was sent once");
        each_ran_once(&cluster).await;
        println!("{TASKS} timers through two workers, events by {}: {rate:.0} a second", carrier.name());
    }
}

/// Measures computations of a few digits, from the first start to the last COMPLETED.
pub async fn pi() {
    for carrier in [Carrier::Redis, Carrier::Listen] {
        let cluster = Cluster::start(carrier).await;
        let begin = Clock::monotonic();
        let ids = join_all((0..CLIENTS).map(|_| start(&cluster.api.url))).await.concat();
        let starts = begin.elapsed();
        until_all_completed(&cluster).await;
        let rate = TASKS as f64 / begin.elapsed().as_secs_f64();
        each_ran_once(&cluster).await;
        has_results(&cluster, &ids);
        println!(
            "{TASKS} tasks of {DIGITS} digits through two workers, events by {}: {rate:.0} a second, started within {:.1} s",
            carrier.name(),
            starts.as_secs_f64()
        );
    }
}

/// Starts a client's part of the computations. Returns their IDs.
async fn start(url: &str) -> Vec<String> {
    let mut connection = load::Connection::to(url).await;
    let starts = (0..BATCH).map(|n| format!("t{n}: startPiJob(input: {{ digits: {DIGITS} }}) {{ id }}"));
    let query = format!("mutation {{ {} }}", starts.collect::<Vec<_>>().join(" "));
    let operation = json!({ "query": query }).to_string();
    let mut ids = Vec::new();
    for _ in 0..TASKS / CLIENTS / BATCH {
        let answer: Value = serde_json::from_str(&connection.ask(&operation).await).unwrap();
        let tasks = answer["data"].as_object().unwrap_or_else(|| panic!("{answer}"));
        ids.extend(tasks.values().map(|task| task["id"].as_str().unwrap().to_owned()));
    }
    ids
}

async fn until_all_completed(cluster: &Cluster) {
    let query = "{ tasks(filter: { states: [COMPLETED] }, first: 0) { totalCount } }";
    while cluster.api.data(query, json!({})).await["tasks"]["totalCount"] != TASKS {
        tokio::time::sleep(LOOK).await;
    }
}

/// Checks the histories: each task was claimed once and completed once.
async fn each_ran_once(cluster: &Cluster) {
    let mut connection = PgConnection::connect(&cluster.postgres.url()).await.unwrap();
    for state in ["RUNNING", "COMPLETED"] {
        let query =
            "SELECT COUNT(*) AS n, COUNT(DISTINCT task_id) AS tasks FROM pausa.task_changes WHERE to_state = $1";
        let row = sqlx::query(query).bind(state).fetch_one(&mut connection).await.unwrap();
        let (changes, tasks): (i64, i64) = (row.get("n"), row.get("tasks"));
        assert_eq!((changes, tasks), (TASKS as i64, TASKS as i64), "{state}");
    }
}

/// Checks that the folder has the results of these tasks, and no others.
fn has_results(cluster: &Cluster, ids: &[String]) {
    let results = fs::read_dir(cluster.files.path().join("results")).unwrap();
    let mut results: Vec<_> = results.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut ids = ids.to_vec();
    results.sort_unstable();
    ids.sort_unstable();
    assert!(results == ids, "{} results of {} tasks", results.len(), ids.len());
}
