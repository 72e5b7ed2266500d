//! The log line of a delivery: the only one that a timer writes by itself.

use super::Delivered;
use super::verdict::Verdict;
use crate::runner::Context;

/// Writes a line at the level of `$macro`.
macro_rules! line {
    ($macro:ident, $context:ident, $attempt:ident, $delivered:ident, $text:literal) => {
        tracing::$macro!(
            task = %$context.id(),
            kind = super::NAME,
            epoch = $context.epoch(),
            node = $context.node(),
            attempt = $attempt,
            status = $delivered.status,
            lateness_us = $delivered.late,
            duration_ms = duration($context, $delivered),
            error = $delivered.error,
            $text
        )
    };
}

/// Logs what became of an attempt. `last` says that no other follows.
pub(super) fn delivery(context: &Context, attempt: u32, delivered: &Delivered, verdict: Verdict, last: bool) {
    match verdict {
        Verdict::Delivered => line!(info, context, attempt, delivered, "timer delivered"),
        Verdict::Stop => line!(info, context, attempt, delivered, "timer attempt stopped"),
        Verdict::Again(_) if !last => line!(warn, context, attempt, delivered, "timer attempt failed; retrying"),
        Verdict::Again(_) | Verdict::Final(_) => line!(warn, context, attempt, delivered, "timer failed"),
    }
}

fn duration(context: &Context, delivered: &Delivered) -> i64 {
    i64::try_from(delivered.at.duration_until(context.now()).as_millis()).unwrap_or(i64::MAX)
}
