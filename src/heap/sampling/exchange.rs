//! Refills and flushes of a heap whose borrower's allocations are sampled.

use super::super::Heap;
use super::super::core::{Misuse, refuse};
use super::super::stealing::Others;
use super::Sampling;
use crate::magazine::Tops;
use crate::size_class::{self, SizeClass};
use core::ptr::NonNull;
use core::slice;

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

/// Of blocks of so many bytes one is enough: another from a slab would be memory that is touched for the first time.
const LARGE: usize = 1024;

#[inline(always)]
fn least(class: SizeClass) -> usize {
    if class.size() >= LARGE { 1 } else { LEAST }
}

impl Heap {
    /// A block of `class`, whose magazine is empty, and more of them into the magazine, but no more than `most` in all:
    /// returns first, then those of slabs; before the heap takes a segment, `others` are asked. `None` where the system
    /// has no memory.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, whose `sampling` this is, and `tops` are its tops.
    pub(crate) unsafe fn refill_sampled(
        &self,
        sampling: &Sampling,
        tops: &Tops,
        class: SizeClass,
        most: u64,
        others: Others<'_>,
    ) -> Option<NonNull<u8>> {
        let held = sampling.waiting(class);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if held < least(class).min(most) {
            // SAFETY: passed on.
            let (block, taken) = unsafe { self.refill_within(tops, class, most, others) }?;
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
        if held < least(class) || most < least(class) || tops.next(class).is_some() {
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
        others: Others<'_>,
    ) -> Option<(NonNull<u8>, bool)> {
        if sampling.waiting(class) == 0 && Self::is_worth_asking_for_zeros(class) {
            let found = self.take_one(class)?;
            sampling.count(class, 1);
            return Some(found);
        }
        // SAFETY: passed on.
        unsafe { self.refill_sampled(sampling, tops, class, most, others) }.map(|block| (block, false))
    }

    /// Takes back a span of `class` that the thread frees: to its magazine, where it would go if nothing were sampled,
    /// unless the next of its class is a sample. Then it waits for the one after that.
    ///
    /// # Safety
    /// - As for [`Heap::flush_sampled`]; `class` is one of spans.
    pub(crate) unsafe fn put_span_sampled(
        &self,
        sampling: &Sampling,
        tops: &Tops,
        class: SizeClass,
        block: NonNull<u8>,
    ) {
        if sampling.span() == Some((class, block)) {
            refuse(Misuse::DoubleFree, block.as_ptr(), class.size());
        }
        // SAFETY: passed on.
        unsafe {
            self.make_way_for_span(tops, class);
            if sampling.beyond(class).get() == 0 {
                if let Some((other, span)) = sampling.replace_span(Some((class, block))) {
                    self.put_back(&mut self.core.lock(), other, &[span.as_ptr()]);
                }
            } else if !sampling.keep(tops, class.code(), block.as_ptr(), self.owner) {
                self.flush_sampled(sampling, tops, class, block);
            }
        }
    }

    /// Takes back a block of `class`, for which there is no room, or no magazine yet.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, whose `sampling` this is, and `tops` are its tops.
    /// - `block` lies in one of this heap's segments.
    pub(crate) unsafe fn flush_sampled(&self, sampling: &Sampling, tops: &Tops, class: SizeClass, block: NonNull<u8>) {
        let beyond = sampling.beyond(class);
        if beyond.get() == 0 {
            debug_assert!(!class.is_span());
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
    pub(in super::super) unsafe fn empty_returns(&self, tops: &Tops) {
        let Some(sampling) = self.sampling() else { return };
        for class in SizeClass::all() {
            sampling.take_off(class, self.waiting_in(class, tops));
        }
        let mut core = self.core.lock();
        if let Some((class, span)) = sampling.replace_span(None) {
            self.put_back(&mut core, class, &[span.as_ptr()]);
        }
        for class in SizeClass::slabs() {
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
