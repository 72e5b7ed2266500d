//! Files in a bucket: downloads beside those from the S3 server itself, imports beside those from a folder.
//!
//! The S3 server is that of the tests, a program in Python: only the ratios say something.

use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::signer::{Method, Signer};
use pausa::clock::Clock;
use serde_json::json;

use crate::figures::{memory, percentile};
use crate::harness::csv;
use crate::harness::s3::Bucket;
use crate::harness::server::Server;

/// Number of rounds, in turn.
const ROUNDS: usize = 5;

/// Rows of the file, about 120 MB.
const ROWS: usize = 1_000_000;

pub async fn measure() {
    let bucket = Bucket::create().await;
    let settings = bucket.settings();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
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
    downloads(&in_bucket, &bucket, &id).await;
}

async fn import(server: &Server, upload: &str, round: usize) -> Duration {
    let begun = Clock::monotonic();
    let id = server.import(upload, json!({ "dataset": format!("rows{round}") })).await;
    server.until(&id, "COMPLETED").await;
    begun.elapsed()
}

/// Downloads the result from the node and its object from the S3 server, in turn.
async fn downloads(server: &Server, bucket: &Bucket, id: &str) {
    let direct = direct_url(bucket, &format!("results/{id}/data-")).await;
    let speed = async |url: &str| {
        let begun = Clock::monotonic();
        let bytes = server.client().get(url).send().await.unwrap().bytes().await.unwrap();
        bytes.len() as f64 / 1e6 / begun.elapsed().as_secs_f64()
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(speed(&direct).await);
        ours.push(speed(&format!("{}/download/{id}", server.url)).await);
    }
    let (ours, theirs) = (percentile(&mut ours, 0.5), percentile(&mut theirs, 0.5));
    println!("download: Pausa {ours:.0} MB/s, the S3 server itself {theirs:.0} MB/s, ratio {:.2}", ours / theirs);
}

/// Returns a signed URL of the object whose key contains `part`.
async fn direct_url(bucket: &Bucket, part: &str) -> String {
    let keys = bucket.keys().await;
    let key = keys.iter().find(|key| key.contains(part)).unwrap();
    let mut builder = AmazonS3Builder::new().with_bucket_name(&bucket.name).with_allow_http(true);
    for (name, value) in bucket.settings() {
        if let Ok(key) = name.to_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let life = Duration::from_hours(1);
    let signed = builder.build().unwrap().signed_url(Method::GET, &key.as_str().into(), life).await;
    signed.unwrap().into()
}
