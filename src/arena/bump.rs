//! Where the next block of an arena lies: arithmetic on addresses, and nothing else.
//!
//! Addresses, not offsets, are rounded, so an alignment larger than that of the arena itself is exact too.

#![forbid(unsafe_code)]

use core::ops::Range;

/// The first `size` bytes of `free` that start at a multiple of `align`, a power of two; `None` where they do not fit.
///
/// `free.start <= block.start && block.end <= free.end && block.len() == size`
#[inline(always)]
pub(crate) const fn place(free: Range<usize>, size: usize, align: usize) -> Option<Range<usize>> {
    let Some(room) = free.end.checked_sub(free.start) else { return None };
    let skipped = skip(free.start, align);
    match skipped.checked_add(size) {
        Some(needed) if needed <= room => Some(free.start + skipped..free.start + needed),
        _ => None,
    }
}

/// Bytes from `start` to the next multiple of `align`, a power of two; counted round the end of the address space where
/// none comes before.
///
/// No branch on whether the start is aligned already: compilers make no branch of that, only more instructions.
#[inline(always)]
pub(crate) const fn skip(start: usize, align: usize) -> usize {
    start.wrapping_neg() & (align - 1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::format;

    /// Marsaglia's xorshift: enough to vary layouts, and the same on every machine.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, bound: usize) -> usize {
            (self.next() % bound as u64) as usize
        }
    }

    #[test]
    fn blocks_never_overlap_are_aligned_and_end_inside() {
        for seed in 1..=500 {
            let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
            let bases = [0, 1, 4096 - 3, usize::MAX - 100_000, random.next() as usize >> 1];
            let start = bases[random.below(bases.len())];
            let end = start.saturating_add(random.below(200_000));
            let mut used = start;
            while used < end {
                let (size, align) = (random.below(3000), 1 << random.below(16));
                let context = format!("seed {seed}: {size} bytes aligned to {align} in {used:#x}..{end:#x}");
                let Some(block) = place(used..end, size, align) else {
                    // It did not fit: even the nearest aligned start leaves less than `size`.
                    let aligned = (used as u128).next_multiple_of(align as u128);
                    assert!(aligned + size as u128 > end as u128, "{context} was refused");
                    break;
                };
                assert_eq!(block.len(), size, "{context}");
                assert_eq!(block.start % align, 0, "{context}");
                assert!(used <= block.start && block.end <= end, "{context} gave {block:x?}");
                assert!(block.start - used < align, "{context} skipped too much");
                used = block.end.max(used + 1);
            }
        }
    }

    #[test]
    fn a_block_that_would_wrap_round_the_address_space_is_refused() {
        let end = usize::MAX;
        assert_eq!(place(end - 10..end, usize::MAX, 1), None);
        assert_eq!(place(end - 10..end, 11, 1), None);
        assert_eq!(place(end - 10..end, 1, 16), None);
        assert_eq!(place(0..end, usize::MAX, 2), Some(0..end));
        let half = 1 << (usize::BITS - 1);
        assert_eq!(place(1..end, 1, half), Some(half..half + 1));
        assert_eq!(place(half + 1..end, 1, half), None);
        assert_eq!(place(end - 10..end, 10, 1), Some(end - 10..end));
    }

    #[test]
    fn a_block_may_take_the_very_last_byte_but_none_beyond() {
        assert_eq!(place(64..128, 64, 64), Some(64..128));
        assert_eq!(place(65..128, 64, 64), None);
        assert_eq!(place(128..128, 0, 64), Some(128..128));
        assert_eq!(place(128..128, 1, 1), None);
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "that is the case in question")]
    fn nothing_fits_where_the_end_lies_before_the_start() {
        assert_eq!(place(128..127, 0, 1), None);
        assert_eq!(place(usize::MAX..0, 1, 8), None);
    }
}
