//! A bucket as a blob store, and what is true of a bucket only.

use async_trait::async_trait;
use jiff::Timestamp;
use pausa::clock::Clock;
use pausa::config::BucketUrl;
use pausa::files::{FileFault, Files};
use serde_json::json;
use tempfile::TempDir;

use super::{Store, content, fingerprint, open, read_all, send, upload};
use crate::harness::s3::{Bucket, Fault};
use crate::harness::server::PATIENCE;

/// A bucket of its own, and a working folder for each process.
pub struct InBucket {
    pub bucket: Bucket,
    scratch: TempDir,
}

impl InBucket {
    pub async fn new() -> InBucket {
        let bucket = Bucket::create().await;
        InBucket { bucket, scratch: tempfile::tempdir().unwrap() }
    }
}

/// Returns the URL of a bucket, with these variables.
pub fn url(settings: Vec<(String, String)>) -> BucketUrl {
    let (urls, variables): (Vec<_>, Vec<_>) = settings.into_iter().partition(|(name, _)| name == "PAUSA_FILES_URL");
    BucketUrl::parse(&urls[0].1).unwrap().with_variables(variables)
}

#[async_trait]
impl Store for InBucket {
    async fn open(&self, abandoned: Timestamp) -> Files {
        Files::open(self.scratch.path(), Some(&url(self.bucket.settings())), abandoned).await.unwrap()
    }

    async fn objects(&self) -> usize {
        self.bucket.objects().await
    }

    fn notes_of_a_result(&self) -> usize {
        1
    }

    fn notes_of_an_upload(&self) -> usize {
        1
    }
}

