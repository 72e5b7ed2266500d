//! Uploads that are paused and resumed with tus 1.0.0, through any interruption.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::uploads::uploads;
use crate::harness::csv;
use crate::harness::server::{PATIENCE, Server};
use crate::harness::tus::{Tus, asked, text};

const START: &str = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";

#[tokio::test]
async fn a_file_is_uploaded_in_parts_and_imported_when_it_is_complete() {
    let server = Server::start().await;
    let file = csv::people(1_000).into_bytes();
    let upload = Tus::begin(&server, file.len()).await;
    assert_eq!(upload.offset().await, 0);
    assert_eq!(upload.send(0, &file[..1_000]).await, (204, "1000".to_owned()));
    let input = json!({ "source": { "uploadId": upload.id() }, "dataset": "early" });
    let refusal = server.refusal(START, json!({ "input": input })).await;
    assert_eq!(refusal["extensions"]["code"], "BAD_USER_INPUT");
    let received = format!("1000 of {} bytes received", file.len());
    assert!(refusal["message"].as_str().unwrap().contains(&received), "{refusal}");

    assert_eq!(upload.send(1_000, &file[1_000..]).await, (204, file.len().to_string()));
    assert_eq!((upload.offset().await, uploads(&server)), (file.len(), 1));
    assert_eq!(upload.send(file.len(), b"").await, (204, file.len().to_string()));
    assert_eq!(upload.send(file.len(), b"x").await.0, 413);
    assert_eq!((upload.offset().await, uploads(&server)), (file.len(), 1));
    assert_eq!(upload.rows("people").await, Some(1_000));
    // A task uses the upload now.
    let kept = asked(&server, Method::DELETE, &upload.path).send().await.unwrap();
    assert_eq!(kept.status(), 409);
}

#[tokio::test]
async fn wrong_offsets_and_malformed_requests_are_refused_and_change_nothing() {
    let server = Server::with(&[("PAUSA_MAX_UPLOAD_BYTES", "1000")]).await;
    let upload = Tus::begin(&server, 10).await;
    assert_eq!(upload.send(0, b"12345").await, (204, "5".to_owned()));
    for offset in [0, 4, 6] {
        assert_eq!(upload.send(offset, b"x").await.0, 409, "{offset}");
    }
    let without_version = server.client().patch(format!("{}{}", server.url, upload.path)).send().await.unwrap();
    assert_eq!((without_version.status().as_u16(), text(&without_version, "tus-version")), (412, "1.0.0".to_owned()));
    let post = |path: &str| asked(&server, Method::POST, path);
    let patch = || asked(&server, Method::PATCH, &upload.path);
    let piece = "application/offset+octet-stream";
    let cases = [
        (upload.part(5, "more than five"), 413),
        (server.client().head(format!("{}{}", server.url, upload.path)).header("tus-resumable", "0.2.2"), 412),
        (patch().header("upload-offset", 5).header("content-type", "text/plain").body("x"), 415),
        (patch().header("content-type", piece).body("x"), 400),
        (patch().header("content-type", piece).header("upload-offset", "-5").body("x"), 400),
        (upload.part(5, "x").header("upload-length", 11), 400),
        (asked(&server, Method::GET, &upload.path), 405),
        (post(&upload.path), 405),
        (post("/uploads"), 400),
        (post("/uploads").header("upload-length", 1001), 413),
        (post("/uploads").header("upload-length", "a"), 400),
        (post("/uploads").header("upload-length", 5).header("upload-defer-length", 1), 400),
        (post("/uploads").header("upload-defer-length", 2), 400),
        (post("/uploads").header("upload-length", 5).header("upload-metadata", "filename ??"), 400),
        (asked(&server, Method::HEAD, "/uploads/none"), 404),
        (asked(&server, Method::DELETE, "/uploads/..%2Fresults"), 404),
    ];
    for (request, status) in cases {
        let request = request.build().unwrap();
        let described = format!("{request:?}");
        assert_eq!(server.client().execute(request).await.unwrap().status().as_u16(), status, "{described}");
    }
    assert_eq!(upload.offset().await, 5);
}

