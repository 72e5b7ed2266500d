//! A clean shutdown while requests are in progress: they are finished within the grace, and the process ends even if others hang.

use std::time::Duration;

use pausa::clock::Clock;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::{after, and, server, with};
use crate::harness::postgres::Postgres;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::server::Server;

/// Maximum time after the grace, for closing connections and the end of the process.
const AFTERWARDS: Duration = Duration::from_secs(3);

fn guarantee(input: Value, delivery: &str) -> Value {
    and(input, json!({ "delivery": delivery }))
}

/// Ends the server by SIGTERM. Returns its exit code, which comes within the grace.
async fn terminate(server: &mut Server, grace: Duration) -> Option<i32> {
    let begin = Clock::monotonic();
    let code = server.terminate().await;
    let took = begin.elapsed();
    assert!(took < grace + AFTERWARDS, "it took {took:?}");
    code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_in_progress_is_finished() {
    let mut server = server().await;
    let receiver = Receiver::start(|_, _| Answer::Late(Duration::from_secs(3))).await;
    let once = server.timer(guarantee(after(&receiver.url, 0.0), "AT_MOST_ONCE")).await;
    let least = server.timer(guarantee(after(&receiver.url, 0.0), "AT_LEAST_ONCE")).await;
    receiver.until(2).await;
    assert_eq!(terminate(&mut server, Duration::from_secs(10)).await, Some(0));
    server.restart().await;
    for id in [&once, &least] {
        let task = server.task(id).await;
        assert_eq!(task["state"], "COMPLETED", "{task}");
        assert_eq!((&task["deliveries"][0]["status"], &task["attempt"]), (&json!(200), &json!(0)));
    }
    assert_eq!(receiver.count(), 2, "each was sent once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_never_answers_does_not_exceed_the_grace() {
    let mut server = with(&[("PAUSA_SHUTDOWN_GRACE", "3")]).await;
    let receiver = Receiver::start(|_, before| if before == 0 { Answer::Never } else { Answer::Status(200) }).await;
    let once = server.timer(guarantee(after(&receiver.url, 0.0), "AT_MOST_ONCE")).await;
    let least = server.timer(guarantee(after(&receiver.url, 0.0), "AT_LEAST_ONCE")).await;
    receiver.until(2).await;
    assert_eq!(terminate(&mut server, Duration::from_secs(3)).await, Some(0));
    server.restart().await;
    let unknown = server.until(&once, "FAILED").await;
    assert_eq!(unknown["error"]["message"], "The delivery failed: stopped before a response.");
    let again = server.until(&least, "COMPLETED").await;
    assert_eq!((&again["attempt"], receiver.count()), (&json!(0), 3), "a shutdown counts no attempt");
}

/// It waits for a permit when the shutdown begins. Nothing was sent, so nothing is unknown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_whose_request_was_not_sent_is_released() {
    let mut server = with(&[("PAUSA_TIMER_MAX_SENDING_PER_HOST", "1")]).await;
    let receiver = Receiver::start(|_, _| Answer::Late(Duration::from_secs(2))).await;
    let input = |at: &str| guarantee(after(&format!("{}{at}", receiver.url), 0.0), "AT_MOST_ONCE");
    let sent = server.timer(input("/sent")).await;
    receiver.until(1).await;
    let taken = server.timer(input("/taken")).await;
    server.until(&taken, "RUNNING").await;
    assert_eq!(terminate(&mut server, Duration::from_secs(10)).await, Some(0));
    assert_eq!(receiver.count(), 1, "no request begins during a shutdown");
    server.restart().await;
    assert_eq!(server.task(&sent).await["state"], "COMPLETED");
    server.until(&taken, "COMPLETED").await;
    assert_eq!(receiver.count(), 2);
}

/// A database that does not answer blocks every write: of the loops, of the end of a run, and of leaving the nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_does_not_exceed_the_grace() {
    let postgres = Postgres::start();
    let mut server = with(&[("PAUSA_DATABASE_URL", &postgres.url()), ("PAUSA_SHUTDOWN_GRACE", "2")]).await;
    let receiver = Receiver::kind().await;
    let mut other = PgConnection::connect(&postgres.url()).await.unwrap();
    // PostgreSQL shows a transaction the same activity until it ends, so another connection queries it.
    let mut looking = PgConnection::connect(&postgres.url()).await.unwrap();
    let mut locked = other.begin().await.unwrap();
    server.timer(after(&receiver.url, 1.0)).await;
    sqlx::query("LOCK TABLE pausa.tasks, pausa.nodes IN ACCESS EXCLUSIVE MODE").execute(&mut *locked).await.unwrap();
    // The timer is due, and the loop that claims it waits for the database.
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%MIN(due_at)%'";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut looking).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(terminate(&mut server, Duration::from_secs(2)).await, Some(1), "not every task was released");
    locked.rollback().await.unwrap();
    server.restart().await;
    receiver.until(1).await;
}