/// More than a segment, and not a multiple of one.
fn large() -> Vec<u8> {
    (0..20_000_000_u32).map(|n| (n % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_is_kept_in_segments_and_read_exactly() {
    let store = InBucket::new().await;
    let files = open(&store).await;
    let bytes = large();
    send(&files.blobs, "a", &bytes).await;
    assert_eq!(store.objects().await, 4, "three segments and a manifest");
    let size = bytes.len() as u64;
    for (from, length) in
        [(0, size), (8_388_607, 2), (8_388_608, 8_388_608), (16_777_215, 3), (size - 1, 1), (1, size - 2)]
    {
        let read = super::read(&files.blobs, &upload("a"), size, from, length).await;
        let start = usize::try_from(from).unwrap();
        assert!(read == bytes[start..start + usize::try_from(length).unwrap()], "{length} from {from}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_parts_are_joined_and_nothing_else_is_left() {
    let store = InBucket::new().await;
    let bytes = large();
    for part in bytes.chunks(3_000_000) {
        let files = open(&store).await;
        let mut parts = files.blobs.resume_upload("a").await.unwrap().unwrap();
        parts.write(part, u64::MAX).await.unwrap();
        parts.sync().await.unwrap();
    }
    let files = open(&store).await;
    let mut parts = files.blobs.resume_upload("a").await.unwrap().unwrap();
    assert_eq!(parts.finish().await.unwrap(), fingerprint(&bytes));
    assert_eq!(store.objects().await, 4, "{:?}", store.bucket.keys().await);
    assert!(read_all(&files.blobs, &upload("a"), bytes.len() as u64).await == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_a_crash_cut_off_are_deleted_once_they_are_old() {
    let store = InBucket::new().await;
    let files = open(&store).await;
    send(&files.blobs, "complete", b"four").await;
    let mut stream = files.blobs.create_upload("a", u64::MAX).await.unwrap();
    stream.write(&large()).await.unwrap();
    // As after a crash, nobody deletes the segments.
    std::mem::forget(stream);
    while store.objects().await < 3 {
        tokio::task::yield_now().await;
    }
    let uploads = files.blobs.list_old_uploads(Timestamp::MAX).await.unwrap();
    assert_eq!(uploads.len(), 2, "{uploads:?}");
    store.open(Timestamp::MAX).await;
    let gone = async {
        // The server sends no event for this, so the bucket is polled.
        while store.objects().await > 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    assert_eq!(read_all(&files.blobs, &upload("complete"), 4).await, b"four");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_looked_up() {
    let store = InBucket::new().await;
    let files = open(&store).await;
    let task = crate::harness::task_id();
    for key in ["manifest", "results", "store-id"] {
        store.bucket.break_some(Fault::LoseAnswer, json!({ "method": "PUT", "key": key, "times": 1 })).await;
        match key {
            "manifest" => {
                let mut parts = files.blobs.resume_upload("a").await.unwrap().unwrap();
                parts.write(b"some", 9).await.unwrap();
                store.bucket.break_some(Fault::LoseAnswer, json!({ "method": "PUT", "key": key, "times": 1 })).await;
                assert_eq!(parts.sync().await.unwrap(), 4);
                store.bucket.break_some(Fault::LoseAnswer, json!({ "method": "PUT", "key": key, "times": 1 })).await;
                assert_eq!(parts.finish().await.unwrap(), fingerprint(b"some"));
            }
            "results" => {
                let scratch = files.scratch.of(task);
                std::io::Write::write_all(&mut scratch.create("file").unwrap(), &content()).unwrap();
                let sha256 = fingerprint(&content()).sha256;
                let note = json!({ "method": "PUT", "key": sha256, "times": 1 });
                store.bucket.break_some(Fault::LoseAnswer, note).await;
                let staged = files.blobs.stage_result(task, &scratch, "file", None).await.unwrap();
                files.publish_result(task, &staged.sha256).await.unwrap();
            }
            _ => assert_eq!(files.blobs.claim_identity("id").await.unwrap(), "id"),
        }
    }
    assert_eq!(store.objects().await, 2 + 2 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_that_make_the_same_result_keep_one_of_them() {
    let store = InBucket::new().await;
    let (one, two, task) = (open(&store).await, open(&store).await, crate::harness::task_id());
    for files in [&one, &two] {
        let scratch = files.scratch.of(task);
        std::io::Write::write_all(&mut scratch.create("file").unwrap(), b"same").unwrap();
        files.blobs.stage_result(task, &scratch, "file", None).await.unwrap();
    }
    assert_eq!(store.objects().await, 2);
    one.publish_result(task, &fingerprint(b"same").sha256).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_are_told_apart_and_answered_within_bounds() {
    let store = InBucket::new().await;
    let files = open(&store).await;
    send(&files.blobs, "a", b"four").await;
    for (fault, expected) in [
        (Fault::Failing, FileFault::Unavailable),
        (Fault::SlowDown, FileFault::Unavailable),
        (Fault::Hang, FileFault::Unavailable),
        (Fault::Full, FileFault::Full),
    ] {
        store.bucket.break_all(fault).await;
        let begun = Clock::monotonic();
        let error = files.blobs.open(&upload("a")).await.err().unwrap();
        assert_eq!(FileFault::of(&error), expected, "{fault:?}: {error}");
        println!("{fault:?}: {:?}: {error}", begun.elapsed());
        assert!(begun.elapsed().as_secs() < 10, "{fault:?} took {:?}", begun.elapsed());
        store.bucket.mend().await;
    }
    // A few failures are not an outage.
    store.bucket.break_some(Fault::SlowDown, json!({ "times": 2 })).await;
    assert_eq!(read_all(&files.blobs, &upload("a"), 4).await, b"four");
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_is_refused_with_its_reason() {
    let bucket = Bucket::create().await;
    let folder = tempfile::tempdir().unwrap();
    let open = async |name: &str, value: &str| {
        let mut settings = bucket.settings();
        settings.iter_mut().filter(|(known, _)| known == name).for_each(|(_, old)| value.clone_into(old));
        let opened = Files::open(folder.path(), Some(&url(settings)), Timestamp::UNIX_EPOCH).await;
        opened.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(open("AWS_REGION", "us-east-1").await, "");
    let wrong = open("AWS_SECRET_ACCESS_KEY", "hunter3").await;
    assert!(wrong.contains("SignatureDoesNotMatch") && !wrong.contains("hunter"), "{wrong}");
    let unknown = open("AWS_ACCESS_KEY_ID", "nobody").await;
    assert!(unknown.contains("InvalidAccessKeyId"), "{unknown}");
    let missing = open("PAUSA_FILES_URL", "s3://no-such-bucket").await;
    assert!(missing.contains("NoSuchBucket"), "{missing}");
    let nothing = open("AWS_ENDPOINT_URL", "http://127.0.0.1:1").await;
    assert!(nothing.starts_with("S3 does not answer: ") && nothing.contains("refused"), "{nothing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_for_a_bucket_that_is_starting_too() {
    let store = InBucket::new().await;
    // More than the attempts of one request.
    store.bucket.break_some(Fault::Failing, json!({ "times": 7 })).await;
    let files = open(&store).await;
    assert_eq!(files.blobs.identity().await.unwrap(), None);
}
