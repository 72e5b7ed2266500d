//! SeaweedFS, the S3 store of docker-compose.yml, with the arguments that it has there.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ObjectMeta, ObjectStore};
use serde_json::Value;
use tokio::process::{Child, Command};

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

/// A running store. Dropping it kills the process and removes its folder.
pub struct SeaweedFs {
    _process: Child,
    _folder: tempfile::TempDir,
    /// Address for S3, such as `http://127.0.0.1:43211`.
    pub url: String,
    filer: String,
    master: String,
}

impl SeaweedFs {
    /// Starts a store with these arguments, and waits until it answers.
    pub async fn start(arguments: &[String]) -> SeaweedFs {
        let folder = tempfile::tempdir().unwrap();
        let ports = PORTS.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = ports.map(|listener| listener.local_addr().unwrap().port());
        let mut command = Command::new(program());
        command.args(arguments).arg(format!("-dir={}", folder.path().display())).current_dir(folder.path());
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1"]).env("TMPDIR", folder.path());
        command.args(PORTS.iter().zip(ports).map(|(name, port)| format!("-{name}={port}")));
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
        let process = process.expect("weed is missing: run scripts/needs.sh");
        let [url, filer] = [ports[0], ports[2]].map(|port| format!("http://127.0.0.1:{port}"));
        // The port for HTTP and that for gRPC.
        let master = format!("127.0.0.1:{}.{}", ports[4], ports[5]);
        let store = SeaweedFs { _process: process, _folder: folder, url, filer, master };
        tokio::time::timeout(PATIENCE, store.until_healthy()).await.expect("SeaweedFS did not start in time");
        store
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
        let output = Command::new(script).arg(&self.master).env("PATH", path).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Returns the keys of all objects in a bucket, and of what unfinished multipart uploads left.
    pub async fn keys(&self, bucket: &str, access: &str, secret: &str) -> Vec<String> {
        let mut keys: Vec<_> = self.client(bucket, access, secret).list(None).map_ok(key).try_collect().await.unwrap();
        let uploads = format!("{}/buckets/{bucket}/.uploads/?limit=100", self.filer);
        let answer = super::client().get(uploads).header("accept", "application/json").send().await.unwrap();
        if answer.status() != 404 {
            let found: Value = answer.json().await.unwrap();
            let entries = found["Entries"].as_array().into_iter().flatten();
            keys.extend(entries.map(|entry| entry["FullPath"].as_str().unwrap().to_owned()));
        }
        keys
    }

    fn client(&self, bucket: &str, access: &str, secret: &str) -> AmazonS3 {
        let keys = AmazonS3Builder::new().with_access_key_id(access).with_secret_access_key(secret);
        let builder = keys.with_endpoint(&self.url).with_allow_http(true).with_region("us-east-1");
        builder.with_bucket_name(bucket).build().unwrap()
    }
}

fn key(object: ObjectMeta) -> String {
    object.location.to_string()
}

/// Returns the program, unpacked by scripts/needs.sh or installed.
fn program() -> std::path::PathBuf {
    let unpacked = Path::new(UNPACKED).join("weed");
    if unpacked.exists() { unpacked } else { "weed".into() }
}
