//! Uploads in one request are streamed and limited. An interrupted upload leaves no file, and an unused upload is
//! deleted.

use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::server::{PATIENCE, Server};

const START: &str = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";

/// Returns the number of files of complete uploads and of uploads in one request.
pub fn uploads(server: &Server) -> usize {
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
async fn an_upload_that_is_too_large_or_truncated_leaves_no_file() {
    let server = Server::with(&[("PAUSA_MAX_UPLOAD_BYTES", "1000")]).await;
    let uploads_url = format!("{}/uploads", server.url);
    let whole = server.client().post(&uploads_url).body(vec![b'x'; 2_000_000]);
    let pieces = futures_util::stream::iter((0..2_000).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 1_000])));
    let piecewise = server.client().post(&uploads_url).body(reqwest::Body::wrap_stream(pieces));
    // The response reaches a client that is still sending.
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
    // The server closes the connection when it has drained the rest.
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(uploads(&server), 0);
}

#[tokio::test]
async fn an_upload_interrupted_by_a_crash_is_deleted_at_the_next_start() {
    let mut server = Server::start().await;
    let mut socket = tokio::net::TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    socket.write_all(b"POST /uploads HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\nhalf").await.unwrap();
    let begun = async {
        // The server sends no event for a file that is being received, so the folder is polled.
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

#[tokio::test]
async fn an_upload_whose_connection_is_reset_leaves_no_file() {
    let server = Server::start().await;
    let mut socket = tokio::net::TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    socket.write_all(b"POST /uploads HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\nhalf").await.unwrap();
    let files = async |wanted: usize| {
        // The server sends no event when files appear or disappear, so the folder is polled.
        while uploads(&server) != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, files(1)).await.unwrap();
    socket.set_zero_linger().unwrap();
    drop(socket);
    tokio::time::timeout(PATIENCE, files(0)).await.unwrap();
}

#[tokio::test]
async fn two_uploads_of_the_same_name_do_not_mix() {
    let server = Server::start().await;
    let send = async |rows: usize| -> Value {
        let text = String::from("a\n") + &"1\n".repeat(rows);
        let form = Form::new().part("file", Part::text(text).file_name("rows.csv"));
        let sent = server.client().post(format!("{}/uploads", server.url)).multipart(form).send().await.unwrap();
        sent.json().await.unwrap()
    };
    let (many, few) = tokio::join!(send(100_000), send(3));
    assert_ne!(many["id"], few["id"]);
    for (upload, dataset, rows) in [(&many, "many", 100_000), (&few, "few", 3)] {
        let id = server.import(upload["id"].as_str().unwrap(), json!({ "dataset": dataset })).await;
        server.until(&id, "COMPLETED").await;
        assert_eq!(server.rows(dataset).await, Some(rows));
    }
}

#[tokio::test]
async fn a_gigabyte_is_uploaded_in_constant_memory() {
    let server = Server::start().await;
    server.upload("a\n1\n").await;
    let before = server.peak_memory();
    let piece = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    let pieces = futures_util::stream::iter((0..1024).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let body = reqwest::Body::wrap_stream(pieces);
    let sent = server.client().post(format!("{}/uploads", server.url)).body(body).send().await.unwrap();
    let upload: Value = sent.json().await.unwrap();
    assert_eq!(upload["size"], 1_u64 << 30);
    let grown = server.peak_memory() - before;
    assert!(grown < 32 << 20, "memory grew by {grown} bytes");
}

/// Waits until an upload is deleted.
async fn gone(server: &Server, id: &str) {
    let url = format!("{}/uploads/{id}", server.url);
    let asked = async {
        // The server sends no event for this, so the story polls.
        while server.client().head(&url).header("tus-resumable", "1.0.0").send().await.unwrap().status() != 404 {}
        while server.folder().join("files/uploads").join(id).exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
}

#[tokio::test]
async fn an_upload_is_deleted_when_no_task_uses_it_and_two_tasks_may_share_it() {
    let server = Server::with(&[("PAUSA_UPLOAD_SECONDS", "1")]).await;
    // On a slow machine the upload may expire before the first task uses it.
    let (shared, one) = loop {
        let shared = server.upload("a\n1\n").await;
        let input = json!({ "source": { "uploadId": shared }, "dataset": "one" });
        let started = server.ask(START, json!({ "input": input })).await;
        if let Some(one) = started["data"]["startImport"]["id"].as_str() {
            break (shared, one.to_owned());
        }
    };
    let two = server.import(&shared, json!({ "dataset": "two" })).await;
    for id in [&one, &two] {
        server.until(id, "COMPLETED").await;
    }
    gone(&server, &server.upload("a\n1\n").await).await;
    assert_eq!(uploads(&server), 1, "an upload that tasks use is kept");
    let delete = "mutation($id: ID!) { deleteTask(id: $id) }";
    server.data(delete, json!({ "id": one })).await;
    gone(&server, &server.upload("a\n1\n").await).await;
    let three = server.import(&shared, json!({ "dataset": "three" })).await;
    server.until(&three, "COMPLETED").await;
    for id in [two, three] {
        server.data(delete, json!({ "id": id })).await;
    }
    gone(&server, &shared).await;
    let input = json!({ "source": { "uploadId": shared }, "dataset": "four" });
    let refusal = server.refusal(START, json!({ "input": input })).await;
    assert_eq!(refusal["extensions"]["field"], "source.uploadId");
}

#[tokio::test]
async fn a_file_without_an_upload_is_removed_and_others_remain() {
    let mut server = Server::start().await;
    let kept = server.upload("a\n1\n").await;
    server.terminate().await;
    let folder = server.folder().join("files/uploads");
    std::fs::write(folder.join("stray"), "x").unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH;
    for name in ["stray", &kept] {
        std::fs::File::options().write(true).open(folder.join(name)).unwrap().set_modified(old).unwrap();
    }
    server.restart().await;
    gone(&server, "stray").await;
    assert!(folder.join(kept).exists());
}
