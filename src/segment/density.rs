//! Density: whether large blocks are filled, as those that were freed lately have been.
//!
//! A block of many MiB that is written to throughout, as the table of a hash map or a column of a data frame, is served
//! best by huge pages: one page fault where small pages cost 512. One that is used here and there would be resident as
//! a whole. A program's large blocks tend to be alike, so the next is expected to be what the last ones were found to
//! be when they were freed.

use super::{Backend, Mapping};
use crate::align;
use crate::sync::{AtomicU8, Ordering, constructor};
use core::ptr::NonNull;

/// Blocks from this size on are looked at when they are freed.
const TELLING: usize = 1024 * 1024;

/// Blocks from this size on may be backed by huge pages.
const HUGE_FROM: usize = 2 * 1024 * 1024;

/// Pages that are looked at in each block, evenly over its length.
const LOOKS: usize = 16;

/// Dense blocks in a row, without one that was not, after which the next is expected to be dense.
const ENOUGH: u8 = 2;

/// What large blocks have been like.
pub(super) struct Density {
    /// How many of the last ones were dense, in a row, up to [`ENOUGH`].
    in_a_row: AtomicU8,
}

impl Density {
    constructor! {
        pub(super) fn unknown() -> Self {
            Self { in_a_row: AtomicU8::new(0) }
        }
    }

    fn note(&self, is_dense: bool) {
        let in_a_row = self.in_a_row.load(Ordering::Relaxed);
        // Threads that do so at once may lose one; it is a guess in any case.
        self.in_a_row.store(if is_dense { (in_a_row + 1).min(ENOUGH) } else { 0 }, Ordering::Relaxed);
    }

    fn is_expected(&self) -> bool {
        self.in_a_row.load(Ordering::Relaxed) >= ENOUGH
    }
}

impl Backend {
    /// A block is about to be freed. Looks once in the life of a mapping, the first time that its block is freed: what
    /// is reused is resident already, and tells nothing.
    pub(super) fn note_density(&self, mapping: &Mapping) {
        // The mapping may be longer than was asked for, or shorter by now.
        let len = mapping.wanted.get().min(mapping.body());
        if !mapping.is_new.replace(false) || len < TELLING {
            return;
        }
        let step = len / LOOKS;
        let first = mapping.block().addr() + step / 2;
        // SAFETY: inside the block of a mapping that the caller holds.
        let is_dense = (0..LOOKS).all(|nth| unsafe { self.is_resident(first + nth * step) });
        mapping.is_dense.set(is_dense);
        self.density.note(is_dense);
    }

    /// True where the page of `address` is resident, as far as the system tells.
    ///
    /// # Safety
    /// - `address` lies in a mapping that the caller holds.
    pub(super) unsafe fn is_resident(&self, address: usize) -> bool {
        let page_size = self.os.page_size();
        NonNull::new(core::ptr::with_exposed_provenance_mut(align::down(address, page_size)))
            // SAFETY: passed on.
            .is_some_and(|page| unsafe { self.os.resident_pages(page, page_size) } == 1)
    }

    /// The block of a mapping that was made just now will be filled by whoever asked for it, or not: backs it with huge
    /// pages where those before it were filled. Where memory is limited nothing becomes resident before it is needed.
    ///
    /// # Safety
    /// - `block` is a mapping's, in use, and the caller's, and was mapped just now.
    pub(crate) unsafe fn expect_density(&self, block: NonNull<u8>) {
        // SAFETY: passed on.
        let mapping = unsafe { Mapping::of(block) };
        if mapping.body() >= HUGE_FROM && self.density.is_expected() && self.counters.limits.are_none() {
            // SAFETY: the caller says so; a mapping's head has a page in front of its block.
            unsafe { self.fill_with_huge_pages(mapping, block.addr().get()) };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
