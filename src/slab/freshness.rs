//! What is known of a large block's memory, for when it is to read as zero again.

use crate::sync::Cell;

/// **Holder-only**: touched by whoever has the block, or carves it. Zero, as fresh memory is, for a block of which
/// nothing is known.
///
/// ```text
/// 63         24 23     16 15      8 7         0
///   page faults | zeros   | mistakes | how found
/// ```
pub(crate) struct Freshness(Cell<u64>);

/// What is known of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    pub(crate) found: Found,
    /// How often the block was taken for hardly touched when it was not.
    pub(crate) mistakes: u8,
}

/// How a block was found when it was to read as zero the last time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Nobody looked, or it was touched: it may be resident. So many times in a row it looked as zero since.
    Touched { zeros: u8 },
    /// It was handed out untouched, when the process had had so many page faults.
    Untouched { faults: u64 },
    /// It had hardly been touched while it was in use, and was handed out untouched again.
    HardlyTouched,
}

impl Found {
    /// Nothing is known.
    pub(crate) const UNKNOWN: Self = Self::Touched { zeros: 0 };
}

const TOUCHED: u64 = 0;
const UNTOUCHED: u64 = 1;
const HARDLY_TOUCHED: u64 = 2;

const MISTAKES: u32 = 8;
const ZEROS: u32 = 16;
const FAULTS: u32 = 24;

impl Freshness {
    /// Nothing is known.
    #[cfg(all(test, loom))]
    pub(crate) fn unknown() -> Self {
        Self(Cell::new(0))
    }

    /// Forgets what is known.
    pub(crate) fn forget(&self) {
        self.0.set(0);
    }

    pub(crate) fn get(&self) -> Known {
        let word = self.0.get();
        let found = match word & 0xff {
            UNTOUCHED => Found::Untouched { faults: word >> FAULTS },
            HARDLY_TOUCHED => Found::HardlyTouched,
            _ => Found::Touched { zeros: (word >> ZEROS) as u8 },
        };
        Known { found, mistakes: (word >> MISTAKES) as u8 }
    }

    /// Of page faults the lower 40 bits are kept.
    pub(crate) fn set(&self, known: Known) {
        let found = match known.found {
            Found::Touched { zeros } => TOUCHED | u64::from(zeros) << ZEROS,
            Found::Untouched { faults } => UNTOUCHED | faults << FAULTS,
            Found::HardlyTouched => HARDLY_TOUCHED,
        };
        self.0.set(found | u64::from(known.mistakes) << MISTAKES);
    }

    /// The number of page faults from `before`, as [`Freshness::get`] gave it, to `now`.
    pub(crate) fn faults_since(before: u64, now: u64) -> u64 {
        now.wrapping_sub(before) & (u64::MAX >> FAULTS)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_got() {
        let freshness = Freshness(Cell::new(0));
        assert_eq!(freshness.get(), Known { found: Found::UNKNOWN, mistakes: 0 });
        let found = [
            Found::UNKNOWN,
            Found::Touched { zeros: 255 },
            Found::Untouched { faults: (1 << 40) - 1 },
            Found::HardlyTouched,
        ];
        for found in found {
            for mistakes in [0, 1, 255] {
                let known = Known { found, mistakes };
                freshness.set(known);
                assert_eq!(freshness.get(), known);
            }
        }
        freshness.forget();
        assert_eq!(freshness.get(), Known { found: Found::UNKNOWN, mistakes: 0 });
    }

    #[test]
    fn page_faults_are_counted_over_the_end_of_their_range() {
        let freshness = Freshness(Cell::new(0));
        for before in [0, (1 << 40) - 2, 1 << 40, u64::MAX] {
            freshness.set(Known { found: Found::Untouched { faults: before }, mistakes: 0 });
            let Found::Untouched { faults } = freshness.get().found else { panic!("it was set") };
            assert_eq!(Freshness::faults_since(faults, before.wrapping_add(5)), 5);
        }
    }
}
