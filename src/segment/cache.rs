//! Freed mappings that wait to be used again.
//!
//! A first-touched page costs a microsecond or two, so a mapping whose pages are resident is worth keeping for a while. A slot is
//! taken and filled by compare-and-swap: there is no lock, and a fork in the middle loses one slot at most.

use super::backend::Backend;
use super::mapping::Mapping;
use crate::slab::SLOT_SIZE;
use crate::sync::{AtomicU64, AtomicUsize, Ordering, array_of, constructor};

/// Most mappings that are kept.
pub(crate) const CACHED_MAPPINGS: usize = 16;

/// Most bytes that are kept in all.
pub(crate) const CACHED_BYTES: usize = 128 * 1024 * 1024;

/// Bytes from the start of every kept mapping to its block: those of unusual alignment are not kept.
pub(super) const OFFSET: usize = SLOT_SIZE;

/// [`Slot::start`] of a slot that holds nothing.
const EMPTY: usize = 0;
/// [`Slot::start`] of a slot that one thread is filling or emptying.
const BUSY: usize = 1;

struct Slot {
    /// Address of a mapping's head, or `EMPTY`, or `BUSY`.
    start: AtomicUsize,
    /// The mapping's length. Right for whoever holds the slot, a hint to others.
    len: AtomicUsize,
    /// When somebody first found it here, in milliseconds of the platform's clock; 0 until then.
    found: AtomicU64,
}

impl Slot {
    constructor! {
        fn new() -> Self {
            Self { start: AtomicUsize::new(EMPTY), len: AtomicUsize::new(0), found: AtomicU64::new(0) }
        }
    }

    /// Puts a mapping in, if the slot is empty; true where it was.
    fn fill(&self, start: usize, len: usize) -> bool {
        // Acquire: pairs with the Release in `take`: who emptied the slot has read its length.
        if self.start.load(Ordering::Relaxed) != EMPTY
            || self.start.compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return false;
        }
        self.len.store(len, Ordering::Relaxed);
        self.found.store(0, Ordering::Relaxed);
        // Release: publishes the length and the mapping's head. Pairs with the Acquire in `take`.
        self.start.store(start, Ordering::Release);
        true
    }

    /// Takes the mapping out, if `wanted` accepts the slot; its start.
    fn take(&self, wanted: impl Fn(&Slot) -> bool) -> Option<usize> {
        let start = self.start.load(Ordering::Relaxed);
        if start == EMPTY || start == BUSY || !wanted(self) {
            return None;
        }
        // Acquire: pairs with the Release in `fill`.
        self.start.compare_exchange(start, BUSY, Ordering::Acquire, Ordering::Relaxed).ok()?;
        // The slot may have changed hands between the look and the exchange, with the same start.
        let is_wanted = wanted(self);
        // Release: the length has been read. Pairs with the Acquire in `fill`, or in the next `take`.
        self.start.store(if is_wanted { EMPTY } else { start }, Ordering::Release);
        is_wanted.then_some(start)
    }
}

/// What is in the cache.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kept {
    /// Number of mappings.
    pub(crate) mappings: usize,
    /// Bytes of their blocks.
    pub(crate) bytes: usize,
}

/// The cache: at most [`CACHED_MAPPINGS`] mappings, of about [`CACHED_BYTES`] in all.
///
/// Threads that free at the same moment may each find room for the last mapping.
pub(crate) struct MappingCache {
    slots: [Slot; CACHED_MAPPINGS],
}

impl MappingCache {
    constructor! {
        /// An empty cache.
        pub(super) fn new() -> Self {
            Self { slots: array_of!(Slot::new(); CACHED_MAPPINGS) }
        }
    }

    /// What is kept; a snapshot.
    pub(crate) fn kept(&self) -> Kept {
        self.slots.iter().fold(Kept::default(), |kept, slot| match slot.start.load(Ordering::Relaxed) {
            EMPTY | BUSY => kept,
            _ => Kept {
                mappings: kept.mappings + 1,
                bytes: kept.bytes + slot.len.load(Ordering::Relaxed).saturating_sub(OFFSET),
            },
        })
    }

    /// Keeps a freed mapping, if there is room; true where it is kept.
    pub(super) fn put(&self, mapping: &Mapping) -> bool {
        debug_assert_eq!(mapping.len() - mapping.body(), OFFSET);
        self.kept().bytes + mapping.body() <= CACHED_BYTES
            && self.slots.iter().any(|slot| slot.fill(mapping.address(), mapping.len()))
    }

    /// A kept mapping of `len` bytes or up to a quarter more.
    pub(super) fn take(&self, len: usize) -> Option<&'static Mapping> {
        let fits = |slot: &Slot| {
            let kept = slot.len.load(Ordering::Relaxed);
            kept >= len && kept - len <= len / 4
        };
        self.slots.iter().find_map(|slot| slot.take(fits)).map(Self::taken)
    }

    /// Unmaps what was found here at `before` or earlier, or everything where that is `u64::MAX`; true where that was anything.
    /// Takes note that the rest has been found at `now`.
    pub(super) fn drop_unused(&self, backend: &Backend, before: u64, now: u64) -> bool {
        let is_unused = |slot: &Slot| {
            let found = slot.found.load(Ordering::Relaxed);
            if found == 0 {
                slot.found.store(now, Ordering::Relaxed);
            }
            found != 0 && found <= before || before == u64::MAX
        };
        let mut dropped = false;
        for slot in &self.slots {
            if let Some(start) = slot.take(is_unused) {
                backend.unmap_mapping(Self::taken(start));
                dropped = true;
            }
        }
        dropped
    }

    fn taken(start: usize) -> &'static Mapping {
        // SAFETY: a slot holds the starts of mappings alone, and this one was just taken out: nobody else has it.
        unsafe { Mapping::at(start) }
    }
}
