//! Probation: as long as a class is little used, each of its frees is looked at at once.
//!
//! A class on probation has no magazine, so all its allocations and frees are slow paths, which can afford to ask
//! whether a block is in use. What is freed is held back for a while (`held_back.rs`), so that a second free finds it
//! there, whichever thread it comes from, and a block that the program still uses stays out of others' hands. A span
//! goes the way of one that another thread frees.
//!
//! What a class may cost so is bounded by steps. One that is much used has soon taken them, and has its magazine from
//! then on; once in each purge delay it gets some more.

use super::Heap;
use super::core::{Core, Misuse, locate, refuse};
use super::span::span_of;
use crate::magazine::Tops;
use crate::segment::{ADDRESSES, Segment};
use crate::size_class::{SLOT_SIZE, SizeClass};
use crate::slab::{Blocks, Slab};
use crate::sync::Cell;
use core::ptr::NonNull;

/// Steps of a class that is new to a heap: 1,024 allocations or resizings, or 256 frees.
const FIRST: u16 = 1024;

/// Steps that a class has at least after each purge delay: 64 frees.
const AGAIN: u16 = 256;

/// Steps of a free, which is looked at, has its bit set by up to three atomic operations, and is collected later.
const FREE: u16 = 4;

/// Steps for each slot of a span that is freed, whose memory goes back to the system: eight frees of one slot, and two
/// after each delay, down to one of many. Most of what they cost, 13 µs for a slot, is page faults of who takes the
/// next.
const FREE_OF_SLOT: u16 = 128;

/// Steps that are left. Borrower-only.
pub(crate) struct Probation(Cell<u16>);

impl Probation {
    /// None: the probation is over, or has not begun.
    pub(super) fn over() -> Self {
        Self(Cell::new(0))
    }

    /// A probation that is beginning.
    pub(super) fn begin(&self) {
        self.0.set(FIRST);
    }

    /// A purge delay is over.
    pub(super) fn resume(&self) {
        self.0.set(self.0.get().max(AGAIN));
    }

    /// True where the next allocation, or resizing, is on probation.
    pub(super) fn allocates(&self) -> bool {
        self.steps(1)
    }

    /// True where the next free, of a block of `class`, is on probation.
    pub(crate) fn frees(&self, class: SizeClass) -> bool {
        self.steps(if class.is_span() { FREE_OF_SLOT * (class.size() / SLOT_SIZE) as u16 } else { FREE })
    }

    fn steps(&self, count: u16) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(count));
        left > 0
    }
}

/// Where a block is, if it is one: its slab, and its index there.
type Place<'a> = (&'a Slab, usize);

/// The slab or span of `class` in which `block` is the block with this index; ends the process where there is none. The
/// misuse would be `otherwise`, were the block a free one.
///
/// # Safety
/// - `block` lies, but for address bits that no program can have, in a segment of the heap whose lock the caller holds.
unsafe fn place_of<'a>(class: SizeClass, block: NonNull<u8>, otherwise: Misuse) -> Place<'a> {
    let otherwise = otherwise.of_no_block();
    if block.addr().get() >= ADDRESSES {
        refuse(otherwise, block.as_ptr(), class.size());
    }
    if !class.is_span() {
        // SAFETY: passed on.
        return unsafe { locate(Blocks::of(class), block.as_ptr(), otherwise) };
    }
    // SAFETY: passed on.
    match unsafe { span_of(class, block) } {
        Some(slab) => (slab, 0),
        None => refuse(otherwise, block.as_ptr(), class.size()),
    }
}

/// True where the block has been freed, and nobody has it in a magazine or an outbox. Of a span, which ends when it is
/// free, only what is not collected yet can be seen.
fn is_free(core: &Core, class: SizeClass, block: NonNull<u8>, (slab, index): Place<'_>) -> bool {
    !class.is_span() && (slab.is_free(index) || core.held_back.holds(block.as_ptr()))
        || Segment::of(slab).is_returned(slab, index / 64, 1 << (index % 64))
}

impl Heap {
    /// Every class of a heap that is new is on probation.
    pub(crate) fn begin_probation(&self) {
        // A hardened build looks at each free in another way.
        if cfg!(not(feature = "hardened")) && !self.has_begun.replace(true) {
            self.traffic.iter().for_each(|traffic| traffic.probation.begin());
            self.outbox.probation().begin();
        }
    }

    /// Takes back a block of `class`, and ends the process unless it is one and is in use.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap.
    /// - `block` lies in one of this heap's segments.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn put_back_on_probation(&self, class: SizeClass, block: NonNull<u8>) {
        // SAFETY: passed on.
        unsafe { self.take_back(&mut self.core.lock(), class, block) };
    }

    /// The same on behalf of any thread; false, and the block is not taken, where the heap is at work, and in a
    /// hardened build, in which what is free reads as zero.
    ///
    /// # Safety
    /// - `block` lies in one of this heap's segments.
    pub(crate) unsafe fn put_back_from_elsewhere(&self, class: SizeClass, block: NonNull<u8>) -> bool {
        if cfg!(feature = "hardened") {
            // SAFETY: passed on.
            unsafe { self.check_in_use(class, block, Misuse::DoubleFree) };
            return false;
        }
        let Some(mut core) = self.core.try_lock() else { return false };
        // SAFETY: passed on.
        unsafe { self.take_back(&mut core, class, block) };
        true
    }

    /// # Safety
    /// - `block` lies in one of the segments of this heap, whose core this is.
    unsafe fn take_back(&self, core: &mut Core, class: SizeClass, block: NonNull<u8>) {
        // SAFETY: passed on; the heap is locked.
        let place = unsafe { place_of(class, block, Misuse::DoubleFree) };
        let is_free =
            is_free(core, class, block, place) || class.is_span() && !core.end_span_on_probation(self.host(), place.0);
        if is_free {
            refuse(Misuse::DoubleFree, block.as_ptr(), class.size());
        }
        self.live_changed(class.size(), 0);
        if !class.is_span() {
            // SAFETY: a block of this heap's that was in use until now.
            unsafe { core.hold_back(self.host(), block.as_ptr(), class) };
        }
    }

    /// A block of `class`, which has no magazine, was looked at before it is resized. What is resized often is no
    /// longer looked at, as little as what is allocated often: the class gets a magazine, though an empty one.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    pub(crate) unsafe fn note_resized(&self, tops: &Tops, class: SizeClass) {
        if !self.traffic[class.index()].probation.allocates() && tops.get(class).is_none() {
            tops.set(class, self.low(class));
        }
    }

    /// Ends the process where `block` is no block of `class` or is free, which is the misuse `otherwise`; on behalf of
    /// any thread. Looks at nothing where the heap is at work.
    ///
    /// # Safety
    /// - `block` lies in one of this heap's segments.
    pub(crate) unsafe fn check_in_use(&self, class: SizeClass, block: NonNull<u8>, otherwise: Misuse) {
        let Some(core) = self.core.try_lock() else { return };
        // SAFETY: passed on; the heap is locked.
        if is_free(&core, class, block, unsafe { place_of(class, block, otherwise) }) {
            refuse(otherwise, block.as_ptr(), class.size());
        }
    }
}

/// Ends the process where `block`, the span at `slab`, has been returned.
pub(super) fn check_span_in_use(slab: &Slab, block: *mut u8) {
    if Segment::of(slab).is_returned(slab, 0, 1) {
        refuse(Misuse::DoubleFree, block, slab.extent() * SLOT_SIZE);
    }
}
