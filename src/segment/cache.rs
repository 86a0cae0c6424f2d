//! Freed mappings that wait to be used again, and what is left over behind mappings that took a part of one.
//!
//! A first-touched page costs a microsecond or two, so pages that are resident are worth keeping for a while. What lies just behind a
//! mapping can be added to it without a system call: a vector that grows finds the pages that the last one has left.
//!
//! A slot is taken and filled by compare-and-swap: there is no lock, and a fork in the middle loses one slot at most.

use crate::align;
use crate::size_class::SLOT_SIZE;
use crate::sync::{AtomicU64, AtomicUsize, Ordering, array_of, constructor};

/// Most ranges that are kept.
pub(crate) const CACHED_RANGES: usize = 32;

/// Bytes that may be kept in all, however few are in use.
pub(crate) const CACHED_BYTES: usize = 64 * 1024 * 1024;

/// Most bytes that are kept in all while the blocks of mappings that are in use have `live` bytes: as many. Whole pages, however large the system has them.
pub(super) fn most_bytes(live: usize) -> usize {
    CACHED_BYTES.max(align::down(live, SLOT_SIZE))
}

/// Bytes from the start of a kept mapping to its block: mappings of unusual alignment are not kept.
pub(super) const OFFSET: usize = SLOT_SIZE;

/// [`Slot::start`] of a slot that holds nothing.
const EMPTY: usize = 0;
/// [`Slot::start`] of a slot that one thread is filling or emptying.
const BUSY: usize = 1;

/// Mapped memory that nobody uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Range {
    pub(super) start: usize,
    /// A multiple of the page size.
    pub(super) len: usize,
    /// True where a mapping's head is at the start; false for what is left over behind a mapping.
    pub(super) has_head: bool,
}

impl Range {
    /// Bytes that a block could have, or has had.
    pub(super) fn body(self) -> usize {
        if self.has_head { self.len - OFFSET } else { self.len }
    }

    /// Length and kind in one word. Lengths are even.
    fn pack(self) -> usize {
        self.len | usize::from(self.has_head)
    }

    fn unpack(start: usize, packed: usize) -> Self {
        Self { start, len: packed & !1, has_head: packed & 1 != 0 }
    }
}

struct Slot {
    /// Address of the range, or `EMPTY`, or `BUSY`.
    start: AtomicUsize,
    /// The range's length and kind. Right for whoever holds the slot, a hint to others.
    packed: AtomicUsize,
    /// When somebody first found it here, in milliseconds of the platform's clock; 0 until then.
    found: AtomicU64,
}

impl Slot {
    constructor! {
        fn new() -> Self {
            Self { start: AtomicUsize::new(EMPTY), packed: AtomicUsize::new(0), found: AtomicU64::new(0) }
        }
    }

    /// The range that is here; a snapshot.
    fn range(&self) -> Option<Range> {
        match self.start.load(Ordering::Relaxed) {
            EMPTY | BUSY => None,
            start => Some(Range::unpack(start, self.packed.load(Ordering::Relaxed))),
        }
    }

    /// Puts a range in, if the slot is empty; true where it was.
    fn fill(&self, range: Range) -> bool {
        // Acquire: pairs with the Release in `take`: who emptied the slot has read its length.
        if self.start.load(Ordering::Relaxed) != EMPTY
            || self.start.compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return false;
        }
        self.packed.store(range.pack(), Ordering::Relaxed);
        self.found.store(0, Ordering::Relaxed);
        // Release: publishes the length and the mapping's head. Pairs with the Acquire in `take`.
        self.start.store(range.start, Ordering::Release);
        true
    }

    /// Takes the range out, if `wanted` accepts it and the slot.
    fn take(&self, wanted: impl Fn(&Slot, Range) -> bool) -> Option<Range> {
        let range = self.range().filter(|&range| wanted(self, range))?;
        // Acquire: pairs with the Release in `fill`.
        self.start.compare_exchange(range.start, BUSY, Ordering::Acquire, Ordering::Relaxed).ok()?;
        // The slot may have changed hands between the look and the exchange, with the same start.
        let range = Range::unpack(range.start, self.packed.load(Ordering::Relaxed));
        let is_wanted = wanted(self, range);
        // Release: the length has been read. Pairs with the Acquire in `fill`, or in the next `take`.
        self.start.store(if is_wanted { EMPTY } else { range.start }, Ordering::Release);
        is_wanted.then_some(range)
    }
}

