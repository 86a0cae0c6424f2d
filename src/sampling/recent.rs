//! Recent: the samples that were freed last, for when one is freed once more. Some are forgotten early, as each address
//! has one place where it may be.

use super::mix::mix;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};

/// A sample that was freed.
#[repr(C)]
pub(super) struct Freed {
    /// Its address; 0 while nothing is here, or it is being written.
    block: AtomicUsize,
    /// The number of its stack, and above that the bytes that were asked for.
    detail: AtomicU64,
}

/// Bits of a stack's number.
const STACK_BITS: u32 = 16;

/// The table.
pub(super) struct Recent<'a> {
    /// As many as a power of two.
    places: &'a [Freed],
}

impl<'a> Recent<'a> {
    pub(super) fn new(places: &'a [Freed]) -> Self {
        Self { places }
    }

    fn place(&self, block: usize) -> &'a Freed {
        &self.places[mix(block as u64) as usize & (self.places.len() - 1)]
    }

    /// The sample at `block` is free.
    pub(super) fn note(&self, block: usize, stack: usize, size: usize) {
        let place = self.place(block);
        place.block.store(0, Ordering::Relaxed);
        // Release: the address is gone. Pairs with the Acquire of the detail in `find`.
        place.detail.store((size as u64) << STACK_BITS | stack as u64, Ordering::Release);
        // Release: the detail is there. Pairs with the Acquire of the address in `find`.
        place.block.store(block, Ordering::Release);
    }

    /// The stack and the size of the sample that was at `block`, if that is known.
    pub(super) fn find(&self, block: usize) -> Option<(usize, usize)> {
        let place = self.place(block);
        // Acquire: pairs with the Release of the address in `note`.
        let is_here = place.block.load(Ordering::Acquire) == block;
        // Acquire: pairs with the Release of the detail in `note`, so that an address that is gone is seen to be.
        let detail = place.detail.load(Ordering::Acquire);
        let is_still = place.block.load(Ordering::Relaxed) == block;
        (is_here && is_still).then_some(((detail & ((1 << STACK_BITS) - 1)) as usize, (detail >> STACK_BITS) as usize))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn what_was_freed_last_is_known_and_a_later_one_takes_its_place() {
        let places: Vec<_> = (0..4).map(|_| Freed { block: AtomicUsize::new(0), detail: AtomicU64::new(0) }).collect();
        let recent = Recent::new(&places);
        assert_eq!(recent.find(16), None);
        for nth in 1..100 {
            recent.note(nth * 16, nth, nth << 20);
            assert_eq!(recent.find(nth * 16), Some((nth, nth << 20)));
        }
        assert!((1..100).filter(|nth| recent.find(nth * 16).is_some()).count() <= 4);
    }
}
