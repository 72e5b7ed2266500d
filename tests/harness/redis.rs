//! A server of Redis or Valkey for one test: its own port and folder, with or without a password.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::PATIENCE;

/// Arguments of a server that keeps nothing on disk.
const PLAIN: [&str; 4] = ["--save", "", "--requirepass", "open-sesame"];

/// A server that is killed when it is dropped.
pub struct Redis {
    /// Name of the program.
    program: &'static str,
    port: u16,
    arguments: Vec<String>,
    encrypted: bool,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Redis {
    /// Starts a server.
    pub async fn start() -> Redis {
        Redis::with(&PLAIN.map(str::to_owned)).await
    }

    /// Starts a server of Valkey.
    pub async fn valkey() -> Redis {
        Redis::valkey_with(&PLAIN.map(str::to_owned)).await
    }

    /// Starts a server of Valkey with these arguments. The first may be a file of settings.
    pub async fn valkey_with(arguments: &[String]) -> Redis {
        Redis::run("valkey-server", arguments, false).await
    }

    /// Starts a server with these arguments. The first may be a file of settings.
    pub async fn with(arguments: &[String]) -> Redis {
        Redis::run("redis-server", arguments, false).await
    }

    /// Starts a server with these arguments that uses TLS only.
    pub async fn encrypted(arguments: &[String]) -> Redis {
        Redis::run("redis-server", arguments, true).await
    }

    async fn run(program: &'static str, arguments: &[String], encrypted: bool) -> Redis {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let mut redis = Redis { program, port, arguments: arguments.to_vec(), encrypted, folder, process: None };
        redis.restart().await;
        redis
    }

    /// Returns the address, such as `127.0.0.1:43211`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
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
        let (program, libraries) = unpacked(self.program);
        let process = Command::new(program)
            .env("LD_LIBRARY_PATH", libraries)
            .args(&self.arguments)
            .args(if self.encrypted {
                ["--port", "0", "--tls-port", &port]
            } else {
                ["--port", &port, "--tls-port", "0"]
            })
            .args(["--bind", "127.0.0.1", "--dir"])
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}: run scripts/needs.sh", self.program));
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
        self.try_command(command).await.unwrap()
    }

    /// The same for a server that may close the connection, as one that becomes a replica.
    async fn try_command(&self, command: &str) -> std::io::Result<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let lines = format!("AUTH open-sesame\r\n{command}\r\n");
        connection.write_all(lines.as_bytes()).await?;
        // The server answers what it has read, and closes. A sentinel knows no QUIT.
        connection.shutdown().await?;
        let mut answers = String::new();
        tokio::time::timeout(PATIENCE, connection.read_to_string(&mut answers)).await.unwrap()?;
        Ok(answers.strip_prefix("+OK\r\n").unwrap_or_else(|| panic!("{answers}")).to_owned())
    }

    /// Runs the command again and again until the answer contains `expected`.
    pub async fn until(&self, command: &str, expected: &str) {
        let answered = async {
            while !self.try_command(command).await.is_ok_and(|answer| answer.contains(expected)) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let answer = tokio::time::timeout(PATIENCE, answered).await;
        answer.unwrap_or_else(|_| panic!("{command} does not answer {expected}"));
    }

    /// Waits until that many clients have sent this command last.
    pub async fn until_clients(&self, command: &str, clients: usize) {
        let sent = async {
            while self.command("CLIENT LIST").await.matches(&format!(" cmd={command} ")).count() < clients {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, sent).await.unwrap_or_else(|_| panic!("no {clients} clients sent {command}"));
    }

    /// Waits until that many nodes hear the channel of their store here.
    pub async fn until_heard_by(&self, nodes: usize) {
        let heard = async {
            loop {
                let channels = self.command("PUBSUB CHANNELS pausa:*").await;
                if let Some(name) = channels.lines().nth(2) {
                    let subscribers = self.command(&format!("PUBSUB NUMSUB {name}")).await;
                    if subscribers.ends_with(&format!(":{nodes}\r\n")) {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("the nodes do not listen at this server");
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

/// Returns the program of that name, unpacked by scripts/needs.sh or installed, and the folder of its libraries.
fn unpacked(name: &str) -> (PathBuf, PathBuf) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name.trim_end_matches("-server"));
    let program = folder.join(name);
    (if program.exists() { program } else { PathBuf::from(name) }, folder)
}
