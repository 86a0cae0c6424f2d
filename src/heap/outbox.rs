//! Outbox: blocks of other heaps that wait to be sent home together.
//!
//! Blocks that lie side by side are often freed one after the other, and then one atomic operation returns them all.

use super::Heap;
use super::core::{Misuse, refuse};
use super::probation::Probation;
use crate::magazine::Place;
use crate::segment::{self, Counters, Segment};
use crate::size_class::SizeClass;
use crate::slab::{Blocks, Slab, SlotKind};
use crate::sync::{AtomicPtr, AtomicUsize, Cell, Ordering};
use core::ptr::{self, NonNull};

/// Most blocks that wait.
const PLACES: usize = 128;

/// Blocks above this size are sent at once, so that an idle thread does not keep much from its owner.
const MAX_SIZE: usize = 4096;

/// Blocks of other heaps. Written by the borrower alone, read by others for statistics.
pub(crate) struct Outbox {
    len: AtomicUsize,
    blocks: [AtomicPtr<u8>; PLACES],
    /// The class as which each block was freed.
    classes: [Cell<SizeClass>; PLACES],
    /// While it lasts, blocks do not wait.
    probation: Probation,
}

impl Outbox {
    /// While it lasts, each block is to be looked at and sent at once. Borrower-only.
    pub(crate) fn probation(&self) -> &Probation {
        &self.probation
    }

    /// Keeps a block of `class`, or sends it, or sends all; returns how many bytes of blocks were sent.
    ///
    /// # Safety
    /// - The calling thread has borrowed the heap whose outbox this is.
    /// - `block` lies in a segment of another heap.
    unsafe fn put(&self, class: SizeClass, block: NonNull<u8>) -> usize {
        if class.size() > MAX_SIZE {
            // SAFETY: passed on.
            unsafe { send(class, block) };
            return class.size();
        }
        let len = self.len.load(Ordering::Relaxed);
        self.blocks[len].store(block.as_ptr(), Ordering::Relaxed);
        self.classes[len].set(class);
        self.len.store(len + 1, Ordering::Relaxed);
        if len + 1 == PLACES { self.drain() } else { 0 }
    }

    /// Sends every block home; returns how many bytes they have. Borrower-only.
    pub(super) fn drain(&self) -> usize {
        let len = self.len.load(Ordering::Relaxed);
        let mut run = Run::EMPTY;
        let mut bytes = 0;
        for (place, class) in self.blocks[..len].iter().zip(&self.classes) {
            let block = place.load(Ordering::Relaxed);
            bytes += class.get().size();
            // SAFETY: `put` is given blocks that lie in segments.
            run.add(unsafe { segment::slab_of(block.addr()) }, class.get(), block);
        }
        run.send();
        self.len.store(0, Ordering::Relaxed);
        bytes
    }

    /// Forgets the blocks that wait.
    pub(super) fn clear(&self) {
        self.len.store(0, Ordering::Relaxed);
    }

    /// The blocks that wait; a snapshot, in which a block may appear that was sent, or that was here earlier.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = *mut u8> {
        let len = self.len.load(Ordering::Relaxed);
        self.blocks[..len].iter().map(|place| place.load(Ordering::Relaxed)).filter(|block| !block.is_null())
    }
}

/// Blocks of one word of one slab's bitmap, on their way home.
struct Run<'a> {
    slab: Option<&'a Slab>,
    class: SizeClass,
    /// The first of the blocks.
    block: *mut u8,
    word: usize,
    bits: u64,
}

impl<'a> Run<'a> {
    const EMPTY: Run<'static> =
        Run { slab: None, class: SizeClass::from_index(0), block: ptr::null_mut(), word: 0, bits: 0 };

    fn add(&mut self, slab: &'a Slab, class: SizeClass, block: *mut u8) {
        let blocks = Blocks::of(class);
        let Some(index) = blocks.locate(block) else { refuse(Misuse::NotABlock, block, blocks.size()) };
        let (word, bit) = (index / 64, 1 << (index % 64));
        if self.word == word && self.class == class && self.slab.is_some_and(|mine| mine.is(slab)) {
            if self.bits & bit != 0 {
                refuse(Misuse::DoubleFree, block, blocks.size());
            }
            self.bits |= bit;
        } else {
            self.send();
            *self = Run { slab: Some(slab), class, block, word, bits: bit };
        }
    }

    fn send(&self) {
        let Some(slab) = self.slab else { return };
        if slab.kind() != SlotKind::Slab(self.class) {
            refuse(Misuse::NotABlock, self.block, self.class.size());
        }
        let segment = Segment::of(slab);
        if segment.put_remote(slab, self.word, self.bits) != 0 {
            refuse(Misuse::DoubleFree, self.block, self.class.size());
        }
    }
}

impl Heap {
    /// Keeps a block of another heap, to send it home with others, or sends it.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap.
    /// - `block` is one of `class`, in a segment of another heap.
    pub(crate) unsafe fn put_in_outbox(&self, class: SizeClass, block: NonNull<u8>) {
        // SAFETY: passed on.
        let sent = unsafe { self.outbox.put(class, block) };
        if sent > 0 {
            self.live_changed(sent, 0);
        }
    }
}

/// Returns one block of `class` to the heap that owns it, from any thread.
///
/// # Safety
/// - `block` lies in a slab of some heap, which has its memory from `counters`' backend.
pub(crate) unsafe fn return_remotely(class: SizeClass, block: NonNull<u8>, counters: &Counters) {
    // SAFETY: passed on.
    unsafe { send(class, block) };
    counters.live_changed(class.size(), 0);
}

/// # Safety
/// - `block` lies in a slab of some heap.
unsafe fn send(class: SizeClass, block: NonNull<u8>) {
    // SAFETY: passed on.
    unsafe { send_all(class, &[block.as_ptr()]) };
}

/// Returns blocks of `class` to the heaps that own them.
///
/// # Safety
/// - Each of the blocks lies in a slab of some heap.
pub(super) unsafe fn send_all(class: SizeClass, blocks: &[Place]) {
    let mut run = Run::EMPTY;
    for &block in blocks {
        // SAFETY: the caller says that it lies in a slab.
        run.add(unsafe { segment::slab_of(block.addr()) }, class, block);
    }
    run.send();
}
