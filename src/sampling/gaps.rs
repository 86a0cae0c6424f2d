//! Gaps: how much is allocated from one sample to the next, at random.
//!
//! Sample points lie in the sequence of all allocated bytes as a Poisson process lays them: a gap does not know how
//! long the one before it was, nor how much of itself is over. So the bytes of one size class alone are met by such a
//! process, too, and each class may count its own gaps; and a gap may be drawn anew at any time.

use super::mix;
use crate::sync::Cell;

/// A gap that does not end while a process lives.
const NEVER: u64 = u64::MAX;

/// A thread's source of gaps. Touched by one thread at a time.
pub(crate) struct Gaps {
    state: Cell<u64>,
}

impl Gaps {
    /// Starts anew. The same seed gives the same gaps.
    pub(crate) fn start(&self, seed: u64) {
        self.state.set(mix::mix(seed));
    }

    /// Blocks of `size` bytes up to the next in which a sample point lies, with that one, where these are `rate` bytes
    /// apart on average: at 1, every allocation is a sample; at 0, none.
    pub(crate) fn blocks(&self, size: usize, rate: u64) -> u64 {
        match rate {
            0 => return NEVER,
            1 => return 1,
            _ => {}
        }
        // A cast of a number that is too large gives the largest there is.
        ((self.exponential() * rate as f64 / size as f64) as u64).saturating_add(1)
    }

    /// Bytes up to the next sample point, with the one in which it lies, where they are `rate` bytes apart, as for
    /// [`Gaps::blocks`].
    pub(crate) fn bytes(&self, rate: u64) -> u64 {
        match rate {
            0 => return NEVER,
            1 => return 1,
            _ => {}
        }
        ((self.exponential() * rate as f64) as u64).saturating_add(1)
    }

    /// Blocks up to the next of those of which one in `one_in` is chosen, with that one; whatever their size.
    pub(crate) fn chosen(&self, one_in: u64) -> u64 {
        match one_in {
            0 => return NEVER,
            1 => return 1,
            _ => {}
        }
        // None of n blocks is chosen with a likelihood of (1 - 1 / one_in)^n.
        let mean = -1.0 / libm::log1p(-1.0 / one_in as f64);
        ((self.exponential() * mean) as u64).saturating_add(1)
    }

    /// Exponentially distributed, with a mean of 1.
    fn exponential(&self) -> f64 {
        let (word, state) = mix::next(self.state.get());
        self.state.set(state);
        // 53 bits, and never zero.
        let uniform = ((word >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        -libm::log(uniform)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn gaps() -> Gaps {
        let gaps = Gaps { state: Cell::new(0) };
        gaps.start(7);
        gaps
    }

    /// The standard deviation of the mean of n gaps is that of one over √n, and of one it is its mean: 0.32 % of it
    /// here. Five of those are let pass.
    const DRAWS: u64 = 100_000;
    const TOLERANCE: f64 = 5.0 * 0.0032;

    #[test]
    fn gaps_are_as_long_as_they_are_to_be_on_average() {
        let gaps = gaps();
        let mean = (0..DRAWS).map(|_| gaps.bytes(512 * 1024)).sum::<u64>() as f64 / DRAWS as f64;
        assert!((mean / (512.0 * 1024.0) - 1.0).abs() < TOLERANCE, "{mean}");
    }

    #[test]
    fn a_block_is_a_sample_as_often_as_its_size_makes_it_likely() {
        for (size, rate) in [(8_usize, 512 * 1024_u64), (32 * 1024, 512 * 1024), (4096, 4096), (32 * 1024, 4096)] {
            let gaps = gaps();
            let mean = (0..DRAWS).map(|_| gaps.blocks(size, rate)).sum::<u64>() as f64 / DRAWS as f64;
            let likelihood = 1.0 - (-(size as f64) / rate as f64).exp();
            assert!((mean * likelihood - 1.0).abs() < TOLERANCE, "{size} at {rate}: one in {mean}");
        }
    }

    #[test]
    fn one_block_in_so_many_is_chosen() {
        let gaps = gaps();
        assert_eq!((gaps.chosen(0), gaps.chosen(1), gaps.blocks(8, 0), gaps.bytes(0)), (NEVER, 1, NEVER, NEVER));
        for one_in in [2, 3, 1000] {
            let mean = (0..DRAWS).map(|_| gaps.chosen(one_in)).sum::<u64>() as f64 / DRAWS as f64;
            assert!((mean / one_in as f64 - 1.0).abs() < TOLERANCE, "one in {one_in}: one in {mean}");
        }
    }

    #[test]
    fn at_a_rate_of_one_byte_every_block_is_a_sample() {
        let gaps = gaps();
        assert!((0..1000).all(|_| gaps.blocks(8, 1) == 1 && gaps.bytes(1) == 1));
    }
}
