//! A Redis server for one test: its own port and folder, with or without a password.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::PATIENCE;

/// A server that is killed when it is dropped.
pub struct Redis {
    port: u16,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Redis {
    /// Starts a server.
    pub async fn start() -> Redis {
        Redis::with(&["--save", "", "--requirepass", "open-sesame"].map(str::to_owned)).await
    }

    /// Starts a server with these arguments. The first may be a file of settings.
    pub async fn with(arguments: &[String]) -> Redis {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let mut redis = Redis { port, arguments: arguments.to_vec(), folder, process: None };
        redis.restart().await;
        redis
    }

    /// Returns the address, such as `127.0.0.1:43211`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the URL, with the password.
    pub fn url(&self) -> String {
        format!("redis://:open-sesame@{}/0", self.address())
    }

    /// Kills the server as SIGKILL does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts the server again, on the same port, and waits until it accepts connections.
    pub async fn restart(&mut self) {
        self.kill();
        let (port, folder) = (self.port.to_string(), self.folder.path());
        let (program, libraries) = program();
        let process = Command::new(program)
            .env("LD_LIBRARY_PATH", libraries)
            .args(&self.arguments)
            .args(["--port", &port, "--bind", "127.0.0.1", "--dir"])
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is missing: run scripts/needs.sh");
        self.process = Some(process);
        let up = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, up).await.expect("Redis did not start in time");
    }

    /// Stops the server so that its connections stay open and nothing is answered.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Continues a server that was stopped.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Runs a command. Returns the answer as the protocol has it.
    pub async fn command(&self, command: &str) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let lines = format!("AUTH open-sesame\r\n{command}\r\nQUIT\r\n");
        connection.write_all(lines.as_bytes()).await.unwrap();
        let mut answers = String::new();
        tokio::time::timeout(PATIENCE, connection.read_to_string(&mut answers)).await.unwrap().unwrap();
        let answer = answers.strip_prefix("+OK\r\n").and_then(|rest| rest.strip_suffix("+OK\r\n"));
        answer.unwrap_or_else(|| panic!("{answers}")).to_owned()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.process.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.thaw();
        }
        self.kill();
    }
}

/// Returns the program, unpacked by scripts/needs.sh or installed, and the folder of its libraries.
fn program() -> (PathBuf, PathBuf) {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/redis");
    let program = unpacked.join("redis-server");
    (if program.exists() { program } else { PathBuf::from("redis-server") }, unpacked)
}