/// What is in the cache.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kept {
    /// Number of mappings.
    pub(crate) mappings: usize,
    /// Bytes of their blocks, and of what is left over behind others.
    pub(crate) bytes: usize,
}

/// The cache: at most [`CACHED_RANGES`] ranges.
pub(crate) struct RangeCache {
    slots: [Slot; CACHED_RANGES],
}

impl RangeCache {
    constructor! {
        /// An empty cache.
        pub(super) fn new() -> Self {
            Self { slots: array_of!(Slot::new(); CACHED_RANGES) }
        }
    }

    /// What is kept; a snapshot.
    pub(crate) fn kept(&self) -> Kept {
        self.slots.iter().filter_map(Slot::range).fold(Kept::default(), |kept, range| Kept {
            mappings: kept.mappings + usize::from(range.has_head),
            bytes: kept.bytes + range.body(),
        })
    }

    /// How many ranges are left over behind mappings; a snapshot.
    pub(super) fn leftovers(&self) -> usize {
        self.slots.iter().filter_map(Slot::range).filter(|range| !range.has_head).count()
    }

    /// Keeps a range, if there is a slot; true where it is kept.
    pub(super) fn put(&self, range: Range) -> bool {
        self.slots.iter().any(|slot| slot.fill(range))
    }

    /// A kept mapping of `len` bytes or up to a quarter more.
    pub(super) fn take(&self, len: usize) -> Option<Range> {
        let fits = |_: &Slot, range: Range| range.has_head && range.len >= len && range.len - len <= len / 4;
        self.slots.iter().find_map(|slot| slot.take(fits))
    }

    /// The smallest kept mapping of at least `len` bytes.
    pub(super) fn take_at_least(&self, len: usize) -> Option<Range> {
        let fits = |range: &Range| range.has_head && range.len >= len;
        let best = self.slots.iter().filter_map(Slot::range).filter(fits).min_by_key(|range| range.len)?;
        self.take_exactly(best)
    }

    /// The longest kept mapping of less than `len` bytes, and of at least five eighths of them: what doubles has memory of its own.
    pub(super) fn take_shorter(&self, len: usize) -> Option<Range> {
        let fits = |range: &Range| range.has_head && range.len < len && range.len >= len / 8 * 5;
        let best = self.slots.iter().filter_map(Slot::range).filter(fits).max_by_key(|range| range.len)?;
        self.take_exactly(best)
    }

    /// A range that was seen here, where it still is.
    fn take_exactly(&self, seen: Range) -> Option<Range> {
        self.slots.iter().find_map(|slot| slot.take(|_, range| range == seen))
    }

    /// What is left over from `start` on, behind the mapping that ends there.
    pub(super) fn take_leftover(&self, start: usize) -> Option<Range> {
        self.slots.iter().find_map(|slot| slot.take(|_, range| range.start == start && !range.has_head))
    }

    /// Takes a range out that was found here at `before` or earlier, or any where that is `u64::MAX`.
    /// Takes note that those it comes past have been found at `now`.
    pub(super) fn take_unused(&self, before: u64, now: u64) -> Option<Range> {
        let is_unused = |slot: &Slot, _| {
            let found = slot.found.load(Ordering::Relaxed);
            if found == 0 {
                slot.found.store(now, Ordering::Relaxed);
            }
            found != 0 && found <= before || before == u64::MAX
        };
        self.slots.iter().find_map(|slot| slot.take(is_unused))
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
