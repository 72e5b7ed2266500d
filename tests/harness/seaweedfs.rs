//! SeaweedFS, the S3 store of docker-compose.yml.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::TryStreamExt;
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use serde_json::Value;

use super::server::PATIENCE;

/// The folder of the program.
const UNPACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/seaweedfs");

/// The ports of the parts of the program, as its options name them.
const PORTS: [&str; 10] = [
    "s3.port",
    "s3.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "admin.port",
    "admin.port.grpc",
];

/// Runs the program until the standard input ends, and removes its folder unless a file there says to keep it. So nothing is left if
/// the tests are killed.
const GUARD: &str = r#"folder=$1; shift; "$@" >/dev/null 2>&1 & cat >/dev/null; kill -9 $!; wait
[ -e "$folder/keep" ] || rm -rf "$folder""#;

/// A running store. It ends when this is dropped, or when the tests end.
pub struct SeaweedFs {
    process: Child,
    arguments: Vec<String>,
    folder: PathBuf,
    /// Address for S3, such as `http://127.0.0.1:43211`.
    pub url: String,
    filer: String,
    master: String,
}

impl SeaweedFs {
    /// Starts a store with these arguments, and waits until it answers.
    pub async fn start(arguments: &[String]) -> SeaweedFs {
        let folder = tempfile::tempdir().unwrap().keep();
        let ports = PORTS.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = ports.map(|listener| listener.local_addr().unwrap().port());
        let mut arguments = arguments.to_vec();
        arguments.extend(["-ip=127.0.0.1", "-ip.bind=127.0.0.1"].map(str::to_owned));
        arguments.push(format!("-dir={}", folder.display()));
        arguments.extend(PORTS.iter().zip(ports).map(|(name, port)| format!("-{name}={port}")));
        let [url, filer] = [ports[0], ports[2]].map(|port| format!("http://127.0.0.1:{port}"));
        // The port for HTTP and that for gRPC.
        let master = format!("127.0.0.1:{}.{}", ports[4], ports[5]);
        let store = SeaweedFs { process: run(&arguments, &folder), arguments, folder, url, filer, master };
        store.until_started().await;
        store
    }

    /// Ends the process as `kill -9` does. What it wrote remains.
    pub fn kill(&mut self) {
        std::fs::write(self.folder.join("keep"), "").unwrap();
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }

    /// Starts the process again, with what it wrote, and waits until it answers.
    pub async fn restart(&mut self) {
        std::fs::remove_file(self.folder.join("keep")).unwrap();
        self.process = run(&self.arguments, &self.folder);
        self.until_started().await;
    }

    async fn until_started(&self) {
        let started = tokio::time::timeout(PATIENCE, self.until_healthy()).await;
        started.expect("SeaweedFS did not start in time: run scripts/needs.sh");
    }

    async fn until_healthy(&self) {
        let client = super::client();
        let healthz = format!("{}/healthz", self.url);
        while !client.get(&healthz).send().await.is_ok_and(|answer| answer.status().is_success()) {
            tokio::task::yield_now().await;
        }
    }

    /// Runs a script that uses the program.
    pub async fn run(&self, script: &Path) {
        let path = format!("{UNPACKED}:{}", std::env::var("PATH").unwrap());
        let mut command = tokio::process::Command::new(script);
        let output = command.arg(&self.master).env("PATH", path).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Returns the keys of all objects and of all unfinished multipart uploads in a bucket below `folder`. An empty one is the
    /// bucket.
    pub async fn keys(&self, bucket: &str, keys: &[String; 2], folder: &str) -> Vec<String> {
        let builder = AmazonS3Builder::new().with_access_key_id(&keys[0]).with_secret_access_key(&keys[1]);
        let builder = builder.with_endpoint(&self.url).with_allow_http(true).with_region("us-east-1");
        let client = builder.with_bucket_name(bucket).build().unwrap();
        let objects = client.list(Some(&folder.into())).map_ok(|object| object.location.to_string());
        let mut found: Vec<String> = objects.try_collect().await.unwrap();
        let unfinished = self.multiparts(bucket).await;
        found.extend(unfinished.into_iter().filter(|key| key.starts_with(folder)));
        found
    }

    /// The keys of the unfinished multipart uploads, which the store keeps in a folder of the bucket.
    async fn multiparts(&self, bucket: &str) -> Vec<String> {
        let folder = format!("{}/buckets/{bucket}/.uploads/?limit=1000", self.filer);
        let answer = super::client().get(folder).header("accept", "application/json").send().await.unwrap();
        if answer.status() == 404 {
            return Vec::new();
        }
        let found: Value = answer.json().await.unwrap();
        let entries = found["Entries"].as_array().into_iter().flatten();
        let keys = entries.map(|entry| BASE64_STANDARD.decode(entry["Extended"]["key"].as_str().unwrap()).unwrap());
        keys.map(|key| String::from_utf8(key).unwrap()).collect()
    }
}

/// Starts the program with a guard.
fn run(arguments: &[String], folder: &Path) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", GUARD, "guard"]).arg(folder).arg(program()).args(arguments);
    command.current_dir(folder).env("TMPDIR", folder).stdin(Stdio::piped()).spawn().unwrap()
}

/// Returns the program, unpacked by scripts/needs.sh or installed.
fn program() -> PathBuf {
    let unpacked = Path::new(UNPACKED).join("weed");
    if unpacked.exists() { unpacked } else { "weed".into() }
}
