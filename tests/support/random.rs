//! Random numbers from a seed that is printed, so that a failed run can be repeated.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the environment variable that holds the seed of a run to be repeated.
const SEED: &str = "TENURE_TEST_SEED";

/// The seed of this run: from the environment, or new. Prints it.
pub fn seed() -> u64 {
    let seed = match env::var(SEED) {
        Ok(text) => text.parse().expect("the seed is a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64,
    };
    println!("{SEED}={seed}");
    seed
}

/// SplitMix64: every seed is good, and neighbouring seeds have nothing in common.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A number from `low` to `high`, both powers of two: each doubling is as likely as any other.
    pub fn log_uniform(&mut self, low: usize, high: usize) -> usize {
        let doubling = low << self.below((high / low).ilog2() as usize);
        doubling + self.below(doubling) + 1
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}
