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
pub use work::{PiPlan, PlanStep, StackValue, StepKind, ValueName};

/// Callback that counts work and decides if a computation stops.
///
/// Each computing thread calls it within multiplications with the work done since its last call. Work is counted in words of
/// transforms, once per level. If it returns true, the computation ends with [`Stopped`] within milliseconds. It is called
/// often, so it should cost no more than an addition to an atomic.
pub type StopCheck<'a> = &'a (dyn Fn(u64) -> bool + Sync);

/// The computation was stopped by its [`StopCheck`]. The step has no result and can be run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the computation of pi was stopped")
    }
}

impl std::error::Error for Stopped {}

/// Reason for which the text is incomplete.
#[derive(Debug)]
pub enum WriteError {
    /// Stopped by the [`StopCheck`]. What was written is a prefix of the text.
    Stopped,
    /// The writer failed.
    Io(std::io::Error),
    /// The additional digits do not settle the last requested digit. Repeat the computation with [`Series::wider`].
    Unsettled,
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped => Stopped.fmt(f),
            Self::Io(error) => write!(f, "could not write the digits of pi: {error}"),
            Self::Unsettled => f.write_str("the additional digits do not settle the last requested digit"),
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

/// Returns `Err(Stopped)` if `stop` returns true.
fn check_stop(stop: StopCheck<'_>) -> Result<(), Stopped> {
    report_work(0, stop)
}

/// Reports work. Returns `Err(Stopped)` if `stop` returns true.
fn report_work(work: u64, stop: StopCheck<'_>) -> Result<(), Stopped> {
    if stop(work) { Err(Stopped) } else { Ok(()) }
}

/// Runs two computations, in parallel if a thread is free. Returns both results, or `Stopped`.
fn join_both<A: Send, B: Send>(
    left: impl FnOnce() -> Result<A, Stopped> + Send,
    right: impl FnOnce() -> Result<B, Stopped> + Send,
) -> Result<(A, B), Stopped> {
    let (left, right) = rayon::join(left, right);
    Ok((left?, right?))
}
