//! Stealing: a heap that would have to take a segment takes free blocks of another heap first, whose borrower has no
//! use for them.
//!
//! Where one thread has allocated what others replace, all that they free comes home to a heap that nobody allocates
//! from, while theirs grow. What a heap has collected beyond what was asked for since is there for others to take. It
//! stays that heap's: freed, it goes home from any thread, and a magazine that may have some of it looks at each
//! block's owner when it gives blocks back.

use super::Heap;
#[cfg(feature = "profile")]
use super::Sampling;
use super::core::{Core, Growth};
use super::outbox;
use super::waiting::AtHand;
use crate::magazine::{Place, Tops};
use crate::segment::{self, Owner};
use crate::size_class::SizeClass;
use core::ptr::NonNull;

/// Asks other heaps for free blocks of a class, into the places from their end on; returns how many there are.
pub(crate) type Others<'a> = &'a dyn Fn(SizeClass, &mut [Place]) -> usize;

/// No other heap.
#[cfg(test)]
pub(crate) const NONE: Others<'static> = &|_, _| 0;

/// Bytes that have to be unclaimed for any to be stolen. A stolen block takes the slow path when it is freed, so for
/// less it is not worth it.
const LEAST_UNCLAIMED: usize = if cfg!(test) { 1024 } else { 256 * 1024 };

impl Heap {
    /// True where free blocks of other heaps serve `class` as well.
    pub(super) fn may_steal(&self, class: SizeClass) -> bool {
        // What a hardened heap knows of its free blocks, others do not; and memory under a tag is counted by whose it
        // is.
        cfg!(not(feature = "hardened")) && !class.is_span() && self.tag() == 0
    }

    /// True while there may be stolen blocks in the magazine of `class`. Borrower-only.
    #[inline(always)]
    pub(super) fn has_stolen(&self, class: SizeClass) -> bool {
        self.traffic[class.index()].robbed.get().is_some()
    }

    /// Keeps a block that the borrower has freed and that is `owner`'s, in the magazine, if that has others of the same
    /// heap; false where the block is to go home, or is none.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    /// - The owner map says `owner` of `block`'s granule: what is nobody's block is no robbed heap's.
    #[inline(always)]
    pub(crate) unsafe fn keep_stolen(&self, owner: Owner, tops: &Tops, class: SizeClass, block: NonNull<u8>) -> bool {
        self.traffic[class.index()].robbed.get() == Some(owner)
            // Into a magazine that is empty no block comes unseen.
            && tops.next(class).is_some()
            // SAFETY: the caller's tops.
            && unsafe { tops.push(class, block.as_ptr()) }
    }

    /// As [`Heap::keep_stolen`], where the borrower's allocations are sampled.
    ///
    /// # Safety
    /// - As there; `sampling` is this heap's.
    #[cfg(feature = "profile")]
    #[inline(always)]
    pub(crate) unsafe fn keep_stolen_sampled(
        &self,
        sampling: &Sampling,
        owner: Owner,
        tops: &Tops,
        class: SizeClass,
        block: NonNull<u8>,
    ) -> bool {
        // SAFETY: passed on.
        let keep = || unsafe { self.keep_stolen(owner, tops, class, block) };
        sampling.count_if(class, keep)
    }

    /// Fills `places` from their end with free blocks of one of the `others`; returns how many. Borrower-only.
    #[cold]
    #[inline(never)]
    pub(super) fn steal(&self, class: SizeClass, places: &mut [Place], others: Others<'_>) -> usize {
        let stolen = others(class, places);
        if stolen > 0
            && let Some(block) = places.last()
        {
            self.traffic[class.index()].robbed.set(Some(self.backend.owners.look_up(block.addr())));
        }
        stolen
    }

    /// Fills `places` from their end with free blocks of `class` that the borrower has no use for, if there is one;
    /// returns how many. On behalf of any other thread.
    pub(crate) fn give_unclaimed(&self, class: SizeClass, places: &mut [Place]) -> usize {
        if !self.may_steal(class) || self.is_lost() {
            return 0;
        }
        #[cfg(feature = "profile")]
        if self.is_for_samples() {
            return 0;
        }
        let Some(mut core) = self.core.try_lock() else { return 0 };
        core.collect(self.host());
        if core.unclaimed < LEAST_UNCLAIMED {
            return 0;
        }
        let taken = core.take_blocks(self.host_that_grows(Growth::Nothing), class, places, &mut AtHand::nothing());
        core.claim(taken * class.size());
        self.counts_of(class).refill(taken);
        taken
    }

    /// As [`Core::put_back`], of blocks of which some may have been stolen; returns how many are this heap's.
    #[cold]
    #[inline(never)]
    pub(super) fn put_back_mixed(&self, core: &mut Core, class: SizeClass, blocks: &[Place]) -> usize {
        let is_stolen = |block: &Place| {
            let owner = self.backend.owners.look_up(block.addr());
            block.addr() < segment::ADDRESSES && owner.is_heap() && owner != self.owner
        };
        let mut own = 0;
        for run in blocks.chunk_by(|one, next| is_stolen(one) == is_stolen(next)) {
            if is_stolen(&run[0]) {
                // SAFETY: a heap's blocks lie in its segments.
                unsafe { outbox::send_all(class, run) };
            } else {
                core.put_back(self.backend, class, run);
                own += run.len();
            }
        }
        own
    }
}
