//! Pseudo-random numbers, computed inline: a table of them would take cache from the allocators, and
//! a short one would be learnt by the branch predictor.

use super::block::Bytes;
use std::ops::RangeInclusive;

/// Marsaglia's xorshift64. Every generator starts alike, so both contenders see the same requests.
///
/// Invariant: the state is never zero.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    #[inline]
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    /// A number in `0..bound`, by multiplication: a division would cost more than a block.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(bound)) >> 32) as u32
    }

    /// A size out of `sizes`.
    #[inline]
    pub fn bytes(&mut self, sizes: RangeInclusive<u32>) -> Bytes {
        let (first, last) = sizes.into_inner();
        Bytes::new(first + self.below(last - first + 1))
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (2..=items.len()).rev() {
            items.swap(end - 1, self.below(end as u32) as usize);
        }
    }
}
