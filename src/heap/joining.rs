//! Joining: the small pages of a heap's first segments become huge ones, where the heap has filled them.
//!
//! Nobody knows of a heap's first segments whether it will fill them, so they begin with small pages. Whenever the heap
//! has to grow once more, those that were filled meanwhile are joined: the processor's translation cache has one entry
//! then where it needed 512, and resident memory is what it was. That costs a copy of the segment, once.

use super::core::GROWING_FROM;
use crate::segment::{Backend, Segment};
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

/// Segments of a heap that have small pages, the next to be looked at first.
pub(super) struct Joining {
    segments: [*const Segment; WAITING],
    len: usize,
    /// How many were joined so far.
    joined: usize,
}

impl Joining {
    pub(super) const fn new() -> Self {
        Self { segments: [ptr::null(); WAITING], len: 0, joined: 0 }
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
        if segments < ENOUGH {
            return;
        }
        let is_large = segments >= GROWING_FROM;
        let looks = if is_large { LOOKS } else { LOOKS.min(MOST.saturating_sub(self.joined)) }.min(self.len);
        let mut nth = 0;
        let before = self.len;
        self.retain(|segment| {
            nth += 1;
            nth > looks || !segment.join_pages(backend)
        });
        self.joined += before - self.len;
        if is_large {
            // The others have their turn.
            self.segments[..self.len].rotate_left(looks - (before - self.len));
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
