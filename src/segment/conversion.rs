//! Conversion: a segment out of a freed mapping that is kept.
//!
//! What is kept is resident, so a heap that grows there costs the system no memory, and the program no page faults.

use super::backend::Backend;
use super::cache::Range;
use super::mapping::Mapping;
use super::owner::Owner;
use super::{METADATA, SEGMENT_SIZE, Segment, USABLE, USABLE_BYTES};
use crate::align;
use crate::size_class::SLOT_SIZE;
use crate::sync::Ordering;
use core::ptr::NonNull;

impl Backend {
    /// Makes the last whole granule of the smallest kept mapping that has one a segment, owned by `owner`; `None` where
    /// no mapping is so large, and while there are segments of which only the first slot is left: first slots stay for
    /// good, so there would be ever more of them where memory runs out time and again.
    pub(super) fn convert_kept(&self, owner: Owner) -> Option<NonNull<Segment>> {
        if self.counters.has_released() {
            return None;
        }
        let (range, age) = self.cache.lend_at_least(SEGMENT_SIZE)?;
        let end = range.end();
        // Mappings start at granules.
        let start = align::down(end, SEGMENT_SIZE) - SEGMENT_SIZE;
        if !self.admit(start) {
            self.put_back_aged(range, age);
            return None;
        }
        if end > start + SEGMENT_SIZE {
            self.unmap_range(Range::leftover(start + SEGMENT_SIZE, end));
        }
        // SAFETY: the range is this thread's, with its head at its start.
        let is_huge = unsafe { Mapping::at(range.start) }.is_huge();
        let used = if start == range.start { self.end_mapping() } else { self.cut_mapping(range, start) };
        let first: *mut u8 = core::ptr::with_exposed_provenance_mut(start);
        // SAFETY: in the range, which is this thread's.
        unsafe { first.write_bytes(0, METADATA) };
        self.counters.metadata.fetch_add(METADATA, Ordering::Relaxed);
        self.counters.recount(used, METADATA + USABLE_BYTES);
        // SAFETY: a granule of the range, which is this thread's alone, and whose start reads as zero now.
        let segment = unsafe { Segment::found(NonNull::new(first)?) };
        // SAFETY: found just now.
        let head = &unsafe { segment.as_ref() }.head;
        head.touched.store(USABLE, Ordering::Relaxed);
        head.is_huge.set(is_huge);
        #[cfg(feature = "hardened")]
        // SAFETY: found just now.
        unsafe { segment.as_ref() }.guard(self.os.page_size());
        self.owners.set(start, owner);
        self.owners.note_segment(start);
        Some(segment)
    }

    /// Ends a kept mapping of which a segment is to take all that is left; how many bytes of it are counted as
    /// committed.
    fn end_mapping(&self) -> usize {
        let page_size = self.os.page_size();
        self.counters.mappings.fetch_sub(1, Ordering::Relaxed);
        self.counters.mapped.fetch_sub(SEGMENT_SIZE - SLOT_SIZE, Ordering::Relaxed);
        self.counters.metadata.fetch_sub(page_size, Ordering::Relaxed);
        SEGMENT_SIZE - SLOT_SIZE + page_size
    }

    /// Cuts what lies from `start` on, as much as a segment, off a kept mapping; how many bytes of it are counted as
    /// committed.
    fn cut_mapping(&self, range: Range, start: usize) -> usize {
        self.counters.mapped.fetch_sub(SEGMENT_SIZE, Ordering::Relaxed);
        // SAFETY: the range is this thread's, with its head at its start.
        unsafe { Mapping::at(range.start) }.shorten(start - range.start);
        self.keep(Range { len: start - range.start, ..range });
        SEGMENT_SIZE
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
