//! The owner map: for every 2 MiB of address space, who owns it.
//!
//! Two bytes answer the first question of every free, for any address at all: 64 MiB of heap are one cache line of the
//! map. The map is reserved whole and reads as zero, *nobody's*, so a pointer that is not Tenure's is noticed at no
//! cost.

use crate::align;
use crate::os::Platform;
use crate::sync::{AtomicPtr, AtomicU16, AtomicU64, AtomicUsize, Ordering, array_of, constructor};
use core::ptr::{self, NonNull};

/// Bytes of address space to an entry: the size and alignment of a segment.
pub(crate) const GRANULE: usize = 2 * 1024 * 1024;

/// Addresses that a program can have, in bytes: what the full map covers. On aarch64, Linux gives the highest first.
pub(crate) const ADDRESSES: usize = 1 << if cfg!(target_arch = "aarch64") { 48 } else { 47 };

/// Entries of the full map: 128 MiB of addresses, 256 on aarch64.
const FULL_ENTRIES: usize = ADDRESSES / GRANULE;

/// Bytes of the full map.
#[cfg(all(test, not(loom)))]
pub(crate) const OWNER_MAP: usize = FULL_ENTRIES * size_of::<AtomicU16>();

/// Entries of the map where the full one is refused, as under a small `RLIMIT_AS`: 256 GiB around the first mapping,
/// 256 KiB of map.
const SMALL_ENTRIES: usize = 128 * 1024;

/// Bytes of the map that become writable at a time: enough for 64 GiB of heap, and a multiple of every page size in
/// use.
const PIECE: usize = 64 * 1024;

const ENTRIES_PER_PIECE: usize = PIECE / size_of::<u16>();

/// Pieces of the full map.
const PIECES: usize = FULL_ENTRIES / ENTRIES_PER_PIECE;

/// An entry of the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Owner(pub(crate) u16);

impl Owner {
    /// Nobody: not Tenure's memory, or the inside of a mapping.
    pub(crate) const NONE: Owner = Owner(0);
    /// A block with a mapping of its own starts here, behind the mapping's head.
    pub(crate) const MAPPING: Owner = Owner(u16::MAX);
    /// A segment that no heap uses.
    pub(crate) const POOLED: Owner = Owner(u16::MAX - 1);
    /// A segment that was given back to the system but for its first slot.
    pub(crate) const RELEASED: Owner = Owner(u16::MAX - 2);
    /// What a thread without a heap compares with. In the map only for a moment, while a segment changes hands and
    /// nobody may take it.
    pub(crate) const UNMATCHED: Owner = Owner(u16::MAX - 3);
    /// A block with a mapping of its own starts here, at the granule's start; the mapping's head is in the granule
    /// before.
    pub(crate) const ALIGNED_MAPPING: Owner = Owner(u16::MAX - 4);
    /// Static memory. No heap has this id, so a free of what lies there leaves the fast path.
    pub(crate) const STATIC: Owner = Owner(u16::MAX - 5);
    /// Blocks that stand alone, each between two pages that nobody may touch.
    pub(crate) const GUARDED: Owner = Owner(u16::MAX - 6);

    /// True for the id of a heap.
    pub(crate) fn is_heap(self) -> bool {
        self != Owner::NONE && self.0 < Owner::GUARDED.0
    }

    /// True where blocks are as large as was asked for, and have no class: in static memory, and between guard pages.
    /// Says so of what no block can be in, too: one comparison is enough.
    #[inline(always)]
    pub(crate) fn has_exact_sizes(self) -> bool {
        self.0 >= Owner::GUARDED.0
    }

    /// True where a block with a mapping of its own starts.
    pub(crate) fn is_mapping(self) -> bool {
        self == Owner::MAPPING || self == Owner::ALIGNED_MAPPING
    }
}

/// The map. Every entry is written by whoever holds the memory it speaks of.
pub(crate) struct OwnerMap {
    /// Where entry 0 is, or would be; null before the first use. Read by every free.
    base: AtomicPtr<AtomicU16>,
    /// The first entry that exists: 0 in a full map. Agreed on before there is a map.
    first: AtomicUsize,
    /// The range of entries that ever were a segment's, for walks.
    lowest: AtomicUsize,
    highest: AtomicUsize,
    /// Bit n is set once piece n of the map is writable.
    writable: [AtomicU64; PIECES / 64],
}

/// The full map as a thread has it at hand, for addresses that may be anything.
#[derive(Clone, Copy)]
pub(crate) struct OwnerView {
    /// Where entry 0 is.
    base: *const AtomicU16,
    /// What leaves of an index one that exists.
    mask: usize,
}

