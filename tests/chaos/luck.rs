//! Luck that can be had again: `CHAOS_SEED=N` repeats the choices of a run that printed N.

/// A generator of choices (SplitMix64).
pub struct Luck(u64);

impl Luck {
    /// A new seed, or the one that is asked for; it is printed.
    pub fn new() -> Luck {
        let asked = std::env::var("CHAOS_SEED").ok().map(|seed| seed.parse().expect("CHAOS_SEED is a number"));
        let seed = asked.unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0));
        println!("CHAOS_SEED={seed}");
        Luck(seed)
    }

    /// A number from `low` to `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        low + (mixed ^ (mixed >> 31)) % (high - low + 1)
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.between(1, times) == 1
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let last = u64::try_from(of.len()).unwrap() - 1;
        of[usize::try_from(self.between(0, last)).unwrap()]
    }

    /// A generator of its own for a client beside others.
    pub fn split(&mut self) -> Luck {
        Luck(self.between(0, u64::MAX - 1))
    }
}
