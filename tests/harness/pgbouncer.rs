//! PgBouncer in front of a PostgreSQL server of the tests.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::postgres::{Postgres, free_address, server_user};

/// A running PgBouncer. Dropping it ends the process.
pub struct PgBouncer {
    address: SocketAddr,
    _child: Child,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts one in that pool mode, with additional lines of its configuration. Returns when it accepts connections.
    pub async fn start(postgres: &Postgres, mode: &str, lines: &str) -> PgBouncer {
        let folder = tempfile::Builder::new().prefix("pausa-pgbouncer-").tempdir_in("/tmp").unwrap();
        let address = free_address();
        let (host, port) = (postgres.socket_folder().display().to_string(), address.port());
        let configuration = format!(
            "[databases]\n* = host={host} user=postgres\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\n\
             unix_socket_dir=\nauth_type=any\npool_mode={mode}\ndefault_pool_size=40\n{lines}\n"
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, configuration).unwrap();
        let (program, libraries) = program();
        let mut command = Command::new(program);
        command.arg("--quiet").arg(&file).env("LD_LIBRARY_PATH", libraries).stderr(Stdio::null()).kill_on_drop(true);
        if let Some((user, group)) = server_user() {
            for path in [folder.path(), &file] {
                chown(path, Some(user), Some(group)).unwrap();
            }
            command.uid(user).gid(group);
        }
        let child = command.spawn().unwrap();
        let listening = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(super::server::PATIENCE, listening).await.expect("PgBouncer does not listen");
        PgBouncer { address, _child: child, _folder: folder }
    }

    /// Returns the URL of a database through it.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address)
    }
}

/// Returns the program, installed or unpacked by scripts/needs.sh, and the folder of its libraries.
fn program() -> (PathBuf, PathBuf) {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pgbouncer");
    let programs = [unpacked.join("pgbouncer"), PathBuf::from("/usr/sbin/pgbouncer")];
    let program = programs.into_iter().find(|path| path.exists());
    (program.expect("PgBouncer is not installed: run scripts/needs.sh"), unpacked)
}
