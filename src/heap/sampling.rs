//! Sampling: what a heap's borrower has at hand while a profile takes samples of its allocations.
//!
//! Nothing is counted on the fast path of an allocation: a magazine never holds more blocks than are allocated before
//! the next sample, so the allocation that finds it empty knows how many there were. A refill takes no more than that,
//! and a free puts a block back only while more are to come than wait there, which it counts. In the short while in
//! which no more are to come, a block goes to another magazine, the *returns*, for each that is freed. Spans, of which
//! one waits in a magazine, are counted in the same way; one more waits here while the next is a sample.
//!
//! ```text
//! allocations up to the next that is looked at, without it == blocks in the magazine + `beyond`
//! ```

mod exchange;

use super::Heap;
use crate::magazine::{Magazine, Tops};
use crate::sampling::{Gaps, Stretch, Throttle, Weight};
use crate::segment::Owner;
use crate::size_class::{self, SLOT_SIZE, STEP, SizeClass};
use crate::sync::{AtomicPtr, Cell, Ordering};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

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
    /// The span that waits behind a sample of its class, with the class's index in its low bits; null where none does.
    span: AtomicPtr<u8>,
    /// The heap's.
    owner: Cell<Owner>,
    /// Found by a class's code, as the tops are. All zeros under the code that is no class's.
    gaps_left: [GapsLeft; size_class::COUNT + 1],
    pace: Cell<Pace>,
    /// Bytes of the largest block of a slab that may be guarded: those of a page.
    most_guarded: Cell<usize>,
    /// Where the gaps began.
    seed: Cell<Option<u64>>,
    /// Bytes of larger blocks up to the next sample; 0 where none are counted yet.
    bytes_left: Cell<u64>,
    /// By how much that gap is longer than others.
    bytes_stretch: Cell<Stretch>,
    gaps: Gaps,
    throttle: Throttle,
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
    /// By how much the gap to the next sample is longer than others, or that to the last was, where none is drawn yet.
    stretch: Cell<Stretch>,
    /// True while the gaps are drawn.
    are_drawn: Cell<bool>,
}

const _: () = assert!(size_of::<GapsLeft>().is_multiple_of(STEP));

impl GapsLeft {
    /// Counts a block where `keep` puts it into the magazine, which it is not to do where no more are to come before
    /// the next sample than wait there.
    #[inline(always)]
    fn count_if(&self, keep: impl FnOnce() -> bool) -> bool {
        let left = self.beyond.get();
        let is_kept = left > 0 && keep();
        if is_kept {
            self.beyond.set(left - 1);
        }
        is_kept
    }
}

/// What an allocation that finds its magazine empty is.
pub(crate) enum Next {
    /// One that is looked at.
    Chosen(Chosen),
    /// None, and nor are those that follow until there were so many, with this one.
    Others(u64),
}

/// In what an allocation is counted: a gap is one of blocks of a class, or of bytes.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// A block of a slab, or a span.
    Class(SizeClass),
    /// A mapping, or a span that has no class.
    Bytes(usize),
}

