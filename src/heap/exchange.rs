//! The exchange between magazines and slabs: refill and flush.
//!
//! A class that is new to a heap gets a few blocks, and twice as many each time that it runs out again without having
//! overflowed. A magazine that overflows gives half of its blocks away, and all of them if the same happens again
//! before it has run out: the traffic is one-way then.

use super::Heap;
use super::core::{Core, Growth, Host, Misuse};
use super::counts::{self, Counts};
use super::probation::Probation;
use super::stealing::Others;
use super::waiting::AtHand;
use crate::magazine::{self, Magazine, Place, Tops};
use crate::segment::Owner;
use crate::size_class::SizeClass;
use crate::sync::Cell;
use core::ptr::NonNull;
use core::slice;

/// Blocks in a class's first refill.
const FIRST_BATCH: u8 = 8;

/// How the magazine of one class is doing. Borrower-only.
pub(super) struct Traffic {
    /// Blocks in the last refill, or the first.
    batch: Cell<u8>,
    /// True where the last exchange was a flush.
    has_overflowed: Cell<bool>,
    /// Blocks that go past the magazine yet, from the slabs and back.
    past: Cell<u16>,
    /// The lower half of how many blocks the thread had taken when it was asked last whether it uses the class.
    taken_before: Cell<u32>,
    /// Whose blocks were stolen last, while there may be stolen ones in the magazine.
    pub(super) robbed: Cell<Option<Owner>>,
    pub(super) probation: Probation,
}

impl Traffic {
    /// A class that the heap has not served yet.
    pub(super) fn new() -> Self {
        Self {
            batch: Cell::new(FIRST_BATCH / 2),
            has_overflowed: Cell::new(false),
            past: Cell::new(0),
            taken_before: Cell::new(0),
            robbed: Cell::new(None),
            probation: Probation::over(),
        }
    }

    /// How many blocks the magazine, which has run empty, is to get.
    fn refill(&self, capacity: usize) -> usize {
        if !self.has_overflowed.replace(false) {
            self.batch.set(self.batch.get().saturating_mul(2).min(capacity as u8));
        }
        usize::from(self.batch.get()).min(capacity)
    }

    /// The magazine was emptied though nobody needs its blocks elsewhere: the next refill is not to be larger than the
    /// last. So many blocks go past the magazine then.
    pub(super) fn rest(&self, past: u16) {
        self.batch.set((self.batch.get() / 2).max(FIRST_BATCH / 2));
        self.past.set(past);
    }

    /// True where nothing was taken from the magazine since this was asked last; so much was taken in all.
    pub(super) fn is_idle(&self, taken: u64) -> bool {
        self.taken_before.replace(taken as u32) == taken as u32
    }

    /// True where the next block is to go past the magazine.
    fn goes_past(&self) -> bool {
        let left = self.past.get();
        self.past.set(left.saturating_sub(1));
        left > 0
    }

    /// How many blocks the magazine, which is full, is to give away.
    fn flush(&self, capacity: usize) -> usize {
        if self.has_overflowed.replace(true) { capacity } else { capacity.div_ceil(2) }
    }
}

/// From this block size on, clearing a block costs more than a visit to the slab.
const WORTH_ASKING_FOR_ZEROS: usize = 1024;

