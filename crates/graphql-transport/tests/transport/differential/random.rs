//! Pseudo-random numbers that are the same in each run (SplitMix64), and the place of the one fault of a case.

/// Faults that a generated request may have. Each is at one place only, so each rule must find it alone.
pub const FAULTS: [&str; 46] = [
    "field: unknown",
    "field: of another type",
    "field: a leaf with selections",
    "field: an object without selections",
    "field: empty selections",
    "field: the key of another field",
    "argument: unknown",
    "argument: missing",
    "argument: twice",
    "argument: none in parentheses",
    "value: null",
    "value: another kind",
    "value: an unknown member of an enum",
    "value: a member of an enum as a string",
    "value: a string as a member of an enum",
    "value: a whole number that is too large",
    "value: a fraction",
    "input: an unknown field",
    "input: a missing field",
    "input: a field twice",
    "input: another number of fields than one",
    "variable: not defined",
    "variable: not used",
    "variable: defined twice",
    "variable: of another type",
    "variable: nullable",
    "variable: of an output type",
    "variable: of an unknown type",
    "variable: a wrong default",
    "variable: a default with a variable",
    "variable: no value",
    "variable: null",
    "variable: a wrong value",
    "fragment: unknown",
    "fragment: not used",
    "fragment: twice",
    "fragment: in a circle",
    "fragment: on a leaf",
    "fragment: on an unknown type",
    "fragment: on a type that never applies",
    "directive: unknown",
    "directive: twice",
    "directive: misplaced",
    "operation: the name of another",
    "operation: unknown name",
    "operation: unnamed beside others",
];

/// A source of pseudo-random numbers.
pub struct Random(u64);

impl Random {
    /// Creates the source of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    /// Returns true in so many of a hundred cases.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Returns one of the items.
    pub fn one<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// The place of the fault: its kind, and how many places of that kind come before it.
#[derive(Clone, Copy, Default)]
pub struct Fault {
    chosen: Option<(&'static str, usize)>,
    /// Places of the chosen kind so far.
    pub places: usize,
    /// True once the fault was made.
    pub made: bool,
}

impl Fault {
    /// Chooses the place of a kind with this index.
    pub fn at(kind: &'static str, index: usize) -> Self {
        Self { chosen: Some((kind, index)), places: 0, made: false }
    }

    /// Returns true if the fault is to be made at this place.
    pub fn here(&mut self, kind: &str) -> bool {
        let Some((chosen, index)) = self.chosen.filter(|(chosen, _)| *chosen == kind) else {
            debug_assert!(FAULTS.contains(&kind), "{kind}");
            return false;
        };
        debug_assert_eq!(chosen, kind);
        let here = self.places == index;
        self.places += 1;
        self.made |= here;
        here
    }
}
