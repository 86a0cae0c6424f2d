//! Backend: where heaps get segments and mappings from, and where these go back to.
//!
//! The owner map is the pool: an unused segment is an entry that says so, and taking one is a compare-and-swap of that
//! entry. There is no list to corrupt, no lock to hold across a fork, and the lowest address is always taken first.

use super::cache::{Kept, RangeCache};
use super::counters::Counters;
use super::demand::Demand;
use super::density::Density;
use super::owner::{Owner, OwnerMap};
use super::pace::{self, Pace};
use super::{METADATA, SEGMENT_SIZE, Segment, USABLE};
use crate::align;
use crate::os::Platform;
use crate::size_class::SLOT_SIZE;
use crate::slab::{Blocks, Pages, Slab};
use crate::sync::{AtomicUsize, Ordering, constructor};
use core::ptr::{self, NonNull};

/// Where a mapping is to be: `start + offset` is a multiple of `align`.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) align: usize,
    pub(super) offset: usize,
    /// Addresses to leave free behind the mapping, so that it can grow where it stands; as far as that is easily had.
    pub(super) headroom: usize,
}

/// The source of segments and mappings: one to a process, and one to a test that wants its own.
pub(crate) struct Backend {
    pub(crate) os: &'static dyn Platform,
    pub(crate) owners: OwnerMap,
    pub(crate) counters: Counters,
    pub(super) cache: RangeCache,
    pub(super) demand: Demand,
    pub(super) density: Density,
    /// Of huge pages that segments begin with.
    pub(super) growth: Pace,
    /// Of small pages that are joined.
    pub(super) joins: Pace,
    /// Of huge pages of mappings that are going to be filled.
    pub(super) filling: Pace,
    /// Start of the mapping that was made last: the next one is asked for below it.
    last: AtomicUsize,
    /// The highest start so far.
    highest: AtomicUsize,
}

/// How far below the highest mapping a new one is asked for, at most. Further down the system chooses, from the top,
/// where addresses have become free again: otherwise the owner map would grow with the addresses ever used.
const WANDER: usize = 64 * 1024 * 1024 * 1024;

impl Backend {
    constructor! {
        /// A source of memory from `os`, which has none yet.
        pub(crate) fn new(os: &'static dyn Platform) -> Self {
            Self {
                os,
                owners: OwnerMap::new(),
                counters: Counters::new(),
                cache: RangeCache::new(),
                demand: Demand::none(),
                density: Density::unknown(),
                growth: Pace::new(pace::WAIT_TO_BEGIN),
                joins: Pace::new(pace::WAIT_TO_JOIN),
                filling: Pace::new(pace::WAIT_TO_BEGIN),
                last: AtomicUsize::new(0),
                highest: AtomicUsize::new(0),
            }
        }
    }

    /// Freed mappings that are kept for reuse.
    pub(crate) fn cached(&self) -> Kept {
        self.cache.kept()
    }

    /// A segment without slabs or spans, now owned by `owner`; `None` where the system has no memory. Where
    /// `is_growing`, the owner is going to fill it.
    pub(crate) fn take_segment(&self, owner: Owner, is_growing: bool) -> Option<NonNull<Segment>> {
        let map = || self.remap_released(owner).or_else(|| self.map_segment(owner, is_growing));
        self.take_pooled(owner).or_else(|| self.convert_kept(owner)).or_else(|| self.or_relieve(SEGMENT_SIZE, map))
    }

    /// Tries again for as long as something can be given back that makes room for `bytes` more.
    pub(super) fn or_relieve<R>(&self, bytes: usize, attempt: impl Fn() -> Option<R>) -> Option<R> {
        loop {
            let result = attempt();
            if result.is_some() || !self.relieve(bytes) {
                return result;
            }
        }
    }

    /// Takes back a segment without slabs or spans.
    pub(crate) fn give_segment(&self, segment: &Segment) {
        debug_assert!(segment.is_unused());
        segment.set_pending(ptr::null());
        self.counters.pooled.fetch_add(1, Ordering::Relaxed);
        self.owners.give_up(segment.address(), Owner::POOLED);
    }

