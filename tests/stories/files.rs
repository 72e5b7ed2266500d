//! Uploads: streamed, limited, and nothing left of what broke off.

use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::server::{PATIENCE, Server};

fn uploads(server: &Server) -> usize {
    std::fs::read_dir(server.folder().join("files/uploads")).unwrap().count()
}

#[tokio::test]
async fn an_upload_as_a_body_and_as_a_form() {
    let server = Server::start().await;
    let form = Form::new().text("note", "x").part("file", Part::text("a\n1\n").file_name("rows.csv"));
    let sent = server.client().post(format!("{}/uploads", server.url)).multipart(form).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::CREATED);
    let upload: Value = sent.json().await.unwrap();
    assert_eq!(upload["size"], 4);
    assert_eq!(upload["sha256"], "309b0e45a73d3fc5325e2b6ed0a01ef8b9cde6b05a5633c1f893f970d52bfddc");
    for dataset in ["one", "two"] {
        let id = server.import(upload["id"].as_str().unwrap(), json!({ "dataset": dataset })).await;
        server.until(&id, "COMPLETED").await;
    }
}

#[tokio::test]
async fn an_upload_that_is_too_large_or_cut_off_leaves_nothing() {
    let server = Server::with(&[("PAUSA_MAX_UPLOAD_BYTES", "1000")]).await;
    let uploads_url = format!("{}/uploads", server.url);
    let whole = server.client().post(&uploads_url).body(vec![b'x'; 2_000_000]);
    let pieces = futures_util::stream::iter((0..2_000).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 1_000])));
    let piecewise = server.client().post(&uploads_url).body(reqwest::Body::wrap_stream(pieces));
    // The answer reaches a client that is still sending.
    for request in [whole, piecewise] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "TOO_LARGE");
    }

    let mut socket = tokio::net::TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    socket.write_all(b"POST /uploads HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\nhalf").await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // The server closes the connection once it has dealt with the rest.
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(uploads(&server), 0);
}

#[tokio::test]
async fn an_upload_that_a_crash_broke_off_is_gone_after_the_next_start() {
    let mut server = Server::start().await;
    let mut socket = tokio::net::TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    socket.write_all(b"POST /uploads HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\nhalf").await.unwrap();
    let begun = async {
        // Nothing tells of a file that is coming in; it is looked for.
        while uploads(&server) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.unwrap();
    server.kill().await;
    assert_eq!(uploads(&server), 1);
    server.restart().await;
    assert_eq!(uploads(&server), 0);
}

#[tokio::test]
async fn a_file_part_of_a_request_is_imported_and_one_that_is_refused_is_deleted() {
    let server = Server::start().await;
    let send = async |dataset: &str| -> Value {
        let query = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";
        let input = json!({ "source": { "upload": null }, "dataset": dataset });
        let operations = json!({ "query": query, "variables": { "input": input } }).to_string();
        let form = Form::new()
            .text("operations", operations)
            .text("map", json!({ "0": ["variables.input.source.upload"] }).to_string())
            .part("0", Part::text("a\n1\n2\n").file_name("rows.csv"));
        let request =
            server.client().post(format!("{}/graphql", server.url)).header("apollo-require-preflight", "true");
        request.multipart(form).send().await.unwrap().json().await.unwrap()
    };
    let refused = send("not a name").await;
    assert_eq!(refused["errors"][0]["extensions"]["field"], "dataset");
    assert_eq!(uploads(&server), 0);
    let started = send("people").await;
    server.until(started["data"]["startImport"]["id"].as_str().unwrap(), "COMPLETED").await;
    assert_eq!((server.rows("people").await, uploads(&server)), (Some(2), 1));
}
