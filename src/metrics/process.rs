//! Metrics of the process under the standard names, read from /proc at each scrape. Omitted if there is no /proc.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

/// Clock ticks per second in /proc (USER_HZ): 100 on every processor that Rust supports on Linux.
const TICKS: f64 = 100.0;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// Registers the process and the build.
pub fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Process));
    let build = Family::<Build, Gauge>::default();
    build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
    registry.register("pausa_build_info", "Always 1; the label has the version of Pausa", build);
}

#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if let Some(cpu) = cpu_seconds() {
            let cpu = ConstCounter::new(cpu);
            let help = "CPU time spent in user and system mode, in seconds.";
            cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)?;
        }
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory, in bytes.", memory("VmRSS:")),
            ("process_virtual_memory_bytes", "Virtual memory, in bytes.", memory("VmSize:")),
            ("process_open_fds", "Open file descriptors.", open_files()),
            ("process_max_fds", "Maximum number of open file descriptors.", max_files()),
            ("process_start_time_seconds", "Start of the process, in seconds since 1970-01-01 UTC.", start_time()),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
            }
        }
        Ok(())
    }
}

fn proc_file(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Returns a field of /proc/self/stat, counted from 1 as proc(5) does; those after the name of the program only.
fn stat(field: usize) -> Option<f64> {
    let text = proc_file("/proc/self/stat")?;
    // The name may contain spaces and parentheses.
    let (_, fields) = text.rsplit_once(") ")?;
    fields.split_ascii_whitespace().nth(field.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    Some((stat(14)? + stat(15)?) / TICKS)
}

fn start_time() -> Option<f64> {
    let text = proc_file("/proc/stat")?;
    let boot: f64 = text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + stat(22)? / TICKS)
}

/// Returns a line of /proc/self/status that is in KiB.
fn memory(name: &str) -> Option<f64> {
    let text = proc_file("/proc/self/status")?;
    let kibibytes: f64 =
        text.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn open_files() -> Option<f64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    // One of them is the open folder itself.
    Some(entries.count().saturating_sub(1) as f64)
}

fn max_files() -> Option<f64> {
    let text = proc_file("/proc/self/limits")?;
    let limits = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = limits.split_ascii_whitespace().next()?;
    if soft == "unlimited" { Some(f64::INFINITY) } else { soft.parse().ok() }
}
