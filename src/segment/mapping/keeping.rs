//! Keeping: freed mappings wait in the cache, and serve what is asked for next, in parts or made longer.

use super::{Mapping, Placement};
use crate::segment::backend::Backend;
use crate::segment::cache::{self, Range};
use crate::size_class::MAX_SPAN;
use core::alloc::Layout;
use core::ptr::NonNull;

/// Mappings from this length on are made of the start of a longer one. Of those that are shorter there may be many, each of which would leave something behind.
const PARTED_FROM: usize = 4 * 1024 * 1024;

/// Ranges that may wait behind blocks in use, for these alone, when another is to. The others may serve any block.
const MOST_LEFTOVERS: usize = cache::CACHED_RANGES / 2;

impl Backend {
    /// A mapping for `layout` of memory that is kept, whatever it holds, where a part of what is kept will do or can be made longer.
    pub(crate) fn map_block_of_kept(&self, layout: Layout) -> Option<NonNull<u8>> {
        let len = self.kept_len(layout)?;
        let range = self.cache.take(len).or_else(|| self.part_of_kept(len)).or_else(|| self.lengthen_kept(len))?;
        Some(self.reuse(range, layout.align()))
    }

    /// Bytes that a kept mapping is to have for `layout`; `None` where its block has to stand elsewhere than those of kept mappings do.
    fn kept_len(&self, layout: Layout) -> Option<usize> {
        let offset = Placement::of(layout.align()).offset;
        if offset == cache::OFFSET { self.mapping_len(layout.size(), offset) } else { None }
    }

    /// As [`Backend::map_block_of_kept`], of a block that is to read as zero, and whether it does. Where the last block there was used here and there the memory is given back to the system first, so that only what
    /// is used is resident.
    pub(crate) fn map_zeroed_block_of_kept(&self, layout: Layout) -> Option<(NonNull<u8>, bool)> {
        let block = self.map_block_of_kept(layout)?;
        // SAFETY: a mapping's block, which is the caller's.
        let mapping = unsafe { Mapping::of(block) };
        if mapping.is_dense.get() {
            return Some((block, false));
        }
        if mapping.is_huge.replace(false) {
            // SAFETY: the mapping is the caller's.
            unsafe { self.os.refuse_huge_pages(mapping.start(), mapping.len()) };
        }
        // SAFETY: from its block's start, which is a page's, to its end, where nothing is needed.
        let is_zero = unsafe { self.os.purge(block, mapping.end() - block.addr().get()) };
        mapping.is_new.set(is_zero);
        Some((block, is_zero))
    }

    /// The start of a kept mapping that is longer than `len`; the rest is left behind it, where not too many have left something.
    fn part_of_kept(&self, len: usize) -> Option<Range> {
        if len < PARTED_FROM || self.cache.leftovers() >= MOST_LEFTOVERS {
            return None;
        }
        self.cache.take_at_least(len).map(|range| self.part_of(range, len))
    }

    /// The first `len` bytes of a kept mapping, which the caller has taken. The rest is kept, in case that the mapping grows.
    fn part_of(&self, range: Range, len: usize) -> Range {
        self.put_back(Range { start: range.start + len, len: range.len - len, has_head: false });
        Range { len, ..range }
    }

    /// A mapping for a block that is growing, if a freed one is at hand in which it can grow further without a system call.
    pub(crate) fn map_growing_block(&self, layout: Layout) -> Option<NonNull<u8>> {
        let len = self.kept_len(layout)?;
        let range = self.cache.take_at_least(len.checked_mul(2)?)?;
        Some(self.reuse(self.part_of(range, len), layout.align()))
    }

    /// A mapping of `len` bytes made of a kept one that is shorter, if there is one that is not much shorter: what is resident of it need not be touched anew. It is the caller's, and free.
    fn lengthen_kept(&self, len: usize) -> Option<Range> {
        let range = self.cache.take_shorter(len)?;
        let growth = len - range.len;
        if self.counters.try_commit(growth) {
            // SAFETY: the range was taken from the cache with its head, so it is this thread's alone.
            let mapping = unsafe { Mapping::at(range.start) };
            // SAFETY: as above.
            if unsafe { self.os.resize(mapping.start(), range.len, len) } {
                self.resized(mapping, len);
                return Some(Range { len, ..range });
            }
            let place = Placement::of(1).place;
            if let Some(moved) = self.move_pages(mapping, len, place) {
                return Some(Range { start: moved.address(), len, has_head: true });
            }
            self.counters.uncommit(growth);
        }
        self.put_back(range);
        None
    }

    /// Keeps a range that nobody uses, or gives it back to the system where there is no room. Of a mapping, the start is kept for which there is room: what grows fills
    /// it first.
    ///
    /// Threads that do so at the same moment may each find the same room.
    pub(in crate::segment) fn keep(&self, range: Range) {
        let (kept, body) = (self.cache.kept().bytes, range.body());
        let most = cache::most_bytes(self.counters.mapped().saturating_sub(kept + body));
        let mut room = most.saturating_sub(kept);
        if room < body {
            self.make_room(body);
            room = most.saturating_sub(self.cache.kept().bytes);
        }
        let range = if range.has_head { self.trim(range, room) } else { range };
        if range.len > 0 && (range.body() > room || !self.cache.put(range)) {
            self.unmap_range(range);
        }
    }

    /// Has the largest kept mapping make room for `bytes`, if it has more than twice as many: what was freed last is the likeliest to be asked for.
    fn make_room(&self, bytes: usize) {
        if let Some(largest) = self.cache.take_at_least(2 * bytes) {
            self.put_back(self.trim(largest, largest.body() - bytes));
        }
    }

    /// Keeps a range that was taken from the cache just now, or a part of one.
    pub(super) fn put_back(&self, range: Range) {
        if range.len > 0 && !self.cache.put(range) {
            self.unmap_range(range);
        }
    }

    /// Gives what a mapping that nobody uses has beyond `room` bytes back to the system, unless hardly anything would be left.
    fn trim(&self, range: Range, room: usize) -> Range {
        if range.body() <= room || room < MAX_SPAN {
            return range;
        }
        let kept = Range { len: room + cache::OFFSET, ..range };
        // SAFETY: the caller holds the range, whose head is at its start.
        unsafe { Mapping::at(kept.start) }.shorten(kept.len);
        self.unmap_range(Range { start: kept.start + kept.len, len: range.len - kept.len, has_head: false });
        kept
    }

    /// Gives back to the system what is kept since `before` or longer, or everything where that is `u64::MAX`; how many bytes that was.
    pub(in crate::segment) fn drop_unused(&self, before: u64, now: u64) -> usize {
        let mut dropped = 0;
        while let Some(range) = self.cache.take_unused(before, now) {
            dropped += range.len;
            self.unmap_range(range);
        }
        dropped
    }
}
