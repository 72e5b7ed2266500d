//! Threads on which a run computes: one for each core, at low priority. Each run has its own pool, so that the system shares
//! the cores fairly, and no thread is left when the run has ended.

use std::sync::OnceLock;

/// Nice value of computing threads, as in nice(2).
const NICE: i32 = 10;

/// The computing threads of a run, started at first use. They end when this is dropped.
#[derive(Default)]
pub struct ComputePool(OnceLock<Option<rayon::ThreadPool>>);

impl ComputePool {
    /// Runs `work` on a computing thread. Calls of rayon inside it use all of them.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        match self.0.get_or_init(build_pool) {
            Some(pool) => pool.spawn(work),
            None => rayon::spawn(work),
        }
    }
}

fn build_pool() -> Option<rayon::ThreadPool> {
    let builder = rayon::ThreadPoolBuilder::new().thread_name(|n| format!("compute-{n}"));
    let pool = builder.start_handler(|_| lower_priority()).build();
    let log =
        |error: &_| tracing::warn!(%error, "could not start threads of low priority; computing on the shared pool");
    pool.inspect_err(log).ok()
}

/// Keeps the API fast while every core computes. A failure costs only that.
fn lower_priority() {
    let thread = Some(rustix::thread::gettid());
    if let Err(error) = rustix::process::setpriority_process(thread, NICE) {
        tracing::debug!(%error, "could not lower the priority of a computing thread");
    }
}
