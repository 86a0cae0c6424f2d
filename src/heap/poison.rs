//! Poison: what stands at both ends of a block that is held back on probation, and is looked for before the block may
//! be handed out again.
//!
//! A byte of it that has changed was written by somebody who had the address still, or who wrote past the end of a
//! neighbour. No more is overwritten than glibc's own lists take of a free block: what a program finds that reads a
//! block it has freed is no worse than there.

use super::misuse::written_while_free;
use crate::magazine::Place;
use crate::segment;
use crate::slab::SlotKind;
use core::ptr;

/// Of a word: no address that a program can have, and no text.
const POISON: u64 = 0xDFDF_DFDF_DFDF_DFDF;

const WORD: usize = size_of::<u64>();

/// Words at the start of a block; one more stands at its end.
const FRONT: usize = 2;

/// Blocks that are watched at a time. As many slow allocations pass until the heap collects.
const PLACES: usize = 32;

/// The blocks that a heap has poisoned.
pub(super) struct Poisoned {
    blocks: [Place; PLACES],
    /// Blocks that were poisoned since the last look.
    count: usize,
}

/// The words of a block of `size` bytes, which is a multiple of a word, that are poisoned.
fn words(block: Place, size: usize) -> impl Iterator<Item = *mut u64> {
    let last = size / WORD - 1;
    (0..FRONT.min(last)).chain([last]).map(move |nth| block.cast::<u64>().wrapping_add(nth))
}

impl Poisoned {
    pub(super) const fn new() -> Self {
        Self { blocks: [ptr::null_mut(); PLACES], count: 0 }
    }

    /// Poisons a block that nobody has any more, and watches it until the next look. One that was poisoned `PLACES`
    /// blocks ago is looked at now.
    ///
    /// # Safety
    /// - `block` is the start of a block of `size` bytes of a slab, which is freed and is not handed out before it is
    ///   looked at; the heap that watches it has it.
    pub(super) unsafe fn add(&mut self, block: Place, size: usize) {
        let place = &mut self.blocks[self.count % PLACES];
        if self.count >= PLACES {
            // SAFETY: it was added, and not looked at since.
            unsafe { look(*place) };
        }
        *place = block;
        self.count += 1;
        for word in words(block, size) {
            // SAFETY: inside the block, which is the heap's; blocks stand at multiples of a word.
            unsafe { word.write(POISON) };
        }
    }

    /// Looks at all blocks that are watched, and ends the process if one was written to. They are not watched any more.
    pub(super) fn look(&mut self) {
        for &block in &self.blocks[..self.count.min(PLACES)] {
            // SAFETY: it was added, and not looked at since.
            unsafe { look(block) };
        }
        self.count = 0;
    }
}

/// Ends the process if a block was written to since it was poisoned.
///
/// # Safety
/// - It is a poisoned block of a slab, and still held back.
unsafe fn look(block: Place) {
    // SAFETY: what was added lies in a segment.
    let SlotKind::Slab(class) = (unsafe { segment::slab_of(block.addr()) }).kind() else { return };
    let size = class.size();
    for word in words(block, size) {
        // SAFETY: inside the block, as when it was written. A program that writes there at this moment is what is
        // looked for.
        let found = unsafe { word.read_volatile() };
        if found != POISON {
            let first = (found ^ POISON).to_le_bytes().iter().position(|&byte| byte != 0).unwrap_or(0);
            written_while_free(block, size, word.addr() - block.addr() + first);
        }
    }
}
