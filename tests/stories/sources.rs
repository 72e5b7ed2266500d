//! Sources of imports: uploads and URLs, compression, encodings, and servers that misbehave.

use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::csv;
use crate::harness::origin::{Origin, Script};
use crate::harness::server::Server;

const START: &str = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";

/// A server that may ask the one of this process.
async fn server() -> Server {
    Server::with(&[("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true")]).await
}

/// Starts an import from `url` with `input` beside it.
async fn fetch(server: &Server, url: &str, mut input: Value) -> String {
    input["source"] = json!({ "url": url });
    server.data(START, json!({ "input": input })).await["startImport"]["id"].as_str().unwrap().to_owned()
}

/// Every file in the folders of tasks.
fn work(server: &Server) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(server.folder().join("files/work")).unwrap();
    folders.map(|folder| folder.unwrap().path()).collect()
}

async fn is_exact(server: &Server, dataset: &str, text: &str) {
    assert!(csv::cells(&server.exported(dataset).await) == csv::cells(text.as_bytes()), "{dataset} has other cells");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn utf_16(text: &str, mark: bool, little: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

/// With a checksum at its end, as the program zstd makes it.
fn summed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    packed.include_checksum(true).unwrap();
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// Half and half, each packed by itself, as `cat a.gz b.gz` makes it.
fn halves(text: &str, pack: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (one, other) = text.as_bytes().split_at(text.len() / 2);
    [pack(one), pack(other)].concat()
}

#[tokio::test]
async fn compressed_files_and_other_encodings_are_imported_from_uploads_and_urls() {
    let server = server().await;
    let people = csv::people(3_000);
    let cafe = "n,word\n1,caf\u{e9} \u{20ac}\n2,\u{fc}ber\n";
    let russian = "n,word\n1,\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}\n";
    let wide = "n,word\n1,\u{43f}\u{440} \u{1f600}\n";
    let latin = |text: &str| encoding_rs::WINDOWS_1252.encode(text).0.into_owned();
    let table: [(&str, Vec<u8>, Option<&str>, &str); 13] = [
        ("plain", people.clone().into_bytes(), None, &people),
        ("gzip", gzip(people.as_bytes()), None, &people),
        ("members", halves(&people, gzip), None, &people),
        ("padded", [gzip(people.as_bytes()), vec![0; 1000]].concat(), None, &people),
        ("zstd", zstd(people.as_bytes()), None, &people),
        ("frames", halves(&people, zstd), None, &people),
        ("little", utf_16(wide, true, true), None, wide),
        ("big", utf_16(wide, true, false), None, wide),
        ("bare_little", utf_16(wide, false, true), Some("utf-16le"), wide),
        ("bare_big", utf_16(wide, false, false), Some("UTF-16BE"), wide),
        ("packed_wide", gzip(&utf_16(&people, true, true)), None, &people),
        ("western", latin(cafe), Some("latin1"), cafe),
        ("koi", zstd(&encoding_rs::KOI8_R.encode(russian).0), Some("koi8-r"), russian),
    ];
    for (name, bytes, encoding, text) in table {
        let csv = json!({ "encoding": encoding });
        let upload = server.upload(bytes.clone()).await;
        let id = server.import(&upload, json!({ "dataset": name, "csv": csv })).await;
        let done = server.until(&id, "COMPLETED").await;
        assert_eq!(done["progress"]["fraction"], 1.0, "{name}: {done}");
        is_exact(&server, name, text).await;
        let origin = Origin::start(Script { body: bytes, ..Script::default() }).await;
        let fetched = format!("{name}_fetched");
        let id = fetch(&server, &origin.url, json!({ "dataset": fetched, "csv": csv })).await;
        server.until(&id, "COMPLETED").await;
        is_exact(&server, &fetched, text).await;
    }
    assert_eq!(work(&server), Vec::<PathBuf>::new(), "copies of files are left");
}

#[tokio::test]
async fn damaged_and_undecodable_files_fail_with_their_position_and_leave_nothing() {
    let server = server().await;
    let people = csv::people(2_000);
    let (packed, frame) = (gzip(people.as_bytes()), summed(people.as_bytes()));
    let mut wrong_sum = packed.clone();
    let sum = wrong_sum.len() - 6;
    wrong_sum[sum] ^= 1;
    let mut broken = frame.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 0x55;
    let table: [(Vec<u8>, Value, &str); 8] = [
        (packed[..packed.len() / 2].to_vec(), json!(null), "The gzip file is truncated: unexpected end after"),
        (packed[..5].to_vec(), json!(null), "The gzip file is truncated: unexpected end after 5 bytes."),
        (wrong_sum, json!(null), "The gzip file is damaged"),
        ([packed, b"rubbish".to_vec()].concat(), json!(null), "The gzip file is"),
        (frame[..frame.len() / 2].to_vec(), json!(null), "The zstd file is truncated"),
        (broken, json!(null), "The zstd file is damaged"),
        (b"a\n\xaa\n".to_vec(), json!("windows-1253"), "Line 2, column \"a\": character 1 is not valid windows-1253."),
        (b"a\0\n\0x\0\x00\xd8".to_vec(), json!("utf-16"), "Line 2, column \"a\": character 2 is not valid UTF-16."),
    ];
    for (file, encoding, expected) in table {
        let upload = server.upload(file).await;
        let id = server.import(&upload, json!({ "dataset": "people", "csv": { "encoding": encoding } })).await;
        let error = server.until(&id, "FAILED").await["error"].take();
        assert_eq!(error["code"], "BAD_USER_INPUT");
        assert!(error["message"].as_str().unwrap().contains(expected), "{expected}: {error}");
        assert_eq!((server.rows("people").await, work(&server)), (None, Vec::new()));
    }
}

#[tokio::test]
async fn an_interrupted_download_is_resumed() {
    let server = server().await;
    let file = csv::wide(100_000, 3);
    let body = file.clone().into_bytes();
    let origin =
        Origin::start(Script { body, tag: Some("\"v1\""), ranges: true, cut: Some(700_000), ..Script::default() })
            .await;
    let id = fetch(&server, &origin.url, json!({ "dataset": "rows" })).await;
    server.until(&id, "COMPLETED").await;
    is_exact(&server, "rows", &file).await;
    let requests = origin.requests();
    assert_eq!(requests.len(), file.len().div_ceil(700_000));
    assert!(
        requests[1].contains("range: bytes=700000-\n") && requests[1].contains("if-range: \"v1\"\n"),
        "{requests:?}"
    );
}

#[tokio::test]
async fn a_server_without_ranges_sends_the_file_again_and_it_must_be_the_same() {
    let server = server().await;
    let file = csv::wide(50_000, 3);
    for tag in [None, Some("\"v1\"")] {
        let body = file.clone().into_bytes();
        let script = Script { body, tag, hold: Some(400_000), ..Script::default() };
        let origin = Origin::start(script).await;
        let dataset = if tag.is_some() { "named" } else { "nameless" };
        let id = fetch(&server, &origin.url, json!({ "dataset": dataset })).await;
        server.until_done(&id, 1).await;
        server.control("pause", &id).await;
        server.until(&id, "PAUSED").await;
        origin.until_left(1).await;
        origin.change(|script| script.hold = None);
        server.control("resume", &id).await;
        server.until(&id, "COMPLETED").await;
        is_exact(&server, dataset, &file).await;
        assert_eq!(origin.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_file_that_changes_during_the_download_fails_and_says_so() {
    let server = server().await;
    let file = csv::wide(50_000, 3).into_bytes();
    for ranges in [true, false] {
        let body = file.clone();
        let origin =
            Origin::start(Script { body, tag: Some("\"v1\""), ranges, hold: Some(400_000), ..Script::default() }).await;
        let id = fetch(&server, &origin.url, json!({ "dataset": "rows" })).await;
        server.until_done(&id, 1).await;
        server.control("pause", &id).await;
        server.until(&id, "PAUSED").await;
        origin.change(|script| {
            (script.hold, script.tag) = (None, Some("\"v2\""));
            script.body[100_000] ^= 1;
        });
        server.control("resume", &id).await;
        let failed = server.until(&id, "FAILED").await;
        assert!(failed["error"]["message"].as_str().unwrap().contains("changed since the import began"), "{failed}");
        assert_eq!((server.rows("rows").await, work(&server)), (None, Vec::new()));
    }
}

#[tokio::test]
async fn a_pause_disconnects_from_a_slow_server_and_a_termination_leaves_nothing() {
    let server = server().await;
    let file = csv::wide(50_000, 3);
    for (dataset, body) in [("plain", file.clone().into_bytes()), ("packed", gzip(file.as_bytes()))] {
        let hold = Some(body.len() / 2);
        let origin = Origin::start(Script { body, tag: Some("\"v1\""), ranges: true, hold, ..Script::default() }).await;
        let id = fetch(&server, &origin.url, json!({ "dataset": dataset })).await;
        server.until_done(&id, 1).await;
        for times in 1..=3 {
            server.control("pause", &id).await;
            server.until(&id, "PAUSED").await;
            origin.until_left(times).await;
            origin.change(|script| script.hold = Some(1_000));
            server.control("resume", &id).await;
            origin.until_asked(times + 1).await;
        }
        server.control("terminate", &id).await;
        server.until(&id, "TERMINATED").await;
        assert_eq!((server.rows(dataset).await, work(&server)), (None, Vec::new()));
    }
}

#[tokio::test]
async fn kills_during_the_download_of_a_compressed_file_lose_and_duplicate_nothing() {
    let mut server = Server::with(&[("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true"), ("PAUSA_CRASH_LIMIT", "100")]).await;
    let file = csv::people(30_000);
    for (dataset, body) in [("packed", gzip(file.as_bytes())), ("wide", utf_16(&file, true, true))] {
        let cut = Some(body.len() / 3);
        let origin = Origin::start(Script { body, tag: Some("\"v1\""), ranges: true, cut, ..Script::default() }).await;
        let id = fetch(&server, &origin.url, json!({ "dataset": dataset, "maxRowsPerSecond": 20_000 })).await;
        for rows in [1, 4_000, 9_000, 16_000] {
            server.until_done(&id, rows).await;
            server.kill().await;
            server.restart().await;
        }
        server.until(&id, "COMPLETED").await;
        is_exact(&server, dataset, &file).await;
    }
    assert_eq!(work(&server), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_file_is_too_large_compressed_or_not() {
    let server = Server::with(&[("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true"), ("PAUSA_MAX_UPLOAD_BYTES", "1000000")]).await;
    let bomb = gzip(&b"a\n".repeat(20_000_000));
    let upload = server.upload(bomb.clone()).await;
    let by_upload = server.import(&upload, json!({ "dataset": "bomb" })).await;
    let packed = Origin::start(Script { body: bomb, ..Script::default() }).await;
    let large = Origin::start(Script { body: vec![b'x'; 1_000_001], ..Script::default() }).await;
    let by_url = fetch(&server, &packed.url, json!({ "dataset": "packed" })).await;
    let whole = fetch(&server, &large.url, json!({ "dataset": "large" })).await;
    for id in [by_upload, by_url, whole] {
        let failed = server.until(&id, "FAILED").await;
        assert_eq!(failed["error"]["code"], "TOO_LARGE", "{failed}");
    }
    assert_eq!(work(&server), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn error_responses_are_shown_and_passwords_are_not() {
    let server = server().await;
    let to = |location: &str| format!("HTTP/1.1 302 Found\r\nlocation: {location}");
    let table = [
        ("HTTP/1.1 404 Not Found".to_owned(), "The server of the URL responded with 404 Not Found"),
        ("HTTP/1.1 401 Unauthorized".to_owned(), "401 Unauthorized"),
        ("HTTP/1.1 204 No Content".to_owned(), "204 No Content"),
        (to("/again"), "too many redirects: at most 10 are followed"),
        (to("file:///etc/passwd"), "only http and https"),
    ];
    for (head, expected) in table {
        let origin = Origin::start(Script { head: Some(head), ..Script::default() }).await;
        let url = origin.url.replace("http://", "http://me:hunter2@");
        let id = fetch(&server, &url, json!({ "dataset": "rows" })).await;
        let error = server.until(&id, "FAILED").await["error"].take();
        let text = error["message"].as_str().unwrap();
        assert!(error["code"] == "BAD_USER_INPUT" && text.contains(expected) && !text.contains("hunter2"), "{error}");
        assert!(origin.requests()[0].contains("authorization: basic bwu6ahvudgvymg=="), "the password is sent");
    }
}

#[tokio::test]
async fn content_that_is_not_csv_is_refused_during_the_download() {
    let server = server().await;
    let page = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n".to_vec();
    let rows = (1..=100).map(|n| format!("{n};{n}\n")).collect::<String>();
    let table = "a;b\n".to_owned() + &rows;
    let scripts = [
        (Script { body: page, ..Script::default() }, "The file looks like an HTML page"),
        (
            Script { body: gzip(table.as_bytes()), ..Script::default() },
            "The file looks semicolon-separated: its first 20",
        ),
        (
            Script { body: table.into_bytes(), hold: Some(300), ..Script::default() },
            "The file looks semicolon-separated",
        ),
    ];
    for (script, expected) in scripts {
        let origin = Origin::start(script).await;
        let id = fetch(&server, &origin.url, json!({ "dataset": "rows" })).await;
        let error = server.until(&id, "FAILED").await["error"].take();
        assert!(error["message"].as_str().unwrap().starts_with(expected), "{error}");
        assert_eq!(server.rows("rows").await, None);
        assert_eq!(work(&server), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn private_addresses_are_refused_unless_allowed() {
    let server = Server::start().await;
    let origin = Origin::start(Script { body: b"a\n1\n".to_vec(), ..Script::default() }).await;
    for url in [origin.url.as_str(), "http://me:hunter2@[::1]/", "http://0x7f.1/", "file:///etc/passwd", "rows.csv"] {
        let input = json!({ "input": { "source": { "url": url }, "dataset": "rows" } });
        let refusal = server.refusal(START, input).await;
        assert_eq!(refusal["extensions"], json!({ "code": "BAD_USER_INPUT", "field": "source.url" }), "{refusal}");
        assert!(!refusal["message"].as_str().unwrap().contains("hunter2"), "{refusal}");
    }
    let named = origin.url.replace("127.0.0.1", "localhost");
    let id = fetch(&server, &named, json!({ "dataset": "rows" })).await;
    let error = server.until(&id, "FAILED").await["error"].take();
    assert!(error["message"].as_str().unwrap().contains("PAUSA_OUTBOUND_ALLOW_PRIVATE"), "{error}");
    assert_eq!(origin.requests().len(), 0);

    let encoding =
        json!({ "source": { "url": "https://example.org/" }, "dataset": "rows", "csv": { "encoding": "utf-7" } });
    let refusal = server.refusal(START, json!({ "input": encoding })).await;
    assert_eq!(refusal["extensions"]["field"], "csv.encoding", "{refusal}");
}
