//! Freed mappings that wait to be used again.
//!
//! A first-touched page costs a microsecond or two, so a mapping whose pages are resident is worth keeping for a while. A slot is
//! taken and filled by compare-and-swap: there is no lock, and a fork in the middle loses one slot at most.

use super::backend::Backend;
use super::mapping::Mapping;
use crate::sync::{AtomicU64, AtomicUsize, Ordering, constructor};

/// Most mappings that are kept.
pub(crate) const CACHED_MAPPINGS: usize = 16;

/// Most bytes that are kept in all.
pub(crate) const CACHED_BYTES: usize = 128 * 1024 * 1024;

/// [`Slot::start`] of a slot that holds nothing.
const EMPTY: usize = 0;
/// [`Slot::start`] of a slot that one thread is filling or emptying.
const BUSY: usize = 1;

struct Slot {
    /// Address of a mapping's head, or `EMPTY`, or `BUSY`.
    start: AtomicUsize,
    /// The mapping's length. Right for whoever holds the slot, a hint to others.
    len: AtomicUsize,
    /// When it was freed, in milliseconds of the platform's clock. As `len`.
    since: AtomicU64,
}

impl Slot {
    constructor! {
        fn new() -> Self {
            Self { start: AtomicUsize::new(EMPTY), len: AtomicUsize::new(0), since: AtomicU64::new(0) }
        }
    }

    /// Puts a mapping in, if the slot is empty; true where it was.
    fn fill(&self, start: usize, len: usize, now: u64) -> bool {
        // Acquire: pairs with the Release in `take`: who emptied the slot has read its length.
        if self.start.load(Ordering::Relaxed) != EMPTY
            || self.start.compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return false;
        }
        self.len.store(len, Ordering::Relaxed);
        self.since.store(now, Ordering::Relaxed);
        // Release: publishes the length and the mapping's head. Pairs with the Acquire in `take`.
        self.start.store(start, Ordering::Release);
        true
    }

    /// Takes the mapping out, if `wanted` accepts its length and the time since when it waits; its start and length.
    fn take(&self, wanted: impl Fn(usize, u64) -> bool) -> Option<(usize, usize)> {
        let start = self.start.load(Ordering::Relaxed);
        let accepts = || wanted(self.len.load(Ordering::Relaxed), self.since.load(Ordering::Relaxed));
        if start == EMPTY || start == BUSY || !accepts() {
            return None;
        }
        // Acquire: pairs with the Release in `fill`.
        self.start.compare_exchange(start, BUSY, Ordering::Acquire, Ordering::Relaxed).ok()?;
        // The slot may have changed hands between the look and the exchange, with the same start.
        if !accepts() {
            // Release: as in `fill`, for the next to take it.
            self.start.store(start, Ordering::Release);
            return None;
        }
        let len = self.len.load(Ordering::Relaxed);
        // Release: the length has been read. Pairs with the Acquire in `fill`.
        self.start.store(EMPTY, Ordering::Release);
        Some((start, len))
    }
}

/// The cache: at most [`CACHED_MAPPINGS`] mappings of at most [`CACHED_BYTES`] in all.
pub(crate) struct MappingCache {
    slots: [Slot; CACHED_MAPPINGS],
    /// Bytes in the slots, their heads excepted.
    bytes: AtomicUsize,
}

impl MappingCache {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self { slots: [const { Slot::new() }; CACHED_MAPPINGS], bytes: AtomicUsize::new(0) }
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Keeps a freed mapping, if there is room; true where it is kept.
    pub(super) fn put(&self, mapping: &Mapping, now: u64) -> bool {
        let body = mapping.body();
        if self.bytes.fetch_add(body, Ordering::Relaxed) + body <= CACHED_BYTES
            && self.slots.iter().any(|slot| slot.fill(mapping.address(), mapping.len(), now))
        {
            return true;
        }
        self.bytes.fetch_sub(body, Ordering::Relaxed);
        false
    }

    /// A kept mapping of `len` bytes or up to a quarter more.
    pub(super) fn take(&self, len: usize) -> Option<&'static Mapping> {
        if self.bytes() == 0 {
            return None;
        }
        let fits = |kept: usize, _| kept >= len && kept - len <= len / 4;
        self.slots.iter().find_map(|slot| slot.take(fits)).map(|(start, _)| self.taken(start))
    }

    /// Unmaps what has been kept since `before` or longer; true where that was anything.
    pub(super) fn drop_unused(&self, backend: &Backend, before: u64) -> bool {
        let mut dropped = false;
        for slot in &self.slots {
            if let Some((start, _)) = slot.take(|_, since| since <= before) {
                backend.unmap_mapping(self.taken(start));
                dropped = true;
            }
        }
        dropped
    }

    fn taken(&self, start: usize) -> &'static Mapping {
        // SAFETY: a slot holds the starts of mappings alone, and this one was just taken out: nobody else has it.
        let mapping = unsafe { Mapping::at(start) };
        self.bytes.fetch_sub(mapping.body(), Ordering::Relaxed);
        mapping
    }
}
