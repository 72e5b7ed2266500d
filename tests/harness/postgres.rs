//! A PostgreSQL server of its own for a test run, reached by a socket in its folder.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;

/// Folder in which Debian and Ubuntu install the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The instance that the tests of this process share. It stops when no test uses it.
static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

/// A running server. Dropping it stops the server and removes its folder.
pub struct Postgres {
    folder: TempDir,
}

impl Postgres {
    /// Starts a server and returns when it accepts connections. It syncs to disk as in production.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pausa-postgres-").tempdir_in("/tmp").unwrap();
        if let Some((user, group)) = server_user() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let server = Self { folder };
        server.run("initdb", &["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"]);
        server.serve();
        server
    }

    /// Starts the server again after [`Postgres::stop`].
    pub fn serve(&self) {
        let socket = self.folder.path().display();
        let settings = format!("-c listen_addresses='' -c unix_socket_directories={socket} -c max_connections=200");
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
        self.stop();
    }
}

/// Returns the folder with the programs of the newest version.
fn binaries() -> PathBuf {
    let versions = fs::read_dir(VERSIONS).expect("PostgreSQL is not installed: run scripts/needs.sh");
    let newest = versions.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok()).max();
    Path::new(VERSIONS).join(newest.expect("no version of PostgreSQL found").to_string()).join("bin")
}

/// Returns PostgreSQL's own user and group if the test runs as root, because PostgreSQL refuses to run as root.
fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find(|line| line.starts_with("postgres:")).expect("no user postgres");
    let mut ids = user.split(':').skip(2).map(|id| id.parse().unwrap());
    ids.next().zip(ids.next())
}
