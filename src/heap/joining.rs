//! Joining: the small pages of a heap's first segments become huge ones, where the heap has filled them.
//!
//! Nobody knows of a heap's first segments whether it will fill them, so they begin with small pages. Whenever the heap
//! has to grow once more, those that were filled meanwhile are joined: the processor's translation cache has one entry
//! then where it needed 512, and resident memory is what it was. That costs a copy of the segment, once.

use super::core::GROWING_FROM;
use crate::segment::{Backend, Join, Segment};
use ::core::ptr;

/// Segments of a heap before any is joined: one that is small is served by the caches there are.
const ENOUGH: usize = 2;

/// Segments that wait to be joined, at most. Where more have small pages, the others keep them.
const WAITING: usize = if cfg!(feature = "std") { 8 } else { GROWING_FROM };

/// Segments of a heap that are joined at most, before it is so large that it begins with huge pages. In the first slot
/// of each there are 28 KiB that nobody uses, and that a huge page makes resident; programs in C that are not rebuilt,
/// which do without the standard library here, gain most by the segments that they began with.
const MOST: usize = if cfg!(feature = "std") { usize::MAX } else { 3 };

/// Segments that are looked at each time.
const LOOKS: usize = 8;

/// So many looks in vain, one after the other, have the heap grow once more before the next. A look at what is resident
/// takes microseconds, and a heap of spans may take a segment and give it up again for each few of them.
const IN_VAIN: u8 = 8;

/// Segments of a heap that have small pages, the next to be looked at first.
pub(super) struct Joining {
    segments: [*const Segment; WAITING],
    len: usize,
    /// How many were joined so far.
    joined: usize,
    /// How often the system was asked, one time after the other, and nothing was filled.
    in_vain: u8,
    /// How often the heap is to grow before the next look.
    pause: u8,
}

impl Joining {
    pub(super) const fn new() -> Self {
        Self { segments: [ptr::null(); WAITING], len: 0, joined: 0, in_vain: 0, pause: 0 }
    }

    /// A segment was added to the heap.
    pub(super) fn add(&mut self, segment: &Segment) {
        if self.len < self.segments.len() && segment.may_be_joined() {
            self.segments[self.len] = segment;
            self.len += 1;
        }
    }

    /// A segment is no longer the heap's.
    pub(super) fn remove(&mut self, segment: &Segment) {
        self.retain(|other| !ptr::eq(other, segment));
    }

    /// The heap of `segments` segments is about to grow: joins what was filled.
    pub(super) fn grow(&mut self, backend: &Backend, segments: usize) {
        if segments < ENOUGH || self.len == 0 {
            return;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return;
        }
        let is_large = segments >= GROWING_FROM;
        let looks = if is_large { LOOKS } else { LOOKS.min(MOST.saturating_sub(self.joined)) }.min(self.len);
        let (mut nth, mut joined, mut sparse) = (0, 0, 0);
        self.retain(|segment| {
            nth += 1;
            let found = if nth > looks { Join::NotYet } else { segment.join_pages(backend) };
            joined += usize::from(found == Join::Done);
            sparse += usize::from(found == Join::Sparse);
            found != Join::Done
        });
        self.joined += joined;
        self.in_vain = match (joined, sparse) {
            (0, 0) => self.in_vain,
            (0, _) => self.in_vain.saturating_add(1),
            _ => 0,
        };
        self.pause = if sparse > 0 { self.in_vain / IN_VAIN } else { 0 };
        if is_large {
            // The others have their turn.
            self.segments[..self.len].rotate_left(looks - joined);
        }
    }

    /// In a forked child, which shares its pages with the parent, and would have a copy of its own for each that is
    /// joined.
    pub(super) fn forget(&mut self) {
        self.len = 0;
    }

    fn retain(&mut self, mut keep: impl FnMut(&Segment) -> bool) {
        let mut kept = 0;
        for nth in 0..self.len {
            let segment = self.segments[nth];
            // SAFETY: segments' first slots are never unmapped, and the heap's lock makes its holder the owner of those
            // that are listed.
            if keep(unsafe { &*segment }) {
                self.segments[kept] = segment;
                kept += 1;
            }
        }
        self.len = kept;
    }
}
