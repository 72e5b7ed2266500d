//! Formats and prints measurements.

use std::fs;
use std::time::Duration;

use pausa::clock::Clock;

/// Describes the machine in one line.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("machine: {cores} cores, {}", model.trim_start_matches(['\t', ' ', ':']))
}

/// Returns how long `work` takes.
pub async fn timed(work: impl Future) -> Duration {
    let begin = Clock::monotonic();
    work.await;
    begin.elapsed()
}

/// Times of two programs that do the same, in alternation.
pub struct Pair {
    theirs: Vec<Duration>,
    ours: Vec<Duration>,
}

impl Pair {
    /// Measures `rounds` rounds, after one that warms the caches.
    pub async fn measure<F: Future<Output = Duration>>(
        rounds: usize,
        mut peer: impl FnMut() -> Duration,
        mut own: impl FnMut() -> F,
    ) -> Pair {
        let mut pair = Pair { theirs: Vec::new(), ours: Vec::new() };
        for round in 0..=rounds {
            let (their, our) = (peer(), own().await);
            if round > 0 {
                pair.theirs.push(their);
                pair.ours.push(our);
            }
        }
        pair
    }

    /// Prints the medians of the times and of the rounds' ratios: how many times as fast Pausa is. Returns the medians of the times,
    /// first that of the other program.
    pub fn print(mut self, what: &str, peer: &str, count: usize, unit: &str) -> [Duration; 2] {
        let ratio = |(their, own): (&Duration, &Duration)| their.as_secs_f64() / own.as_secs_f64();
        let mut ratios: Vec<_> = self.theirs.iter().zip(&self.ours).map(ratio).collect();
        println!("  {peer} over Pausa in each round: {ratios:.2?}");
        let (their, own) = (percentile(&mut self.theirs, 0.5), percentile(&mut self.ours, 0.5));
        let (speed, ratio) = (count as f64 / own.as_secs_f64(), percentile(&mut ratios, 0.5));
        println!("{what}: {peer} {}, Pausa {} ({speed:.0} {unit}), {ratio:.2} times as fast", ms(their), ms(own));
        [their, own]
    }
}

/// Prints the median, the 99th percentile and the maximum.
pub fn spread(what: &str, mut times: Vec<Duration>) {
    let [median, p99, worst] = [0.5, 0.99, 1.0].map(|share| ms(percentile(&mut times, share)));
    println!("{what} ({} times): median {median}, p99 {p99}, worst {worst}", times.len());
}

/// Returns the percentile `share` (0 to 1).
pub fn percentile<T: PartialOrd + Copy>(all: &mut [T], share: f64) -> T {
    all.sort_unstable_by(|one, other| one.partial_cmp(other).unwrap());
    all[((all.len() - 1) as f64 * share).ceil() as usize]
}

/// Returns a line of /proc/PID/status in megabytes: `VmRSS` is the current memory, `VmHWM` the peak.
pub fn memory(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// Makes `VmHWM` of a process begin again at its current memory.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// Returns the CPU time of processes in seconds.
pub fn cpu(pids: &[u32]) -> f64 {
    let used = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<_> = fields.split_whitespace().collect();
        // User and system time are fields 14 and 15 of the line: 11 and 12 after the name.
        fields[11..=12].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum::<f64>()
    };
    pids.iter().map(used).sum()
}

/// Formats a time in milliseconds.
pub fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
