#![doc = include_str!("../README.md")]

#[cfg(any(test, fuzzing))]
pub mod checks;
mod chudnovsky;
mod decimal;
mod divide;
mod pi;
pub mod product;
mod record;
mod root;
#[cfg(test)]
mod tests;
mod work;

pub use chudnovsky::{Series, Triple};
pub use pi::{InverseRoot, PiValue};
pub use work::{ValueName, StackValue, PiPlan, PlanStep, StepKind};

/// Asked within multiplications, from every thread at work, and told how much work was done since: words of transforms, once
/// for each level. True ends the computation with [`Stopped`] within milliseconds. It is called often, so it should cost no
/// more than an addition to an atomic.
pub type StopCheck<'a> = &'a (dyn Fn(u64) -> bool + Sync);

/// The computation was left because its [`StopCheck`] said so. Nothing of the step remains; it can be done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the computation of pi was stopped before this step was done")
    }
}

impl std::error::Error for Stopped {}

/// Why text was not written to its end.
#[derive(Debug)]
pub enum WriteError {
    /// The [`StopCheck`] said so; what was written is a prefix of the text.
    Stopped,
    /// The writer refused.
    Io(std::io::Error),
    /// The digits to spare do not settle the last one wanted.
    Unsettled,
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped => Stopped.fmt(f),
            Self::Io(error) => write!(f, "the digits of pi could not be written: {error}"),
            Self::Unsettled => f.write_str("the digits to spare do not settle the last one wanted"),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Stopped | Self::Unsettled => None,
            Self::Io(error) => Some(error),
        }
    }
}

impl From<Stopped> for WriteError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<std::io::Error> for WriteError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// `Err(Stopped)` once `stop` says so.
fn check_stop(stop: StopCheck<'_>) -> Result<(), Stopped> {
    report_work(0, stop)
}

/// Tells of work; `Err(Stopped)` once `stop` says so.
fn report_work(work: u64, stop: StopCheck<'_>) -> Result<(), Stopped> {
    if stop(work) { Err(Stopped) } else { Ok(()) }
}

/// Both results of two computations that may run side by side, or the first stop.
fn join_both<A: Send, B: Send>(
    left: impl FnOnce() -> Result<A, Stopped> + Send,
    right: impl FnOnce() -> Result<B, Stopped> + Send,
) -> Result<(A, B), Stopped> {
    let (left, right) = rayon::join(left, right);
    Ok((left?, right?))
}
