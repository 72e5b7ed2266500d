//! A server that is there but does not answer.

use std::time::Duration;

use futures_util::future::join_all;
use pausa::clock::Clock;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{ANSWER, Proxied, READY, calls, ready, requests, until_ready, warnings};
use crate::harness::proxy::Traffic;
use crate::harness::server::Server;

/// Timers of the stories name this machine.
const PRIVATE: (&str, &str) = ("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true");

/// Sends all calls and requests at once, each twice. Returns the longest time of an answer. Each must be UNAVAILABLE.
async fn refused(server: &Server) -> Duration {
    let calls = [calls(), calls()].concat();
    let calls = calls.into_iter().map(async |(query, variables)| {
        let begin = Clock::monotonic();
        let answer = server.ask(query, variables).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{query}: {answer}");
        begin.elapsed()
    });
    let requests = requests(server).into_iter().chain(requests(server)).map(async |request| {
        let begin = Clock::monotonic();
        let answer = request.send().await.unwrap();
        let (url, status) = (answer.url().clone(), answer.status());
        let body: Value = answer.json().await.unwrap();
        let code = (status.as_u16(), body["errors"][0]["extensions"]["code"].as_str());
        assert_eq!(code, (503, Some("UNAVAILABLE")), "{url}: {body}");
        begin.elapsed()
    });
    let (calls, requests) = tokio::join!(join_all(calls), join_all(requests));
    calls.into_iter().chain(requests).max().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_is_answered_while_the_server_stalls_and_one_line_says_so() {
    let proxied = Proxied::start().await;
    let settings = [("PAUSA_DATABASE_URL", proxied.url.as_str()), ("PAUSA_LOG", "info"), PRIVATE];
    let (mut server, log) = Server::logging(&settings).await;
    assert_eq!(ready(&server).await.0, 200);
    for (query, variables) in calls() {
        server.ask(query, variables).await;
    }
    for request in requests(&server) {
        request.send().await.unwrap();
    }

    proxied.proxy.set(Traffic::Stall);
    let (status, text, at_once) = ready(&server).await;
    assert_eq!(status, 503, "{text}");
    let first = refused(&server).await;
    until_ready(&server, 503).await;
    let later = refused(&server).await;
    let (_, text, during) = ready(&server).await;
    eprintln!("stall: first calls {first:?}, later calls {later:?}, readyz at once {at_once:?}, later {during:?}");
    assert!(first < ANSWER && later < Duration::from_secs(1), "{first:?} {later:?}");
    assert!(at_once < READY && during < READY, "{at_once:?} {during:?}");
    assert!(text.contains("no answer within"), "{text}");

    let begin = Clock::monotonic();
    proxied.proxy.set(Traffic::Pass);
    until_ready(&server, 200).await;
    eprintln!("stall: ready {:?} after its end", begin.elapsed());
    server.data("{ tasks { nodes { id } } datasets { nodes { name } } }", json!({})).await;
    assert_eq!(server.terminate().await, Some(0));
    let log = log.await.unwrap();
    let warnings = warnings(&log);
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("PostgreSQL is unavailable"), "{log}");
    assert_eq!(log.matches("PostgreSQL is available again").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_noticed_and_its_return_too() {
    let proxied = Proxied::start().await;
    let server = Server::with(&[("PAUSA_DATABASE_URL", &proxied.postgres.url()), PRIVATE]).await;
    proxied.postgres.signal(Signal::STOP);
    let slowest = refused(&server).await;
    eprintln!("frozen: {slowest:?}");
    assert!(slowest < ANSWER, "{slowest:?}");
    proxied.postgres.signal(Signal::CONT);
    until_ready(&server, 200).await;
    server.data("{ tasks { nodes { id } } datasets { nodes { name } } }", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_is_no_outage() {
    let proxied = Proxied::start().await;
    let (mut server, log) = Server::logging(&[("PAUSA_DATABASE_URL", &proxied.url)]).await;
    proxied.proxy.set(Traffic::Delay(Duration::from_millis(60)));
    for _ in 0..3 {
        server.data("{ tasks { nodes { id } } datasets { nodes { name } } }", json!({})).await;
        assert_eq!(ready(&server).await.0, 200);
    }
    assert_eq!(server.terminate().await, Some(0));
    assert_eq!(warnings(&log.await.unwrap()), [""; 0]);
}
