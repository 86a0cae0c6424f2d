//! Random: choices for tests that can be made again, from a seed that is printed.

use core::ops::Range;

/// A stream of choices.
pub(crate) struct Random(u64);

impl Random {
    /// The stream of `seed`, or of the environment's `TENURE_TEST_SEED` where there is one. Prints which, for the
    /// record of a failure.
    pub(crate) fn new(seed: u64) -> Self {
        let seed = std::env::var("TENURE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
        std::println!("TENURE_TEST_SEED={seed}");
        Self(seed)
    }

    /// Any number: splitmix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of `range`.
    pub(crate) fn within(&mut self, range: Range<usize>) -> usize {
        range.start + (self.next() % range.len() as u64) as usize
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.within(0..times) == 0
    }
}
