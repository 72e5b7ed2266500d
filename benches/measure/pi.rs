//! Digits of pi, from the call of startPiJob to COMPLETED, zip included, beside mpmath on GMP computing the decimal text.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::figures::{Pair, memory, timed};
use crate::harness::server::Server;

/// Digits, and rounds of each.
const SIZES: [(u32, usize); 3] = [(100_000, 9), (1_000_000, 7), (10_000_000, 3)];

/// Computes anew, says how long that took, and nothing of the start of Python.
const PEER: &str = "import sys, time, mpmath
sys.set_int_max_str_digits(0)
assert mpmath.libmp.BACKEND.startswith('gmpy')
digits, begin = int(sys.argv[1]), time.perf_counter()
mpmath.mp.dps = digits + 5
assert len(mpmath.nstr(+mpmath.pi, digits + 1, strip_zeros=False)) == digits + 2
print(time.perf_counter() - begin)";

pub async fn measure() {
    let python = mpmath();
    let server = Server::start().await;
    for (digits, rounds) in SIZES {
        let pair = Pair::measure(
            rounds,
            || peer(&python, digits),
            async || {
                let work = async {
                    let id = server.pi(digits).await;
                    server.until(&id, "COMPLETED").await;
                };
                timed(work).await
            },
        );
        pair.await.print(&format!("{digits} digits of pi"), "mpmath", digits as usize, "digits/s");
        println!("  peak memory of the server: {:.0} MB", memory(server.pid(), "VmHWM"));
    }
}

/// A Python with mpmath and gmpy2: the system's, or one that is made in target/.
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
