//! Sampling: what a heap's borrower has at hand while a profile takes samples of its allocations.
//!
//! Nothing is counted on the fast path of an allocation: a magazine is given no more blocks than may be allocated before the next sample, so the one that
//! finds it empty knows how many there were. For that to be true nothing may come back to a magazine, so the blocks that the thread
//! frees go to others, the *returns*, from which the magazines are refilled.

use super::{Hand, Heap};
use crate::magazine::{Magazine, Tops};
use crate::sampling::{Gaps, LastWalk};
use crate::segment::Owner;
use crate::size_class::{self, SizeClass};
use crate::sync::{Cell, Ordering};
use core::ptr::NonNull;
use core::slice;

/// A borrower's side of a profile. Borrower-only, but for the tops, which others may read.
#[repr(C)]
pub(crate) struct Sampling {
    /// The blocks that the thread has freed.
    magazines: [Magazine; size_class::SLABS],
    hand: Hand,
    /// For each class, allocations up to the next sample, with that one and without those that the magazine can serve; 0 where none are counted yet.
    blocks_left: [Cell<u64>; size_class::SLABS],
    /// Bytes of larger blocks up to the next sample; 0 where none are counted yet.
    bytes_left: Cell<u64>,
    gaps: Gaps,
    last_walk: LastWalk,
    /// True while the allocations of whoever has borrowed the heap are sampled: it stays so while the thread allocates from another.
    is_on: Cell<bool>,
}

/// What an allocation that finds its magazine empty is.
pub(crate) enum Next {
    /// A sample.
    Sample,
    /// None, and nor are those that follow until there were so many, with this one.
    Others(u64),
}

impl Sampling {
    /// Takes back a block that the thread frees; false where it is another heap's, or there is no room for it. The shortest way that a free of a sampled thread can take.
    ///
    /// # Safety
    /// - The calling thread has borrowed the heap.
    /// - `class` is that of the block, and `owner` its owner.
    #[inline(always)]
    pub(crate) unsafe fn take_back(&self, block: *mut u8, code: usize, owner: Owner) -> bool {
        // SAFETY: the calling thread's own tops, and a code from a class or a segment.
        owner == self.hand.owner.get() && unsafe { self.hand.tops.push_under(code, block) }
    }

    /// What the thread's frees go to.
    pub(crate) fn hand(&self) -> &Hand {
        &self.hand
    }

    /// What the next allocation of `class` is, whose magazine is empty.
    pub(crate) fn next(&self, class: SizeClass) -> Next {
        let left = &self.blocks_left[class.index()];
        if left.get() == 0 {
            left.set(self.gaps.blocks(class.size()));
        }
        match left.get() - 1 {
            0 => {
                left.set(0);
                Next::Sample
            }
            others => Next::Others(others),
        }
    }

    /// Counts an allocation of `size` bytes that no magazine serves; true where it is a sample.
    pub(crate) fn is_sample(&self, size: usize) -> bool {
        let left = &self.bytes_left;
        if left.get() == 0 {
            left.set(self.gaps.bytes());
        }
        let rest = left.get().saturating_sub(size as u64);
        left.set(rest);
        rest == 0
    }

    /// Takes back what [`Sampling::is_sample`] has counted, and did not find to be a sample.
    pub(crate) fn take_off_count(&self, size: usize) {
        if self.bytes_left.get() > 0 {
            self.bytes_left.set(self.bytes_left.get().saturating_add(size as u64));
        }
    }

    fn count(&self, class: SizeClass, blocks: usize) {
        let left = &self.blocks_left[class.index()];
        left.set(left.get() - blocks as u64);
    }

    /// Bytes between samples, on average.
    pub(crate) fn rate(&self) -> u64 {
        self.gaps.rate()
    }

    /// The stack at the thread's last sample.
    pub(crate) fn last_walk(&self) -> &LastWalk {
        &self.last_walk
    }

    pub(crate) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// Ends the sampling. The magazines and the returns are to be emptied.
    pub(crate) fn stop(&self) {
        self.is_on.set(false);
    }

    fn start(&self, rate: u64, seed: u64) {
        self.is_on.set(true);
        self.gaps.start(rate, seed ^ u64::from(self.hand.owner.get().0) << 48);
        self.last_walk.forget();
        self.bytes_left.set(0);
        self.blocks_left.iter().for_each(|left| left.set(0));
    }

    /// Number of blocks of `class` among the returns, and 0 of spans, which never go there.
    pub(crate) fn waiting(&self, class: SizeClass) -> usize {
        self.magazines.get(class.index()).map_or(0, |magazine| self.hand.tops.waiting_in(magazine, class))
    }

    /// In a forked child, where the borrower does not exist.
    pub(super) fn forget(&self) {
        self.is_on.set(false);
        self.hand.tops.reset();
    }
}

/// Blocks of the returns that a magazine is given at a time: those that were freed last, which are in the processor's cache still.
const HOT: usize = 24;

/// Returns of fewer blocks are left to become more, since each visit has a cost of its own: the magazine is filled from slabs then.
const LEAST: usize = 4;

