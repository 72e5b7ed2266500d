//! Two nodes that share a PostgreSQL store and a bucket, and nothing else.

use bytes::Bytes;
use futures_util::stream;
use jiff::Timestamp;
use pausa::clock::Clock;
use pausa::config::BucketUrl;
use pausa::files::Files;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::two_nodes::{LEASE, runner};
use crate::harness::csv;
use crate::harness::s3::{Bucket, Fault, KEYS};
use crate::harness::server::{PATIENCE, Server};
use crate::harness::tus::{Tus, asked, text};
use crate::harness::watch::Watch;
use crate::store::test_store::TestStore;

/// Two nodes with a bucket.
pub struct TwoWithBucket {
    pub a: Server,
    pub b: Server,
    pub bucket: Bucket,
    _test_store: TestStore,
}

impl TwoWithBucket {
    pub async fn start(settings: &[(&str, &str)]) -> TwoWithBucket {
        let (test_store, bucket) = (TestStore::postgres().await, Bucket::create().await);
        let own = bucket.settings();
        let mut all: Vec<(&str, &str)> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.extend([("PAUSA_DATABASE_URL", test_store.url.as_str()), LEASE]);
        all.extend(settings);
        let node = async |name| Server::with(&[&all[..], &[("PAUSA_NODE", name)]].concat()).await;
        let (a, b) = (node("a").await, node("b").await);
        TwoWithBucket { a, b, bucket, _test_store: test_store }
    }

    pub async fn delete_tasks(&self, ids: &[&str]) {
        for id in ids {
            self.a.data("mutation($id: ID!) { deleteTask(id: $id) }", json!({ "id": id })).await;
        }
    }
}

