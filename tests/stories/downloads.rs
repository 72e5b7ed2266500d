//! Downloads: complete, in part, in several parts, or not at all if unchanged.

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::json;

use crate::harness::csv;
use crate::harness::server::Server;

#[tokio::test]
async fn a_result_is_downloaded_completely_in_part_or_not_at_all_if_unchanged() {
    let server = Server::start().await;
    let upload = server.upload(csv::people(500)).await;
    let id = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&id, "COMPLETED").await;
    let id = server.export("people").await;
    server.until(&id, "COMPLETED").await;
    let url = format!("{}/download/{id}", server.url);
    let result = server.task(&id).await["result"].take();
    assert_eq!(result["url"], format!("/download/{id}"));

    let whole = server.get(&format!("/download/{id}")).await;
    let tag = whole.headers()["etag"].clone();
    assert_eq!(tag.to_str().unwrap().trim_matches('"'), result["sha256"]);
    assert_eq!(whole.headers()["content-disposition"], "attachment; filename=\"people.csv\"");
    let bytes = whole.bytes().await.unwrap();
    assert_eq!(result["size"], bytes.len());

    let head = server.client().head(&url).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], bytes.len().to_string().as_str());
    let part = server.client().get(&url).header("range", "bytes=10-19").header("if-range", &tag).send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], format!("bytes 10-19/{}", bytes.len()).as_str());
    assert_eq!(part.bytes().await.unwrap(), bytes.slice(10..20));
    let changed =
        server.client().get(&url).header("range", "bytes=10-19").header("if-range", "\"old\"").send().await.unwrap();
    assert_eq!((changed.status(), changed.bytes().await.unwrap()), (StatusCode::OK, bytes));
    let known = server.client().get(&url).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    let past_end = server.client().get(&url).header("range", "bytes=999999999-").send().await.unwrap();
    assert_eq!(past_end.status(), StatusCode::RANGE_NOT_SATISFIABLE);
}

/// Starts a server with the result of an export. Returns its path and its bytes.
async fn exported() -> (Server, String, bytes::Bytes) {
    let server = Server::start().await;
    let upload = server.upload(csv::people(20_000)).await;
    let id = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&id, "COMPLETED").await;
    let id = server.export("people").await;
    server.until(&id, "COMPLETED").await;
    let path = format!("/download/{id}");
    let bytes = server.get(&path).await.bytes().await.unwrap();
    (server, path, bytes)
}

fn text(answer: &Response, name: &str) -> String {
    answer.headers().get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn several_ranges_are_parts_of_one_response() {
    let (server, path, bytes) = exported().await;
    let asked = server.client().get(format!("{}{path}", server.url)).header("range", "bytes=5-14,400000-,-7");
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    let kind = text(&answer, "content-type");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
    let (length, body) = (text(&answer, "content-length"), answer.bytes().await.unwrap());
    assert_eq!(length, body.len().to_string());
    let last = bytes.len() - 1;
    let mut expected = Vec::new();
    for (from, to) in [(5, 14), (400_000, last), (last - 6, last)] {
        let head = format!(
            "\r\n--{boundary}\r\ncontent-type: text/csv; charset=utf-8\r\ncontent-range: bytes {from}-{to}/{}\r\n\r\n",
            bytes.len()
        );
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&bytes[from..=to]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(body == expected, "{}", String::from_utf8_lossy(&body[..200]));
}

#[tokio::test]
async fn conditional_and_head_requests_follow_the_rfc() {
    let (server, path, bytes) = exported().await;
    let url = format!("{}{path}", server.url);
    let tag = text(&server.get(&path).await, "etag");
    let get = || server.client().get(&url);
    let head = || server.client().head(&url);
    let cases: [(RequestBuilder, u16, usize); 8] = [
        (head().header("range", "bytes=0-4"), 200, bytes.len()),
        (head().header("if-none-match", &tag), 304, 0),
        (get().header("if-match", "\"old\""), 412, 0),
        (get().header("if-match", &tag).header("range", "bytes=0-4"), 206, 5),
        (get().header("range", "bytes=0-4").header("if-range", format!("W/{tag}")), 200, bytes.len()),
        (get().header("range", "rows=0-4"), 200, bytes.len()),
        (get().header("range", "bytes=9-4"), 200, bytes.len()),
        (get().header("range", format!("bytes={}-", bytes.len())), 416, 0),
    ];
    for (request, status, length) in cases {
        let request = request.build().unwrap();
        let described = format!("{request:?}");
        let answer = server.client().execute(request).await.unwrap();
        assert_eq!((answer.status().as_u16(), text(&answer, "etag")), (status, tag.clone()), "{described}");
        if status < 300 {
            assert_eq!(text(&answer, "content-length"), length.to_string(), "{described}");
            assert_eq!(text(&answer, "accept-ranges"), "bytes");
        }
    }
    let past_end = get().header("range", format!("bytes={}-", bytes.len())).send().await.unwrap();
    assert_eq!(text(&past_end, "content-range"), format!("bytes */{}", bytes.len()));
}

#[tokio::test]
async fn a_missing_or_truncated_file_is_never_sent_in_part() {
    let (server, path, bytes) = exported().await;
    let file = server.folder().join("files/results").join(path.trim_start_matches("/download/"));
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(bytes.len() as u64 / 2).unwrap();
    let answer = server.get(&path).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.text().await.unwrap().contains("The file cannot be read"));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(server.get(&path).await.status(), StatusCode::GONE);
}
