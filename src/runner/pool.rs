//! The threads on which a run computes: as many as the machine has cores, and last in line for them. Each run has its own,
//! so that the system shares the cores out fairly, and none is left when the run has ended.

use std::sync::OnceLock;

/// How far computing steps back for everything else, on the scale of nice(2).
const NICE: i32 = 10;

/// The computing threads of a run, started when first used. They end when this is dropped.
#[derive(Default)]
pub struct Pool(OnceLock<Option<rayon::ThreadPool>>);

impl Pool {
    /// Runs `work` on a computing thread; rayon's own calls inside it use all of them.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        match self.0.get_or_init(build) {
            Some(pool) => pool.spawn(work),
            None => rayon::spawn(work),
        }
    }
}

fn build() -> Option<rayon::ThreadPool> {
    let pool =
        rayon::ThreadPoolBuilder::new().thread_name(|n| format!("compute-{n}")).start_handler(|_| step_back()).build();
    pool.inspect_err(
        |error| tracing::warn!(%error, "could not start threads of low priority; computing on the shared pool"),
    )
    .ok()
}

/// The API must stay quick while every core computes. Failing to step back costs promptness only.
fn step_back() {
    let thread = Some(rustix::thread::gettid());
    if let Err(error) = rustix::process::setpriority_process(thread, NICE) {
        tracing::debug!(%error, "could not lower the priority of a computing thread");
    }
}
