//! Common part of the loops that delete old data: sleeps until the next deletion.

use std::time::Duration;

use jiff::Timestamp;

use super::Runner;
use crate::database::log_failure;
use crate::store;

/// Maximum sleep: the clock may be set meanwhile.
pub(super) const MAX_SLEEP: Duration = Duration::from_secs(3600);

/// Minimum sleep: another node may be deleting the same.
const MIN_SLEEP: Duration = Duration::from_millis(100);

/// Delay after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// Sleeps until the next object is `age` old, or the node shuts down. `outcome` is that of the last deletion: since when the
/// next object has been there, if there is one.
pub(super) async fn sleep_until_next(
    runner: &Runner,
    age: Duration,
    what: &str,
    outcome: Result<Option<Timestamp>, store::Error>,
) {
    let clock = &runner.0.clock;
    let sleep = async {
        match outcome {
            Ok(since) => {
                let next = since.unwrap_or(clock.now()).checked_add(age);
                tokio::time::sleep(MIN_SLEEP).await;
                tokio::select! {
                    () = clock.sleep_until(next.unwrap_or(Timestamp::MAX)) => {}
                    () = tokio::time::sleep(MAX_SLEEP) => {}
                }
            }
            Err(error) => {
                log_failure!(error, %error, "could not delete {what}; retrying");
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    tokio::select! {
        () = sleep => {}
        () = runner.0.ending.cancelled() => {}
    }
}

/// Returns the moment `time` before `now`.
pub(super) fn before(now: Timestamp, time: Duration) -> Timestamp {
    now.checked_sub(time).unwrap_or(Timestamp::MIN)
}
