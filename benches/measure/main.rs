//! Measures Pausa through its API, next to public tools on the same data.
//!
//! `cargo bench --bench measure -- NAME…` runs the measurements with these names, or all of them. Each figure is that of the real
//! program in a release build. Other tools are measured in alternation with it.

#[path = "../../tests/harness/mod.rs"]
#[expect(dead_code, reason = "the stories use more of the harness than the measurements")]
mod harness;

mod calls;
mod clients;
mod controls;
mod downloads;
mod exports;
mod figures;
mod imports;
mod load;
mod nodes;
mod peers;
mod pi;
mod s3;
mod timers;

use std::process::ExitCode;

/// Names of the measurements.
const NAMES: [&str; 24] = [
    "calls",
    "subscribers",
    "queries",
    "imports-sqlite",
    "imports-postgres",
    "exports-sqlite",
    "exports-postgres",
    "downloads",
    "s3",
    "pi",
    "pi-controls",
    "pi-large",
    "timers-sqlite",
    "timers-batches-sqlite",
    "timers-batches-postgres",
    "timers-waiting",
    "timers-postgres",
    "timers-peers",
    "nodes-pauses",
    "nodes-progress",
    "nodes-takeover",
    "nodes-timers",
    "nodes-pi",
    "nodes-finished",
];

#[tokio::main]
async fn main() -> ExitCode {
    let mut names: Vec<_> = std::env::args().skip(1).filter(|name| name != "--bench").collect();
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        eprintln!("Unknown measurement: {unknown}. Known ones: {}.", NAMES.join(", "));
        return ExitCode::FAILURE;
    }
    if names.is_empty() {
        names = NAMES.map(str::to_owned).to_vec();
    }
    println!("{}", figures::machine());
    for name in names {
        println!("\n== {name}");
        match name.as_str() {
            "calls" => calls::measure().await,
            "subscribers" => clients::subscribers().await,
            "queries" => clients::queries().await,
            "imports-sqlite" => imports::sqlite().await,
            "imports-postgres" => imports::postgres().await,
            "exports-sqlite" => exports::sqlite().await,
            "exports-postgres" => exports::postgres().await,
            "downloads" => downloads::measure().await,
            "s3" => s3::measure().await,
            "pi" => pi::measure().await,
            "pi-controls" => pi::controls().await,
            "pi-large" => pi::large().await,
            "timers-sqlite" => timers::sqlite().await,
            "timers-batches-sqlite" => timers::batches_sqlite().await,
            "timers-batches-postgres" => timers::batches_postgres().await,
            "timers-waiting" => timers::many().await,
            "timers-postgres" => timers::postgres().await,
            "nodes-pauses" => nodes::pauses().await,
            "nodes-progress" => nodes::progress().await,
            "nodes-takeover" => nodes::takeover().await,
            "nodes-timers" => nodes::timers().await,
            "nodes-pi" => nodes::pi().await,
            "nodes-finished" => nodes::finished().await,
            _ => peers::measure().await,
        }
    }
    ExitCode::SUCCESS
}