#[tokio::test]
async fn the_protocol_is_announced_and_open_to_pages_of_allowed_origins() {
    let server = Server::with(&[("PAUSA_ALLOWED_ORIGINS", "https://a.example")]).await;
    let url = format!("{}/uploads", server.url);
    let options = server.client().request(Method::OPTIONS, &url).send().await.unwrap();
    assert_eq!(options.status(), 204);
    for (name, value) in [
        ("tus-version", "1.0.0"),
        ("tus-extension", "creation,creation-with-upload,creation-defer-length,termination,expiration"),
        ("tus-max-size", "1099511627776"),
    ] {
        assert_eq!(text(&options, name), value);
    }
    let origin = ("origin", "https://a.example");
    let preflight = server.client().request(Method::OPTIONS, &url).header(origin.0, origin.1);
    let preflight = preflight.header("access-control-request-method", "PATCH").send().await.unwrap();
    assert_eq!(text(&preflight, "access-control-allow-origin"), origin.1);
    for method in ["PATCH", "DELETE", "HEAD"] {
        assert!(text(&preflight, "access-control-allow-methods").contains(method), "{method}");
    }
    let created = asked(&server, Method::POST, "/uploads").header("upload-length", 5).header(origin.0, origin.1);
    let created = created.send().await.unwrap();
    for name in ["location", "upload-offset", "upload-length", "upload-expires", "tus-resumable"] {
        assert!(text(&created, "access-control-expose-headers").contains(name), "{name}");
    }
}

#[tokio::test]
async fn an_upload_may_start_with_bytes_and_declare_its_length_at_the_end() {
    let server = Server::start().await;
    let begun = asked(&server, Method::POST, "/uploads")
        .header("upload-defer-length", 1)
        .header("upload-metadata", "filename cm93cy5jc3Y=,kind")
        .header("content-type", "application/offset+octet-stream")
        .body("a\n1\n");
    let begun = begun.send().await.unwrap();
    assert_eq!((begun.status().as_u16(), text(&begun, "upload-offset")), (201, "4".to_owned()));
    let upload = Tus::at(&server, text(&begun, "location"));
    let head = asked(&server, Method::HEAD, &upload.path).send().await.unwrap();
    assert_eq!(text(&head, "upload-defer-length"), "1");
    assert_eq!(text(&head, "upload-metadata"), "filename cm93cy5jc3Y=,kind");
    assert!(text(&head, "upload-expires").ends_with(" GMT"));
    assert_eq!(upload.send(4, b"2\n").await, (204, "6".to_owned()));
    // A client that can send only POST.
    let last = asked(&server, Method::POST, &upload.path)
        .header("x-http-method-override", "PATCH")
        .header("content-type", "application/offset+octet-stream")
        .header("upload-offset", 6)
        .header("upload-length", 8)
        .body("3\n");
    assert_eq!(last.send().await.unwrap().status(), 204);
    assert_eq!(upload.rows("people").await, Some(3));

    let empty = Tus::begin(&server, 0).await;
    assert_eq!((empty.offset().await, uploads(&server)), (0, 2));
}

#[tokio::test]
async fn a_broken_connection_loses_no_received_bytes() {
    let server = Server::start().await;
    let file = csv::people(1_000).into_bytes();
    let upload = Tus::begin(&server, file.len()).await;
    let socket = upload.hang(0, &file[..5_000], file.len()).await;
    drop(socket);
    upload.until_there(5_000).await;
    assert_eq!(upload.offset().await, 5_000);
    assert_eq!(upload.send(5_000, &file[5_000..]).await.0, 204);
    assert_eq!(upload.rows("people").await, Some(1_000));
}

