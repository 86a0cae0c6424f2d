//! Pool: a process's slots, with what is known of each. Made once, and never given back.
//!
//! ```text
//! slots == free (a number in the queue) + in use + those that somebody is at
//! ```

use super::grid::{Grid, SLOTS, Side};
use super::margin;
use super::queue::Queue;
use super::record::{Deed, Record};
use crate::os;
use crate::sampling::{Trail, Unwinder, mix, walk_whole};
use crate::segment::Backend;
use crate::sync::{AtomicU64, Ordering};
use core::ops::Range;
use core::ptr::{self, NonNull};

/// One in so many blocks stands at the start of its page, where it is what lies in front of it that is guarded.
const AT_START: u64 = 4;

/// The slots, and what is known of them. All but the first fields is valid as zeros.
#[repr(C)]
pub(crate) struct Pool {
    grid: Grid,
    seed: u64,
    /// Blocks that were handed out.
    handed_out: AtomicU64,
    /// Allocations that were to be guarded and found no slot.
    passed_over: AtomicU64,
    /// The next number of the queue.
    next: AtomicU64,
    places: [AtomicU64; SLOTS],
    records: [Record; SLOTS],
}

/// What is asked of a pool.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) tag: u8,
    pub(crate) unwinder: Unwinder,
}

/// Why an address is not freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrong {
    /// The block is free already.
    Freed,
    /// No block starts there.
    NoBlock,
    /// The block has another size than it was said to have.
    Size,
    /// The byte at this address was written to, which belongs to nobody.
    Written(usize),
}

/// A block of a slot, in use or freed, to be told of.
pub(crate) struct Block<'a> {
    pub(crate) start: usize,
    pub(crate) size: usize,
    pub(crate) is_used: bool,
    pub(crate) allocation: &'a Deed,
    pub(crate) free: &'a Deed,
}

impl Block<'_> {
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.start + self.size
    }

    /// How far `address` is from the block; 0 inside of it.
    fn distance(&self, address: usize) -> usize {
        let Range { start, end } = self.range();
        start.saturating_sub(address).max((address + 1).saturating_sub(end))
    }
}

