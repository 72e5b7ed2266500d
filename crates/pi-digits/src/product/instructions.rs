//! The processor's instructions: the loops are compiled for each instruction set, and the best set that the processor
//! supports is selected at run time. All sets give the same numbers.

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use fearless_simd::{Avx2, Level, Simd};

use super::field::{Arithmetic, Fused, Wrapping};

/// A set of instructions.
#[derive(Clone, Copy, Debug)]
pub enum Instructions {
    /// The instructions that every processor of the target supports.
    Baseline,
    /// The vectors and fused operations of x86-64-v3: Intel since Haswell, AMD since Zen.
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    Avx2(Avx2),
}

impl Instructions {
    /// Returns the best set that this processor supports, or the one that a test selects.
    #[inline]
    pub fn current() -> Instructions {
        #[cfg(any(test, fuzzing))]
        if forced::BASELINE.get() {
            return Instructions::Baseline;
        }
        Instructions::detected()
    }

    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    fn detected() -> Instructions {
        Level::new().as_avx2().map_or(Instructions::Baseline, Instructions::Avx2)
    }

    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    fn detected() -> Instructions {
        Instructions::Baseline
    }

    /// Returns the words of the shorter factor from which a transform is faster than num-bigint.
    pub fn shortest(self) -> usize {
        match self {
            Instructions::Baseline if cfg!(not(target_feature = "neon")) => 800,
            _ => 150,
        }
    }
}

/// Evaluates an expression with the [`Cpu`] of some [`Instructions`]; it is compiled once for each set.
macro_rules! with_cpu {
    ($instructions:expr, $cpu:ident => $work:expr) => {
        match $instructions {
            Instructions::Baseline => {
                let $cpu = Baseline;
                $work
            }
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Instructions::Avx2($cpu) => $work,
        }
    };
}
pub(super) use with_cpu;

/// A set of instructions that loops are compiled for.
pub trait Cpu: Copy + Send + Sync {
    /// The fastest arithmetic in these instructions.
    type Arithmetic: Arithmetic;

    /// Runs a loop that is inlined here and compiled for these instructions.
    fn run<R>(self, work: impl FnOnce() -> R) -> R;
}

/// See [`Instructions::Baseline`].
#[derive(Clone, Copy, Debug)]
pub struct Baseline;

impl Cpu for Baseline {
    #[cfg(any(target_feature = "neon", target_feature = "fma"))]
    type Arithmetic = Fused;
    #[cfg(not(any(target_feature = "neon", target_feature = "fma")))]
    type Arithmetic = Wrapping;

    #[inline(always)]
    fn run<R>(self, work: impl FnOnce() -> R) -> R {
        work()
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
impl Cpu for Avx2 {
    type Arithmetic = Fused;

    #[inline(always)]
    fn run<R>(self, work: impl FnOnce() -> R) -> R {
        self.vectorize(work)
    }
}

/// The selection of a test, for the threads of its own pool.
#[cfg(any(test, fuzzing))]
pub mod forced {
    use std::cell::Cell;
    use std::sync::LazyLock;

    use rayon::{ThreadPool, ThreadPoolBuilder};

    thread_local! {
        /// True if this thread uses only the baseline instructions.
        pub static BASELINE: Cell<bool> = const { Cell::new(false) };
    }

    static POOLS: LazyLock<[ThreadPool; 2]> = LazyLock::new(|| {
        [false, true].map(|baseline| {
            let threads = ThreadPoolBuilder::new().num_threads(2);
            threads.start_handler(move |_| BASELINE.set(baseline)).build().unwrap()
        })
    });

    /// Runs the work once with the processor's best instructions, and once with the baseline.
    ///
    /// # Panics
    /// If the work panics.
    pub fn each(work: impl Fn() + Sync) {
        for pool in POOLS.iter() {
            pool.install(&work);
        }
    }
}
