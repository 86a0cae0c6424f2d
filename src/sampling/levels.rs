//! Levels: parts of a hash table of which each is as large as all before it together.
//!
//! What comes goes to the first level in which it finds room, so few entries touch few pages, however large the table.

#![forbid(unsafe_code)]

use core::ops::Range;

/// Levels of a table that is not small.
const LEVELS: u32 = 8;

/// The levels of a table of `len` slots, a power of two, each of at least `least` slots, as ranges of them.
pub(super) fn levels(len: usize, least: usize) -> impl Iterator<Item = Range<usize>> {
    let most = (len / least).max(1).ilog2();
    let first = len >> most.min(LEVELS - 1);
    let mut end = 0;
    core::iter::from_fn(move || {
        let start = end;
        end = if start == 0 { first } else { 2 * start };
        (end <= len).then_some(start..end)
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn levels_are_the_whole_table_and_each_is_a_power_of_two() {
        for bits in 0..20 {
            let len = 1 << bits;
            for least in [1, 8, 64] {
                let levels: Vec<_> = levels(len, least).collect();
                assert!(levels.len() <= LEVELS as usize);
                assert_eq!((levels[0].start, levels[levels.len() - 1].end), (0, len));
                assert!(levels.windows(2).all(|pair| pair[0].end == pair[1].start));
                assert!(levels.iter().all(|level| level.len().is_power_of_two() && level.len() >= least.min(len)));
            }
        }
        assert_eq!(levels(1 << 16, 8).next(), Some(0..512));
    }
}