impl Pool {
    /// A pool with memory from `backend`; `None` where the system has none.
    pub(crate) fn create(backend: &Backend, seed: u64) -> Option<&'static Self> {
        let os = backend.os;
        let page_size = os.page_size();
        let len = size_of::<Self>().next_multiple_of(page_size);
        if !backend.counters.try_commit_metadata(len) {
            return None;
        }
        let memory = os.map(0, len);
        let pages = memory.and_then(|_| backend.map_guarded(Grid::len(page_size)));
        let (Some(memory), Some((start, _))) = (memory, pages) else {
            if let Some(memory) = memory {
                // SAFETY: mapped just now, and nobody has seen it.
                unsafe { os.unmap(memory, len) };
            }
            backend.counters.uncommit_metadata(len);
            return None;
        };
        let pool = memory.cast::<Self>();
        // SAFETY: mapped just now, and large enough; a page is aligned for it. What is not written is valid as zeros.
        unsafe {
            (&raw mut (*pool.as_ptr()).grid).write(Grid::new(start.addr().get(), page_size));
            (&raw mut (*pool.as_ptr()).seed).write(seed);
        }
        // SAFETY: written just now, and never given back.
        let pool = unsafe { pool.as_ref() };
        pool.queue().fill();
        Some(pool)
    }

    fn queue(&self) -> Queue<'_> {
        Queue::new(&self.places, &self.next, self.seed)
    }

    fn page(&self, slot: usize) -> Range<usize> {
        let start = self.grid.page(slot);
        start..start + self.grid.page_size()
    }

    /// A block, and whether it reads as zero. `None` where it would not fit, and where there is no slot or no memory
    /// for one.
    pub(crate) fn take(&self, backend: &Backend, wanted: Wanted) -> Option<(NonNull<u8>, bool)> {
        // So that a block of no bytes has an address of its own.
        let size = wanted.size.max(1);
        if size.max(wanted.align) > self.grid.page_size() {
            return None;
        }
        let given = self.take_slot(backend, Wanted { size, ..wanted });
        let count = if given.is_some() { &self.handed_out } else { &self.passed_over };
        count.fetch_add(1, Ordering::Relaxed);
        given
    }

    fn take_slot(&self, backend: &Backend, wanted: Wanted) -> Option<(NonNull<u8>, bool)> {
        let queue = self.queue();
        let taken = queue.take()?;
        let (record, page) = (&self.records[taken.slot], self.page(taken.slot));
        let was_resident = record.is_resident();
        // SAFETY: a page of the pool, and this thread's since the slot was taken.
        if !unsafe { backend.enter_guarded(page.start, wanted.tag, was_resident) } {
            queue.refuse(taken);
            return None;
        }
        record.set_resident(false);
        let chance = mix(self.seed ^ self.handed_out.load(Ordering::Relaxed) << 32);
        let side = if chance.is_multiple_of(AT_START) { Side::Start } else { Side::End };
        let start = self.grid.place(taken.slot, wanted.size, wanted.align, side);
        // SAFETY: the page can be written now, and the block is a part of it.
        unsafe { margin::fill(&page, &(start..start + wanted.size)) };
        let mut trail = Trail::EMPTY;
        walk_whole(wanted.unwinder, &mut trail);
        record.allocated(start, wanted.size, wanted.tag, os::thread_id(), &trail);
        queue.hand_out(taken);
        Some((NonNull::new(ptr::with_exposed_provenance_mut(start))?, !was_resident))
    }

    /// Takes a block back, of which the caller says that it has `size` bytes, or nothing.
    pub(crate) fn give_back(
        &self,
        backend: &Backend,
        block: usize,
        size: Option<usize>,
        unwinder: Unwinder,
    ) -> Result<(), Wrong> {
        let slot = self.grid.slot_at(block).ok_or(Wrong::NoBlock)?;
        let (queue, record, page) = (self.queue(), &self.records[slot], self.page(slot));
        if !queue.claim(slot) {
            return Err(if record.block() == block { Wrong::Freed } else { Wrong::NoBlock });
        }
        let range = record.block()..record.block() + record.size();
        // SAFETY: the slot was in use, and is this thread's now.
        let written = unsafe { margin::find_written(&page, &range) };
        let wrong = if range.start != block {
            Some(Wrong::NoBlock)
        } else if size.is_some_and(|size| size.max(1) != record.size()) {
            Some(Wrong::Size)
        } else {
            written.map(Wrong::Written)
        };
        if let Some(wrong) = wrong {
            queue.leave(slot);
            return Err(wrong);
        }
        let mut trail = Trail::EMPTY;
        walk_whole(unwinder, &mut trail);
        record.freed(os::thread_id(), &trail);
        // SAFETY: the page of a block that was in use, and is this thread's.
        let is_returned = unsafe { backend.leave_guarded(page.start, record.tag()) };
        record.set_resident(!is_returned);
        queue.put_back(slot);
        Ok(())
    }

    /// Bytes of the block in use that starts at `block`, if one does.
    pub(crate) fn size_of(&self, block: usize) -> Option<usize> {
        let slot = self.grid.slot_at(block)?;
        let record = &self.records[slot];
        (self.queue().is_used(slot) && record.block() == block).then(|| record.size())
    }

    /// The block to which `address`, on a page of the pool, is nearest: the one in use there, or the last that was.
    /// `None` where there never was one, and elsewhere.
    pub(crate) fn nearest(&self, address: usize) -> Option<Block<'_>> {
        let slots = self.grid.slots_near(address)?;
        let blocks = slots.into_iter().map(|slot| self.block(slot)).filter(|block| block.start != 0);
        blocks.min_by_key(|block| (block.distance(address), !block.is_used))
    }

    /// True where `address` is on a page of the pool.
    pub(crate) fn holds(&self, address: usize) -> bool {
        self.grid.slots_near(address).is_some()
    }

    fn block(&self, slot: usize) -> Block<'_> {
        let record = &self.records[slot];
        Block {
            start: record.block(),
            size: record.size(),
            is_used: self.queue().is_used(slot),
            allocation: record.allocation(),
            free: record.free(),
        }
    }

    /// Blocks that were handed out so far, and allocations that were to be guarded and found no slot.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.handed_out.load(Ordering::Relaxed), self.passed_over.load(Ordering::Relaxed))
    }
}

#[cfg(all(test, not(miri)))]
mod tests;
