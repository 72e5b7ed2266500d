//! A download of a gigabyte, in alternation with nginx and the same file.
//!
//! curl reads both over loopback, with the file in memory. nginx comes from PATH or /usr/sbin. If there is none, Debian's package is
//! downloaded and unpacked into target/, so that the system does not change.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::figures::{cpu, memory, percentile};
use crate::harness::server::Server;
use crate::imports::import;

/// Number of rows, of about a kilobyte each.
const ROWS: usize = 1 << 20;

/// Number of rounds, after one that warms the caches.
const ROUNDS: usize = 15;

/// Server that is stopped at the end.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM ends the workers too. SIGKILL would leave them.
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }
}

pub async fn measure() {
    let program = nginx().expect("nginx is missing: apt-get install -y --no-install-recommends nginx-light");
    let server = Server::start().await;
    let id = large_result(&server).await;
    let folder = tempfile::tempdir_in(server.folder()).unwrap();
    fs::hard_link(server.folder().join("files/results").join(&id), folder.path().join("large.csv")).unwrap();
    let (peer, nginx) = serve(&program, folder.path());
    let (ours, theirs) = (format!("{}/download/{id}", server.url), format!("{peer}/large.csv"));
    let (held, used) = (memory(server.pid(), "VmHWM"), (cpu(&[server.pid()]), cpu(&workers(&nginx))));
    let speeds: Vec<(f64, f64)> = (0..=ROUNDS).map(|_| (read(&theirs), read(&ours))).skip(1).collect();
    let grown = memory(server.pid(), "VmHWM") - held;
    let sent = (ROUNDS + 1) as f64;
    let cost = (cpu(&[server.pid()]) - used.0, cpu(&workers(&nginx)) - used.1);
    let median = |of: fn(&(f64, f64)) -> f64| percentile(&mut speeds.iter().map(of).collect::<Vec<_>>(), 0.5);
    let (peer, own, ratio) = (median(|pair| pair.0), median(|pair| pair.1), median(|pair| pair.1 / pair.0));
    println!("download of 1 GB, {ROUNDS} rounds in turn: nginx {peer:.0} MB/s, Pausa {own:.0} MB/s");
    println!("  ratio of the medians {:.2}, median of the rounds' ratios {ratio:.2}", own / peer);
    println!("  seconds of CPU for each GB: nginx {:.3}, Pausa {:.3}", cost.1 / sent, cost.0 / sent);
    println!("  peak memory of Pausa grew by {grown:.1} MB while it sent {sent} GB");
}

/// Exports a dataset of a gigabyte. Returns the task ID.
pub async fn large_result(server: &Server) -> String {
    let rows = (0..ROWS / 1024).map(|part| {
        let row = |n: usize| format!("{},{}\r\n", part * 1024 + n, "x".repeat(1010));
        Ok::<_, std::io::Error>((0..1024).map(row).collect::<String>())
    });
    let header = std::iter::once(Ok("n,text\r\n".to_owned()));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(header.chain(rows)));
    let sent = server.client().post(format!("{}/uploads", server.url)).body(body).send().await.unwrap();
    let upload: Value = sent.json().await.unwrap();
    import(server, upload["id"].as_str().unwrap(), "large").await;
    let id = server.export("large").await;
    server.until(&id, "COMPLETED").await;
    id
}

/// Returns the path of nginx: that of the system, or from Debian's package.
fn nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nginx");
    let unpacked = folder.join("root/usr/sbin/nginx");
    let places = std::env::split_paths(&path).map(|place| place.join("nginx"));
    let found = places.chain(["/usr/sbin/nginx".into(), unpacked.clone()]).find(|place| place.is_file());
    found.or_else(|| {
        fs::create_dir_all(&folder).ok()?;
        let fetch =
            "apt-get download -q nginx nginx-common && for package in *.deb; do dpkg-deb -x $package root; done";
        let fetched =
            Command::new("sh").args(["-c", fetch]).current_dir(&folder).stdout(Stdio::null()).status().ok()?;
        (fetched.success() && unpacked.is_file()).then_some(unpacked)
    })
}

/// Starts nginx on a free port, with Debian's default settings for files. Returns its address.
fn serve(program: &Path, folder: &Path) -> (String, Nginx) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String = temporary.iter().map(|name| format!("{name}_temp_path {place}/{name};\n")).collect();
    let settings = format!(
        "daemon off; user root; worker_processes auto; pid {place}/pid; error_log {place}/log;
         events {{ worker_connections 768; }}
         http {{ access_log off; sendfile on; tcp_nopush on; types {{}} default_type application/octet-stream;
           {temporary} server {{ listen {address}; root {place}; }} }}"
    );
    fs::write(folder.join("settings"), settings).unwrap();
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.join("settings")).arg("-e").arg(folder.join("log")).stderr(Stdio::null());
    let nginx = Nginx(command.spawn().unwrap());
    while TcpStream::connect(address).is_err() {
        std::thread::yield_now();
    }
    (format!("http://{address}"), nginx)
}

/// Returns the speed at which curl reads the file, in megabytes per second.
fn read(url: &str) -> f64 {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--fail",
        "--output",
        "/dev/null",
        "--write-out",
        "%{size_download} %{speed_download}",
        url,
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "curl {url}");
    let output = String::from_utf8(output.stdout).unwrap();
    let (size, speed) = output.split_once(' ').unwrap();
    assert!(size.parse::<f64>().unwrap() > 1e9, "{url}: {size} bytes");
    speed.parse::<f64>().unwrap() / 1e6
}

/// Returns the worker processes of nginx.
fn workers(nginx: &Nginx) -> Vec<u32> {
    let pid = nginx.0.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
