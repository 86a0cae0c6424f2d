//! What goes into quarantine and what leaves it.

use super::super::{BACKEND, slow};
use super::{check, contents, large, misuse, size};
use crate::heap::{Borrower, Heap};
use crate::size_class::SizeClass;
use crate::sync::Ordering;
use core::ptr::NonNull;

/// Puts a wiped block into the quarantine of `heap`, which the calling thread has; what leaves for it is free.
#[inline(always)]
pub(super) fn put(block: NonNull<u8>, class: SizeClass, heap: &'static Heap, thread: &'static Borrower) {
    if let Some(leaves) = heap.quarantine().exchange(class, block) {
        leave(leaves, class, heap, thread);
    }
}

/// Gives a block that leaves the quarantine of `from` back to its own heap; ends the process where somebody has written
/// to its ends, or has freed it too. All of it is looked at when it is handed out.
#[inline(always)]
fn leave(block: NonNull<u8>, class: SizeClass, from: &Heap, thread: &'static Borrower) {
    let key = check::key(block.addr().get());
    // SAFETY: a block of a slab.
    let place = unsafe { check::place(block, class) };
    let is_whole = place.load(Ordering::Relaxed) == check::word_in_quarantine(key, from.owner());
    // SAFETY: a free block's memory.
    if !is_whole || size::room(class) > 0 && !unsafe { contents::has_zero_ends(block, size::room(class)) } {
        misuse::changed_in_quarantine(block, class);
    }
    place.store(0, Ordering::Relaxed);
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
            leave(block, class, heap, thread);
        }
    }
    while let Some(block) = quarantine.pop_large() {
        large::leave(block);
    }
}
