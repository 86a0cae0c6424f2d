//! Huge pages: a segment of a heap that grows is backed by one page of its own size, which costs one page fault where
//! small pages cost 512, and takes one entry of the processor's translation cache.
//!
//! The system has to be asked before the first touch, and all of the segment is resident from then on. So all slots
//! count as touched from the start; as long as nobody has used them they are *clean*, and read as zero.
//!
//! Segments that nobody was sure of begin with small pages, and may be joined to a huge one once they were filled. The
//! system joins small pages to a huge one again where it is allowed to, which would bring purged memory back: the first
//! purge forbids it.

use super::{Backend, SEGMENT_SIZE, Segment, USABLE, USABLE_BYTES};
use crate::os::Platform;
use crate::slab::{self, Slab};
use crate::sync::Ordering;
use core::ptr::NonNull;

/// One page in so many may be missing in a segment that is called full: the last slabs of some classes have not been
/// used to their ends, nor has the first slot. Programs in C that are not rebuilt, whose library does without the
/// standard one, gain as much where fewer are missing, by less of their peak.
const HOLES: usize = if cfg!(feature = "std") { 8 } else { 24 };

/// True where segments are joined at all: of a hardened segment some pages are guards.
const JOINS: bool = cfg!(not(any(feature = "hardened", loom)));

/// What came of a look whether a segment is to be joined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Join {
    /// It is, or cannot be; there is no need to look again.
    Done,
    /// Not now, which cost nothing to tell.
    NotYet,
    /// Too few of its pages are resident, which the system was asked.
    Sparse,
}

impl Backend {
    /// Asks for a huge page for a segment, as soon as it is mapped; true where all of it is committed now. Where memory
    /// is limited nothing is committed before it is needed.
    ///
    /// # Safety
    /// - `start` is where a segment's size was mapped just now.
    pub(super) unsafe fn ask_for_huge_page(&self, start: NonNull<u8>) -> bool {
        let may = self.counters.limits.are_none() && self.growth.allows_another(self.os);
        if may {
            self.counters.commit(USABLE_BYTES);
            // SAFETY: the caller says so.
            unsafe { self.os.prefer_huge_pages(start, SEGMENT_SIZE) };
        }
        may
    }
}

impl Segment {
    /// Takes note that a segment that nobody has used yet is backed by a huge page. Owner-only.
    pub(super) fn note_huge_page(&self) {
        self.head.touched.store(USABLE, Ordering::Relaxed);
        self.head.clean.set(USABLE);
        self.set_huge();
    }

    fn set_huge(&self) {
        self.head.is_huge.set(true);
        // The rest of the first slot is resident, too.
        self.head.lines.set(slab::LINES as u8 + 1);
    }

    /// True where the segment has small pages that might be joined once. Owner-only.
    pub(crate) fn may_be_joined(&self) -> bool {
        JOINS && !self.head.is_huge.get() && !self.head.is_pieced.get()
    }

    /// Makes the segment's small pages a huge one where nearly all of them are resident. Owner-only.
    ///
    /// Where memory is limited nothing becomes resident that was not.
    pub(crate) fn join_pages(&self, backend: &Backend) -> Join {
        if self.touched_slots() != USABLE
            || !backend.counters.limits.are_none()
            || !backend.joins.allows_another(backend.os)
        {
            return Join::NotYet;
        }
        // What was given back would be resident again, and is counted as if it were not.
        if self.slots().any(Slab::lacks_pages) {
            return Join::NotYet;
        }
        let start = NonNull::from(self).cast();
        let pages = SEGMENT_SIZE / backend.os.page_size();
        // SAFETY: the segment was mapped as a whole.
        if unsafe { backend.os.resident_pages(start, SEGMENT_SIZE) } < pages - pages / HOLES {
            return Join::Sparse;
        }
        // Said first: the first slot is as resident as the rest afterwards.
        self.set_huge();
        // SAFETY: as above.
        if !backend.joins.time(backend.os, || unsafe { backend.os.join_pages(start, SEGMENT_SIZE) }) {
            self.head.is_huge.set(false);
        }
        Join::Done
    }

    /// Keeps the system from backing the segment by a huge page any more: parts of it are about to be given back.
    /// Owner-only.
    #[inline]
    pub(super) fn forbid_huge_page(&self, os: &dyn Platform) {
        if self.head.is_huge.replace(false) {
            // SAFETY: the segment was mapped as a whole, and is since: what is released is not huge any more.
            unsafe { os.refuse_huge_pages(NonNull::from(self).cast(), SEGMENT_SIZE) };
        }
    }
}