    fn take_pooled(&self, owner: Owner) -> Option<NonNull<Segment>> {
        self.claim_one(&self.counters.pooled, Owner::POOLED, owner).map(|address| {
            // SAFETY: a pooled entry names a segment, and claiming it has made it this thread's.
            unsafe { NonNull::new_unchecked(super::segment_of(address).cast_mut()) }
        })
    }

    /// Claims one granule of those that `from` owns, of which `count` tells how many there may be.
    fn claim_one(&self, count: &AtomicUsize, from: Owner, to: Owner) -> Option<usize> {
        if count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let (address, _) =
            self.owners.walk(|owner| owner == from).find(|&(address, _)| self.owners.claim(address, from, to))?;
        count.fetch_sub(1, Ordering::Relaxed);
        Some(address)
    }

    fn map_segment(&self, owner: Owner, is_growing: bool) -> Option<NonNull<Segment>> {
        self.make_way(SEGMENT_SIZE);
        if !self.counters.try_commit_metadata(METADATA) {
            return None;
        }
        let Some(start) = self.map_placed(SEGMENT_SIZE, Place { align: SEGMENT_SIZE, offset: 0, headroom: 0 }) else {
            self.counters.uncommit_metadata(METADATA);
            return None;
        };
        self.counters.reserved.fetch_add(SEGMENT_SIZE, Ordering::Relaxed);
        // SAFETY: mapped just now.
        let is_huge = is_growing && unsafe { self.ask_for_huge_page(start) };
        // SAFETY: mapped just now, at a multiple of its size.
        let found = || unsafe { Segment::found(start) };
        // The first write to it is what brings a huge page.
        let segment = if is_huge { self.growth.time(self.os, found) } else { found() };
        if is_huge {
            // SAFETY: found just now.
            unsafe { segment.as_ref() }.note_huge_page();
        }
        #[cfg(feature = "hardened")]
        if !is_huge {
            // SAFETY: as above.
            unsafe { segment.as_ref() }.guard(self.os.page_size());
        }
        self.owners.set(start.addr().get(), owner);
        self.owners.note_segment(start.addr().get());
        Some(segment)
    }

    /// Maps `len` bytes of zeros at a place such as is described. The owner map reaches there, and the entry of the
    /// granule at `start + offset` may be set.
    pub(super) fn map_placed(&self, len: usize, place: Place) -> Option<NonNull<u8>> {
        let mut metadata = 0;
        if !self.owners.prepare(self.os, &mut metadata) {
            return None;
        }
        self.counters.commit_metadata(metadata);
        let start = self.map_by_hint(len, place).or_else(|| self.map_and_trim(len, place))?;
        if !self.admit(start.addr().get() + place.offset) {
            // SAFETY: mapped just now, and nobody has seen it.
            unsafe { self.os.unmap(start, len) };
            return None;
        }
        self.last.store(start.addr().get(), Ordering::Relaxed);
        self.highest.fetch_max(start.addr().get(), Ordering::Relaxed);
        Some(start)
    }

    /// Makes the owner map's entry of the granule at `address` one that may be set; false where the map does not reach
    /// so far or the system refuses.
    pub(super) fn admit(&self, address: usize) -> bool {
        let mut metadata = 0;
        let is_admitted = self.owners.admit(self.os, address, &mut metadata);
        self.counters.commit_metadata(metadata);
        is_admitted
    }