/// An entry for those who have no map.
static NOBODYS: u16 = Owner::NONE.0;

impl OwnerView {
    /// No map: every address is nobody's.
    pub(crate) const NOTHING: OwnerView = OwnerView { base: ptr::from_ref(&NOBODYS).cast(), mask: 0 };

    /// The granule of `address`, without those bits of it that no program's address has.
    #[inline(always)]
    pub(crate) fn granule_of(self, address: usize) -> usize {
        (address / GRANULE) & self.mask
    }

    /// Who owns this granule, which came from `granule_of`.
    #[inline(always)]
    pub(crate) fn owner_of(self, granule: usize) -> Owner {
        // SAFETY: a masked index exists, and neither the map nor the static is ever given back.
        Owner(unsafe { &*self.base.wrapping_add(granule) }.load(Ordering::Relaxed))
    }

    /// Who owns `address`, which may be anything.
    #[inline]
    pub(crate) fn look_up(self, address: usize) -> Owner {
        if address < ADDRESSES { self.owner_of(self.granule_of(address)) } else { Owner::NONE }
    }
}

const _: () = assert!(FULL_ENTRIES.is_power_of_two());

/// Value of [`OwnerMap::first`] before it is agreed on. No entry has this index or a higher one.
const UNDECIDED: usize = usize::MAX;

impl OwnerMap {
    constructor! {
        /// No map yet.
        pub(crate) fn new() -> Self {
            Self {
                base: AtomicPtr::new(ptr::null_mut()),
                first: AtomicUsize::new(UNDECIDED),
                lowest: AtomicUsize::new(usize::MAX),
                highest: AtomicUsize::new(0),
                writable: array_of!(AtomicU64::new(0); PIECES / 64),
            }
        }
    }

    /// Who owns `block`: one load of the map's place, one of the entry.
    ///
    /// # Safety
    /// - `block` came from Tenure, so that the map exists and covers it.
    #[inline(always)]
    pub(crate) unsafe fn owner_of(&self, block: *mut u8) -> Owner {
        let base = self.base.load(Ordering::Relaxed);
        // SAFETY: Tenure hands out only what the map covers.
        let entry = unsafe { &*base.wrapping_add(block.addr() / GRANULE) };
        Owner(entry.load(Ordering::Relaxed))
    }

    /// The map for a thread to keep at hand, if there is a full one by now.
    pub(crate) fn view(&self) -> OwnerView {
        let base = self.base.load(Ordering::Relaxed);
        // Relaxed: a thread that does not see yet what was agreed on has no view yet.
        if base.is_null() || self.first.load(Ordering::Relaxed) > 0 {
            return OwnerView::NOTHING;
        }
        OwnerView { base, mask: FULL_ENTRIES - 1 }
    }

    /// Who owns `address`, which may be anything.
    pub(crate) fn look_up(&self, address: usize) -> Owner {
        match self.entry(address / GRANULE) {
            Some(entry) => Owner(entry.load(Ordering::Relaxed)),
            None => Owner::NONE,
        }
    }

    /// Makes the map, where there is none yet; false where the system refuses. Adds the bytes that have become writable
    /// to `metadata`.
    pub(crate) fn prepare(&self, os: &dyn Platform, metadata: &mut usize) -> bool {
        // Acquire: pairs with the Release in `publish`, for `first`.
        if !self.base.load(Ordering::Acquire).is_null() {
            return true;
        }
        // Several threads may be here, and each brings a map; they agree on its extent first, so that any of the maps
        // will do.
        if let Some(place) = os.reserve(FULL_ENTRIES * size_of::<u16>()) {
            if self.agree(0) == 0 {
                self.publish(os, place, 0, FULL_ENTRIES);
                return true;
            }
            // SAFETY: reserved above, and nobody else has seen it.
            unsafe { os.unmap(place, FULL_ENTRIES * size_of::<u16>()) };
        }
        let Some(place) = os.map(0, SMALL_ENTRIES * size_of::<u16>()) else { return false };
        let middle = align::down(place.addr().get() / GRANULE, ENTRIES_PER_PIECE);
        let first = self.agree(middle.saturating_sub(SMALL_ENTRIES / 2).max(ENTRIES_PER_PIECE));
        if first == 0 {
            // Another thread has reserved a full map in the meantime, or is about to say so.
            // SAFETY: mapped above, and nobody else has seen it.
            unsafe { os.unmap(place, SMALL_ENTRIES * size_of::<u16>()) };
            return !self.base.load(Ordering::Relaxed).is_null();
        }
        if self.publish(os, place, first, SMALL_ENTRIES) {
            *metadata += SMALL_ENTRIES * size_of::<u16>();
        }
        true
    }