#[tokio::test]
async fn a_client_that_reconnects_does_not_wait_for_its_old_connection() {
    let server = Server::start().await;
    let file = csv::people(200_000).into_bytes();
    let upload = Tus::begin(&server, file.len()).await;
    let mut dead = upload.hang(0, &file[..1_000_000], file.len()).await;
    upload.until_there(1).await;
    let offset = upload.offset().await;
    assert!((1..=1_000_000).contains(&offset));
    // The old request receives 423 if its client still reads, and writes no more.
    let mut answer = [0; 12];
    tokio::time::timeout(PATIENCE, dead.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 423");
    assert_eq!(upload.send(offset, &file[offset..]).await.0, 204);
    assert_eq!(upload.rows("people").await, Some(200_000));
}

#[tokio::test]
async fn kill_9_in_the_middle_of_a_part_loses_no_acknowledged_byte() {
    let mut server = Server::start().await;
    let file = csv::people(200_000).into_bytes();
    let upload = Tus::begin(&server, file.len()).await;
    let path = upload.path.clone();
    assert_eq!(upload.send(0, &file[..1_000_000]).await.0, 204);
    let socket = upload.hang(1_000_000, &file[1_000_000..3_000_000], file.len() - 1_000_000).await;
    upload.until_there(1_000_001).await;
    server.kill().await;
    drop(socket);

    server.restart().await;
    let upload = Tus::at(&server, path);
    let offset = upload.offset().await;
    assert!((1_000_001..=3_000_000).contains(&offset), "{offset}");
    assert_eq!(upload.there(), offset as u64);
    assert_eq!(upload.send(offset, &file[offset..]).await.0, 204);
    assert_eq!(upload.rows("people").await, Some(200_000));
    assert!(server.exported("people").await == file, "every byte is preserved");
}

#[tokio::test]
async fn a_shutdown_keeps_the_received_bytes_and_does_not_wait_for_more() {
    let mut server = Server::start().await;
    let upload = Tus::begin(&server, 10).await;
    let path = upload.path.clone();
    let mut socket = upload.hang(0, b"12345", 10).await;
    // The file exists from the moment when the server accepts the part.
    let begun = async {
        while !server.folder().join("files/unfinished").join(upload.id()).exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.unwrap();
    assert_eq!(server.terminate().await, Some(0));
    let mut answer = Vec::new();
    // A connection that is closed with unread bytes of the client may be reset.
    let _ = socket.read_to_end(&mut answer).await;
    server.restart().await;
    let upload = Tus::at(&server, path);
    let offset = upload.offset().await;
    assert!(offset <= 5);
    assert_eq!(upload.send(offset, &b"1234567890"[offset..]).await, (204, "10".to_owned()));
}

#[tokio::test]
async fn an_incomplete_upload_is_deleted_when_it_expires_or_is_terminated() {
    let server = Server::with(&[("PAUSA_UPLOAD_SECONDS", "2")]).await;
    let upload = Tus::begin(&server, 10).await;
    assert_eq!(upload.send(0, b"12345").await.0, 204);
    upload.until_gone().await;
    assert_eq!(upload.send(5, b"x").await.0, 404);

    let server = Server::start().await;
    let upload = Tus::begin(&server, 10).await;
    assert_eq!(upload.send(0, b"12345").await.0, 204);
    let terminated = asked(&server, Method::DELETE, &upload.path).send().await.unwrap();
    assert_eq!(terminated.status(), 204);
    let left = std::fs::read_dir(server.folder().join("files/unfinished")).unwrap().count();
    assert_eq!((left, upload.send(5, b"x").await.0), (0, 404));
    let refusal = asked(&server, Method::HEAD, &upload.path).send().await.unwrap();
    assert_eq!((refusal.status().as_u16(), text(&refusal, "upload-offset")), (404, String::new()));
}

#[tokio::test]
async fn an_upload_that_is_being_sent_does_not_expire() {
    let server = Server::with(&[("PAUSA_UPLOAD_SECONDS", "3")]).await;
    let upload = Tus::begin(&server, 10).await;
    let mut socket = upload.hang(0, b"12345", 10).await;
    // Another upload that was created later expires and is deleted.
    let other = Tus::begin(&server, 10).await;
    assert_eq!(other.send(0, b"1").await.0, 204);
    other.until_gone().await;
    socket.write_all(b"67890").await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(PATIENCE, socket.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 204");
}

#[tokio::test]
async fn two_uploads_at_once_do_not_mix() {
    let server = Server::start().await;
    let (long, short) = (csv::people(3_000).into_bytes(), csv::people(2_000).into_bytes());
    let (one, two) = (Tus::begin(&server, long.len()).await, Tus::begin(&server, short.len()).await);
    for part in 0..4 {
        let of =
            |file: &[u8]| (file.len() * part / 4, file[file.len() * part / 4..file.len() * (part + 1) / 4].to_vec());
        let ((a, first), (b, second)) = (of(&long), of(&short));
        let (first, second) = tokio::join!(one.send(a, &first), two.send(b, &second));
        assert_eq!((first.0, second.0), (204, 204));
    }
    assert_eq!((one.rows("one").await, two.rows("two").await), (Some(3_000), Some(2_000)));
    let tasks: Value = server.data("{ tasks { totalCount } }", json!({})).await;
    assert_eq!(tasks["tasks"]["totalCount"], 2);
}