impl Heap {
    /// What the borrower has at hand for a profile, if one was ever armed.
    pub(crate) fn sampling(&self) -> Option<&'static Sampling> {
        // Acquire: pairs with the Release in `start_sampling`.
        let sampling = self.sampling.load(Ordering::Acquire);
        // SAFETY: never given back.
        unsafe { sampling.as_ref() }
    }

    /// Begins to sample the borrower's allocations; `None` where the system has no memory.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    pub(crate) unsafe fn start_sampling(&self, tops: &Tops, rate: u64, seed: u64) -> Option<&'static Sampling> {
        let sampling = self.sampling().or_else(|| self.make_sampling())?;
        // SAFETY: passed on.
        unsafe { self.empty_magazines(tops) };
        sampling.hand.owner.set(self.owner);
        sampling.hand.owners.set(self.owners());
        sampling.start(rate, seed);
        Some(sampling)
    }

    fn make_sampling(&self) -> Option<&'static Sampling> {
        let len = size_of::<Sampling>().next_multiple_of(self.backend.os.page_size());
        let sampling = self.backend.os.map(0, len)?.cast::<Sampling>();
        let place = sampling.as_ptr();
        // Everything else is valid as zeros, and the magazines stay untouched until they are used.
        // SAFETY: mapped just now, and large enough; a page is aligned for it.
        unsafe {
            (&raw mut (*place).hand).write(Hand::empty());
        }
        self.backend.counters.commit_metadata(len);
        // Release: the tops are there. Pairs with the Acquire in `sampling`.
        self.sampling.store(place, Ordering::Release);
        // SAFETY: never given back.
        Some(unsafe { sampling.as_ref() })
    }

    /// A block of `class`, whose magazine is empty, and more of them into the magazine, but no more than `most` in all: returns first, then those of slabs. `None`
    /// where the system has no memory.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, whose `sampling` this is, and `tops` are its tops.
    pub(crate) unsafe fn refill_sampled(
        &self,
        sampling: &Sampling,
        tops: &Tops,
        class: SizeClass,
        most: u64,
    ) -> Option<NonNull<u8>> {
        let held = sampling.waiting(class);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if held < LEAST.min(most) {
            // SAFETY: passed on.
            let (block, taken) = unsafe { self.refill_within(tops, class, most) }?;
            sampling.count(class, taken);
            return Some(block);
        }
        // SAFETY: passed on.
        unsafe { self.take_hot(sampling, tops, class, held, most) }
    }

    /// A block of `class`, whose magazine is empty, from the returns, and more of them into the magazine, where that is all that there is to be done: so it is for most allocations that find
    /// a magazine empty.
    ///
    /// # Safety
    /// - As for [`Heap::refill_sampled`].
    #[inline(always)]
    pub(crate) unsafe fn refill_hot(&self, sampling: &Sampling, tops: &Tops, class: SizeClass) -> Option<NonNull<u8>> {
        let held = sampling.waiting(class);
        let most = sampling.blocks_left.get(class.index())?.get().saturating_sub(1) as usize;
        if held < LEAST || most < LEAST || tops.next(class).is_some() {
            return None;
        }
        // SAFETY: passed on.
        unsafe { self.take_hot(sampling, tops, class, held, most) }
    }

    /// At most `most` of the `held` blocks of `class` among the returns.
    ///
    /// # Safety
    /// - As for [`Heap::refill_sampled`].
    #[inline(always)]
    unsafe fn take_hot(
        &self,
        sampling: &Sampling,
        tops: &Tops,
        class: SizeClass,
        held: usize,
        most: usize,
    ) -> Option<NonNull<u8>> {
        let moved = held.min(most).min(HOT);
        let from = sampling.magazines[class.index()].low(class).wrapping_add(held - moved);
        let low = self.low(class);
        // SAFETY: the returns hold `held` blocks up to their top, and a magazine has room for as many; the borrower alone has access.
        unsafe { from.copy_to_nonoverlapping(low, moved) };
        sampling.hand.tops.set(class, from);
        sampling.count(class, moved);
        tops.set(class, low.wrapping_add(moved - 1));
        tops.count(1);
        // SAFETY: copied there just now.
        NonNull::new(unsafe { *low.wrapping_add(moved - 1) })
    }

    /// As [`Heap::refill_sampled`], for a block that is to read as zero; says whether it does already.
    ///
    /// # Safety
    /// - As for [`Heap::refill_sampled`].
    pub(crate) unsafe fn refill_sampled_zeroed(
        &self,
        sampling: &Sampling,
        tops: &Tops,
        class: SizeClass,
        most: u64,
    ) -> Option<(NonNull<u8>, bool)> {
        if sampling.waiting(class) == 0 && Self::is_worth_asking_for_zeros(class) {
            let found = self.take_one(class)?;
            sampling.count(class, 1);
            return Some(found);
        }
        // SAFETY: passed on.
        unsafe { self.refill_sampled(sampling, tops, class, most) }.map(|block| (block, false))
    }

    /// Takes back a block of `class`, for which there is no room among the returns, or no magazine yet.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, whose `sampling` this is.
    /// - `block` lies in one of this heap's segments, and `class` is one of slabs.
    pub(crate) unsafe fn flush_returns(&self, sampling: &Sampling, class: SizeClass, block: NonNull<u8>) {
        // SAFETY: passed on; the returns' tops stand in the returns' magazines.
        unsafe { self.flush_from(&sampling.magazines[class.index()], &sampling.hand.tops, class, block) }
    }

    /// Empties the returns, if there are any, and takes note of what is about to go from the magazines without having been allocated.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    pub(super) unsafe fn empty_returns(&self, tops: &Tops) {
        let Some(sampling) = self.sampling() else { return };
        let mut core = self.core.lock();
        for class in SizeClass::slabs() {
            let left = &sampling.blocks_left[class.index()];
            if left.get() > 0 {
                left.set(left.get() + self.waiting_in(class, tops) as u64);
            }
            let held = sampling.waiting(class);
            if held > 0 {
                let low = sampling.magazines[class.index()].low(class);
                // SAFETY: the returns hold `held` blocks from their low end on, and the borrower alone has access.
                let places = unsafe { slice::from_raw_parts(low, held) };
                self.put_back(&mut core, class, places);
            }
        }
        sampling.hand.tops.reset();
    }
}