    /// Proposes the first entry, and returns the one that was agreed on.
    fn agree(&self, first: usize) -> usize {
        match self.first.compare_exchange(UNDECIDED, first, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => first,
            Err(agreed) => agreed,
        }
    }

    /// Makes `place` the map, unless there is one by now; true where it became the map.
    fn publish(&self, os: &dyn Platform, place: NonNull<u8>, first: usize, entries: usize) -> bool {
        let base = place.as_ptr().cast::<AtomicU16>().wrapping_sub(first);
        // Release: publishes `first`. Pairs with the Acquire in `prepare`.
        let won = self.base.compare_exchange(ptr::null_mut(), base, Ordering::Release, Ordering::Relaxed).is_ok();
        if !won {
            // SAFETY: mapped by the caller, and nobody else has seen it.
            unsafe { os.unmap(place, entries * size_of::<u16>()) };
        }
        won
    }

    /// Makes the entry of the granule at `address` writable. False where the map does not reach so far or the system
    /// refuses. Adds what has become writable to `metadata`.
    pub(super) fn admit(&self, os: &dyn Platform, address: usize, metadata: &mut usize) -> bool {
        let index = address / GRANULE;
        let first = self.first.load(Ordering::Relaxed);
        if index < first || index - first >= self.entries() {
            return false;
        }
        if first > 0 {
            return true;
        }
        let piece = index / ENTRIES_PER_PIECE;
        let (word, bit) = (&self.writable[piece / 64], 1 << (piece % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return true;
        }
        let start = self.base.load(Ordering::Relaxed).wrapping_add(piece * ENTRIES_PER_PIECE).cast();
        let Some(start) = NonNull::new(start) else { return false };
        // SAFETY: the piece lies in the reservation that `prepare` made.
        if !unsafe { os.commit(start, PIECE) } {
            return false;
        }
        // Two threads may have committed the piece, which does no harm; it is counted once.
        if word.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            *metadata += PIECE;
        }
        true
    }

    /// Sets the entry of the granule at `address`, which was admitted and which the caller holds.
    ///
    /// Relaxed: whoever learns of the memory does so by means that order this before.
    pub(crate) fn set(&self, address: usize, owner: Owner) {
        if let Some(entry) = self.entry(address / GRANULE) {
            entry.store(owner.0, Ordering::Relaxed);
        }
    }

    /// Changes the entry of the granule at `address` from `from` to `to`, if it is `from`; true where this call did.
    pub(crate) fn claim(&self, address: usize, from: Owner, to: Owner) -> bool {
        // Acquire: pairs with the Release in `give_up`, for what the segment's head holds.
        let Some(entry) = self.entry(address / GRANULE) else { return false };
        entry.compare_exchange(from.0, to.0, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Sets the entry so that any thread may claim the granule.
    pub(crate) fn give_up(&self, address: usize, to: Owner) {
        if let Some(entry) = self.entry(address / GRANULE) {
            // Release: pairs with the Acquire in `claim`.
            entry.store(to.0, Ordering::Release);
        }
    }

    /// Takes note that there is a segment at `address`, so that walks come past it.
    pub(super) fn note_segment(&self, address: usize) {
        self.lowest.fetch_min(address / GRANULE, Ordering::Relaxed);
        self.highest.fetch_max(address / GRANULE, Ordering::Relaxed);
    }

    /// The addresses of all segments, lowest first, whose entry passes `wanted`; a snapshot of a changing map.
    pub(crate) fn walk(&self, wanted: impl Fn(Owner) -> bool) -> impl Iterator<Item = (usize, Owner)> {
        let (lowest, highest) = (self.lowest.load(Ordering::Relaxed), self.highest.load(Ordering::Relaxed));
        let indices = if lowest <= highest { lowest..highest + 1 } else { 0..0 };
        indices.filter_map(move |index| {
            // Acquire: pairs with the Release in `give_up`.
            let owner = Owner(self.entry(index)?.load(Ordering::Acquire));
            wanted(owner).then_some((index * GRANULE, owner))
        })
    }

    fn entries(&self) -> usize {
        if self.first.load(Ordering::Relaxed) == 0 { FULL_ENTRIES } else { SMALL_ENTRIES }
    }

    fn entry(&self, index: usize) -> Option<&AtomicU16> {
        let base = self.base.load(Ordering::Relaxed);
        let first = self.first.load(Ordering::Relaxed);
        if base.is_null() || index < first || index - first >= self.entries() {
            return None;
        }
        // SAFETY: the entry exists, and the map is never given back.
        Some(unsafe { &*base.wrapping_add(index) })
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
