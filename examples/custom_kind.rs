//! Adds a kind of task: it counts prime numbers, and can be paused, resumed and terminated like any other.
//!
//! `cargo run --example custom_kind`, then in the playground that it prints:
//!
//! ```graphql
//! mutation { startCustom(input: { name: "primes", spec: { below: 20000000 } }) { id } }
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use pausa::app::App;
use pausa::clock::Clock;
use pausa::config::Config;
use pausa::runner::{BadInput, Context, Failure, Kind, Report, StopReason, TaskPlan};
use pausa::task::{ResultFile, Unit};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// Numbers that are tested between two checkpoints: a few milliseconds of work.
const STEP: u64 = 20_000;

/// PrimesSpec: the user's JSON, stored with the task.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct PrimesSpec {
    below: u64,
}

/// PrimesCursor: a run resumes here after a pause, a crash or on another machine.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct PrimesCursor {
    tested: u64,
    primes: u64,
}

struct Primes;

#[async_trait]
impl Kind for Primes {
    fn name(&self) -> &'static str {
        "primes"
    }

    fn plan(&self, spec: &serde_json::Value) -> Result<TaskPlan, BadInput> {
        let spec = PrimesSpec::deserialize(spec).map_err(|error| BadInput::new("spec", error.to_string()))?;
        if spec.below > 1_000_000_000 {
            let text = format!("below must be at most 1000000000, got {}", spec.below);
            return Err(BadInput::new("spec.below", text));
        }
        Ok(TaskPlan {
            unit: Unit::Terms,
            total: Some(spec.below),
            unique_key: None,
            upload: None,
            concurrency_key: None,
        })
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, StopReason> {
        let spec: PrimesSpec = context.spec()?;
        let mut cursor: PrimesCursor = context.cursor()?.unwrap_or_default();
        while cursor.tested < spec.below {
            let from = cursor.tested;
            let to = (from + STEP).min(spec.below);
            let found = context.compute(move || (from..to).filter(|n| is_prime(*n)).count()).await?;
            cursor = PrimesCursor { tested: to, primes: cursor.primes + found as u64 };
            // Stores the cursor, notifies subscribers, and returns an error if a pause or termination was requested.
            context.checkpoint(&cursor, Report { phase: "counting", done: to, total: Some(spec.below) }).await?;
        }
        Ok(None)
    }

    async fn rollback(&self, _context: &Context) -> Result<(), Failure> {
        Ok(())
    }
}

fn is_prime(n: u64) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::load(None, std::env::vars(), &[])?;
    let listener = TcpListener::bind(config.listen).await?;
    println!("playground  http://{}/graphiql", listener.local_addr()?);
    let app = App::start(config, vec![Arc::new(Primes)], Clock::system()).await?;
    let ended = async {
        // If signals are not available, the server runs until it is killed.
        let _ = tokio::signal::ctrl_c().await;
    };
    app.serve(listener, ended).await?;
    Ok(())
}
