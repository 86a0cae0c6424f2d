//! What is known of a large block's memory, for when it is to read as zero again.

use crate::sync::Cell;

/// **Holder-only**: touched by whoever has the block, or carves it. Zero, as fresh memory is, for a block of which nothing is known.
pub(crate) struct Freshness(Cell<u64>);

/// How a block was found when it was to read as zero the last time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Nobody looked, or it was touched: it may be resident.
    Touched,
    /// It was handed out untouched, when the process had had so many page faults.
    Untouched(u64),
    /// It had hardly been touched while it was in use, and was handed out untouched again.
    HardlyTouched,
}

const HARDLY_TOUCHED: u64 = u64::MAX;

impl Freshness {
    /// Nothing is known.
    #[cfg(all(test, loom))]
    pub(crate) fn unknown() -> Self {
        Self(Cell::new(0))
    }

    pub(crate) fn get(&self) -> Found {
        match self.0.get() {
            0 => Found::Touched,
            HARDLY_TOUCHED => Found::HardlyTouched,
            faults => Found::Untouched(faults),
        }
    }

    pub(crate) fn set(&self, found: Found) {
        self.0.set(match found {
            Found::Touched => 0,
            Found::Untouched(faults) => faults,
            Found::HardlyTouched => HARDLY_TOUCHED,
        });
    }
}
