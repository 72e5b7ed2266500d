//! Digits of pi, from the call of startPiJob to COMPLETED, with the zip, next to mpmath on GMP, which computes the decimal text.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use pausa::clock::Clock;
use serde_json::json;

use crate::controls::{pauses, terminations};
use crate::figures::{Pair, cpu, memory, ms, percentile, timed};
use crate::harness::server::Server;
use crate::harness::watch::Watch;

/// Numbers of digits, and rounds of each.
const SIZES: [(u32, usize); 4] = [(10_000, 21), (100_000, 11), (1_000_000, 9), (10_000_000, 5)];

/// Number of digits that is computed once.
const LARGE: u32 = 100_000_000;

/// Number of digits of the computations that are stopped, and number of stops.
const STOPPED: u32 = 10_000_000;
const STOPS: usize = 60;

/// Time during which a paused task must use no CPU.
const STILL: Duration = Duration::from_millis(300);

/// Measures a computation without the start of Python.
const PEER: &str = "import sys, time, mpmath
sys.set_int_max_str_digits(0)
assert mpmath.libmp.BACKEND.startswith('gmpy')
digits, begin = int(sys.argv[1]), time.perf_counter()
mpmath.mp.dps = digits + 5
assert len(mpmath.nstr(+mpmath.pi, digits + 1, strip_zeros=False)) == digits + 2
print(time.perf_counter() - begin)";

/// Measures each size, in alternation with mpmath.
pub async fn measure() {
    let python = mpmath();
    let server = Server::start().await;
    let mut medians = Vec::new();
    for (digits, rounds) in SIZES {
        let pair = Pair::measure(rounds, || peer(&python, digits), async || timed(compute(&server, digits)).await);
        let pair = pair.await.print(&format!("{digits} digits of pi"), "mpmath", digits as usize, "digits/s");
        println!("  peak memory of the server: {:.0} MB", memory(server.pid(), "VmHWM"));
        medians.push((digits, pair));
    }
    plot(&medians);
}

/// Measures a size that takes a minute or more, once, on its own server.
pub async fn large() {
    let server = Server::start().await;
    let own = timed(compute(&server, LARGE)).await;
    println!("{LARGE} digits of pi: Pausa {}", ms(own));
    println!("  peak memory of the server: {:.0} MB", memory(server.pid(), "VmHWM"));
    let their = peer(&mpmath(), LARGE);
    println!("  mpmath {}, {:.2} times as fast", ms(their), their.as_secs_f64() / own.as_secs_f64());
    plot(&[(LARGE, [their, own])]);
}

/// Measures progress, pause and termination.
pub async fn controls() {
    let server = Server::start().await;
    for digits in [1_000_000, 10_000_000] {
        progress_error(&server, digits).await;
    }
    cpu_while_paused(&server).await;
    pauses(&server, "computation of pi", STOPS, async |_| server.pi(STOPPED).await).await;
    for share in [100, 2] {
        let done = u64::from(STOPPED / share);
        terminations(&server, "computation of pi", done, STOPS / 4, async || server.pi(STOPPED).await).await;
    }
}

async fn compute(server: &Server, digits: u32) {
    let id = server.pi(digits).await;
    server.until(&id, "COMPLETED").await;
}

/// Measures the error of the fraction against the share of the time, and that of the estimate after a tenth is done.
async fn progress_error(server: &Server, digits: u32) {
    let query = "subscription($id: ID!) { taskProgress(id: $id) { state progress { fraction etaSeconds } } }";
    let id = server.pi(digits).await;
    let begin = Clock::monotonic();
    let mut watch = Watch::open(&server.url, "taskProgress", query, json!({ "id": id })).await;
    let mut seen = Vec::new();
    while let Some(task) = watch.next().await {
        let progress = &task["progress"];
        seen.push((begin.elapsed().as_secs_f64(), progress["fraction"].as_f64(), progress["etaSeconds"].as_f64()));
    }
    let whole = seen.last().unwrap().0;
    let off = seen.iter().filter_map(|(at, fraction, _)| Some(((*fraction)? - at / whole).abs()));
    let mut off: Vec<_> = off.collect();
    let estimates = seen.iter().filter(|(at, fraction, _)| fraction.is_some_and(|it| it > 0.1) && *at < whole * 0.95);
    let mut wrong: Vec<_> = estimates.filter_map(|(at, _, eta)| Some(((*eta)? / (whole - at) - 1.0).abs())).collect();
    println!("{digits} digits of pi: {} events in {whole:.2} s", seen.len());
    println!("  fraction off the share of the time by at most {:.3}", percentile(&mut off, 1.0));
    if !wrong.is_empty() {
        let [median, worst] = [0.5, 1.0].map(|share| 100.0 * percentile(&mut wrong, share));
        println!("  estimate of what is left off by {median:.0} % in the middle, {worst:.0} % at worst");
    }
}

/// Measures the CPU time of a server after a computation is PAUSED.
async fn cpu_while_paused(server: &Server) {
    let id = server.pi(STOPPED).await;
    server.until_done(&id, u64::from(STOPPED / 4)).await;
    assert_eq!(server.control("pause", &id).await, "PAUSED");
    let before = cpu(&[server.pid()]);
    tokio::time::sleep(STILL).await;
    println!("{} of CPU used in {} after PAUSED", cpu(&[server.pid()]) - before, ms(STILL));
    server.control("terminate", &id).await;
}

/// Prints the times as points for the plot in docs/benchmarks.md, in powers of ten, and their growth: over `n (log2 n)^3`.
fn plot(medians: &[(u32, [Duration; 2])]) {
    let log = |which: usize| medians.iter().map(move |(_, times)| format!("{:.2}", times[which].as_secs_f64().log10()));
    for (which, name) in ["mpmath", "Pausa"].into_iter().enumerate() {
        println!("log10 of the seconds, {name}: [{}]", log(which).collect::<Vec<_>>().join(", "));
    }
    for (digits, [_, own]) in medians {
        let n = f64::from(*digits);
        println!("{digits} digits: {:.4} ns / (n (log2 n)^3)", own.as_secs_f64() * 1e9 / (n * n.log2().powi(3)));
    }
}

/// Returns a Python with mpmath and gmpy2: that of the system, or a virtual environment in target/.
fn mpmath() -> PathBuf {
    let has = |python: &Path| {
        let mut command = Command::new(python);
        command.args(["-c", "import mpmath, gmpy2"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let (system, folder) = (PathBuf::from("python3"), Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mpmath"));
    let own = folder.join("bin/python3");
    if has(&system) {
        return system;
    }
    if !has(&own) {
        let made = Command::new(&system).args(["-m", "venv"]).arg(&folder).status().unwrap().success();
        let pip = ["-m", "pip", "install", "--quiet", "mpmath", "gmpy2"];
        assert!(made && Command::new(&own).args(pip).status().unwrap().success(), "pip install mpmath gmpy2");
    }
    own
}

fn peer(python: &Path, digits: u32) -> Duration {
    let output = Command::new(python).args(["-c", PEER]).arg(digits.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Duration::from_secs_f64(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
}
