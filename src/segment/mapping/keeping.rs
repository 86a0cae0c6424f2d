//! Keeping: freed mappings wait in the cache, and serve what is asked for next, in parts or made longer.

use super::{Mapping, Placement};
use crate::align;
use crate::segment::backend::Backend;
use crate::segment::cache::{self, Age, Range};
use crate::segment::owner::GRANULE;
use crate::size_class::{MAX_SPAN, SLOT_SIZE};
use core::alloc::Layout;
use core::ptr::NonNull;

/// Ranges that may wait behind blocks in use, for these alone, when another is to. The others may serve any block.
const MOST_LEFTOVERS: usize = cache::CACHED_RANGES / 2;

impl Backend {
    /// A mapping for `layout` of memory that is kept, whatever it holds, where a part of what is kept will do or can be
    /// made longer.
    pub(crate) fn map_block_of_kept(&self, layout: Layout) -> Option<NonNull<u8>> {
        let len = self.kept_len(layout)?;
        let range = self.cache.take(len).or_else(|| self.part_of_kept(len)).or_else(|| self.lengthen_kept(len))?;
        Some(self.reuse(range, layout))
    }

    /// Bytes that a kept mapping is to have for `layout`; `None` where its block has to stand elsewhere than those of
    /// kept mappings do.
    fn kept_len(&self, layout: Layout) -> Option<usize> {
        let offset = Placement::of(layout.align()).offset;
        if offset == cache::OFFSET { self.mapping_len(layout.size(), offset) } else { None }
    }

    /// As [`Backend::map_block_of_kept`], of a block that is to read as zero, and whether it does. Where the last block
    /// there was used here and there the memory is given back to the system first, so that only what is used is
    /// resident.
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

    /// The start of a kept mapping that is longer than `len`. The rest, from a granule's start on, serves others. What
    /// is between is part of the mapping where it is not much, and else left over behind it, where not too many have
    /// left something.
    fn part_of_kept(&self, len: usize) -> Option<Range> {
        let granules = align::up(len, GRANULE);
        let may_leave = self.cache.leftovers() < MOST_LEFTOVERS;
        if !may_leave && !cache::fits(granules, len) {
            return None;
        }
        let (range, age) = match self.cache.lend_at_least(len) {
            Some((range, age)) => (range, Some(age)),
            None => (self.fill_in_kept(len)?, None),
        };
        let front = self.cut(range, range.start + granules).map_or(range, |(front, piece)| {
            self.put_back(piece);
            front
        });
        if cache::fits(front.len, len) {
            return Some(front);
        }
        if may_leave {
            return Some(self.part_of(front, len));
        }
        match age {
            Some(age) => self.put_back_aged(front, age),
            None => self.put_back(front),
        }
        None
    }

    /// The first `len` bytes of a kept mapping, which the caller has taken. The rest is kept, in case that the mapping
    /// grows.
    fn part_of(&self, range: Range, len: usize) -> Range {
        self.put_back(Range::leftover(range.start + len, range.end()));
        Range { len, ..range }
    }

    /// A mapping for a block that is growing, if a freed one is at hand in which it can grow further without a system
    /// call.
    pub(crate) fn map_growing_block(&self, layout: Layout) -> Option<NonNull<u8>> {
        let len = self.kept_len(layout)?;
        let range = self.cache.take_at_least(len.checked_mul(2)?)?;
        Some(self.reuse(self.part_of(range, len), layout))
    }

    /// A mapping of `len` bytes made of a kept one that is shorter, if there is one that is not much shorter: what is
    /// resident of it need not be touched anew. It is the caller's, and free.
    fn lengthen_kept(&self, len: usize) -> Option<Range> {
        let (range, age) = self.cache.lend_shorter(len)?;
        // SAFETY: the range was taken from the cache with its head, so it is this thread's alone.
        let mapping = unsafe { Mapping::at(range.start) };
        let longer = if mapping.is_patched.get() {
            None
        } else {
            self.map_up_to(range, range.start + len).or_else(|| self.move_kept(mapping, len))
        };
        if longer.is_none() {
            self.put_back_aged(range, age);
        }
        longer
    }

    /// Moves the pages of a mapping that is free, and the caller's, to where it is `len` long. What is kept has made
    /// way when it was to be as long where it stands.
    fn move_kept(&self, mapping: &Mapping, len: usize) -> Option<Range> {
        let growth = len - mapping.len();
        self.counters.fetch(growth, || self.move_pages(mapping, len, Placement::of(1).place)).map(Mapping::range)
    }

