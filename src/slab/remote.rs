//! Blocks returned to a slab by threads that do not own it.
//!
//! Whoever makes a word non-zero must then set the word's bit in the summary, and whoever makes the summary non-zero
//! must then push the slab on its heap's stack of pending slabs; nobody else does. So one atomic operation returns a
//! block, or up to 64 neighbours, in the common case. And the owner, who takes only words whose summary bit is set, and
//! only from slabs that it found on the stack, never takes a block while its giver still has a step to do: when every
//! block has been collected, no thread is about to touch the slab, and it may be given another use.
//!
//! The stack is pushed one by one and taken whole. Taking all at once is what rules ABA out.

use crate::slab::{Freshness, Slab};
#[cfg(feature = "hardened")]
use crate::sync::AtomicUsize;
use crate::sync::{AtomicPtr, AtomicU8, AtomicU64, Ordering, constructor};
use core::ptr;

/// The part of a slab's head that other threads write. Kept apart from the owner's, on a line of its own.
#[repr(C, align(64))]
pub(crate) struct Remote {
    /// Bit w is set once word w of the remote bitmap has become non-zero, until the owner takes it.
    summary: AtomicU64,
    /// The next slab on the stack of pending slabs. Written by the thread that pushes, before it pushes.
    next: AtomicPtr<Slab>,
    /// What the slot is used for: [`SlotKind`](super::SlotKind), as a code. Written by the owner, when no block is in
    /// use.
    pub(super) kind: AtomicU8,
    /// Of a span, what is known of its memory. Here because the owner's line is full.
    pub(super) freshness: Freshness,
    /// Of a span that is in use, one more than the bytes that were asked for; 0 of one that is free. Not of slabs.
    #[cfg(feature = "hardened")]
    pub(super) asked: AtomicUsize,
}

impl Remote {
    constructor! {
        /// Nothing returned.
        #[cfg(all(test, loom))]
        pub(crate) fn new() -> Self {
            Self { summary: AtomicU64::new(0), next: AtomicPtr::new(ptr::null_mut()), kind: AtomicU8::new(0), freshness: Freshness::unknown() }
        }
    }

    /// Returns the blocks of word `index` whose bits are set; `word` is that word of the slab's remote bitmap. `slab`
    /// is the slab to which `self` belongs, and `pending` its heap's stack. Returns the bits that were set already:
    /// their blocks are free.
    ///
    /// One to three atomic read-modify-writes, each on success of the one before.
    #[inline]
    pub(crate) fn put(&self, word: &AtomicU64, index: usize, bits: u64, slab: *mut Slab, pending: &Pending) -> u64 {
        // Release: what was done to the blocks comes before their reuse. Pairs with the Acquire swap in `collect`.
        let before = word.fetch_or(bits, Ordering::Release);
        if before != 0 {
            return before & bits;
        }
        // Release: this step comes before whatever use the slab is put to once collected. Pairs with the Acquire half
        // of the swap in `collect`. Acquire: the owner is done with the link, which is about to change. Pairs with the
        // Release half of that swap.
        if self.summary.fetch_or(1 << index, Ordering::AcqRel) == 0 {
            pending.push(slab, &self.next);
        }
        0
    }

    /// Takes everything that was returned, and passes each word's index and bits on. `word` gives the words of the
    /// slab's remote bitmap.
    ///
    /// Owner-only, and only for slabs that came from the stack of pending slabs.
    pub(crate) fn collect<'a>(&self, word: impl Fn(usize) -> &'a AtomicU64, mut each: impl FnMut(usize, u64)) {
        // Acquire: pairs with the Release on the summary in `put`: whoever set a bit has done so with the word.
        // Release: the slab's link has been read, and may change when the slab is pushed again. Pairs with the Acquire
        // in `put`.
        let mut summary = self.summary.swap(0, Ordering::AcqRel);
        while summary != 0 {
            let index = summary.trailing_zeros() as usize;
            summary &= summary - 1;
            // Acquire: pairs with the Release on the word in `put`.
            each(index, word(index).swap(0, Ordering::Acquire));
        }
    }

    /// Marks a span as returned on behalf of its owner, who is about to end it and collects nothing: whoever returns it
    /// as well is told so. `word` is that of the span's one bit. False where it was returned before. Owner-only.
    pub(crate) fn mark(word: &AtomicU64) -> bool {
        // Relaxed: nobody learns of anything else by it.
        word.swap(1, Ordering::Relaxed) == 0
    }

    /// Takes the mark away. Owner-only.
    pub(crate) fn unmark(word: &AtomicU64) {
        word.store(0, Ordering::Relaxed);
    }

    /// True where nothing waits to be collected, as far as its giver has got; a snapshot.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.summary.load(Ordering::Relaxed) == 0
    }

    /// Number of blocks that wait to be collected; a snapshot.
    pub(crate) fn waiting<'a>(&self, word: impl Fn(usize) -> &'a AtomicU64) -> usize {
        let mut summary = self.summary.load(Ordering::Relaxed);
        let mut count = 0;
        while summary != 0 {
            count += word(summary.trailing_zeros() as usize).load(Ordering::Relaxed).count_ones() as usize;
            summary &= summary - 1;
        }
        count
    }
}

/// The stack of a heap's slabs that others have returned blocks to.
#[repr(align(64))]
pub(crate) struct Pending {
    top: AtomicPtr<Slab>,
}

impl Pending {
    constructor! {
        /// An empty stack.
        pub(crate) fn new() -> Self {
            Self { top: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// Pushes `slab`, whose link is `next`. Only the thread that made the slab's summary non-zero may do so.
    fn push(&self, slab: *mut Slab, next: &AtomicPtr<Slab>) {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            next.store(top, Ordering::Relaxed);
            // Release: publishes the link. Pairs with the Acquire in `take`; a push on top of this one continues its
            // release sequence.
            match self.top.compare_exchange_weak(top, slab, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }

    /// True where nothing waits; a snapshot.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.top.load(Ordering::Relaxed).is_null()
    }

    /// Takes the whole stack: its top, or null. Owner-only.
    pub(crate) fn take(&self) -> *mut Slab {
        // Acquire: pairs with the Release in `push`, so the links can be followed.
        self.top.swap(ptr::null_mut(), Ordering::Acquire)
    }

    /// The slab below, on a stack that was taken. To be asked before the slab is collected, after which it may be
    /// pushed again.
    pub(crate) fn below(remote: &Remote) -> *mut Slab {
        remote.next.load(Ordering::Relaxed)
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