impl Heap {
    pub(super) fn host(&self) -> Host<'_> {
        self.host_that_grows(Growth::Segments)
    }

    pub(super) fn host_that_grows(&self, growth: Growth) -> Host<'_> {
        Host { backend: self.backend, owner: self.owner, pending: &self.pending, counts: &self.counts, growth }
    }

    pub(super) fn counts_of(&self, class: SizeClass) -> &Counts {
        Counts::of(&self.counts, class)
    }

    /// Gives blocks of a magazine back to their slabs.
    pub(super) fn put_back(&self, core: &mut Core, class: SizeClass, blocks: &[Place]) {
        let own = if self.has_stolen(class) {
            self.put_back_mixed(core, class, blocks)
        } else {
            core.put_back(self.backend, class, blocks);
            blocks.len()
        };
        self.counts_of(class).flush(own);
        self.live_changed(blocks.len() * class.size(), 0);
    }

    #[inline(always)]
    pub(super) fn low(&self, class: SizeClass) -> *mut Place {
        self.magazines[class.index()].low(class)
    }

    /// A block of `class`, whose magazine is empty, and more of them into the magazine; `None` where the system has no
    /// memory. Before the heap takes a segment, `others` are asked.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    pub(crate) unsafe fn refill(&self, tops: &Tops, class: SizeClass, others: Others<'_>) -> Option<NonNull<u8>> {
        // SAFETY: passed on.
        unsafe { self.refill_within(tops, class, usize::MAX, others) }.map(|(block, _)| block)
    }

    /// As [`Heap::refill`], and no more than `most` blocks, which is at least one; says how many there were.
    ///
    /// # Safety
    /// - As for [`Heap::refill`].
    pub(super) unsafe fn refill_within(
        &self,
        tops: &Tops,
        class: SizeClass,
        most: usize,
        others: Others<'_>,
    ) -> Option<(NonNull<u8>, usize)> {
        let traffic = &self.traffic[class.index()];
        if traffic.probation.allocates() || traffic.goes_past() {
            tops.give_up(class);
            return self.take_one(class).map(|(block, _)| (block, 1));
        }
        let wanted = traffic.refill(magazine::capacity(class)).min(most);
        let low = self.low(class);
        // SAFETY: a magazine has room for its capacity above `low`, and the borrower alone has access.
        let places = unsafe { slice::from_raw_parts_mut(low, wanted) };
        // SAFETY: passed on.
        let mut at_hand = unsafe { AtHand::of(self, tops) };
        let taken = {
            let mut core = self.core.lock();
            core.collect_in_time(self.host());
            core.let_go_in_time(self.host());
            let mut taken = core.depot.take(self.counts_of(class), class, places);
            if taken == 0 && self.may_steal(class) {
                let host = self.host_that_grows(Growth::Slots);
                taken = core.take_blocks(host, class, places, &mut at_hand);
                self.counts_of(class).refill(taken);
                core.claim(taken * class.size());
                if taken == 0 {
                    taken = self.steal(class, places, others);
                }
            }
            if taken == 0 {
                taken = core.take_blocks(self.host(), class, places, &mut at_hand);
                self.counts_of(class).refill(taken);
            }
            self.live_changed(0, taken * class.size());
            taken
        };
        if taken < wanted {
            places.copy_within(wanted - taken.., 0);
        }
        #[cfg(feature = "hardened")]
        self.quarantine.shuffle(&mut places[..taken]);
        let block = NonNull::new(*places[..taken].last()?)?;
        tops.set(class, low.wrapping_add(taken - 1));
        tops.count(class, 1);
        Some((block, taken))
    }

    /// As [`Heap::refill`], for a block that is to read as zero; says whether it does already.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    pub(crate) unsafe fn refill_zeroed(
        &self,
        tops: &Tops,
        class: SizeClass,
        others: Others<'_>,
    ) -> Option<(NonNull<u8>, bool)> {
        if !Self::is_worth_asking_for_zeros(class) {
            // SAFETY: passed on.
            return unsafe { self.refill(tops, class, others) }.map(|block| (block, false));
        }
        // One block alone: of those that wait in a magazine nobody knows any more whether they are zero.
        self.take_one(class)
    }

    /// True where clearing a block of `class` costs more than looking for one that reads as zero.
    pub(super) fn is_worth_asking_for_zeros(class: SizeClass) -> bool {
        // Of a hardened build all free blocks of slabs read as zero.
        class.size() >= WORTH_ASKING_FOR_ZEROS && (cfg!(not(feature = "hardened")) || class.is_span())
    }

    /// One block of `class` past the magazines, on behalf of any thread; says whether it reads as zero.
    pub(crate) fn take_one(&self, class: SizeClass) -> Option<(NonNull<u8>, bool)> {
        let mut core = self.core.lock();
        core.collect_in_time(self.host());
        // All that comes back to a heap of sampled blocks is returned by others, and what it has touched is to be few.
        #[cfg(feature = "profile")]
        if self.is_for_samples() {
            core.collect(self.host());
        }
        let (block, is_zero) = core.take_block(self.host(), class)?;
        self.counts_of(class).refill(1);
        self.live_changed(0, class.size());
        counts::add(&self.given_directly, 1);
        Some((NonNull::new(block)?, is_zero))
    }

    /// Takes back a block of `class`, whose magazine is full or not there yet.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    /// - `block` lies in one of this heap's segments.
    pub(crate) unsafe fn flush(&self, tops: &Tops, class: SizeClass, block: NonNull<u8>) {
        // SAFETY: passed on.
        unsafe { self.flush_from(&self.magazines[class.index()], tops, class, block) }
    }

    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its own; that of `class` stands in `magazine`, or
    ///   nowhere.
    /// - `block` lies in one of this heap's segments.
    pub(super) unsafe fn flush_from(&self, magazine: &Magazine, tops: &Tops, class: SizeClass, block: NonNull<u8>) {
        let low = magazine.low(class);
        let held = tops.waiting_in(magazine, class);
        if held == 0 {
            let traffic = &self.traffic[class.index()];
            if traffic.probation.frees(class) {
                // SAFETY: passed on.
                return unsafe { self.put_back_on_probation(class, block) };
            }
            if traffic.goes_past() {
                return self.put_back(&mut self.core.lock(), class, &[block.as_ptr()]);
            }
            // The first block of a magazine: that before may have been emptied with this block in it.
            // SAFETY: passed on.
            unsafe { self.check_in_use(class, block, Misuse::DoubleFree) };
        }
        let given = if held == 0 { 0 } else { self.traffic[class.index()].flush(held) };
        if given > 0 {
            // SAFETY: the magazine holds `held` blocks from `low` on, and the borrower alone has access.
            let places = unsafe { slice::from_raw_parts_mut(low, held) };
            let mut core = self.core.lock();
            // What waits in the depot goes to slabs of this heap.
            let may_wait = !class.is_span() && !self.has_stolen(class);
            if may_wait && core.let_wait(self.backend, self.counts_of(class), class, &places[..given]) {
                self.live_changed(given * class.size(), 0);
            } else {
                self.put_back(&mut core, class, &places[..given]);
            }
            drop(core);
            places.copy_within(given.., 0);
        }
        // SAFETY: a flush has made room, or the magazine is empty.
        unsafe { low.add(held - given).write(block.as_ptr()) };
        tops.set(class, low.wrapping_add(held - given + 1));
    }
}
