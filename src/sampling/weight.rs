//! Weight: how many blocks a sample stands for.

/// A number of blocks, at least one, in units of 1/65,536 of a block: whole numbers, so that what is added when a block
/// comes can be taken off to the last bit when it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Weight(u64);

/// Units to a block.
pub(crate) const UNITS: u64 = 1 << 16;

impl Weight {
    /// What a sampled block of `size` bytes stands for, where sample points are `rate` bytes apart on average: one over
    /// the likelihood that one lies in such a block.
    pub(crate) fn of(size: usize, rate: u64) -> Self {
        if rate <= 1 {
            return Self(UNITS);
        }
        let likelihood = -libm::expm1(-(size.max(1) as f64) / rate as f64);
        Self((UNITS as f64 / likelihood) as u64)
    }

    pub(super) const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// In units of 1/65,536 of a block.
    pub(super) fn units(self) -> u64 {
        self.0
    }

    /// Bytes that as many blocks of `size` bytes have.
    pub(super) fn bytes(self, size: usize) -> u64 {
        let bytes = u128::from(self.0) * size as u128 / u128::from(UNITS);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_small_block_stands_for_as_many_as_lie_between_samples_and_a_large_one_for_itself() {
        let rate = 512 * 1024;
        let small = Weight::of(8, rate);
        assert!((small.units() as f64 / UNITS as f64 - 65_536.5).abs() < 0.01, "{small:?}");
        assert!(small.bytes(8).abs_diff(rate + 4) <= 1);
        let large = Weight::of(64 << 20, rate);
        assert_eq!((large.units(), large.bytes(64 << 20)), (UNITS, 64 << 20));
        assert_eq!(Weight::of(8, 1).bytes(8), 8);
    }

    #[test]
    fn the_largest_block_and_the_longest_gap_do_not_overflow() {
        assert!(Weight::of(8, 1 << 40).units() > 1 << 52);
        assert_eq!(Weight::of(8, 1 << 40).bytes(1 << 46), u64::MAX);
    }
}
