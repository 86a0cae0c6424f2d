//! Freed mappings that wait to be used again, and what is left over behind mappings that took a part of one.
//!
//! A first-touched page costs a microsecond or two, so pages that are resident are worth keeping for a while. What lies
//! just behind a mapping can be added to it without a system call: a vector that grows finds the pages that the last
//! one has left.
//!
//! A slot is taken and filled by compare-and-swap: there is no lock, and a fork in the middle loses one slot at most.

use crate::align;
use crate::size_class::SLOT_SIZE;
use crate::sync::{AtomicU64, AtomicUsize, Ordering, array_of, constructor};

/// Most ranges that are kept, unless more were asked for.
pub(super) const CACHED_RANGES: usize = if cfg!(loom) { 2 } else { 32 };

/// Most ranges that are kept where more than the usual bytes are.
pub(super) const SLOTS: usize = if cfg!(loom) { 2 } else { 64 };

/// A bit for each of them.
const ALL: u64 = u64::MAX >> (64 - SLOTS);

/// Bytes that may be kept in all, however few are in use.
const CACHED_BYTES: usize = 64 * 1024 * 1024;

/// Most bytes that are kept in all while the blocks of mappings that are in use have `live` bytes: as many. Whole
/// pages, however large the system has them.
pub(super) fn most_bytes(live: usize) -> usize {
    CACHED_BYTES.max(align::down(live, SLOT_SIZE))
}

/// True where a mapping of `kept` bytes may have a block that needs `len`: up to a quarter more.
pub(super) fn fits(kept: usize, len: usize) -> bool {
    kept >= len && kept - len <= len / 4
}

/// True where so many bytes are enough of a mapping of `len` for the rest to be had anew: five eighths, so that what
/// doubles has memory of its own.
pub(super) fn is_most(kept: usize, len: usize) -> bool {
    kept >= len / 8 * 5
}

/// Bytes from the start of a kept mapping to its block: mappings of unusual alignment are not kept.
pub(super) const OFFSET: usize = SLOT_SIZE;

/// [`Slot::start`] of a slot that holds nothing.
const EMPTY: usize = 0;
/// [`Slot::start`] of a slot that one thread is filling or emptying.
const BUSY: usize = 1;

/// What a range is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// What is left over behind a mapping. It has no head.
    Leftover = 0,
    /// A mapping, with its head at the start.
    Whole = 1,
    /// A mapping that was cut off the one in front of it, with a head of its own.
    Piece = 2,
}

/// Bits of [`Slot::packed`] that tell the kind. Lengths are multiples of more.
const KIND: usize = 3;

/// Mapped memory that nobody uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Range {
    pub(super) start: usize,
    /// A multiple of the page size.
    pub(super) len: usize,
    pub(super) kind: Kind,
}

impl Range {
    /// What is left over between two addresses.
    pub(super) fn leftover(start: usize, end: usize) -> Self {
        Self { start, len: end - start, kind: Kind::Leftover }
    }

    pub(super) fn has_head(self) -> bool {
        self.kind != Kind::Leftover
    }

    pub(super) fn end(self) -> usize {
        self.start + self.len
    }

    /// Bytes that a block could have, or has had.
    pub(super) fn body(self) -> usize {
        if self.has_head() { self.len - OFFSET } else { self.len }
    }

    /// Length and kind in one word.
    fn pack(self) -> usize {
        self.len | self.kind as usize
    }

    fn unpack(start: usize, packed: usize) -> Self {
        let kind = match packed & KIND {
            0 => Kind::Leftover,
            1 => Kind::Whole,
            _ => Kind::Piece,
        };
        Self { start, len: packed & !KIND, kind }
    }
}

/// Since when a range is kept. What is older is less.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Age {
    /// How many ranges had been put into the cache when this one was.
    turn: usize,
    /// When somebody first found it there, in milliseconds of the platform's clock; 0 until then.
    found: u64,
}

struct Slot {
    /// Address of the range, or `EMPTY`, or `BUSY`.
    start: AtomicUsize,
    /// The range's length and kind. Right for whoever holds the slot, a hint to others.
    packed: AtomicUsize,
    /// The range's [`Age`].
    found: AtomicU64,
    turn: AtomicUsize,
}

impl Slot {
    constructor! {
        fn new() -> Self {
            Self {
                start: AtomicUsize::new(EMPTY),
                packed: AtomicUsize::new(0),
                found: AtomicU64::new(0),
                turn: AtomicUsize::new(0),
            }
        }
    }

