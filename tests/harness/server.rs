//! The real program: starts it, sends requests, stops it and kills it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::watch::Watch;

/// The longest time that a story waits for anything. It is far longer than needed: a hang is a failure, a slow machine
/// is not.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A running server. Dropping it kills the process and removes its folder.
pub struct Server {
    child: Child,
    /// Base URL, such as `http://127.0.0.1:43211`.
    pub url: String,
    settings: Vec<(String, String)>,
    folder: TempDir,
    client: Client,
}

impl Server {
    /// Starts a server with a new folder and no other settings.
    pub async fn start() -> Server {
        Server::with(&[]).await
    }

    /// Starts a server with a new folder and these PAUSA_* variables.
    pub async fn with(settings: &[(&str, &str)]) -> Server {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Server::run(settings, tempfile::tempdir().unwrap()).await
    }

    /// Starts a node that shares a database and a folder of files with others.
    pub async fn sharing(database: &str, files: &TempDir, settings: &[(&str, &str)]) -> Server {
        let folder = format!("file://{}", files.path().display());
        let shared = [("PAUSA_DATABASE_URL", database), ("PAUSA_FILES_URL", &folder)];
        Server::with(&[&shared, settings].concat()).await
    }

    /// Starts a server as [`Server::with`] does. Also returns its log: everything it writes to stderr, a pipe, until it
    /// ends.
    pub async fn logging(settings: &[(&str, &str)]) -> (Server, JoinHandle<String>) {
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut child = command(&settings, folder.path()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut text = String::new();
            stderr.read_to_string(&mut text).await.unwrap();
            text
        });
        let url = address(&mut child).await;
        (Server { child, url, settings, folder, client: super::client() }, log)
    }

    /// Starts a server on an existing folder.
    pub async fn at(settings: &[(&str, &str)], folder: TempDir) -> Server {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Server::run(settings, folder).await
    }

    /// Returns a server that another process makes reachable at `url`, such as a proxy.
    pub fn reached_at(child: Child, url: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        Server { child, url: url.to_owned(), settings: Vec::new(), folder, client: super::client() }
    }

    async fn run(settings: Vec<(String, String)>, folder: TempDir) -> Server {
        let mut child = spawn(&settings, folder.path());
        let url = address(&mut child).await;
        Server { child, url, settings, folder, client: super::client() }
    }

    /// Ends the process as `kill -9` does. The folder remains until this is dropped.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts the process again on the same folder, after [`Server::kill`] or [`Server::terminate`].
    pub async fn restart(&mut self) {
        self.child = spawn(&self.settings, self.folder.path());
        self.url = address(&mut self.child).await;
    }

    /// Sends SIGTERM and returns the exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.exit_code().await
    }

    /// Waits until the process ends, and returns its exit code.
    pub async fn exit_code(&mut self) -> Option<i32> {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().code()
    }

    /// Sends a signal, such as STOP and CONT.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Returns the process ID.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Returns the peak memory of the process, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Returns the folder that contains all data of the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sends a GraphQL operation and returns the complete response.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let answer = self.client.post(format!("{}/graphql", self.url)).json(&body).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Returns the data of a GraphQL operation that must succeed.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].take()
    }

    /// Returns the only error of a GraphQL operation that must be refused.
    pub async fn refusal(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(query, variables).await;
        let refused = answer["errors"].as_array().is_some_and(|errors| errors.len() == 1);
        assert!(refused, "{query}: {answer}");
        answer["errors"][0].take()
    }

    /// Uploads a file and returns the upload's ID.
    pub async fn upload(&self, bytes: impl Into<Vec<u8>>) -> String {
        let sent = self.client.post(format!("{}/uploads", self.url)).body(bytes.into()).send().await.unwrap();
        assert_eq!(sent.status(), 201);
        let answer: Value = sent.json().await.unwrap();
        answer["id"].as_str().unwrap().to_owned()
    }

    /// Starts an import with the given source and `input`. Returns the task's ID.
    pub async fn import(&self, upload: &str, mut input: Value) -> String {
        input["source"] = json!({ "uploadId": upload });
        let query = "mutation($input: StartImportInput!) { startImport(input: $input) { id } }";
        let data = self.data(query, json!({ "input": input })).await;
        data["startImport"]["id"].as_str().unwrap().to_owned()
    }

    /// Starts an export and returns the task's ID.
    pub async fn export(&self, dataset: &str) -> String {
        let query = "mutation($input: StartExportInput!) { startExport(input: $input) { id } }";
        let data = self.data(query, json!({ "input": { "dataset": dataset } })).await;
        data["startExport"]["id"].as_str().unwrap().to_owned()
    }

    /// Starts a computation of pi and returns the task's ID.
    pub async fn pi(&self, digits: u32) -> String {
        let query = "mutation($input: StartPiJobInput!) { startPiJob(input: $input) { id } }";
        let data = self.data(query, json!({ "input": { "digits": digits } })).await;
        data["startPiJob"]["id"].as_str().unwrap().to_owned()
    }

    /// Starts a timer and returns the task's ID.
    pub async fn timer(&self, input: Value) -> String {
        let query = "mutation($input: StartTimerInput!) { startTimer(input: $input) { id } }";
        let data = self.data(query, json!({ "input": input })).await;
        data["startTimer"]["id"].as_str().unwrap().to_owned()
    }

    /// Sends `verb` (pause, resume, terminate) to a task and returns the complete response.
    pub async fn verb(&self, verb: &str, id: &str) -> Value {
        let query = format!("mutation($id: ID!) {{ {verb}(id: $id) {{ id state progress {{ done }} }} }}");
        self.ask(&query, json!({ "id": id })).await
    }

    /// Sends a verb and waits until the stop that it requests is confirmed. Returns the state.
    pub async fn control(&self, verb: &str, id: &str) -> String {
        let state = self.verb_state(verb, id).await;
        if !["PAUSING", "TERMINATING"].contains(&&*state) {
            return state;
        }
        let mut watch = Watch::progress(&self.url, id).await;
        let task = watch.until(|task| task["state"] != *state).await;
        task["state"].as_str().unwrap_or_default().to_owned()
    }

    /// Sends a verb and returns the state of the response: PAUSING or TERMINATING if the stop takes more than a second.
    pub async fn verb_state(&self, verb: &str, id: &str) -> String {
        let answer = self.verb(verb, id).await;
        let state = answer["data"][verb]["state"].as_str();
        state.unwrap_or_else(|| panic!("{verb}: {answer}")).to_owned()
    }

    /// Returns the task with its history.
    pub async fn task(&self, id: &str) -> Value {
        let query =
            "query($id: ID!) { task(id: $id) { id kind state label attempt progress { phase unit done total fraction }
            error { code message } result { name size contentType url sha256 } pausedAt pauseExpiresAt finishedAt
            history { from to at by reason } ... on ImportTask { dataset rowsImported } ... on TimerTask { url firesAt secondsLeft delivery
            deliveries { at latenessMs status error } } } }";
        self.data(query, json!({ "id": id })).await["task"].take()
    }

    /// Watches a task by subscription until it is in `state`, and returns it.
    pub async fn until(&self, id: &str, state: &str) -> Value {
        let mut watch = Watch::progress(&self.url, id).await;
        watch.until(|task| task["state"] == state).await
    }

    /// Watches a task by subscription until `done` reaches a number, and returns it.
    pub async fn until_done(&self, id: &str, done: u64) -> Value {
        let mut watch = Watch::progress(&self.url, id).await;
        watch.until(|task| task["progress"]["done"].as_u64().unwrap() >= done).await
    }

    /// Returns the number of rows in a dataset. None if the dataset does not exist.
    pub async fn rows(&self, dataset: &str) -> Option<u64> {
        let query = "query($name: String!) { dataset(name: $name) { rowCount } }";
        self.data(query, json!({ "name": dataset })).await["dataset"]["rowCount"].as_u64()
    }

    /// Exports a dataset and returns the file.
    pub async fn exported(&self, dataset: &str) -> Vec<u8> {
        let id = self.export(dataset).await;
        self.until(&id, "COMPLETED").await;
        self.get(&format!("/download/{id}")).await.bytes().await.unwrap().to_vec()
    }

    /// Sends a GET request.
    pub async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// Returns the HTTP client, for requests that have no function here.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Runs the program on a data folder until it exits. Returns its exit code and the output of stdout and stderr.
pub async fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pausa"));
    command
        .args(arguments)
        .env("PAUSA_LISTEN", "127.0.0.1:0")
        .env("PAUSA_DATA_DIR", folder)
        .env("PAUSA_LOG", "warn")
        .env_remove("PAUSA_BLESS")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.code(), String::from_utf8(said).unwrap())
}

fn spawn(settings: &[(String, String)], folder: &Path) -> Child {
    command(settings, folder).spawn().unwrap()
}

fn command(settings: &[(String, String)], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pausa"));
    command
        .env("PAUSA_LISTEN", "127.0.0.1:0")
        .env("PAUSA_DATA_DIR", folder)
        .env("PAUSA_LOG", "warn")
        .env_remove("PAUSA_BLESS")
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Reads the address that the server prints when it is ready.
async fn address(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(url) = line.trim().strip_prefix("API") {
                return url.trim().trim_end_matches("/graphql").to_owned();
            }
        }
        panic!("the server ended before it was ready");
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap()
}
