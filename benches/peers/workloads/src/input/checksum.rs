//! A checksum of a workload's results.

use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};

/// A hash without a random key: equal input gives an equal value in every process.
pub struct Checksum(FxHasher);

impl Checksum {
    pub fn new() -> Self {
        Self(FxHasher::default())
    }

    /// Adds a result. The order of additions counts.
    pub fn add(&mut self, result: impl Hash) {
        result.hash(&mut self.0);
    }

    pub fn value(&self) -> u64 {
        self.0.finish()
    }
}

/// The checksum of a single result. Threads' results are made one by a sum of these, in which their order does not
/// count.
pub fn checksum_of(result: impl Hash) -> u64 {
    let mut checksum = Checksum::new();
    checksum.add(result);
    checksum.value()
}
