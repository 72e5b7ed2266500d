//! Files in the S3 store of docker-compose.yml: downloads beside those from the store itself, imports beside those from a folder.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use object_store::aws::AmazonS3Builder;
use object_store::signer::{Method, Signer};
use pausa::clock::Clock;
use serde_json::json;

use crate::downloads::large_result;
use crate::figures::{cpu, forget_peak, memory, percentile};
use crate::harness::csv;
use crate::harness::seaweedfs::SeaweedFs;
use crate::harness::server::Server;

/// Number of rounds, in turn.
const ROUNDS: usize = 5;

/// Rows of the file, about 120 MB.
const ROWS: usize = 1_000_000;

/// The bucket that `make-bucket.sh` creates.
const BUCKET: &str = "pausa";

const KEYS: [&str; 2] = ["measure-key", "measure-secret"];

/// Starts the store, with a bucket that syncs each file to disk.
async fn start() -> SeaweedFs {
    let keys = json!({ "accessKey": KEYS[0], "secretKey": KEYS[1] });
    let identity = json!({ "name": "pausa", "credentials": [keys], "actions": ["Read", "Write", "List"] });
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), json!({ "identities": [identity] }).to_string()).unwrap();
    let config = format!("-s3.config={}", config.path().display());
    let arguments = ["mini", &config, "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"];
    let arguments = arguments.into_iter().chain(["-master.telemetry=false"]).map(str::to_owned);
    let store = SeaweedFs::start(&arguments.collect::<Vec<_>>()).await;
    store.run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/compose/make-bucket.sh")).await;
    store
}

pub async fn measure() {
    let store = start().await;
    let settings = [
        ("PAUSA_FILES_URL", "s3://pausa/files"),
        ("AWS_ENDPOINT_URL", &store.url),
        ("AWS_ACCESS_KEY_ID", KEYS[0]),
        ("AWS_SECRET_ACCESS_KEY", KEYS[1]),
    ];
    let in_bucket = Server::with(&settings).await;
    let in_folder = Server::start().await;
    let file = csv::wide(ROWS, 15).into_bytes();
    let megabytes = file.len() as f64 / 1e6;
    let held = memory(in_bucket.pid(), "VmHWM");
    let (ours, folders) = (in_bucket.upload(file.clone()).await, in_folder.upload(file).await);
    println!("upload of {megabytes:.0} MB: peak memory grew by {:.0} MB", memory(in_bucket.pid(), "VmHWM") - held);
    let (mut bucket_times, mut folder_times) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        bucket_times.push(import(&in_bucket, &ours, round).await);
        folder_times.push(import(&in_folder, &folders, round).await);
    }
    let (from_bucket, from_folder) = (percentile(&mut bucket_times, 0.5), percentile(&mut folder_times, 0.5));
    let ratio = from_folder.as_secs_f64() / from_bucket.as_secs_f64();
    println!(
        "import of {ROWS} rows: from the bucket {from_bucket:.2?}, from a folder {from_folder:.2?}, speed {ratio:.2} of the folder's"
    );
    let id = in_bucket.export("rows0").await;
    in_bucket.until(&id, "COMPLETED").await;
    downloads(&in_bucket, &store, &id).await;
    let large = large_result(&in_bucket).await;
    downloads(&in_bucket, &store, &large).await;
    memory_of_downloads(&in_bucket, &large).await;
}

async fn import(server: &Server, upload: &str, round: usize) -> Duration {
    let begun = Clock::monotonic();
    let id = server.import(upload, json!({ "dataset": format!("rows{round}") })).await;
    server.until(&id, "COMPLETED").await;
    begun.elapsed()
}

/// Downloads the result from the node and its object from the store, in turn.
async fn downloads(server: &Server, store: &SeaweedFs, id: &str) {
    let direct = direct_url(store, &format!("results/{id}/data-")).await;
    let speed = async |url: &str| {
        let begun = Clock::monotonic();
        let bytes = read(server, url).await;
        (bytes / begun.elapsed().as_secs_f64(), bytes)
    };
    let (mut ours, mut theirs, mut size) = (Vec::new(), Vec::new(), 0.0);
    let used = cpu(&[server.pid()]);
    for _ in 0..ROUNDS {
        theirs.push(speed(&direct).await.0);
        let (own, bytes) = speed(&format!("{}/download/{id}", server.url)).await;
        ours.push(own);
        size = bytes;
    }
    let used = (cpu(&[server.pid()]) - used) * 1e3 / (size * ROUNDS as f64);
    let (ours, theirs) = (percentile(&mut ours, 0.5), percentile(&mut theirs, 0.5));
    let ratio = ours / theirs;
    println!("download of {size:.0} MB: Pausa {ours:.0} MB/s, the store itself {theirs:.0} MB/s, ratio {ratio:.2}");
    println!("  seconds of CPU of Pausa for each GB: {used:.2}");
}

/// Downloads a file without keeping it. Returns its size in megabytes.
async fn read(server: &Server, url: &str) -> f64 {
    let mut answer = server.client().get(url).send().await.unwrap();
    let (expected, mut bytes) = (answer.content_length(), 0);
    while let Some(piece) = answer.chunk().await.unwrap() {
        bytes += piece.len();
    }
    assert_eq!(expected, Some(bytes as u64));
    bytes as f64 / 1e6
}

/// Downloads a large result by one client, and by 16 at once.
async fn memory_of_downloads(server: &Server, id: &str) {
    let url = format!("{}/download/{id}", server.url);
    for clients in [1, 16] {
        let before = memory(server.pid(), "VmRSS");
        forget_peak(server.pid());
        let megabytes: f64 = join_all((0..clients).map(|_| read(server, &url))).await.iter().sum();
        let peak = memory(server.pid(), "VmHWM");
        println!("{clients} clients download {megabytes:.0} MB: memory {before:.0} MB before, peak {peak:.0} MB");
    }
}

/// Returns a signed URL of the object whose key contains `part`.
async fn direct_url(store: &SeaweedFs, part: &str) -> String {
    let keys = store.keys(BUCKET, &KEYS.map(str::to_owned), "").await;
    let key = keys.iter().find(|key| key.contains(part)).unwrap();
    let builder = AmazonS3Builder::new().with_endpoint(&store.url).with_allow_http(true).with_region("us-east-1");
    let builder = builder.with_access_key_id(KEYS[0]).with_secret_access_key(KEYS[1]).with_bucket_name(BUCKET);
    let signed = builder.build().unwrap().signed_url(Method::GET, &key.as_str().into(), Duration::from_hours(1)).await;
    signed.unwrap().into()
}
