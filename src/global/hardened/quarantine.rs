//! What goes into quarantine and what leaves it: the calling thread's, as long as it has a heap that is not at work.

use super::super::{BACKEND, slow};
use super::{contents, large, misuse};
use crate::heap::{Borrower, Heap};
use crate::size_class::SizeClass;
use core::ptr::NonNull;

/// Puts a wiped block into quarantine; what leaves for it is free.
#[inline(always)]
pub(super) fn put(block: NonNull<u8>, class: SizeClass, thread: &'static Borrower) {
    let Some(heap) = thread.heap.get().filter(|_| !thread.is_busy.get()) else { return slow::release(block, class) };
    if let Some(leaves) = heap.quarantine().exchange(class, block) {
        leave(leaves, class, thread);
    }
}

/// Gives a block that leaves the quarantine back to the heap; ends the process where somebody has written to it.
#[inline(always)]
fn leave(block: NonNull<u8>, class: SizeClass, thread: &'static Borrower) {
    // SAFETY: a free block's memory.
    if !unsafe { contents::is_zero(block, class.size()) } {
        misuse::written_while_free(block, class.size());
    }
    // SAFETY: a block of Tenure's.
    let owner = unsafe { BACKEND.owners.owner_of(block.as_ptr()) };
    // SAFETY: the calling thread's own tops, and a block of its heap.
    if owner != thread.owner.get() || !unsafe { thread.tops.push(class, block.as_ptr()) } {
        slow::release(block, class);
    }
}

/// Empties the quarantine of `heap`, which the calling thread has: all that is held is free.
#[cold]
#[inline(never)]
pub(in super::super) fn empty(heap: &'static Heap, thread: &'static Borrower) {
    let quarantine = heap.quarantine();
    for class in SizeClass::slabs() {
        while let Some(block) = quarantine.pop(class) {
            leave(block, class, thread);
        }
    }
    while let Some(block) = quarantine.pop_large() {
        large::leave(block);
    }
}
