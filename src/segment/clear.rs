//! Clearing: makes a large block read as zero that was in use before.
//!
//! A block that was cleared before and hardly used since is memory for the most part that was never touched, and
//! overwriting would touch it. So a block that was handed out untouched is given back to the system instead, for as
//! long as it proves to be hardly touched: by the process's page faults at first, and then by the time that giving it
//! back takes. A block that was touched once gets another chance when it looks as zero where a program would have
//! written first, twice in a row, four times as often after each mistake, and never after the fourth. All of these are
//! hints: what is given back reads as zero in any case.

use super::Backend;
use super::mapping::Mapping;
use crate::align;
use crate::slab::{Found, Freshness, Known};
use core::ptr::NonNull;

/// Bytes from which on it is worth to look.
const WORTH_LOOKING: usize = 256 * 1024;

/// One page in so many may have been touched of a block that is given back.
const SPARSE: u64 = 8;

/// Words that are looked at of a block that is to be overwritten.
const SAMPLES: usize = 8;

/// What a word that is looked at stands at a multiple of.
const LINE: usize = 4096;

const _: () = assert!(WORTH_LOOKING / SAMPLES >= LINE);

/// Nanoseconds for each page that giving a block back takes at least, where most of it was touched. 190 were seen;
/// where nothing was touched, 3.
const TOUCHED_NS: u64 = 40;

impl Backend {
    /// Takes note that a block of `len` bytes is handed out that reads as zero and was not touched yet.
    ///
    /// # Safety
    /// - `block` is a span or a mapping's block of at least `len` bytes, and the caller's.
    pub(crate) unsafe fn note_untouched(&self, block: NonNull<u8>, len: usize) {
        if len >= WORTH_LOOKING {
            // SAFETY: passed on.
            let freshness = unsafe { self.freshness(block) };
            freshness.set(Known { found: Found::Untouched { faults: self.os.page_faults() }, ..freshness.get() });
        }
    }

    /// Makes the first `len` bytes of a block zero.
    ///
    /// # Safety
    /// - `block` is a span or a mapping's block of at least `len` bytes, and the caller's.
    pub(crate) unsafe fn clear(&self, block: NonNull<u8>, len: usize) {
        let whole = align::down(len, self.os.page_size());
        // SAFETY: whole pages at the start of the caller's block, which holds nothing that is needed: spans and
        // mappings' blocks start at pages.
        let cleared = if len >= WORTH_LOOKING && unsafe { self.give_untouched_back(block, whole) } { whole } else { 0 };
        // SAFETY: the rest of the caller's block.
        unsafe { block.add(cleared).write_bytes(0, len - cleared) };
    }

    /// Gives a block's pages back to the system if they seem to be hardly touched; true where they read as zero now.
    ///
    /// # Safety
    /// - `block` is a span or a mapping's block that starts with `len` bytes of whole pages, and the caller's, who
    ///   needs nothing that they hold.
    unsafe fn give_untouched_back(&self, block: NonNull<u8>, len: usize) -> bool {
        let pages = (len / self.os.page_size()) as u64;
        // SAFETY: passed on.
        let freshness = unsafe { self.freshness(block) };
        let known = freshness.get();
        // What is said here stands unless the block is given back.
        let is_worth_trying = match known.found {
            Found::HardlyTouched => {
                freshness.set(Known { found: Found::UNKNOWN, ..known });
                true
            }
            Found::Untouched { faults } => {
                let is_touched = Freshness::faults_since(faults, self.os.page_faults()) > pages / SPARSE;
                let mistakes = known.mistakes.saturating_add(u8::from(is_touched));
                freshness.set(Known { found: Found::UNKNOWN, mistakes });
                !is_touched
            }
            Found::Touched { zeros } => {
                // SAFETY: passed on.
                let zeros = if unsafe { looks_as_zero(block, len) } { zeros.saturating_add(1) } else { 0 };
                freshness.set(Known { found: Found::Touched { zeros }, ..known });
                u32::from(zeros) >= looks_wanted(known.mistakes)
            }
        };
        if !is_worth_trying {
            return false;
        }
        let before = self.os.now_ns();
        // SAFETY: passed on.
        if !unsafe { self.os.purge(block, len) } {
            freshness.set(Known { found: Found::UNKNOWN, mistakes: freshness.get().mistakes.saturating_add(1) });
            return false;
        }
        let is_quick = self.os.now_ns().wrapping_sub(before) < pages * TOUCHED_NS;
        // What was slow may have been interrupted, which the page faults will tell.
        let found = if is_quick { Found::HardlyTouched } else { Found::Untouched { faults: self.os.page_faults() } };
        freshness.set(Known { found, ..freshness.get() });
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

/// How often in a row a block that may be resident has to look as zero before it is given back, after so many mistakes.
/// From 512 on that is never: looks are counted to 255.
fn looks_wanted(mistakes: u8) -> u32 {
    2 << (2 * u32::from(mistakes)).min(8)
}

/// True where the first word of some pages, from the start of a block to its end, is zero: a sample, as costs little in
/// a block that is about to be overwritten.
///
/// # Safety
/// - `block` starts with `len` bytes that are the caller's, and stands at a page's start.
unsafe fn looks_as_zero(block: NonNull<u8>, len: usize) -> bool {
    (0..len).step_by(len / SAMPLES).all(|at| {
        // SAFETY: inside the caller's block, whose memory the system gave filled with zeros.
        unsafe { block.add(align::down(at, LINE)).cast::<u64>().read() == 0 }
    })
}

#[cfg(all(test, not(loom)))]
mod tests;