impl Unit {
    /// Of a block for `layout`, too large for a slab.
    pub(crate) fn of(layout: Layout) -> Self {
        SizeClass::of_span(layout).map_or(Self::Bytes(layout.size()), Self::Class)
    }
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
        owner == self.owner.get() && unsafe { self.left_under(code).count_if(|| tops.behind(code).push(block)) }
    }

    /// Takes back a block that the thread frees, as [`Sampling::keep`] does or as [`Sampling::keep_for_later`]. False
    /// where it is another heap's, or there is no room for it.
    ///
    /// # Safety
    /// - As for [`Sampling::keep`]; `class` is the block's.
    pub(crate) unsafe fn take_back(&self, tops: &Tops, class: SizeClass, block: *mut u8, owner: Owner) -> bool {
        // SAFETY: passed on.
        unsafe { self.keep(tops, class.code(), block, owner) || self.keep_for_later(tops, class, block, owner) }
    }

    /// Takes back a block that the thread frees, where no more allocations are to come than [`Sampling::keep`] asks
    /// for; false as there. It goes to the magazine all the same, and the block that has waited longest there to the
    /// returns. Otherwise each sample would have all blocks of a magazine used, of which a program may need two.
    ///
    /// # Safety
    /// - As for [`Sampling::keep`]; `class` is the block's.
    #[inline(always)]
    pub(crate) unsafe fn keep_for_later(&self, tops: &Tops, class: SizeClass, block: *mut u8, owner: Owner) -> bool {
        if owner != self.owner.get() || self.beyond(class).get() > 0 {
            return false;
        }
        let lowest = tops.lowest(class);
        // SAFETY: a magazine's place, where a block waits.
        let leaves = lowest.map_or(block, |lowest| unsafe { lowest.read() });
        // SAFETY: the calling thread's own returns.
        if !unsafe { self.returns.push(class, leaves) } {
            return false;
        }
        if let Some(lowest) = lowest {
            // SAFETY: the calling thread's own tops.
            unsafe { tops.replace_lowest(class, lowest, block) };
        }
        true
    }

    /// What the next allocation of `class` is, whose magazine is empty.
    pub(crate) fn next(&self, class: SizeClass) -> Next {
        let GapsLeft { beyond, to_sample, to_guarded, are_drawn, .. } = self.left(class);
        if beyond.get() == 0 && !are_drawn.get() {
            self.draw(class);
        }
        if beyond.get() > 0 {
            return Next::Others(beyond.get());
        }
        are_drawn.set(false);
        Next::Chosen(Chosen { is_sample: to_sample.get() == 0, is_guarded: to_guarded.get() == 0 })
    }

    /// Draws the gaps of `class` that have ended: the next allocation is the first of them.
    fn draw(&self, class: SizeClass) {
        let GapsLeft { beyond, to_sample, to_guarded, stretch, are_drawn } = self.left(class);
        let Pace { rate, one_in } = self.pace.get();
        if to_sample.get() == 0 {
            stretch.set(self.throttle.stretch());
            to_sample.set(self.gaps.blocks(class.size(), stretch.get().of(rate)));
        }
        if to_guarded.get() == 0 {
            to_guarded.set(self.gaps.chosen(if class.size() > self.most_guarded.get() { 0 } else { one_in }));
        }
        let gap = to_sample.get().min(to_guarded.get());
        to_sample.set(to_sample.get() - gap);
        to_guarded.set(to_guarded.get() - gap);
        beyond.set(gap - 1);
        are_drawn.set(true);
    }

    /// The allocation that was `chosen`, and has just become neither a sample nor guarded, is served as any other.
    /// Where it was to be a sample, the next is one in its place; where it was to be guarded, none is. Returns how many
    /// blocks come before the next that is looked at, with this one.
    pub(crate) fn pass_over(&self, class: SizeClass, chosen: &Chosen) -> u64 {
        if chosen.is_sample {
            self.left(class).to_sample.set(1);
        }
        self.draw(class);
        let beyond = self.beyond(class);
        beyond.set(beyond.get() + 1);
        beyond.get()
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

    /// Counts an allocation of more than 32 KiB that no magazine serves; true where it is a sample.
    pub(crate) fn is_sample(&self, unit: Unit) -> bool {
        let size = match unit {
            Unit::Class(class) => {
                let Next::Others(_) = self.next(class) else { return true };
                self.count(class, 1);
                return false;
            }
            Unit::Bytes(size) => size,
        };
        let left = &self.bytes_left;
        if left.get() == 0 {
            self.bytes_stretch.set(self.throttle.stretch());
            left.set(self.gaps.bytes(self.bytes_stretch.get().of(self.pace.get().rate)));
        }
        let rest = left.get().saturating_sub(size as u64);
        left.set(rest);
        rest == 0
    }

    /// Takes back what [`Sampling::is_sample`] has counted, and did not find to be a sample.
    pub(crate) fn take_off_count(&self, unit: Unit) {
        match unit {
            Unit::Class(class) => self.take_off(class, 1),
            Unit::Bytes(size) if self.bytes_left.get() > 0 => {
                self.bytes_left.set(self.bytes_left.get().saturating_add(size as u64));
            }
            Unit::Bytes(_) => {}
        }
    }

    /// Blocks of `class` go from the magazine without having been allocated.
    pub(super) fn take_off(&self, class: SizeClass, blocks: usize) {
        if self.left(class).are_drawn.get() {
            let beyond = self.beyond(class);
            beyond.set(beyond.get().saturating_add(blocks as u64));
        }
    }

    /// Blocks of `class` come to the magazine, or past it.
    fn count(&self, class: SizeClass, blocks: usize) {
        let beyond = self.beyond(class);
        beyond.set(beyond.get() - blocks as u64);
    }

    /// As [`Sampling::keep`] counts, a block of `class` that `keep` puts into the magazine.
    #[inline(always)]
    pub(super) fn count_if(&self, class: SizeClass, keep: impl FnOnce() -> bool) -> bool {
        self.left(class).count_if(keep)
    }

    /// Takes note of a sample, and returns what it stands for.
    pub(crate) fn weigh(&self, unit: Unit, now_ms: u64) -> Weight {
        let rate = self.pace.get().rate;
        self.throttle.note(rate, now_ms);
        let (size, stretch) = match unit {
            Unit::Class(class) => (class.size(), self.left(class).stretch.get()),
            Unit::Bytes(size) => (size, self.bytes_stretch.get()),
        };
        Weight::of(size, stretch.of(rate))
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace.get()
    }

    pub(crate) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// Ends the sampling. The magazines and the returns are to be emptied.
    pub(crate) fn stop(&self) {
        self.is_on.set(false);
    }

    fn start(&self, pace: Pace, seed: u64, most_guarded: usize) {
        self.is_on.set(true);
        self.pace.set(pace);
        self.most_guarded.set(most_guarded);
        // A thread that wanted none of its allocations to be sampled for a while goes on where it was: with the same
        // gaps again, it would take samples of the same things again.
        if self.seed.replace(Some(seed)) != Some(seed) {
            self.throttle.start();
            self.gaps.start(seed ^ u64::from(self.owner.get().0) << 48);
        }
        self.bytes_left.set(0);
        for GapsLeft { beyond, to_sample, to_guarded, are_drawn, .. } in &self.gaps_left {
            beyond.set(0);
            to_sample.set(0);
            to_guarded.set(0);
            are_drawn.set(false);
        }
    }

    /// Number of blocks of `class` among the returns; of spans, of those that wait behind a sample.
    pub(crate) fn waiting(&self, class: SizeClass) -> usize {
        match self.magazines.get(class.index()) {
            Some(magazine) => self.returns.waiting_in(magazine, class),
            None => self.span().is_some_and(|(other, _)| other == class).into(),
        }
    }

    /// The span that waits behind a sample.
    fn span(&self) -> Option<(SizeClass, NonNull<u8>)> {
        let word = NonNull::new(self.span.load(Ordering::Relaxed))?;
        let index = word.addr().get() % SLOT_SIZE;
        Some((SizeClass::from_index(index), NonNull::new(word.as_ptr().wrapping_sub(index))?))
    }

    /// Makes `span` the one that waits, and returns the one that did.
    fn replace_span(&self, span: Option<(SizeClass, NonNull<u8>)>) -> Option<(SizeClass, NonNull<u8>)> {
        let before = self.span();
        let word = span.map_or(ptr::null_mut(), |(class, block)| block.as_ptr().wrapping_add(class.index()));
        self.span.store(word, Ordering::Relaxed);
        before
    }

    /// The span of `class` that waits behind a sample, for an allocation that was counted and is none.
    pub(crate) fn take_span(&self, tops: &Tops, class: SizeClass) -> Option<NonNull<u8>> {
        let (_, block) = self.span().filter(|&(other, _)| other == class)?;
        self.replace_span(None);
        tops.count(class, 1);
        Some(block)
    }

    /// In a forked child, where the borrower does not exist.
    pub(super) fn forget(&self) {
        self.is_on.set(false);
        self.returns.reset();
        self.replace_span(None);
    }
}

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
        sampling.start(pace, seed, self.backend.os.page_size().min(size_class::MAX_SIZE));
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
}
