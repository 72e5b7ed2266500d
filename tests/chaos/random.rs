//! Random choices that can be repeated: `CHAOS_SEED=N` repeats those of a run that printed N.

/// Random number generator (SplitMix64).
pub struct Random(u64);

impl Random {
    /// A generator with a new seed, or that of CHAOS_SEED. Prints the seed.
    pub fn new() -> Random {
        let asked = std::env::var("CHAOS_SEED").ok().map(|seed| seed.parse().expect("CHAOS_SEED is a number"));
        let seed = asked.unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0));
        println!("CHAOS_SEED={seed}");
        Random(seed)
    }

    /// Returns a number from `low` to `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        low + (mixed ^ (mixed >> 31)) % (high - low + 1)
    }

    /// Returns true with a probability of 1 in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.between(1, times) == 1
    }

    /// Returns one of the choices.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let last = u64::try_from(of.len()).unwrap() - 1;
        of[usize::try_from(self.between(0, last)).unwrap()]
    }

    /// Returns an independent generator, for a concurrent client.
    pub fn split(&mut self) -> Random {
        Random(self.between(0, u64::MAX - 1))
    }
}
