//! Connections that are lost: half-open without a reset, or closed by a restart.

use std::collections::BTreeSet;
use std::time::Duration;

use pausa::clock::Clock;
use serde_json::json;

use super::{ANSWER, Proxied, nothing_is_left, until_ready, warnings};
use crate::harness::csv;
use crate::harness::proxy::Traffic;
use crate::harness::server::{PATIENCE, Server};

/// Rows of the imports.
const ROWS: usize = 60_000;

/// Maximum time in which a node is ready again after its connections were lost. It takes less than a second.
const READY_AGAIN: Duration = Duration::from_secs(15);

/// Maximum time in which a task goes on after that. A loss that is never noticed takes longer than a minute.
const GOES_ON: Duration = Duration::from_secs(30);

/// Grace of the node that is ended while its connections are lost.
const GRACE: Duration = Duration::from_secs(3);

/// The text of a warning, without its time and its error.
fn problem(line: &str) -> &str {
    let text = line.split_once(" WARN ").map_or(line, |(_, text)| text);
    text.split(" error=").next().unwrap_or(text)
}

/// An import that takes some seconds.
fn slow() -> serde_json::Value {
    json!({ "dataset": "people", "maxRowsPerSecond": 6_000 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_recovers_from_half_open_connections_and_its_tasks_go_on() {
    let proxied = Proxied::start().await;
    let grace = GRACE.as_secs().to_string();
    let settings =
        [("PAUSA_DATABASE_URL", &*proxied.url), ("PAUSA_LEASE_SECONDS", "30"), ("PAUSA_SHUTDOWN_GRACE", &grace)];
    let mut server = Server::with(&settings).await;
    let upload = server.upload(csv::people(ROWS)).await;
    let id = server.import(&upload, slow()).await;
    server.until_done(&id, 5_000).await;

    // All present connections are lost for good. New ones work at once.
    let before = server.task(&id).await["progress"]["done"].as_u64().unwrap();
    proxied.proxy.set(Traffic::Drop);
    let begin = Clock::monotonic();
    proxied.proxy.set(Traffic::Pass);
    until_ready(&server, 200).await;
    let ready = begin.elapsed();
    // What was sent before the loss, and is not yet reported, may be as much as one write.
    server.until_done(&id, before + 2_000).await;
    let goes_on = begin.elapsed();
    eprintln!("half-open: ready after {ready:?}, the import goes on after {goes_on:?}");
    assert!(ready < READY_AGAIN && goes_on < GOES_ON, "{ready:?} {goes_on:?}");
    let done = server.until(&id, "COMPLETED").await;
    assert_eq!(done["progress"]["done"], ROWS);
    nothing_is_left(&proxied.postgres.url(), &server, &[]).await;
    assert_eq!(csv::cells(&server.exported("people").await), csv::cells(csv::people(ROWS).as_bytes()));

    proxied.proxy.set(Traffic::Drop);
    proxied.proxy.set(Traffic::Pass);
    let begin = Clock::monotonic();
    assert!(server.terminate().await.is_some());
    let took = begin.elapsed();
    eprintln!("half-open: SIGTERM took {took:?}");
    assert!(took < GRACE + Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_goes_on_after_its_connections_were_lost() {
    let proxied = Proxied::start().await;
    let settings = [("PAUSA_DATABASE_URL", proxied.url.as_str()), ("PAUSA_LEASE_SECONDS", "30")];
    let server = Server::with(&settings).await;
    let upload = server.upload(csv::people(ROWS)).await;
    let import = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&import, "COMPLETED").await;
    let start = "mutation { startExport(input: { dataset: \"people\", maxRowsPerSecond: 8000 }) { id } }";
    let id = server.data(start, json!({})).await["startExport"]["id"].as_str().unwrap().to_owned();
    server.until_done(&id, 5_000).await;
    proxied.proxy.set(Traffic::Drop);
    let begin = Clock::monotonic();
    proxied.proxy.set(Traffic::Pass);
    until_ready(&server, 200).await;
    let ready = begin.elapsed();
    assert!(ready < READY_AGAIN, "{ready:?}");
    let done = server.task(&id).await["progress"]["done"].as_u64().unwrap();
    server.until_done(&id, (done + 2_000).min(ROWS as u64)).await;
    let goes_on = begin.elapsed();
    assert!(goes_on < GOES_ON, "{goes_on:?}");
    server.until(&id, "COMPLETED").await;
    eprintln!("half-open: the export of {ROWS} rows completed after {:?}", begin.elapsed());
    let file = server.get(&format!("/download/{id}")).await.bytes().await.unwrap();
    assert_eq!(csv::cells(&file), csv::cells(csv::people(ROWS).as_bytes()));
    nothing_is_left(&proxied.postgres.url(), &server, &[id]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_is_noticed_at_once_and_its_end_too() {
    let mut proxied = Proxied::start().await;
    let (mut server, log) = Server::logging(&[("PAUSA_DATABASE_URL", &proxied.url), ("PAUSA_LOG", "info")]).await;
    for cuts in 1..=3 {
        proxied.proxy.cut();
        let begin = Clock::monotonic();
        let text = until_ready(&server, 503).await;
        let noticed = begin.elapsed();
        // Connections are reset, and new ones are refused: either may be seen first.
        let reasons = ["the server closed the connection", "nothing listens there"];
        assert!(reasons.iter().any(|reason| text.contains(reason)), "{text}");
        let refusal = server.refusal("{ tasks { nodes { id } } }", json!({})).await;
        assert_eq!(refusal["extensions"]["code"], "UNAVAILABLE");
        proxied.proxy.listen().await;
        let begin = Clock::monotonic();
        until_ready(&server, 200).await;
        let ready = begin.elapsed();
        // Each connection of both pools is from before the cut. None of them fails a call.
        let begin = Clock::monotonic();
        let calls = (0..30).map(|_| server.data("{ tasks { nodes { id } } datasets { nodes { name } } }", json!({})));
        futures_util::future::join_all(calls).await;
        let answered = begin.elapsed();
        eprintln!("cut {cuts}: noticed after {noticed:?}, ready {ready:?} after its end, 30 calls in {answered:?}");
        assert!(ready < READY_AGAIN && answered < ANSWER, "{ready:?} {answered:?}");
    }
    assert_eq!(server.terminate().await, Some(0));
    let log = log.await.unwrap();
    assert_eq!(log.matches("PostgreSQL is unavailable").count(), 3, "{log}");
    assert_eq!(warnings(&log).len(), 3, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_go_on_soon_after_a_restart_and_the_log_has_one_line() {
    let proxied = Proxied::start().await;
    let settings = [("PAUSA_DATABASE_URL", proxied.postgres.url()), ("PAUSA_LOG", "info".to_owned())];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (mut server, log) = Server::logging(&settings).await;
    let upload = server.upload(csv::people(ROWS)).await;
    let id = server.import(&upload, slow()).await;
    server.until_done(&id, 5_000).await;

    let stopped = std::sync::Arc::clone(&proxied.postgres);
    tokio::task::spawn_blocking(move || stopped.stop()).await.unwrap();
    until_ready(&server, 503).await;
    // Long enough that each loop of the node has tried several times.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let again = std::sync::Arc::clone(&proxied.postgres);
    tokio::task::spawn_blocking(move || again.serve()).await.unwrap();
    let begin = Clock::monotonic();
    let before = tokio::time::timeout(PATIENCE, async {
        loop {
            let answer =
                server.ask("query($id: ID!) { task(id: $id) { progress { done } } }", json!({ "id": id })).await;
            if let Some(done) = answer["data"]["task"]["progress"]["done"].as_u64() {
                return done;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let before = before.await.unwrap();
    let answered = begin.elapsed();
    server.until_done(&id, before + 1).await;
    let goes_on = begin.elapsed();
    eprintln!("restart: answers after {answered:?}, the import goes on after {goes_on:?}");
    assert!(answered < READY_AGAIN && goes_on < GOES_ON, "{answered:?} {goes_on:?}");
    let done = server.until(&id, "COMPLETED").await;
    assert_eq!(done["progress"]["done"], ROWS);
    assert_eq!(server.rows("people").await, Some(ROWS as u64));
    nothing_is_left(&proxied.postgres.url(), &server, &[]).await;
    assert_eq!(csv::cells(&server.exported("people").await), csv::cells(csv::people(ROWS).as_bytes()));
    assert_eq!(server.terminate().await, Some(0));
    let log = log.await.unwrap();
    let outages = warnings(&log).iter().filter(|line| line.contains("PostgreSQL is unavailable")).count();
    assert_eq!(outages, 1, "{log}");
    // Calls that are under way fail before the outage is known. Each part of the node says so once.
    let problems: Vec<_> = warnings(&log).into_iter().map(problem).collect();
    assert_eq!(BTreeSet::from_iter(&problems).len(), problems.len(), "{log}");
}
