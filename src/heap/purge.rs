//! Purging: a heap's unused memory goes back to the system, on behalf of any thread. Free slots in runs, and the free pages of slabs that are in use.
//!
//! The lock is given up after so many system calls, and taken again: whoever refills or flushes waits for a millisecond at most, however much is to be given back.

use super::Heap;
use super::core::{Core, Home};
use crate::magazine::Place;
use crate::segment::Backend;
use crate::size_class::{self, SizeClass};
use crate::slab::{Blocks, Slab};

/// System calls while the lock is held, at most; and what one slab needs more.
const CALLS_AT_A_TIME: usize = 256;

/// Slabs that are passed over for a better one, at most.
const PATIENCE: usize = 8;

/// Since when what is given back has to be unused, and what time it is: milliseconds of the platform's clock. Whatever is unused, where `before` is `u64::MAX`.
#[derive(Clone, Copy)]
pub(super) struct Since {
    pub(super) before: u64,
    pub(super) now: u64,
}

/// How far a purge of slabs has come.
#[derive(Default)]
pub(super) struct Progress {
    /// The class whose slabs are gone through.
    class: usize,
    /// Slabs of it that stay at the front of its ring, and those that have not been looked at; `None` before the first.
    slabs: Option<(usize, usize)>,
}

impl Heap {
    /// Collects what others have returned, and gives the memory of slots and pages unused since `before` back to the system, on behalf of any thread.
    /// With `is_patient`, waits for the heap's lock; otherwise leaves a heap alone that is at work.
    pub(crate) fn purge(&self, before: u64, now: u64, is_patient: bool) {
        let mut progress = Progress::default();
        let mut is_first = true;
        loop {
            let mut core = match self.core.try_lock() {
                Some(core) => core,
                None if is_patient && !self.is_lost() => self.core.lock(),
                None => return,
            };
            if is_first {
                core.collect(self.backend, &self.pending);
                core.purge(self.backend, before, now);
                is_first = false;
            }
            if core.purge_slabs(self.backend, Since { before, now }, &mut progress) {
                return;
            }
        }
    }
}

impl Core {
    /// Gives the memory of slots that are unused since `before` back to the system.
    pub(super) fn purge(&mut self, backend: &Backend, before: u64, now: u64) {
        self.retire_empty_slabs(backend);
        for segment in self.roomy.iter() {
            segment.purge_idle(backend, before, now);
        }
    }

    /// Gives the free pages of slabs back that have been left alone since then, some slabs at a time; true once it has gone through all. Slabs without such pages are to be used first,
    /// so the others go to the end of their ring.
    fn purge_slabs(&mut self, backend: &Backend, since: Since, progress: &mut Progress) -> bool {
        let mut calls = 0;
        while progress.class < size_class::SLABS {
            let blocks = Blocks::of(SizeClass::from_index(progress.class));
            let ring = &mut self.usable[progress.class];
            let (mut passed, mut left) = progress.slabs.unwrap_or_else(|| (0, ring.iter().count()));
            for slab in ring.iter().skip(passed).take(left) {
                if calls >= CALLS_AT_A_TIME {
                    progress.slabs = Some((passed, left));
                    return false;
                }
                left -= 1;
                // The only slab of a class stays when it is empty, at the front, until the next purge.
                let is_empty = slab.free() == slab.extent();
                let made = if !is_empty && slab.is_quiet_since(since.before, since.now) {
                    backend.purge_pages(slab, blocks)
                } else {
                    0
                };
                if made > 0 && slab.has_purged() {
                    ring.remove(slab);
                    ring.push_back(slab);
                } else {
                    passed += 1;
                }
                calls += made;
            }
            progress.class += 1;
            progress.slabs = None;
        }
        true
    }

    /// The first slab of `class` of which no pages were given back, of the next few behind `slab`, which is the first; or else `slab`.
    #[cold]
    #[inline(never)]
    pub(super) fn pass_purged<'s>(&mut self, class: SizeClass, slab: &'s Slab) -> &'s Slab {
        let ring = &mut self.usable[class.index()];
        let mut first = slab;
        for _ in 0..PATIENCE {
            // One that is empty stays at the front.
            if !first.has_purged() || first.free() == first.extent() {
                break;
            }
            ring.rotate();
            first = ring.first().unwrap_or(slab);
        }
        first
    }

    /// As [`Slab::take`], of a slab of which pages were given back: those that are needed now are committed again. Takes nothing where they may not be.
    #[cold]
    #[inline(never)]
    pub(super) fn take_purged(home: Home<'_>, slab: &Slab, blocks: Blocks, places: &mut [Place]) -> usize {
        let page_size = home.backend.os.page_size();
        let pages = slab.may_need(blocks, page_size, places.len());
        home.backend.counters.commit(pages * page_size);
        let taken = slab.take(blocks, places);
        let needed = slab.note_needed(blocks, page_size);
        home.backend.counters.uncommit((pages - needed) * page_size);
        taken
    }
}
