//! Sampling: what a heap's borrower has at hand while a profile takes samples of its allocations.
//!
//! Nothing is counted on the fast path of an allocation: a magazine never holds more blocks than are allocated before
//! the next sample, so the allocation that finds it empty knows how many there were. A refill takes no more than that,
//! and a free puts a block back only while more are to come than wait there, which it counts. In the short while in
//! which no more are to come, what is freed goes to other magazines, the *returns*.
//!
//! ```text
//! allocations up to the next that is looked at, without it == blocks in the magazine + `beyond`
//! ```

use super::{Heap, stealing};
use crate::magazine::{Magazine, Tops};
use crate::sampling::Gaps;
use crate::segment::Owner;
use crate::size_class::{self, STEP, SizeClass};
use crate::sync::{Cell, Ordering};
use core::ptr::NonNull;
use core::slice;

/// How often allocations are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Bytes between samples, on average; 0 where none are taken.
    pub(crate) rate: u64,
    /// One in so many allocations is to be guarded; 0 where none is.
    pub(crate) one_in: u64,
}

impl Pace {
    /// None is looked at.
    pub(crate) const NEVER: Self = Self { rate: 0, one_in: 0 };
}

/// A borrower's side of a profile. Borrower-only, but for the tops, which others may read.
#[repr(C)]
pub(crate) struct Sampling {
    /// The returns.
    magazines: [Magazine; size_class::SLABS],
    returns: Tops,
    /// The heap's.
    owner: Cell<Owner>,
    /// Found by a class's code, as the tops are. All zeros under the code that is no class's, and of spans, which do
    /// not come back here.
    gaps_left: [GapsLeft; size_class::COUNT + 1],
    one_in: Cell<u64>,
    /// Bytes of larger blocks up to the next sample; 0 where none are counted yet.
    bytes_left: Cell<u64>,
    gaps: Gaps,
    /// True while the allocations of whoever has borrowed the heap are sampled: it stays so while the thread allocates
    /// from another.
    is_on: Cell<bool>,
}

/// What is left of a class's gaps. All zeros before the first.
#[repr(C, align(32))]
struct GapsLeft {
    /// Allocations before the next that is looked at, which ends one of the gaps; without those that the magazine can
    /// serve: as many blocks may come back to it.
    beyond: Cell<u64>,
    /// From the next that is looked at to the next sample: 0 where that is it, or where its gap is to be drawn.
    to_sample: Cell<u64>,
    /// From there to the next that is to be guarded, in the same way.
    to_guarded: Cell<u64>,
    /// True while the gaps are drawn.
    are_drawn: Cell<bool>,
}

const _: () = assert!(size_of::<GapsLeft>().is_multiple_of(STEP));

/// What an allocation that finds its magazine empty is.
pub(crate) enum Next {
    /// One that is looked at.
    Chosen(Chosen),
    /// None, and nor are those that follow until there were so many, with this one.
    Others(u64),
}

/// Why an allocation is looked at.
pub(crate) struct Chosen {
    pub(crate) is_sample: bool,
    pub(crate) is_guarded: bool,
}

impl Sampling {
    /// Takes back a block that the thread frees, to the magazine that it would go to if nothing were sampled; false
    /// where it is another heap's, or no more are to come before the next sample than wait there, or there is no room.
    /// The way of nearly every free of a sampled thread.
    ///
    /// # Safety
    /// - The calling thread has borrowed the heap, and `tops` are its tops, which are not set aside.
    /// - `code` is that of the block's class, or 0, and `owner` its owner.
    #[inline(always)]
    pub(crate) unsafe fn keep(&self, tops: &Tops, code: usize, block: *mut u8, owner: Owner) -> bool {
        // SAFETY: passed on.
        let GapsLeft { beyond, .. } = unsafe { self.left_under(code) };
        let left = beyond.get();
        // SAFETY: passed on.
        if owner != self.owner.get() || left == 0 || !unsafe { tops.behind(code).push(block) } {
            return false;
        }
        beyond.set(left - 1);
        true
    }

    /// Takes back a block that the thread frees: to the returns, where no more allocations are to come than
    /// [`Sampling::keep`] asks for. False where it is another heap's, or there is no room for it.
    ///
    /// # Safety
    /// - As for [`Sampling::keep`]; `class` is the block's.
    pub(crate) unsafe fn take_back(&self, tops: &Tops, class: SizeClass, block: *mut u8, owner: Owner) -> bool {
        // SAFETY: passed on.
        unsafe { self.keep(tops, class.code(), block, owner) || self.keep_for_later(class, block, owner) }
    }

