//! Logs attempts: one line for each.

use super::DeliveryRecord;
use super::decision::AttemptDecision;
use crate::runner::Context;

/// Logs a line at the level of `$macro`.
macro_rules! line {
    ($macro:ident, $context:ident, $attempt:ident, $record:ident, $text:literal) => {
        tracing::$macro!(
            task = %$context.id(),
            kind = super::NAME,
            epoch = $context.epoch(),
            node = $context.node(),
            attempt = $attempt,
            status = $record.status,
            lateness_us = $record.late,
            duration_ms = duration($context, $record),
            error = $record.error,
            $text
        )
    };
}

/// Logs an attempt. `last`: no other follows.
pub(super) fn log_attempt(
    context: &Context,
    attempt: u32,
    record: &DeliveryRecord,
    decision: AttemptDecision,
    last: bool,
) {
    match decision {
        AttemptDecision::Succeeded => line!(info, context, attempt, record, "timer delivered"),
        AttemptDecision::Stopped => line!(info, context, attempt, record, "timer attempt stopped"),
        AttemptDecision::RetryAt(_) if !last => {
            line!(warn, context, attempt, record, "timer attempt failed; retrying")
        }
        AttemptDecision::RetryAt(_) | AttemptDecision::Fail(_) => {
            line!(warn, context, attempt, record, "timer failed")
        }
    }
}

fn duration(context: &Context, record: &DeliveryRecord) -> i64 {
    i64::try_from(record.at.duration_until(context.now()).as_millis()).unwrap_or(i64::MAX)
}