    /// Keeps a range that nobody uses. Where more would be kept then than may be, than is already, and than was asked
    /// for again lately, what has been kept longest goes back to the system: what was freed last is the likeliest to be
    /// asked for. Of what is larger than all that may be kept, the start is kept: what grows fills it first.
    ///
    /// Threads that do so at the same moment may each find the same room.
    pub(in crate::segment) fn keep(&self, range: Range) {
        let (freed, kept) = (range.body(), self.cache.kept().bytes);
        let in_use = self.counters.mapped().saturating_sub(kept + freed);
        let proven = self.demand.proven();
        let most = cache::most_bytes(in_use).max(kept).max(proven);
        let range = self.trim(range, most);
        let over = (kept + range.body()).saturating_sub(most);
        self.note_given_back(freed - range.body() + over);
        self.drop_oldest(over);
        let is_full = self.cache.is_full(if proven > 0 { cache::SLOTS } else { cache::CACHED_RANGES });
        if range.len > 0 && (is_full || !self.cache.put(range)) {
            if let Some(oldest) = self.cache.take_oldest() {
                self.note_given_back(oldest.body());
                self.unmap_range(oldest);
            }
            self.put_back(range);
        }
    }

    fn note_given_back(&self, bytes: usize) {
        if bytes > 0 {
            self.demand.gave_back(bytes, self.os.now_ms());
        }
    }

    /// So many bytes are about to be mapped. What is kept beyond the usual makes way for them where the process would
    /// have more memory than ever otherwise.
    pub(in crate::segment) fn make_way(&self, bytes: usize) {
        if self.demand.proven() == 0 {
            return;
        }
        let kept = self.cache.kept().bytes;
        let usual = cache::most_bytes(self.counters.mapped().saturating_sub(kept));
        let over = (self.counters.committed() + bytes).saturating_sub(self.counters.peak());
        self.drop_oldest(align::up(over, SLOT_SIZE).min(kept.saturating_sub(usual)));
    }

    /// Gives back to the system what was kept longest: `bytes` of it, which are whole pages, or more where hardly
    /// anything would be left of a range.
    fn drop_oldest(&self, mut bytes: usize) {
        while bytes > 0
            && let Some(oldest) = self.cache.take_oldest()
        {
            let rest = self.trim(oldest, oldest.body().saturating_sub(bytes));
            bytes = bytes.saturating_sub(oldest.body() - rest.body());
            if rest.len > 0 && !self.cache.put_oldest(rest) {
                self.unmap_range(rest);
            }
        }
    }

    /// Keeps a range that was lent by the cache just now and served nobody: it gets no younger by that.
    pub(in crate::segment) fn put_back_aged(&self, range: Range, age: Age) {
        if !self.cache.put_aged(range, age) {
            self.unmap_range(range);
        }
    }

    /// Keeps a range that was taken from the cache just now, or a part of one.
    pub(super) fn put_back(&self, range: Range) {
        if range.len > 0 && !self.cache.put(range) {
            self.unmap_range(range);
        }
    }

    /// Gives what a range has beyond `room` bytes, which are whole pages, back to the system; all of it, where hardly
    /// anything would be left.
    fn trim(&self, range: Range, room: usize) -> Range {
        if range.body() <= room {
            return range;
        }
        if room < MAX_SPAN {
            self.unmap_range(range);
            return Range::leftover(range.start, range.start);
        }
        let kept = Range { len: range.len - (range.body() - room), ..range };
        debug_assert!(align::is_aligned(kept.len, self.os.page_size()));
        if kept.has_head() {
            // SAFETY: the caller holds the range, whose head is at its start.
            unsafe { Mapping::at(kept.start) }.shorten(kept.len);
        }
        self.unmap_range(Range::leftover(kept.end(), range.end()));
        kept
    }

    /// Gives back to the system what is kept since `before` or longer, or everything where that is `u64::MAX`; how many
    /// bytes that was.
    pub(in crate::segment) fn drop_unused(&self, before: u64, now: u64) -> usize {
        if before == u64::MAX {
            self.demand.forget();
        } else {
            self.demand.fade(before, now);
        }
        let mut dropped = 0;
        while let Some(range) = self.cache.take_unused(before, now) {
            dropped += range.len;
            self.unmap_range(range);
        }
        dropped
    }
}