/// Waits until the bucket has only the ID of the store.
async fn until_empty(bucket: &Bucket) {
    let gone = async {
        // The server sends no event for this, so the bucket is polled.
        while bucket.objects().await > 1 {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(PATIENCE, gone).await.is_err() {
        panic!("left in the bucket: {:?}", bucket.keys().await);
    }
    assert_eq!(bucket.keys().await, ["some/prefix/store-id"]);
}

async fn delete_upload(server: &Server, id: &str) -> StatusCode {
    asked(server, Method::DELETE, &format!("/uploads/{id}")).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_through_the_bucket_from_the_upload_to_the_download() {
    let two = TwoWithBucket::start(&[]).await;
    let file = csv::people(20_000).into_bytes();
    let upload = two.a.upload(file.clone()).await;
    let import = two.b.import(&upload, json!({ "dataset": "people" })).await;
    two.a.until(&import, "COMPLETED").await;
    assert_eq!(two.a.rows("people").await, Some(20_000));
    let export = two.a.export("people").await;
    two.b.until(&export, "COMPLETED").await;
    for server in [&two.a, &two.b] {
        let whole = server.get(&format!("/download/{export}")).await;
        let tag = text(&whole, "etag");
        assert!(whole.bytes().await.unwrap() == file, "every byte is as it was sent");
        let asked = |name, value: &str| {
            server.client().get(format!("{}/download/{export}", server.url)).header(name, value.to_owned()).send()
        };
        let part = asked("range", "bytes=5-104").await.unwrap();
        assert_eq!(part.status(), 206);
        assert!(part.bytes().await.unwrap() == file[5..105]);
        assert_eq!(asked("if-none-match", &tag).await.unwrap().status(), 304);
    }
    let pi = two.b.pi(1_000).await;
    two.a.until(&pi, "COMPLETED").await;
    let zip = two.a.get(&format!("/download/{pi}")).await;
    assert_eq!((zip.status().as_u16(), text(&zip, "content-type").as_str()), (200, "application/zip"));
    assert!(zip.bytes().await.unwrap().len() > 500);
    let input = json!({ "source": { "upload": null }, "dataset": "form" });
    let query = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";
    let operations = json!({ "query": query, "variables": { "input": input } }).to_string();
    let form = Form::new()
        .text("operations", operations)
        .text("map", json!({ "0": ["variables.input.source.upload"] }).to_string())
        .part("0", Part::bytes(file.clone()).file_name("rows.csv"));
    let request = two.b.client().post(format!("{}/graphql", two.b.url)).header("apollo-require-preflight", "true");
    let started: Value = request.multipart(form).send().await.unwrap().json().await.unwrap();
    let by_form = started["data"]["startImport"]["id"].as_str().unwrap().to_owned();
    two.a.until(&by_form, "COMPLETED").await;
    assert_eq!(two.b.rows("form").await, Some(20_000));
    let terminated = two.a.pi(3_000_000).await;
    two.b.until_done(&terminated, 1).await;
    assert_eq!(two.b.control("terminate", &terminated).await, "TERMINATED");
    two.delete_tasks(&[&import, &export, &pi, &terminated, &by_form]).await;
    let of_form = two.bucket.keys().await.into_iter().find(|key| key.ends_with("manifest") && !key.contains(&upload));
    let of_form = of_form.unwrap().split('/').nth(3).unwrap().to_owned();
    for id in [&upload, &of_form] {
        assert_eq!(delete_upload(&two.b, id).await, 204);
    }
    until_empty(&two.bucket).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_in_parts_continues_at_another_node_after_kill_9() {
    let mut two = TwoWithBucket::start(&[]).await;
    let file = csv::people(500_000).into_bytes();
    let (first, second) = (file.len() / 4, file.len() / 2);
    let path = {
        let at_a = Tus::begin(&two.a, file.len()).await;
        assert_eq!(at_a.send(0, &file[..first]).await, (204, first.to_string()));
        let _socket = at_a.hang(first, &file[first..second], file.len() - first).await;
        at_a.path.clone()
    };
    two.a.kill().await;
    let at_b = Tus::at(&two.b, path);
    let offset = at_b.offset().await;
    assert!((first..=second).contains(&offset), "{offset}");
    assert_eq!(at_b.send(offset, &file[offset..]).await, (204, file.len().to_string()));
    assert_eq!(at_b.rows("people").await, Some(500_000));
    assert!(two.b.exported("people").await == file, "every byte is as it was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_request_for_an_upload_owns_it_on_any_node() {
    let two = TwoWithBucket::start(&[]).await;
    let file = csv::people(50_000).into_bytes();
    let half = file.len() / 2;
    let at_a = Tus::begin(&two.a, file.len()).await;
    let at_b = Tus::at(&two.b, at_a.path.clone());
    // Node a receives a part of a request; node b takes the upload over.
    let (sent, waits) = tokio::sync::oneshot::channel::<()>();
    let rest = file[half / 2..half].to_vec();
    let first = stream::iter([Ok::<_, std::io::Error>(Bytes::copy_from_slice(&file[..half / 2]))]);
    let then = stream::once(async move {
        let _ = waits.await;
        Ok(Bytes::from(rest))
    });
    let body = reqwest::Body::wrap_stream(futures_util::StreamExt::chain(first, then));
    let request = at_a.part(0, body);
    let superseded = tokio::spawn(async move { request.send().await.unwrap().status().as_u16() });
    while two.bucket.keys().await.iter().all(|key| !key.ends_with("manifest")) {
        tokio::task::yield_now().await;
    }
    assert_eq!(at_b.offset().await, 0);
    assert_eq!(at_b.send(0, &file[..half]).await, (204, half.to_string()));
    sent.send(()).unwrap();
    assert_eq!(superseded.await.unwrap(), 423);
    assert_eq!(at_a.offset().await, half);
    assert_eq!(at_a.send(half, &file[half..]).await, (204, file.len().to_string()));
    assert_eq!(at_a.rows("people").await, Some(50_000));
    assert!(two.b.exported("people").await == file, "every byte is as it was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_in_parts_continues_after_an_outage_of_the_bucket() {
    let two = TwoWithBucket::start(&[]).await;
    let file = csv::people(400_000).into_bytes();
    let third = file.len() / 3;
    let at_a = Tus::begin(&two.a, file.len()).await;
    assert_eq!(at_a.send(0, &file[..third]).await, (204, third.to_string()));
    for fault in [Fault::Failing, Fault::SlowDown, Fault::LoseAnswer] {
        two.bucket.break_all(fault).await;
        let refused = at_a.part(third, file[third..].to_vec()).send().await.unwrap();
        assert_eq!(code(refused).await, (503, "UNAVAILABLE".to_owned()), "{fault:?}");
        two.bucket.mend().await;
        assert_eq!(at_a.offset().await, third, "{fault:?}");
    }
    // The bucket fails while the bytes arrive.
    let segments = format!("{}/0", at_a.id());
    two.bucket.break_some(Fault::Failing, json!({ "method": "PUT", "key": segments })).await;
    let refused = at_a.part(third, file[third..].to_vec()).send().await.unwrap();
    assert_eq!(code(refused).await, (503, "UNAVAILABLE".to_owned()));
    two.bucket.mend().await;
    let at_b = Tus::at(&two.b, at_a.path.clone());
    assert_eq!(at_b.offset().await, third);
    assert_eq!(at_b.send(third, &file[third..]).await, (204, file.len().to_string()));
    assert_eq!(at_b.rows("people").await, Some(400_000));
    assert!(two.a.exported("people").await == file, "every byte is as it was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_deletes_unfinished_results_of_tasks_that_are_gone() {
    let bucket = Bucket::create().await;
    let settings = bucket.settings();
    let url = BucketUrl::parse(&settings[0].1).unwrap().with_variables(settings[1..].to_vec());
    let folder = tempfile::tempdir().unwrap();
    let files = Files::open(folder.path(), Some(&url), Timestamp::UNIX_EPOCH).await.unwrap();
    let task = crate::harness::task_id();
    let mut result = files.blobs.write_result(task, &files.scratch.of(task), None).await.unwrap().unwrap();
    while result.write(Bytes::from(vec![b'x'; 1 << 20])).await.unwrap().is_none() {}
    result.write(Bytes::from_static(b"tail")).await.unwrap();
    result.sync().await.unwrap();
    assert_eq!(files.blobs.list_unfinished_results().await.unwrap(), [task]);
    assert_eq!(bucket.objects().await, 2);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let _server = Server::with(&settings).await;
    until_empty(&bucket).await;
}

/// Returns the status and the error code of an answer.
async fn code(answer: reqwest::Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_bucket_fails_requests_are_refused_and_tasks_wait() {
    let two = TwoWithBucket::start(&[("PAUSA_RETRY_LIMIT", "1")]).await;
    let file = csv::people(5_000).into_bytes();
    let upload = two.a.upload(file.clone()).await;
    let import = two.a.import(&upload, json!({ "dataset": "people" })).await;
    two.a.until(&import, "COMPLETED").await;
    let export = two.a.export("people").await;
    two.a.until(&export, "COMPLETED").await;
    for fault in [Fault::Failing, Fault::SlowDown, Fault::Hang] {
        two.bucket.break_all(fault).await;
        let begun = Clock::monotonic();
        let refused = two.a.get(&format!("/download/{export}")).await;
        assert_eq!(code(refused).await, (503, "UNAVAILABLE".to_owned()), "{fault:?}");
        println!("{fault:?}: download refused after {:?}", begun.elapsed());
        let waiting = [
            two.a.export("people").await,
            two.b.pi(500).await,
            two.b.import(&upload, json!({ "dataset": format!("{fault:?}").to_lowercase() })).await,
        ];
        let begun = Clock::monotonic();
        let sent = two.b.client().post(format!("{}/uploads", two.b.url)).body(file.clone()).send().await.unwrap();
        assert_eq!(code(sent).await, (503, "UNAVAILABLE".to_owned()), "{fault:?}");
        println!("{fault:?}: upload refused after {:?}", begun.elapsed());
        assert!(begun.elapsed().as_secs() < 90);
        for id in &waiting {
            let mut watch = Watch::progress(&two.b.url, id).await;
            watch.until(|task| task["error"]["code"] == "UNAVAILABLE").await;
        }
        two.bucket.mend().await;
        for id in &waiting {
            two.b.until(id, "COMPLETED").await;
        }
        assert!(two.b.get(&format!("/download/{}", waiting[0])).await.bytes().await.unwrap() == file);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_may_be_killed_while_it_exports_to_the_bucket() {
    let mut two = TwoWithBucket::start(&[]).await;
    let file = csv::people(200_000).into_bytes();
    let upload = two.a.upload(file.clone()).await;
    let import = two.a.import(&upload, json!({ "dataset": "people" })).await;
    two.b.until(&import, "COMPLETED").await;
    let export = two.a.export("people").await;
    two.b.until_done(&export, 1).await;
    let task = two.b.task(&export).await;
    let survivor = if runner(&task) == "node a" {
        two.a.kill().await;
        &two.b
    } else {
        two.b.kill().await;
        &two.a
    };
    survivor.until(&export, "COMPLETED").await;
    assert!(survivor.get(&format!("/download/{export}")).await.bytes().await.unwrap() == file);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_may_be_fetched_from_the_bucket_itself() {
    let two = TwoWithBucket::start(&[("PAUSA_FILES_PRESIGNED", "true")]).await;
    let file = csv::people(1_000).into_bytes();
    let upload = two.a.upload(file.clone()).await;
    let import = two.a.import(&upload, json!({ "dataset": "people" })).await;
    two.a.until(&import, "COMPLETED").await;
    let export = two.a.export("people").await;
    two.a.until(&export, "COMPLETED").await;
    let direct = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = direct.get(format!("{}/download/{export}", two.b.url)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), text(&answer, "cache-control").as_str()), (302, "no-store"));
    let location = text(&answer, "location");
    assert!(location.contains("X-Amz-Signature") && !location.contains(KEYS.1), "{location}");
    let followed = two.b.get(&format!("/download/{export}")).await;
    assert_eq!(text(&followed, "content-disposition"), "attachment; filename=\"people.csv\"");
    assert!(text(&followed, "content-type").starts_with("text/csv"), "{:?}", followed.headers());
    assert!(followed.bytes().await.unwrap() == file);
    let head = direct.head(format!("{}/download/{export}", two.b.url)).send().await.unwrap();
    assert_eq!((head.status().as_u16(), text(&head, "content-length")), (200, file.len().to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_while_a_large_file_is_uploaded() {
    let two = TwoWithBucket::start(&[]).await;
    let peak = || two.a.peak_memory() >> 20;
    two.a.upload(vec![b'x'; 1 << 20]).await;
    let before = peak();
    let piece = Bytes::from(vec![b'y'; 1 << 20]);
    let body = stream::iter((0..400).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let request = two.a.client().post(format!("{}/uploads", two.a.url)).body(reqwest::Body::wrap_stream(body));
    let sent: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(sent["size"], 400 << 20);
    println!("peak memory: {before} MiB before, {} MiB after 400 MiB", peak());
    assert!(peak() < before + 150, "{before} MiB before, {} MiB after", peak());
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_refuses_the_start_and_names_the_setting() {
    let bucket = Bucket::create().await;
    let start = async |changed: &str, value: &str| {
        let mut settings = bucket.settings();
        settings.iter_mut().filter(|(name, _)| name == changed).for_each(|(_, old)| value.clone_into(old));
        let folder = tempfile::tempdir().unwrap();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pausa"));
        command.env("PAUSA_LISTEN", "127.0.0.1:0").env("PAUSA_DATA_DIR", folder.path()).envs(settings);
        let ended = tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output()).await.unwrap().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{changed}");
        String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap()
    };
    let cases = [
        ("PAUSA_FILES_URL", "s3://no-such-bucket/a", "s3://no-such-bucket/a", "NoSuchBucket"),
        ("AWS_SECRET_ACCESS_KEY", "hunter3", bucket.name.as_str(), "SignatureDoesNotMatch"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "at http://127.0.0.1:1", "127.0.0.1:1"),
    ];
    for (changed, value, named, cause) in cases {
        let said = start(changed, value).await;
        let clear = ["setting files_url = s3://", named, cause, "AWS_ENDPOINT_URL"];
        assert!(clear.iter().all(|text| said.contains(text)), "{said}");
        assert!(!said.contains("hunter"), "{said}");
    }
}
