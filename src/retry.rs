//! Retries: while a database is unavailable, and at the start.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Delay between two attempts.
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
        sleep(RETRY_DELAY).await;
    }
}

/// Repeats `attempt` for `time`, 250 ms after each failure that `passes`. Returns the last outcome. None if the first attempt did not end
/// in that time.
pub async fn retry_within<T, E, F>(
    time: Duration,
    mut attempt: impl FnMut() -> F,
    passes: impl Fn(&E) -> bool,
) -> Option<Result<T, E>>
where
    F: Future<Output = Result<T, E>>,
{
    let end = Instant::now() + time;
    let mut last = None;
    while let Ok(outcome) = timeout_at(end, attempt()).await {
        let over = match &outcome {
            Ok(_) => true,
            Err(error) => !passes(error) || Instant::now() + RETRY_DELAY >= end,
        };
        last = Some(outcome);
        if over {
            break;
        }
        sleep(RETRY_DELAY).await;
    }
    last
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};

    use super::*;

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn a_failure_that_passes_is_repeated_until_the_time_is_over() {
        let attempts = Cell::new(0);
        let attempt = || {
            attempts.set(attempts.get() + 1);
            ready(if attempts.get() == 2 { Ok(()) } else { Err(attempts.get()) })
        };
        assert_eq!(retry_within(LONG, attempt, |_| true).await, Some(Ok(())));
        assert_eq!(retry_within(LONG, attempt, |_| false).await, Some(Err(3)));
        assert_eq!(retry_within(SHORT, attempt, |_| true).await, Some(Err(4)));
        assert_eq!(retry_within(SHORT, pending::<Result<(), ()>>, |()| true).await, None);
    }
}
