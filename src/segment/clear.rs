//! Clearing: makes a large block read as zero that was in use before.
//!
//! A block that was cleared before and hardly used since is memory for the most part that was never touched, and overwriting would touch it. So a block that was handed
//! out untouched is given back to the system instead, for as long as it proves to be hardly touched: by the process's page faults at first, and
//! then by the time that giving it back takes. Both are hints: what is given back reads as zero in any case.

use super::Backend;
use super::mapping::Mapping;
use crate::align;
use crate::slab::{Found, Freshness};
use core::ptr::NonNull;

/// Bytes from which on it is worth to look.
const WORTH_LOOKING: usize = 256 * 1024;

/// One page in so many may have been touched of a block that is given back.
const SPARSE: u64 = 8;

/// Nanoseconds for each page that giving a block back takes at least, where most of it was touched. 190 were seen; where nothing was touched, 3.
const TOUCHED_NS: u64 = 40;

impl Backend {
    /// Takes note that a block of `len` bytes is handed out that reads as zero and was not touched yet.
    ///
    /// # Safety
    /// - `block` is a span or a mapping's block of at least `len` bytes, and the caller's.
    pub(crate) unsafe fn note_untouched(&self, block: NonNull<u8>, len: usize) {
        if len >= WORTH_LOOKING {
            // SAFETY: passed on.
            unsafe { self.freshness(block) }.set(Found::Untouched(self.os.page_faults()));
        }
    }

    /// Makes the first `len` bytes of a block zero.
    ///
    /// # Safety
    /// - `block` is a span or a mapping's block of at least `len` bytes, and the caller's.
    pub(crate) unsafe fn clear(&self, block: NonNull<u8>, len: usize) {
        let whole = align::down(len, self.os.page_size());
        // SAFETY: whole pages at the start of the caller's block, which holds nothing that is needed: spans and mappings' blocks start at pages.
        let cleared = if len >= WORTH_LOOKING && unsafe { self.give_untouched_back(block, whole) } { whole } else { 0 };
        // SAFETY: the rest of the caller's block.
        unsafe { block.add(cleared).write_bytes(0, len - cleared) };
    }

    /// Gives a block's pages back to the system if they seem to be hardly touched; true where they read as zero now.
    ///
    /// # Safety
    /// - `block` is a span or a mapping's block that starts with `len` bytes of whole pages, and the caller's, who needs nothing that they hold.
    unsafe fn give_untouched_back(&self, block: NonNull<u8>, len: usize) -> bool {
        let pages = (len / self.os.page_size()) as u64;
        // SAFETY: passed on.
        let freshness = unsafe { self.freshness(block) };
        let found = freshness.get();
        freshness.set(Found::Touched);
        match found {
            Found::Touched => return false,
            Found::Untouched(faults) if self.os.page_faults().wrapping_sub(faults) > pages / SPARSE => return false,
            _ => {}
        }
        let before = self.os.now_ns();
        // SAFETY: passed on.
        if !unsafe { self.os.purge(block, len) } {
            return false;
        }
        let is_quick = self.os.now_ns().wrapping_sub(before) < pages * TOUCHED_NS;
        // What was slow may have been interrupted, which the page faults will tell.
        freshness.set(if is_quick { Found::HardlyTouched } else { Found::Untouched(self.os.page_faults()) });
        true
    }

    /// # Safety
    /// - `block` is a span or a mapping's block, and the caller's.
    unsafe fn freshness(&self, block: NonNull<u8>) -> &Freshness {
        let address = block.addr().get();
        if self.owners.look_up(address).is_mapping() {
            // SAFETY: the owner map says so.
            unsafe { Mapping::of(block) }.freshness()
        } else {
            // SAFETY: what is no mapping lies in a segment.
            unsafe { super::slab_of(address) }.freshness()
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
