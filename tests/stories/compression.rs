//! Compressed responses. Events and files are sent as they are.

use std::io::Read;

use reqwest::Response;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::server::Server;

/// A query whose result is large.
const LARGE: &str = "{ __schema { types { name description fields { name description } } } }";

/// Returns the headers and the body that curl prints. It decompresses the body.
async fn curl(arguments: &[&str]) -> (String, String) {
    let ended = Command::new("curl").args(["--silent", "--include", "--compressed"]).args(arguments).output();
    let text = String::from_utf8(ended.await.unwrap().stdout).unwrap();
    let (headers, body) = text.split_once("\r\n\r\n").unwrap();
    (headers.to_lowercase(), body.to_owned())
}

async fn asked(server: &Server, query: &str, accepted: &str) -> Response {
    let asked = server.client().post(format!("{}/graphql", server.url)).json(&json!({ "query": query }));
    asked.header("accept-encoding", accepted).send().await.unwrap()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn curl_gets_compressed_results_pages_and_metrics() {
    let server = Server::start().await;
    let body = json!({ "query": LARGE }).to_string();
    let plain: Value = server.ask(LARGE, json!({})).await;
    for coding in ["gzip", "zstd"] {
        let accept = format!("accept-encoding: {coding}");
        let url = |path: &str| format!("{}{path}", server.url);
        let json = ["--json", &body, "--header", &accept, &url("/graphql")];
        let (headers, result) = curl(&json).await;
        assert!(headers.contains(&format!("content-encoding: {coding}")), "{headers}");
        assert_eq!(serde_json::from_str::<Value>(&result).unwrap(), plain);
        for (path, part) in [("/", "<html"), ("/graphiql/LICENSES.txt", "MIT"), ("/metrics", "pausa_build_info")] {
            let (headers, text) = curl(&["--header", &accept, &url(path)]).await;
            assert!(headers.contains(&format!("content-encoding: {coding}")), "{path}: {headers}");
            assert!(headers.contains("vary: ") && text.contains(part), "{path}: {headers}");
        }
    }
}

#[tokio::test]
async fn a_result_is_compressed_if_it_is_large_and_the_client_accepts_it() {
    let server = Server::start().await;
    for (query, accepted, coding) in [
        (LARGE, "identity", ""),
        (LARGE, "zstd;q=0, br", ""),
        (LARGE, "gzip;q=0.5, zstd;q=0.1", "gzip"),
        (LARGE, "*", "zstd"),
        ("{ __typename }", "gzip", ""),
    ] {
        let answer = asked(&server, query, accepted).await;
        assert_eq!(header(&answer, "content-encoding"), coding, "{accepted}");
        let length: usize = header(&answer, "content-length").parse().unwrap();
        let varies = answer.headers().get_all("vary").iter().any(|vary| vary == "accept-encoding");
        assert_eq!(varies, query == LARGE, "{accepted}");
        let body = answer.bytes().await.unwrap();
        assert_eq!(body.len(), length);
        if coding == "gzip" {
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
            assert!(text.len() > 4 * length, "{length} bytes of {}", text.len());
        }
    }
    // A strong ETag names the bytes that are sent.
    let page = async |accepted, known: &str| {
        let asked = server.client().get(&server.url).header("accept-encoding", accepted).header("if-none-match", known);
        asked.send().await.unwrap()
    };
    let (plain, compressed) = (page("identity", "").await, page("gzip", "").await);
    assert_eq!(header(&compressed, "etag"), format!("W/{}", header(&plain, "etag")));
    assert_eq!(page("gzip", header(&compressed, "etag")).await.status(), 304);

    let server = Server::with(&[("PAUSA_HTTP_COMPRESSION", "false")]).await;
    assert_eq!(header(&asked(&server, LARGE, "gzip").await, "content-encoding"), "");
    let server = Server::with(&[("PAUSA_HTTP_COMPRESSION_MIN_BYTES", "10")]).await;
    assert_eq!(header(&asked(&server, LARGE, "gzip").await, "content-encoding"), "gzip");
}

/// Each event arrives before the next one is caused.
#[tokio::test]
async fn events_are_delivered_at_once_to_clients_that_accept_compression() {
    let server = Server::start().await;
    for accept in ["text/event-stream", "multipart/mixed;subscriptionSpec=1.0"] {
        let later = json!({ "url": "http://example.org", "when": { "after": { "seconds": 86400 } } });
        let id = server.timer(later).await;
        let query = "subscription($id: ID!) { taskProgress(id: $id) { state } }";
        let body = json!({ "query": query, "variables": { "id": id } });
        let asked = server.client().post(format!("{}/graphql", server.url)).json(&body).header("accept", accept);
        let mut answer = asked.header("accept-encoding", "gzip, br, zstd").send().await.unwrap();
        assert_eq!(header(&answer, "content-encoding"), "");
        let mut text = String::new();
        for (verb, state) in
            [("", "SCHEDULED"), ("pause", "PAUSED"), ("resume", "SCHEDULED"), ("terminate", "TERMINATED")]
        {
            if !verb.is_empty() {
                server.control(verb, &id).await;
            }
            text.clear();
            while !text.contains(state) {
                text += std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn files_are_not_compressed() {
    let server = Server::start().await;
    let upload = server.upload("n\n".to_owned() + &"1\n".repeat(2_000)).await;
    let import = server.import(&upload, json!({ "dataset": "numbers" })).await;
    server.until(&import, "COMPLETED").await;
    let (export, pi) = (server.export("numbers").await, server.pi(5_000).await);
    for id in [&export, &pi] {
        server.until(id, "COMPLETED").await;
    }
    for path in [format!("/download/{export}"), format!("/download/{pi}"), "/datasets/numbers.csv".to_owned()] {
        let asked = || server.client().get(format!("{}{path}", server.url)).header("accept-encoding", "gzip, br, zstd");
        let answer = asked().send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "content-encoding")), (200, ""), "{path}");
        if path.starts_with("/download") {
            assert_eq!(header(&answer, "accept-ranges"), "bytes", "{path}");
            let part = asked().header("range", "bytes=0-1999").send().await.unwrap();
            assert_eq!((part.status().as_u16(), header(&part, "content-encoding")), (206, ""), "{path}");
            assert_eq!(part.bytes().await.unwrap(), answer.bytes().await.unwrap()[..2_000], "{path}");
        }
    }
}