    /// Takes back a block that the thread frees to the returns, where no more allocations are to come than
    /// [`Sampling::keep`] asks for; false as there.
    ///
    /// # Safety
    /// - As for [`Sampling::keep`]; `class` is the block's.
    #[inline(always)]
    pub(crate) unsafe fn keep_for_later(&self, class: SizeClass, block: *mut u8, owner: Owner) -> bool {
        // SAFETY: passed on: the calling thread's own returns.
        owner == self.owner.get() && self.beyond(class).get() == 0 && unsafe { self.returns.push(class, block) }
    }

    /// What the next allocation of `class` is, whose magazine is empty.
    pub(crate) fn next(&self, class: SizeClass) -> Next {
        let GapsLeft { beyond, to_sample, to_guarded, are_drawn } = self.left(class);
        if beyond.get() == 0 && !are_drawn.get() {
            if to_sample.get() == 0 {
                to_sample.set(self.gaps.blocks(class.size()));
            }
            if to_guarded.get() == 0 {
                to_guarded.set(self.gaps.chosen(self.one_in.get()));
            }
            let gap = to_sample.get().min(to_guarded.get());
            to_sample.set(to_sample.get() - gap);
            to_guarded.set(to_guarded.get() - gap);
            beyond.set(gap - 1);
            are_drawn.set(true);
        }
        if beyond.get() > 0 {
            return Next::Others(beyond.get());
        }
        are_drawn.set(false);
        Next::Chosen(Chosen { is_sample: to_sample.get() == 0, is_guarded: to_guarded.get() == 0 })
    }

    /// The allocation that was chosen is served as any other, and the next is chosen in its place; returns how many
    /// blocks come before that, with this one.
    pub(crate) fn pass_over(&self, class: SizeClass) -> u64 {
        self.left(class).are_drawn.set(true);
        self.beyond(class).set(1);
        1
    }

    /// Whose blocks these are.
    #[inline(always)]
    pub(crate) fn owner(&self) -> Owner {
        self.owner.get()
    }

    #[inline(always)]
    fn beyond(&self, class: SizeClass) -> &Cell<u64> {
        &self.left(class).beyond
    }

    #[inline(always)]
    fn left(&self, class: SizeClass) -> &GapsLeft {
        // SAFETY: a class's code.
        unsafe { self.left_under(class.code()) }
    }

    /// # Safety
    /// - `code` is a class's, or 0.
    #[inline(always)]
    unsafe fn left_under(&self, code: usize) -> &GapsLeft {
        // SAFETY: codes are at most `COUNT` steps, and for each step there is one.
        unsafe { &*self.gaps_left.as_ptr().byte_add(code * (size_of::<GapsLeft>() / STEP)) }
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

    /// Blocks of `class` come to the magazine, or past it.
    fn count(&self, class: SizeClass, blocks: usize) {
        let beyond = self.beyond(class);
        beyond.set(beyond.get() - blocks as u64);
    }

    /// Bytes between samples, on average.
    pub(crate) fn rate(&self) -> u64 {
        self.gaps.rate()
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace { rate: self.gaps.rate(), one_in: self.one_in.get() }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// Ends the sampling. The magazines and the returns are to be emptied.
    pub(crate) fn stop(&self) {
        self.is_on.set(false);
    }

    fn start(&self, pace: Pace, seed: u64) {
        self.is_on.set(true);
        self.one_in.set(pace.one_in);
        self.gaps.start(pace.rate, seed ^ u64::from(self.owner.get().0) << 48);
        self.bytes_left.set(0);
        for GapsLeft { beyond, to_sample, to_guarded, are_drawn } in &self.gaps_left {
            beyond.set(0);
            to_sample.set(0);
            to_guarded.set(0);
            are_drawn.set(false);
        }
    }

    /// Number of blocks of `class` among the returns, and 0 of spans, which never go there.
    pub(crate) fn waiting(&self, class: SizeClass) -> usize {
        self.magazines.get(class.index()).map_or(0, |magazine| self.returns.waiting_in(magazine, class))
    }

    /// In a forked child, where the borrower does not exist.
    pub(super) fn forget(&self) {
        self.is_on.set(false);
        self.returns.reset();
    }
}

/// Blocks of the returns that a magazine is given at a time: those that were freed last, which are in the processor's
/// cache still.
#[inline(always)]
fn hot(class: SizeClass) -> usize {
    /// Bytes of them, at most, and at least [`LEAST`] blocks.
    const BYTES: usize = 1024;
    const MOST: usize = 16;
    static HOT: [u8; size_class::SLABS] = {
        let mut hot = [0; size_class::SLABS];
        let mut index = 0;
        while index < size_class::SLABS {
            hot[index] = match BYTES / size_class::size_of(index) {
                LEAST..MOST => BYTES / size_class::size_of(index),
                MOST.. => MOST,
                _ => LEAST,
            } as u8;
            index += 1;
        }
        hot
    };
    HOT[class.index()].into()
}

/// Returns of fewer blocks are left to become more, since each visit has a cost of its own: the magazine is filled from
/// slabs then.
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
    pub(crate) unsafe fn start_sampling(&self, tops: &Tops, pace: Pace, seed: u64) -> Option<&'static Sampling> {
        let sampling = self.sampling().or_else(|| self.make_sampling())?;
        // SAFETY: passed on.
        unsafe { self.empty_magazines(tops) };
        sampling.owner.set(self.owner);
        sampling.start(pace, seed);
        Some(sampling)
    }

