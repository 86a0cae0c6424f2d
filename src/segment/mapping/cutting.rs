//! Cutting: a long mapping that is kept serves several blocks, each of which has a head of its own then, and is whole
//! again when they are free.

use super::Mapping;
use crate::segment::backend::Backend;
use crate::segment::cache::{self, Kind, Range};
use crate::size_class::MAX_SPAN;
use crate::sync::Ordering;
use core::ptr::{self, NonNull};

/// Pieces are at least so long: what is shorter has no room for a block that needs a mapping.
const SHORTEST: usize = MAX_SPAN + cache::OFFSET;

impl Mapping {
    /// Writes the head of a piece at `start`, `len` bytes long, cut off a mapping of the same memory.
    ///
    /// # Safety
    /// - The memory is mapped, the caller's, and nothing is in it.
    unsafe fn cut_off(&self, start: NonNull<u8>, len: usize) {
        // SAFETY: the caller says so; zeros are a valid head.
        let piece = unsafe {
            start.write_bytes(0, size_of::<Mapping>());
            start.cast::<Mapping>().as_ref()
        };
        piece.len.set(len);
        piece.offset.set(cache::OFFSET);
        piece.is_piece.set(true);
        piece.is_dense.set(self.is_dense.get());
        piece.is_huge.set(self.is_huge.get());
        piece.is_patched.set(self.is_patched.get());
    }

    /// Is as long as with `piece`, which lies behind it, and whose head is about to go.
    fn note_joined(&self, piece: &Mapping) {
        self.is_dense.set(self.is_dense.get() && piece.is_dense.get());
        self.is_huge.set(self.is_huge.get() || piece.is_huge.get());
        self.is_patched.set(self.is_patched.get() || piece.is_patched.get());
    }
}

impl Backend {
    /// Cuts a mapping, of which the caller holds all that lies from `end` on, at a granule's start: into what is in
    /// front of `end`, and a piece. `None` where too little would be in the piece; nothing has changed then.
    ///
    /// In a hardened build free memory is looked at for what was written there, so nothing is cut.
    pub(super) fn cut(&self, range: Range, end: usize) -> Option<(Range, Range)> {
        if cfg!(feature = "hardened") || range.end().saturating_sub(end) < SHORTEST {
            return None;
        }
        let start = NonNull::new(ptr::with_exposed_provenance_mut(end))?;
        if !self.admit(end) {
            return None;
        }
        let piece = Range { start: end, len: range.end() - end, kind: Kind::Piece };
        // SAFETY: a mapping's head is at the range's start, and what lies behind `end` is the caller's.
        unsafe { Mapping::at(range.start).cut_off(start, piece.len) };
        self.recount_piece(true);
        Some((Range { len: end - range.start, ..range }, piece))
    }

    /// A piece is a mapping for itself, or no longer. The pages between its head and its block count for nothing then,
    /// as in every mapping.
    fn recount_piece(&self, is_mapping: bool) {
        let (counters, page) = (&self.counters, self.os.page_size());
        if is_mapping {
            counters.mappings.fetch_add(1, Ordering::Relaxed);
            counters.metadata.fetch_add(page, Ordering::Relaxed);
            counters.mapped.fetch_sub(cache::OFFSET, Ordering::Relaxed);
            counters.recount(cache::OFFSET, page);
        } else {
            counters.mappings.fetch_sub(1, Ordering::Relaxed);
            counters.metadata.fetch_sub(page, Ordering::Relaxed);
            counters.mapped.fetch_add(cache::OFFSET, Ordering::Relaxed);
            counters.recount(page, cache::OFFSET);
        }
    }

    /// What nobody uses just behind a mapping, which the caller holds: what the mapping left over, or was cut off it.
    /// It is part of the mapping, but for the length.
    pub(super) fn take_behind(&self, mapping: &Mapping) -> Option<Range> {
        let range = self.cache.take_behind(mapping.end())?;
        if range.has_head() {
            // SAFETY: taken from the cache with its head.
            mapping.note_joined(unsafe { Mapping::at(range.start) });
            self.recount_piece(false);
        }
        Some(range)
    }