    /// Asks for a place below the last mapping. Costs one system call when it is free.
    fn map_by_hint(&self, len: usize, Place { align, offset, headroom }: Place) -> Option<NonNull<u8>> {
        let last = self.last.load(Ordering::Relaxed);
        let wanted = last.checked_sub(len)?.checked_sub(headroom)?;
        let hint = align::down(wanted.checked_add(offset)?, align).checked_sub(offset)?;
        // Where there are very many mappings, they are to touch.
        let is_far = self.highest.load(Ordering::Relaxed).saturating_sub(hint) > WANDER;
        if hint == 0 || is_far && self.counters.mappings() < super::mapping::MANY {
            return None;
        }
        let start = self.os.map(hint, len)?;
        if align::is_aligned(start.addr().get() + offset, align) {
            return Some(start);
        }
        // SAFETY: mapped just now, and nobody has seen it.
        unsafe { self.os.unmap(start, len) };
        None
    }

    /// Takes note that a mapping is gone: if it was the last, the next may take its place.
    pub(super) fn forget_start(&self, start: usize, len: usize) {
        let _ = self.last.compare_exchange(start, start + len, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Maps `len` bytes of zeros, whole pages, such that `start + offset` is a multiple of `align`. Whoever asks counts
    /// them.
    pub(crate) fn map_aligned(&self, len: usize, align: usize, offset: usize) -> Option<NonNull<u8>> {
        if align <= self.os.page_size() {
            return self.os.map(0, len);
        }
        self.map_and_trim(len, Place { align, offset, headroom: 0 })
    }

    /// Maps more than is needed, and gives back what lies before and behind the aligned part.
    fn map_and_trim(&self, len: usize, Place { align, offset, .. }: Place) -> Option<NonNull<u8>> {
        let page = self.os.page_size();
        let len = align::checked_up(len, page)?;
        let whole = self.os.map(0, len.checked_add(align)?)?;
        let start = align::up(whole.addr().get() + offset, align) - offset;
        let before = start - whole.addr().get();
        let after = align - before;
        // A cut that fails leaves untouched memory behind, which costs addresses alone.
        if before > 0 {
            // SAFETY: the part before `start`, of which nobody knows.
            unsafe { self.os.unmap(whole, before) };
        }
        let start = whole.as_ptr().wrapping_add(before);
        if after > 0
            && let Some(end) = NonNull::new(start.wrapping_add(len))
        {
            // SAFETY: the part behind what is kept, of which nobody knows.
            unsafe { self.os.unmap(end, after) };
        }
        NonNull::new(start)
    }

    /// Gives memory of a segment's slots back and keeps the addresses; true where the range now reads as zero.
    pub(super) fn purge(&self, start: *mut u8, len: usize) -> bool {
        let Some(start) = NonNull::new(start) else { return false };
        // SAFETY: the slots are a segment's, whose head can always be read.
        unsafe { &*super::segment_of(start.addr().get()) }.forbid_huge_page(self.os);
        // SAFETY: callers own the range, and have nothing in it.
        let purged = unsafe { self.os.purge(start, len) };
        if purged {
            self.counters.decommit(len);
        }
        purged
    }

    /// Gives free pages of a slab back; the number of system calls. Owner-only.
    pub(crate) fn purge_pages(&self, slab: &Slab, blocks: Blocks, mut pages: Pages) -> usize {
        let page_size = self.os.page_size();
        let mut calls = 0;
        while let Some((first, count)) = pages.take_run() {
            calls += 1;
            if self.purge(slab.start().as_ptr().wrapping_add(first * page_size), count * page_size) {
                slab.note_purged(blocks, page_size, first, count);
            }
        }
        calls
    }

    /// Purges pooled segments and unmaps cached mappings that have been unused since `before`, in milliseconds of the
    /// platform's clock, which is at `now`. Where the process may have few addresses, segments that have nothing left
    /// to purge give theirs back as well.
    pub(crate) fn purge_unused(&self, before: u64, now: u64) {
        self.drop_unused(before, now);
        if self.counters.pooled.load(Ordering::Relaxed) == 0 {
            return;
        }
        let has_few_addresses = self.os.has_few_addresses();
        for (address, _) in self.owners.walk(|owner| owner == Owner::POOLED) {
            // SAFETY: the entry names a segment, whose head can always be read.
            let segment = unsafe { &*super::segment_of(address) };
            let is_to_be_released = || has_few_addresses && segment.is_cold_since(before);
            if !segment.is_to_be_looked_at(before) && !is_to_be_released() {
                continue;
            }
            // While it is purged it is nobody's to take, which `UNMATCHED` says.
            if self.owners.claim(address, Owner::POOLED, Owner::UNMATCHED) {
                segment.purge_idle(self, before, now);
                if is_to_be_released() && self.release(segment) {
                    self.counters.pooled.fetch_sub(1, Ordering::Relaxed);
                } else {
                    self.owners.give_up(address, Owner::POOLED);
                }
            }
        }
    }

    /// Gives unused memory back, addresses included, until that has made room for `bytes`: called when the system
    /// refuses a mapping. True where that was anything.
    pub(crate) fn relieve(&self, bytes: usize) -> bool {
        let mut relieved = self.drop_unused(u64::MAX, 0);
        while relieved < bytes
            && let Some(address) = self.claim_one(&self.counters.pooled, Owner::POOLED, Owner::UNMATCHED)
        {
            // SAFETY: a pooled entry names a segment, and claiming it has made it this thread's.
            if !self.release(unsafe { &*super::segment_of(address) }) {
                self.counters.pooled.fetch_add(1, Ordering::Relaxed);
                self.owners.give_up(address, Owner::POOLED);
                break;
            }
            relieved += SEGMENT_SIZE - SLOT_SIZE;
        }
        relieved > 0
    }

    /// Gives the slots of an unused segment back that the calling thread has claimed, addresses included, all but the
    /// first. False where the system refuses, and nothing has changed.
    fn release(&self, segment: &Segment) -> bool {
        let touched = segment.touched_slots().count_ones() as usize * SLOT_SIZE;
        let Some(second) = NonNull::new(segment.slot_start(1)) else { return false };
        // SAFETY: an unused segment's slots hold nothing that is needed; the first one stays.
        if !unsafe { self.os.unmap(second, SEGMENT_SIZE - SLOT_SIZE) } {
            return false;
        }
        segment.untouch(USABLE);
        segment.head.is_huge.set(false);
        self.counters.decommit(touched);
        self.counters.reserved.fetch_sub(SEGMENT_SIZE - SLOT_SIZE, Ordering::Relaxed);
        self.counters.released.fetch_add(1, Ordering::Relaxed);
        self.owners.give_up(segment.address(), Owner::RELEASED);
        true
    }

    /// Maps a released segment's slots again, where nobody has taken their place meanwhile.
    fn remap_released(&self, owner: Owner) -> Option<NonNull<Segment>> {
        if !self.counters.has_released() {
            return None;
        }
        let (address, _) = self.owners.walk(|owner| owner == Owner::RELEASED).find(|&(address, _)| {
            if !self.owners.claim(address, Owner::RELEASED, Owner::UNMATCHED) {
                return false;
            }
            let is_mapped = self.os.map_exactly(address + SLOT_SIZE, SEGMENT_SIZE - SLOT_SIZE).is_some();
            if !is_mapped {
                self.owners.give_up(address, Owner::RELEASED);
            }
            is_mapped
        })?;
        self.counters.released.fetch_sub(1, Ordering::Relaxed);
        self.counters.reserved.fetch_add(SEGMENT_SIZE - SLOT_SIZE, Ordering::Relaxed);
        // SAFETY: the entry named a segment's first slot, and the others are mapped again.
        let segment = unsafe { NonNull::new_unchecked(super::segment_of(address).cast_mut()) };
        // SAFETY: claimed above.
        debug_assert_eq!(unsafe { segment.as_ref() }.free_slots(), USABLE);
        // SAFETY: as above.
        unsafe { segment.as_ref() }.head.is_pieced.set(true);
        #[cfg(feature = "hardened")]
        // SAFETY: as above.
        unsafe { segment.as_ref() }.guard(self.os.page_size());
        self.owners.set(address, owner);
        Some(segment)
    }
}
