//! Retries while a database is unavailable.

use std::time::Duration;

/// Delay between two attempts while a database is unavailable.
pub const RETRY_DELAY: Duration = Duration::from_millis(250);
/// Repeats `attempt` until it succeeds, 250 ms after each failure. `log` gets each error.
pub async fn until_available<T, E, F>(mut attempt: impl FnMut() -> F, log: impl Fn(&E)) -> T
where
    F: Future<Output = Result<T, E>>,
{
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => log(&error),
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}
