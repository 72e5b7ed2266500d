//! An S3 server of its own for a test run, and a bucket for each test. See `s3_server.py`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use serde::Deserialize;
use serde_json::{Value, json};

/// Access key of the server, and its secret.
pub const KEYS: (&str, &str) = ("test-key", "test-secret-hunter2");

/// The instance that the tests of this process share. It stops when no test uses it.
static SHARED: Mutex<Weak<S3>> = Mutex::new(Weak::new());

/// A running server. Dropping it stops the process.
pub struct S3 {
    process: Child,
    /// Address of the server, such as `http://127.0.0.1:43211`.
    pub url: String,
}

impl S3 {
    /// Starts a server. It ends when this process ends.
    pub fn start() -> S3 {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/s3-server/bin/python");
        let mut command = Command::new(&python);
        command.arg(root.join("tests/harness/s3_server.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = command.stderr(Stdio::null()).env("S3_KEY", KEYS.0).env("S3_SECRET", KEYS.1).spawn();
        let mut process = started.unwrap_or_else(|error| panic!("{}: {error}: run scripts/needs.sh", python.display()));
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        assert!(!port.is_empty(), "the S3 server did not start: run scripts/needs.sh");
        S3 { process, url: format!("http://127.0.0.1:{}", port.trim()) }
    }

    /// Returns the server that other tests use at present, or a new one.
    pub fn shared() -> Arc<S3> {
        let mut shared = SHARED.lock().unwrap();
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(S3::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A bucket of its own.
pub struct Bucket {
    server: Arc<S3>,
    /// Name of the bucket.
    pub name: String,
}

/// Fault of the server in place of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Answers 500 InternalError.
    Failing,
    /// Answers 503 SlowDown.
    SlowDown,
    /// Answers 507: no space left.
    Full,
    /// Answers nothing.
    Hang,
    /// Does what it is asked, and cuts the connection instead of answering.
    LoseAnswer,
}

/// A request for an object of a bucket.
#[derive(Clone, Debug, Deserialize)]
pub struct LoggedRequest {
    pub method: String,
    pub key: String,
    /// Header Range, or nothing.
    pub range: String,
    /// Query of the URL, or nothing.
    pub query: String,
}

impl LoggedRequest {
    /// Returns the first byte of the range.
    pub fn first_byte(&self) -> Option<usize> {
        self.range.strip_prefix("bytes=")?.split_once('-')?.0.parse().ok()
    }

    /// Returns the number of the part that the request sends to a multipart upload.
    pub fn part_number(&self) -> Option<u32> {
        let number = self.query.split('&').find_map(|pair| pair.strip_prefix("partNumber="));
        number.filter(|_| self.method == "PUT").map(|number| number.parse().unwrap())
    }
}

impl Bucket {
    /// Creates a bucket on the shared server.
    pub async fn create() -> Bucket {
        let server = S3::shared();
        let bucket = Bucket { server, name: format!("pausa-{}", super::task_id()) };
        bucket.control(reqwest::Method::PUT, "_bucket", Value::Null).await;
        bucket
    }

    /// Returns the variables of a node that keeps its files in this bucket.
    pub fn settings(&self) -> Vec<(String, String)> {
        let pairs = [
            ("PAUSA_FILES_URL", format!("s3://{}/some/prefix", self.name)),
            ("AWS_ENDPOINT_URL", self.server.url.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", KEYS.0.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", KEYS.1.to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// Makes the server do this to every request for this bucket.
    pub async fn break_all(&self, fault: Fault) {
        self.break_some(fault, json!({})).await;
    }

    /// Makes the server do this to the requests that `only` selects: `method`, a part of the `key`, at most `times`.
    pub async fn break_some(&self, fault: Fault, mut only: Value) {
        only["kind"] = match fault {
            Fault::Failing => json!("500"),
            Fault::SlowDown => json!("slow_down"),
            Fault::Full => json!("full"),
            Fault::Hang => json!("hang"),
            Fault::LoseAnswer => json!("lose_answer"),
        };
        self.control(reqwest::Method::PUT, "_faults", only).await;
    }

    /// Ends all faults of this bucket.
    pub async fn mend(&self) {
        self.control(reqwest::Method::DELETE, "_faults", Value::Null).await;
    }

    /// Returns the keys of all objects.
    pub async fn keys(&self) -> Vec<String> {
        let state = self.control(reqwest::Method::GET, "_state", Value::Null).await;
        let keys = state["keys"].as_array().unwrap().iter();
        keys.map(|key| key.as_str().unwrap().to_owned()).collect()
    }

    /// Returns the number of objects and of unfinished multipart uploads.
    pub async fn objects(&self) -> usize {
        let state = self.control(reqwest::Method::GET, "_state", Value::Null).await;
        state["keys"].as_array().unwrap().len() + usize::try_from(state["multiparts"].as_u64().unwrap()).unwrap()
    }

    /// Returns how many requests with this method came so far. `GET part`: for kept parts of a result.
    pub async fn requests(&self, method: &str) -> u64 {
        let state = self.control(reqwest::Method::GET, "_state", Value::Null).await;
        state["requests"][method].as_u64().unwrap_or(0)
    }

    /// Returns all requests so far, also those that met a fault.
    pub async fn log(&self) -> Vec<LoggedRequest> {
        serde_json::from_value(self.control(reqwest::Method::GET, "_log", Value::Null).await).unwrap()
    }

    async fn control(&self, method: reqwest::Method, verb: &str, body: Value) -> Value {
        let url = format!("{}/{verb}/{}", self.server.url, self.name);
        let answer = super::client().request(method, url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{verb}: {}", answer.status());
        answer.json().await.unwrap()
    }
}

#[tokio::test]
async fn the_server_refuses_strangers_and_breaks_on_demand() {
    let bucket = Bucket::create().await;
    let settings = bucket.settings();
    let url = format!("{}/{}/key", settings[1].1, bucket.name);
    let get = || super::client().get(&url).timeout(std::time::Duration::from_secs(1)).send();
    assert_eq!(get().await.unwrap().status(), 403);
    for (fault, status) in [(Fault::Failing, 500), (Fault::SlowDown, 503), (Fault::Full, 507), (Fault::LoseAnswer, 403)]
    {
        bucket.break_all(fault).await;
        assert_eq!(get().await.unwrap().status(), status, "{fault:?}");
    }
    bucket.break_all(Fault::Hang).await;
    assert!(get().await.unwrap_err().is_timeout());
    bucket.break_some(Fault::Failing, json!({ "method": "GET", "key": "ke", "times": 1 })).await;
    assert_eq!(
        (get().await.unwrap().status(), get().await.unwrap().status()),
        (500.try_into().unwrap(), 403.try_into().unwrap())
    );
    bucket.mend().await;
    assert_eq!(get().await.unwrap().status(), 403);
    assert_eq!((bucket.objects().await, bucket.keys().await.len(), bucket.requests("GET").await), (0, 0, 9));
    super::client().get(&url).header("range", "bytes=7-").send().await.unwrap();
    let log = bucket.log().await;
    let last = log.last().unwrap();
    assert_eq!((log.len(), &*last.method, &*last.key, last.first_byte()), (10, "GET", "key", Some(7)));
}
