//! Digits of pi, from the call of startPiJob to COMPLETED, zip included.

use crate::figures::{spread, timed};
use crate::harness::server::Server;

/// Rounds of each size.
const ROUNDS: usize = 5;

pub async fn measure() {
    let server = Server::start().await;
    for digits in [100_000, 1_000_000] {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let work = async {
                let id = server.pi(digits).await;
                server.until(&id, "COMPLETED").await;
            };
            times.push(timed(work).await);
        }
        spread(&format!("{digits} digits of pi"), times);
    }
}