    fn make_sampling(&self) -> Option<&'static Sampling> {
        let len = size_of::<Sampling>().next_multiple_of(self.backend.os.page_size());
        let sampling = self.backend.os.map(0, len)?.cast::<Sampling>();
        let place = sampling.as_ptr();
        // Everything else is valid as zeros, and the magazines stay untouched until they are used.
        // SAFETY: mapped just now, and large enough; a page is aligned for it.
        unsafe {
            (&raw mut (*place).returns).write(Tops::nowhere());
        }
        self.backend.counters.commit_metadata(len);
        // Release: the tops are there. Pairs with the Acquire in `sampling`.
        self.sampling.store(place, Ordering::Release);
        // SAFETY: never given back.
        Some(unsafe { sampling.as_ref() })
    }

    /// A block of `class`, whose magazine is empty, and more of them into the magazine, but no more than `most` in all:
    /// returns first, then those of slabs. `None` where the system has no memory.
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
            let (block, taken) = unsafe { self.refill_within(tops, class, most, stealing::NONE) }?;
            sampling.count(class, taken);
            return Some(block);
        }
        // SAFETY: passed on.
        unsafe { self.take_hot(sampling, tops, class, held, most) }
    }

    /// A block of `class`, whose magazine is empty, from the returns, and more of them into the magazine, where that is
    /// all that there is to be done: so it is for most allocations that find a magazine empty.
    ///
    /// # Safety
    /// - As for [`Heap::refill_sampled`].
    #[inline(always)]
    pub(crate) unsafe fn refill_hot(&self, sampling: &Sampling, tops: &Tops, class: SizeClass) -> Option<NonNull<u8>> {
        let held = sampling.waiting(class);
        let most = sampling.beyond(class).get() as usize;
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
        let moved = held.min(most).min(hot(class));
        let from = sampling.magazines[class.index()].low(class).wrapping_add(held - moved);
        let low = self.low(class);
        // SAFETY: the returns hold `held` blocks up to their top, and a magazine has room for as many; the borrower
        // alone has access.
        unsafe { from.copy_to_nonoverlapping(low, moved) };
        sampling.returns.set(class, from);
        sampling.count(class, moved);
        tops.set(class, low.wrapping_add(moved - 1));
        tops.count(class, 1);
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

    /// Takes back a block of `class`, for which there is no room, or no magazine yet.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, whose `sampling` this is, and `tops` are its tops.
    /// - `block` lies in one of this heap's segments, and `class` is one of slabs.
    pub(crate) unsafe fn flush_sampled(&self, sampling: &Sampling, tops: &Tops, class: SizeClass, block: NonNull<u8>) {
        let beyond = sampling.beyond(class);
        if beyond.get() == 0 {
            // SAFETY: passed on; the returns' tops stand in the returns' magazines.
            return unsafe {
                self.flush_from(&sampling.magazines[class.index()], &sampling.returns, class, block);
            };
        }
        let before = self.waiting_in(class, tops) as u64;
        // SAFETY: passed on.
        unsafe { self.flush(tops, class, block) };
        // One more waits at most.
        beyond.set((beyond.get() + before).saturating_sub(self.waiting_in(class, tops) as u64));
    }

    /// Empties the returns, if there are any, and takes note of what is about to go from the magazines without having
    /// been allocated.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    pub(super) unsafe fn empty_returns(&self, tops: &Tops) {
        let Some(sampling) = self.sampling() else { return };
        let mut core = self.core.lock();
        for class in SizeClass::slabs() {
            if sampling.left(class).are_drawn.get() {
                let beyond = sampling.beyond(class);
                beyond.set(beyond.get().saturating_add(self.waiting_in(class, tops) as u64));
            }
            let held = sampling.waiting(class);
            if held > 0 {
                let low = sampling.magazines[class.index()].low(class);
                // SAFETY: the returns hold `held` blocks from their low end on, and the borrower alone has access.
                let places = unsafe { slice::from_raw_parts(low, held) };
                self.put_back(&mut core, class, places);
            }
        }
        sampling.returns.reset();
    }
}