    /// A mapping that nobody uses, with all that was cut off it, or that it was cut off, and that nobody uses either.
    pub(super) fn join(&self, mapping: &Mapping) -> Range {
        while let Some(behind) = self.take_behind(mapping) {
            mapping.len.set(mapping.len() + behind.len);
        }
        let range = mapping.range();
        if range.kind != Kind::Piece {
            return range;
        }
        let Some(front) = self.cache.take_in_front(range.start) else { return range };
        self.append(front, range)
    }

    /// A mapping of `len` bytes or more made of kept ones that lie in a row, and of what the system has between them
    /// and behind, which is not much. It is the caller's, and free.
    pub(super) fn fill_in_kept(&self, len: usize) -> Option<Range> {
        if cfg!(feature = "hardened") {
            return None;
        }
        let (mut kept, count) = self.cache.mappings();
        let kept = &mut kept[..count];
        kept.sort_unstable_by_key(|range| range.start);
        let row = fullest_row(kept, len)?;
        let (mut whole, mut age) = self.cache.lend_exactly(row[0])?;
        for &next in &row[1..] {
            let Some((next, next_age)) = self.cache.lend_exactly(next) else { break };
            let Some(filled) = self.map_up_to(whole, next.start) else {
                self.put_back_aged(next, next_age);
                break;
            };
            whole = self.append(filled, next);
            age = age.max(next_age);
        }
        let filled = self.map_up_to(whole, whole.end().max(whole.start + len));
        if filled.is_none() {
            self.put_back_aged(whole, age);
        }
        filled
    }

    /// Makes a mapping of the caller's end at `end`, not earlier than it does; `None` where the system has something
    /// else there, or no memory.
    pub(super) fn map_up_to(&self, range: Range, end: usize) -> Option<Range> {
        let missing = end - range.end();
        if missing == 0 {
            return Some(range);
        }
        // SAFETY: the caller holds the mapping, whose head is at its start.
        let mapping = unsafe { Mapping::at(range.start) };
        self.make_way(missing);
        let lengthen = || {
            if !mapping.is_patched.get() && self.resize_in_place(mapping, range.len + missing) {
                return Some(());
            }
            // The attempt may have told that it is several mappings.
            if !mapping.is_patched.get() {
                return None;
            }
            let _ = self.os.map_exactly(range.end(), missing)?.as_ptr().expose_provenance();
            Some(())
        };
        self.counters.fetch(missing, lengthen)?;
        self.resized(mapping, range.len + missing);
        Some(mapping.range())
    }

    /// Joins two mappings, both the caller's, of which one ends where the other starts.
    fn append(&self, front: Range, behind: Range) -> Range {
        // SAFETY: the caller holds both, with their heads.
        let (whole, piece) = unsafe { (Mapping::at(front.start), Mapping::at(behind.start)) };
        whole.note_joined(piece);
        whole.is_patched.set(whole.is_patched.get() || behind.kind == Kind::Whole);
        whole.len.set(front.len + behind.len);
        self.recount_piece(false);
        whole.range()
    }
}

/// Of mappings in the order of their addresses, those in a row that have most of the `len` bytes from the first one's
/// start on; `None` where that is less than five eighths.
fn fullest_row(kept: &[Range], len: usize) -> Option<&[Range]> {
    let from = |first: usize| {
        let end = kept[first].start.saturating_add(len);
        let row = &kept[first..kept.partition_point(|range| range.start < end)];
        let filled: usize = row.iter().map(|range| range.end().min(end) - range.start).sum();
        (filled, row)
    };
    let (filled, row) = (0..kept.len()).map(from).max_by_key(|&(filled, _)| filled)?;
    cache::is_most(filled, len).then_some(row)
}

#[cfg(all(test, not(loom), not(feature = "hardened")))]
mod tests;
