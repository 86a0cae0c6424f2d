//! Purging: a heap's unused memory goes back to the system, on behalf of any thread. Free slots in runs, and the free
//! pages of slabs that are in use.
//!
//! The lock is given up after so many system calls, and taken again: whoever refills or flushes waits for a millisecond
//! at most, however much is to be given back.

use super::Heap;
use super::core::{Core, Host};
use crate::magazine::Place;
use crate::segment::Backend;
use crate::size_class::{self, SizeClass};
use crate::slab::{Blocks, Slab};

/// System calls while the lock is held, at most; and what one slab needs more.
const CALLS_AT_A_TIME: usize = 256;

/// Slabs that are looked at while the lock is held, at most.
const LOOKS_AT_A_TIME: usize = 8192;

/// Since when what is given back has to be unused, and what time it is: milliseconds of the platform's clock. Whatever
/// is unused, where `before` is `u64::MAX`.
#[derive(Clone, Copy)]
struct Since {
    pub(super) before: u64,
    pub(super) now: u64,
}

/// Segments of which memory is given back while the lock is held, at most. One takes up to 16 system calls.
const SEGMENTS_AT_A_TIME: usize = 16;

/// How far a purge has come.
#[derive(Default)]
struct Progress {
    /// Segments that have been gone through.
    segments: usize,
    /// Rings of slabs that have been gone through: of each class the sparse ones, and then the others.
    rings: usize,
    /// Slabs of the next ring that stay at its front, and those that have not been looked at; `None` before the first.
    slabs: Option<(usize, usize)>,
}

impl Heap {
    /// Collects what others have returned, and gives the memory of slots and pages unused since `before` back to the
    /// system, on behalf of any thread. With `is_patient`, waits for the heap's lock; otherwise leaves a heap alone
    /// that is at work.
    pub(crate) fn purge(&self, before: u64, now: u64, is_patient: bool) {
        let since = Since { before, now };
        let mut progress = Progress::default();
        let mut is_first = true;
        loop {
            let mut core = match self.core.try_lock() {
                Some(core) => core,
                None if is_patient && !self.is_lost() => self.core.lock(),
                None => return,
            };
            if is_first {
                core.collect(self.host());
                core.let_go(self.host());
                if core.depot.is_quiet() || before == u64::MAX {
                    core.empty_depot(self.host());
                }
                core.retire_empty_slabs(self.backend);
                is_first = false;
            }
            if core.purge_slots(self.backend, since, &mut progress)
                && core.purge_slabs(self.backend, since, &mut progress)
            {
                return;
            }
        }
    }
}

impl Core {
    /// Gives free slots back, some segments at a time; true once it has gone through all.
    fn purge_slots(&mut self, backend: &Backend, since: Since, progress: &mut Progress) -> bool {
        let mut purged = 0;
        for segment in self.roomy.iter().skip(progress.segments) {
            if purged >= SEGMENTS_AT_A_TIME {
                return false;
            }
            progress.segments += 1;
            if segment.purge_idle(backend, since.before, since.now) > 0 {
                purged += 1;
            }
        }
        true
    }

    /// Gives the pages of slabs back that have been free since then, some slabs at a time; true once it has gone
    /// through all. Those slabs are sparse from then on, however many blocks they have in use.
    fn purge_slabs(&mut self, backend: &Backend, since: Since, progress: &mut Progress) -> bool {
        let page_size = backend.os.page_size();
        let (mut calls, mut looks) = (0, 0);
        while progress.rings < 2 * size_class::SLABS {
            let blocks = Blocks::of(SizeClass::from_index(progress.rings / 2));
            let usable = &mut self.usable[progress.rings / 2];
            let ring = usable.ring(progress.rings.is_multiple_of(2));
            let (mut passed, mut left) = progress.slabs.unwrap_or_else(|| (0, ring.iter().count()));
            for slab in ring.iter().skip(passed).take(left) {
                if calls >= CALLS_AT_A_TIME || looks >= LOOKS_AT_A_TIME {
                    progress.slabs = Some((passed, left));
                    return false;
                }
                left -= 1;
                // The only slab of a class stays when it is empty, at the front, until the next purge.
                let is_empty = slab.free() == slab.extent();
                let made = if is_empty {
                    0
                } else {
                    let pages = slab.idle_pages(blocks, page_size, since.before, since.now);
                    backend.purge_pages(slab, blocks, pages)
                };
                looks += 1;
                if made > 0 && slab.has_purged() {
                    // To the end of the sparse ones.
                    usable.file(slab);
                } else {
                    passed += 1;
                }
                calls += made;
            }
            progress.rings += 1;
            progress.slabs = None;
        }
        true
    }

    /// As [`Slab::take`], of a slab of which pages were given back: those that are needed now are committed again.
    /// Takes nothing where they may not be.
    #[cold]
    #[inline(never)]
    pub(super) fn take_purged(host: Host<'_>, slab: &Slab, blocks: Blocks, places: &mut [Place]) -> usize {
        let page_size = host.backend.os.page_size();
        let mut places = places;
        let mut pages = slab.may_need(blocks, page_size, places.len());
        if !host.backend.counters.try_commit(pages * page_size) {
            // There may be room for one block, which may need no page.
            let last = places.len().saturating_sub(1);
            places = &mut places[last..];
            pages = slab.may_need(blocks, page_size, places.len());
            if !host.backend.counters.try_commit(pages * page_size) {
                return 0;
            }
        }
        let taken = slab.take(blocks, places);
        let needed = slab.note_needed(blocks, page_size);
        host.backend.counters.uncommit((pages - needed) * page_size);
        taken
    }
}
