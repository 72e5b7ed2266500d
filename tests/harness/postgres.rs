//! A PostgreSQL server of its own for a test run, reached by a socket in its folder, and by a port of 127.0.0.1 where a story
//! needs one.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::proxy::{Proxy, Upstream};

/// Folder in which Debian and Ubuntu install the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The instance that the tests of this process share. It stops when no test uses it.
static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

/// A running server. Dropping it stops the server and removes its folder.
pub struct Postgres {
    folder: TempDir,
    /// Settings beside those that every server has, each as NAME=VALUE.
    settings: Vec<String>,
}

impl Postgres {
    /// Starts a server and returns when it accepts connections. It syncs to disk as in production.
    pub fn start() -> Self {
        Self::with(&[], |_| {})
    }

    /// Starts a server with additional settings, each as NAME=VALUE. `prepare` gets its folder of data before that.
    pub fn with(settings: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::Builder::new().prefix("pausa-postgres-").tempdir_in("/tmp").unwrap();
        if let Some((user, group)) = server_user() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let server = Self { folder, settings: settings.iter().map(|setting| (*setting).to_owned()).collect() };
        server.run("initdb", &["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"]);
        prepare(&server.folder.path().join("data"));
        server.serve();
        server
    }

    /// Starts the server again after [`Postgres::stop`].
    pub fn serve(&self) {
        let socket = self.folder.path().display();
        let mut settings = format!("-c listen_addresses='' -c unix_socket_directories={socket} -c max_connections=200");
        settings.extend(self.settings.iter().map(|setting| format!(" -c {setting}")));
        let log = format!("{socket}/log");
        self.run("pg_ctl", &["start", "--wait", "--silent", "--log", &log, "--options", &settings]);
    }

    /// Stops the server as a crash does, which loses all data not yet on disk, and starts it again.
    pub fn crash(&self) {
        self.stop();
        self.serve();
    }

    /// Stops the server as a crash does.
    pub fn stop(&self) {
        self.run("pg_ctl", &["stop", "--wait", "--silent", "--mode", "immediate"]);
    }

    /// Returns the server that other tests use at present, or a new one.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap();
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// Returns the URL of the database that every server has.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Returns the URL of a database.
    pub fn url_of(&self, database: &str) -> String {
        let socket = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@localhost/{database}?host={socket}")
    }

    /// Returns the folder of its socket.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns a proxy in front of the server, and the URL of a database through it.
    pub async fn proxy(&self, database: &str) -> (Proxy, String) {
        let proxy = Proxy::start(Upstream::Unix(self.folder.path().join(".s.PGSQL.5432"))).await;
        let url = format!("postgres://postgres@{}/{database}", proxy.address());
        (proxy, url)
    }

    /// Stops all its processes by SIGSTOP, or continues them by SIGCONT.
    pub fn signal(&self, signal: Signal) {
        let pid = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap();
        let server = pid.lines().next().unwrap().to_owned();
        for pid in std::iter::once(server.clone()).chain(children(&server)) {
            // A child may have ended meanwhile.
            let _ = kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), signal);
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(binaries().join(program));
        command.arg("--pgdata").arg(self.folder.path().join("data")).args(arguments);
        command.current_dir(self.folder.path()).stdout(std::process::Stdio::null());
        if let Some((user, group)) = server_user() {
            command.uid(user).gid(group);
        }
        assert!(command.status().unwrap().success(), "{program} failed in {}", self.folder.path().display());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A frozen server does not stop.
        self.signal(Signal::CONT);
        self.stop();
    }
}

/// Returns a free port of 127.0.0.1.
pub fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Returns the process IDs of a process's children.
fn children(parent: &str) -> Vec<String> {
    let folders = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_child = |pid: &String| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(parent))
    };
    folders.filter(|name| name.parse::<u32>().is_ok()).filter(is_child).collect()
}

/// Returns the folder with the programs of the newest version.
pub fn binaries() -> PathBuf {
    let versions = fs::read_dir(VERSIONS).expect("PostgreSQL is not installed: run scripts/needs.sh");
    let newest = versions.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok()).max();
    Path::new(VERSIONS).join(newest.expect("no version of PostgreSQL found").to_string()).join("bin")
}

/// Returns PostgreSQL's own user and group if the test runs as root, because PostgreSQL refuses to run as root.
pub fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find(|line| line.starts_with("postgres:")).expect("no user postgres");
    let mut ids = user.split(':').skip(2).map(|id| id.parse().unwrap());
    ids.next().zip(ids.next())
}
