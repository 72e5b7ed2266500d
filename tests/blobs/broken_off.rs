//! Requests to a bucket that break off, hang or are slow: every byte is exact, and nothing waits without a bound.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3Builder;
use pausa::clock::Clock;
use pausa::files::{BlobName, BlobReader, ByteStream, FileFault, Files};
use tempfile::TempDir;

use super::bucket::url;
use super::{fingerprint, read_all, send, upload};
use crate::harness::proxy::{Proxy, Traffic, Upstream};
use crate::harness::s3::{Bucket, KEYS};

/// Bytes of a result: more than sockets hold.
const SIZE: usize = 64 << 20;

/// Files in a bucket behind a proxy.
struct Distant {
    proxy: Proxy,
    bucket: Bucket,
    files: Files,
    _scratch: TempDir,
}

impl Distant {
    async fn new() -> Distant {
        let (bucket, scratch) = (Bucket::create().await, tempfile::tempdir().unwrap());
        let mut settings = bucket.settings();
        let endpoint = settings.iter_mut().find(|(name, _)| name == "AWS_ENDPOINT_URL").unwrap();
        let address = endpoint.1.trim_start_matches("http://").parse().unwrap();
        let proxy = Proxy::start(Upstream::Tcp(address)).await;
        endpoint.1 = format!("http://{}", proxy.address());
        let files = Files::open(scratch.path(), Some(&url(settings)), Timestamp::UNIX_EPOCH).await.unwrap();
        Distant { proxy, bucket, files, _scratch: scratch }
    }

    /// Publishes a result.
    async fn publish(&self, content: &[u8]) -> BlobName {
        let task = crate::harness::task_id();
        let scratch = self.files.scratch.of(task);
        std::io::Write::write_all(&mut scratch.create("file").unwrap(), content).unwrap();
        let staged = self.files.blobs.stage_result(task, &scratch, "file", None).await.unwrap();
        self.files.publish_result(task, &staged.sha256).await.unwrap();
        BlobName::Result(task, staged.sha256)
    }

    /// Begins to read, and returns what came first.
    async fn begin(&self, reader: &dyn BlobReader, from: usize, length: usize) -> (ByteStream, Bytes) {
        let mut stream = reader.bytes(from as u64, length as u64);
        let first = stream.try_next().await.unwrap().unwrap();
        (stream, first)
    }

    /// Closes all connections, and accepts new ones.
    async fn cut(&mut self) {
        self.proxy.cut();
        self.proxy.listen().await;
    }

    /// Replaces the bytes of a result, as nobody does but an operator.
    async fn replace(&self, content: Vec<u8>) {
        let keys = self.bucket.keys().await;
        let key = keys.iter().find(|key| key.contains("/data-")).unwrap();
        let endpoint = format!("http://{}", self.proxy.address());
        let store = AmazonS3Builder::new().with_endpoint(endpoint).with_allow_http(true).with_region("us-east-1");
        let store = store.with_access_key_id(KEYS.0).with_secret_access_key(KEYS.1).with_bucket_name(&self.bucket.name);
        store.build().unwrap().put(&key.as_str().into(), content.into()).await.unwrap();
    }
}

/// Bytes that differ from place to place.
fn content() -> Vec<u8> {
    (0..SIZE as u32 / 4).flat_map(u32::to_le_bytes).collect()
}

async fn rest(stream: ByteStream, first: &[u8]) -> io::Result<Vec<u8>> {
    let rest: Vec<Bytes> = stream.try_collect().await?;
    Ok([first, &rest.concat()].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_or_a_range_that_breaks_off_in_the_middle_is_exact() {
    let mut distant = Distant::new().await;
    let content = content();
    let reader = distant.files.blobs.open(&distant.publish(&content).await).await.unwrap();
    for (from, length) in [(0, SIZE), (12_345, SIZE - 54_321)] {
        let (stream, first) = distant.begin(&*reader, from, length).await;
        distant.cut().await;
        let made = distant.proxy.made();
        assert!(rest(stream, &first).await.unwrap() == content[from..from + length], "{length} from {from}");
        assert!(distant.proxy.made() > made, "the rest came by another connection");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_was_replaced_is_not_mixed_with_the_one_before() {
    let mut distant = Distant::new().await;
    let content = content();
    let reader = distant.files.blobs.open(&distant.publish(&content).await).await.unwrap();
    let (stream, first) = distant.begin(&*reader, 0, SIZE).await;
    distant.replace(vec![7; SIZE]).await;
    distant.cut().await;
    let (mut stream, mut read) = (stream, first.to_vec());
    let error = loop {
        match stream.try_next().await {
            Ok(piece) => read.extend_from_slice(&piece.expect("an error")),
            Err(error) => break error,
        }
    };
    assert!(read.len() < SIZE && read == content[..read.len()], "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_hangs_is_given_up_and_its_rest_requested() {
    let distant = Distant::new().await;
    let content = content();
    let reader = distant.files.blobs.open(&distant.publish(&content).await).await.unwrap();
    let (stream, first) = distant.begin(&*reader, 0, SIZE).await;
    distant.proxy.set(Traffic::Stall);
    let made = distant.proxy.made();
    let resumed = async {
        distant.proxy.until_made_more_than(made).await;
        distant.proxy.set(Traffic::Pass);
    };
    let (read, ()) = tokio::join!(rest(stream, &first), resumed);
    assert!(read.unwrap() == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_hangs_for_good_ends_with_unavailable() {
    let distant = Distant::new().await;
    let reader = distant.files.blobs.open(&distant.publish(&content()).await).await.unwrap();
    let (stream, first) = distant.begin(&*reader, 0, SIZE).await;
    distant.proxy.set(Traffic::Stall);
    let begun = Clock::monotonic();
    let error = rest(stream, &first).await.unwrap_err();
    assert_eq!(FileFault::of(&error), FileFault::Unavailable, "{error}");
    println!("a download that hangs ended after {:?}: {error}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_connection_uploads_a_segment_in_the_time_that_it_needs() {
    let distant = Distant::new().await;
    let bytes = &content()[..8 << 20];
    // 16 KiB at once.
    distant.proxy.set(Traffic::Delay(Duration::from_millis(25)));
    let begun = Clock::monotonic();
    assert_eq!(send(&distant.files.blobs, "a", bytes).await, fingerprint(bytes));
    println!("8 MiB arrived in {:?}", begun.elapsed());
    distant.proxy.set(Traffic::Pass);
    assert!(read_all(&distant.files.blobs, &upload("a"), bytes.len() as u64).await == bytes);
}
