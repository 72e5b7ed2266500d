//! Many clients: memory of each idle subscriber, and simple queries per second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::{self, StreamExt};
use pausa::clock::Clock;
use serde_json::json;

use crate::figures::memory;
use crate::harness::csv;
use crate::harness::server::Server;
use crate::harness::watch::Watch;
use crate::load::Connection;

/// Numbers of subscribers after which the memory is read.
const SUBSCRIBERS: [usize; 4] = [500, 1_000, 3_000, 6_000];

/// Subscribers that connect at once.
const CONNECTING: usize = 50;

/// Connections that send queries one after the other, and queries of all.
const CONNECTIONS: usize = 32;
const QUERIES: usize = 100_000;

/// Measures the memory that idle WebSocket subscribers of one paused task take.
pub async fn subscribers() {
    let server = Server::start().await;
    let id = paused(&server).await;
    let mut watches = Vec::new();
    let mut before = memory(server.pid(), "VmRSS");
    for count in SUBSCRIBERS {
        let more = count - watches.len();
        let opened = stream::iter(0..more).map(|_| watching(&server, &id)).buffer_unordered(CONNECTING);
        watches.extend(opened.collect::<Vec<_>>().await);
        let now = memory(server.pid(), "VmRSS");
        println!(
            "{count} subscribers: {now:.1} MB, {:.1} KB for each of the last {more}",
            (now - before) * 1e3 / more as f64
        );
        before = now;
    }
}

/// Measures simple queries, sent by a generator on the same cores.
pub async fn queries() {
    let server = Server::start().await;
    let id = paused(&server).await;
    for (name, query) in [
        ("{ server { version } }", json!({ "query": "{ server { version } }" })),
        (
            "a task by its ID, 6 fields",
            json!({ "query": "query($id: ID!) { task(id: $id) { id state label progress { done total } createdAt } }", "variables": { "id": id } }),
        ),
    ] {
        let (query, sent) = (Arc::new(query.to_string()), Arc::new(AtomicUsize::new(0)));
        let begin = Clock::monotonic();
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (query, sent, url) = (Arc::clone(&query), Arc::clone(&sent), server.url.clone());
                tokio::spawn(async move {
                    let mut connection = Connection::to(&url).await;
                    while sent.fetch_add(1, Ordering::Relaxed) < QUERIES {
                        connection.ask(&query).await;
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        println!("{name}: {:.0} a second", QUERIES as f64 / begin.elapsed().as_secs_f64());
    }
}

async fn paused(server: &Server) -> String {
    let upload = server.upload(csv::people(1000)).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 100 })).await;
    server.until_done(&id, 10).await;
    assert_eq!(server.control("pause", &id).await, "PAUSED");
    id
}

/// Returns a subscriber that has received the first event.
async fn watching(server: &Server, id: &str) -> Watch {
    let mut watch = Watch::progress(&server.url, id).await;
    watch.next().await.unwrap();
    watch
}