    /// The range that is here; a snapshot.
    fn range(&self) -> Option<Range> {
        match self.start.load(Ordering::Relaxed) {
            EMPTY | BUSY => None,
            start => Some(Range::unpack(start, self.packed.load(Ordering::Relaxed))),
        }
    }

    fn age(&self) -> Age {
        Age { turn: self.turn.load(Ordering::Relaxed), found: self.found.load(Ordering::Relaxed) }
    }

    /// Puts a range in, if the slot is empty; true where it was. Calls `fills` while the slot is this thread's.
    fn fill(&self, range: Range, age: Age, fills: impl FnOnce()) -> bool {
        // Acquire: pairs with the Release in `take`: who emptied the slot has read its length.
        if self.start.load(Ordering::Relaxed) != EMPTY
            || self.start.compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return false;
        }
        self.packed.store(range.pack(), Ordering::Relaxed);
        self.found.store(age.found, Ordering::Relaxed);
        self.turn.store(age.turn, Ordering::Relaxed);
        fills();
        // Release: publishes the length and the mapping's head. Pairs with the Acquire in `take`.
        self.start.store(range.start, Ordering::Release);
        true
    }

    /// Takes the range out, if `wanted` accepts it and the slot. Calls `empties` while the slot is this thread's.
    fn take(&self, wanted: impl Fn(&Slot, Range) -> bool, empties: impl FnOnce()) -> Option<(Range, Age)> {
        let range = self.range().filter(|&range| wanted(self, range))?;
        // Acquire: pairs with the Release in `fill`.
        self.start.compare_exchange(range.start, BUSY, Ordering::Acquire, Ordering::Relaxed).ok()?;
        // The slot may have changed hands between the look and the exchange, with the same start.
        let range = Range::unpack(range.start, self.packed.load(Ordering::Relaxed));
        let (is_wanted, age) = (wanted(self, range), self.age());
        if is_wanted {
            empties();
        }
        // Release: the length has been read. Pairs with the Acquire in `fill`, or in the next `take`.
        self.start.store(if is_wanted { EMPTY } else { range.start }, Ordering::Release);
        is_wanted.then_some((range, age))
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

/// The cache: at most [`SLOTS`] ranges.
pub(crate) struct RangeCache {
    slots: [Slot; SLOTS],
    /// Bit n is set while something is in slot n: changed by whoever has the slot, a hint to others.
    taken: AtomicU64,
    /// How many ranges were put in so far.
    turns: AtomicUsize,
}

impl RangeCache {
    constructor! {
        /// An empty cache.
        pub(super) fn new() -> Self {
            Self {
                slots: array_of!(Slot::new(); SLOTS),
                taken: AtomicU64::new(0),
                turns: AtomicUsize::new(0),
            }
        }
    }

    /// The slots that have something in them; a snapshot.
    fn taken(&self) -> impl Iterator<Item = &Slot> {
        bits(self.taken.load(Ordering::Relaxed)).map(|nth| &self.slots[nth])
    }

    /// What is in the slots; a snapshot.
    fn ranges(&self) -> impl Iterator<Item = Range> {
        self.taken().filter_map(Slot::range)
    }

    /// Takes the first range out that `wanted` accepts, with its slot.
    fn take_first(&self, wanted: impl Fn(&Slot, Range) -> bool) -> Option<Range> {
        self.lend_first(wanted).map(|(range, _)| range)
    }

    /// As [`RangeCache::take_first`], of what may come back as it is.
    fn lend_first(&self, wanted: impl Fn(&Slot, Range) -> bool) -> Option<(Range, Age)> {
        bits(self.taken.load(Ordering::Relaxed)).find_map(|nth| {
            // Relaxed, here and in `put_aged`: whoever has the slot next knows of it by the slot.
            let empties = || _ = self.taken.fetch_and(!(1 << nth), Ordering::Relaxed);
            self.slots[nth].take(&wanted, empties)
        })
    }

    /// Keeps a range that was lent, or what was made of it, as if it had been here all the time; true where there is a
    /// slot.
    pub(super) fn put_aged(&self, range: Range, age: Age) -> bool {
        bits(!self.taken.load(Ordering::Relaxed) & ALL).any(|nth| {
            let fills = || _ = self.taken.fetch_or(1 << nth, Ordering::Relaxed);
            self.slots[nth].fill(range, age, fills)
        })
    }

    /// What is kept; a snapshot.
    pub(crate) fn kept(&self) -> Kept {
        self.ranges().fold(Kept::default(), |kept, range| Kept {
            mappings: kept.mappings + usize::from(range.has_head()),
            bytes: kept.bytes + range.body(),
        })
    }

    /// True where `most` ranges are kept, or more; a snapshot.
    pub(super) fn is_full(&self, most: usize) -> bool {
        self.taken.load(Ordering::Relaxed).count_ones() as usize >= most
    }

    /// How many ranges are left over behind mappings; a snapshot.
    pub(super) fn leftovers(&self) -> usize {
        self.ranges().filter(|range| !range.has_head()).count()
    }

    /// Keeps a range, if there is a slot; true where it is kept.
    pub(super) fn put(&self, range: Range) -> bool {
        self.put_aged(range, Age { turn: self.turns.fetch_add(1, Ordering::Relaxed) + 1, found: 0 })
    }

    /// Keeps what is left of the range that was here longest, as that.
    pub(super) fn put_oldest(&self, range: Range) -> bool {
        self.put_aged(range, Age { turn: 0, found: 0 })
    }

    /// The range that has been here longest.
    pub(super) fn take_oldest(&self) -> Option<Range> {
        let here = self.taken().filter_map(|slot| Some((slot.turn.load(Ordering::Relaxed), slot.range()?)));
        let (_, oldest) = here.min_by_key(|&(turn, _)| turn)?;
        self.take_first(|_, range| range == oldest)
    }

    /// A kept mapping of `len` bytes or up to a quarter more.
    pub(super) fn take(&self, len: usize) -> Option<Range> {
        self.take_first(|_, range| range.has_head() && fits(range.len, len))
    }

    /// The smallest kept mapping of at least `len` bytes.
    pub(super) fn take_at_least(&self, len: usize) -> Option<Range> {
        self.lend_at_least(len).map(|(range, _)| range)
    }

    /// As [`RangeCache::take_at_least`], of what may come back as it is.
    pub(super) fn lend_at_least(&self, len: usize) -> Option<(Range, Age)> {
        let fits = |range: &Range| range.has_head() && range.len >= len;
        let best = self.ranges().filter(fits).min_by_key(|range| range.len)?;
        self.lend_exactly(best)
    }

    /// The longest kept mapping of less than `len` bytes that has most of them, which may come back as it is.
    pub(super) fn lend_shorter(&self, len: usize) -> Option<(Range, Age)> {
        let fits = |range: &Range| range.has_head() && range.len < len && is_most(range.len, len);
        let best = self.ranges().filter(fits).max_by_key(|range| range.len)?;
        self.lend_exactly(best)
    }

    /// The kept mappings, and how many they are; a snapshot.
    pub(super) fn mappings(&self) -> ([Range; SLOTS], usize) {
        let mut mappings = [Range::leftover(0, 0); SLOTS];
        let mut count = 0;
        for range in self.ranges().filter(|range| range.has_head()) {
            mappings[count] = range;
            count += 1;
        }
        (mappings, count)
    }

    /// A range that was seen here, where it still is, and which may come back as it is.
    pub(super) fn lend_exactly(&self, seen: Range) -> Option<(Range, Age)> {
        self.lend_first(|_, range| range == seen)
    }

    /// What belongs to the mapping that ends at `end`: left over behind it, or cut off it.
    pub(super) fn take_behind(&self, end: usize) -> Option<Range> {
        self.take_first(|_, range| range.start == end && range.kind != Kind::Whole)
    }

    /// The kept mapping that ends at `start`.
    pub(super) fn take_in_front(&self, start: usize) -> Option<Range> {
        self.take_first(|_, range| range.end() == start && range.has_head())
    }

    /// Takes a range out that was found here at `before` or earlier, or any where that is `u64::MAX`. Takes note that
    /// those it comes past have been found at `now`.
    pub(super) fn take_unused(&self, before: u64, now: u64) -> Option<Range> {
        let is_unused = |slot: &Slot, _| {
            let found = slot.found.load(Ordering::Relaxed);
            if found == 0 {
                slot.found.store(now, Ordering::Relaxed);
            }
            found != 0 && found <= before || before == u64::MAX
        };
        self.take_first(is_unused)
    }
}

/// Numbers of the bits that are set, lowest first.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let lowest = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (lowest < u64::BITS).then_some(lowest as usize)
    })
}

#[cfg(all(loom, test))]
mod loom_tests;
