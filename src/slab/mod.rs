//! Slab: 64 KiB of blocks of one size class, whose free blocks are bits.
//!
//! Blocks are neither read nor written here: everything a slab knows lies out of line, in its segment's first slot. A
//! bit that is already set when a block comes back is a double free, found without touching the block.
//!
//! Three states of a block, and the invariant that joins them:
//!
//! ```text
//! capacity == free (bit set) + returned by other heaps (bit set in the remote words) + handed out
//! ```
//!
//! *Handed out* includes blocks that wait in a magazine or an outbox: a slab does not know about those.
//!
//! **Owner-only**: cells are touched only by a thread that holds the lock of the heap to which the slab belongs.

mod blocks;
mod freshness;
mod lines;
mod pages;
mod remote;

pub(crate) use blocks::{Blocks, capacity, end, lines};
pub(crate) use freshness::{Found, Freshness, Known};
pub(crate) use lines::{LINE_STRIDE, LINE_WORDS, LINES, Line, Lines, RemoteLine, SLABS as SLABS_OF_A_SEGMENT};
pub(crate) use pages::Pages;
pub(crate) use remote::{Pending, Remote};

use crate::size_class::{self, SizeClass};
#[cfg(feature = "hardened")]
use crate::sync::AtomicUsize;
use crate::sync::{AtomicU16, AtomicU32, Cell, Ordering};
use core::ptr::{self, NonNull};

/// Most blocks of a slab: what one summary word of 64 bits over words of 64 bits can name. Only the smallest class has
/// more blocks in 64 KiB, and leaves the rest of the slot untouched.
pub(crate) const MAX_BLOCKS: usize = 64 * 64;

/// From this number of neighbouring free blocks on, their addresses are made in one go, and not bit by bit.
const LONG_RUN: usize = 8;

/// The bits of `count` blocks, from 1 to 64, from the one with this index in its word on.
#[inline(always)]
const fn run_mask(first: usize, count: usize) -> u64 {
    (u64::MAX >> (64 - count)) << first
}

/// What a slot of a segment is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SlotKind {
    /// Nothing.
    Free,
    /// A slab of this class.
    Slab(SizeClass),
    /// The first slot of a span. The others are as if free, so that no block seems to start there.
    Span,
}

impl SlotKind {
    const SPAN: u8 = u8::MAX;

    fn code(self) -> u8 {
        match self {
            // Zero, as in memory that was never touched.
            SlotKind::Free => 0,
            SlotKind::Slab(class) => class.index() as u8 + 1,
            SlotKind::Span => Self::SPAN,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            0 => SlotKind::Free,
            Self::SPAN => SlotKind::Span,
            class => SlotKind::Slab(SizeClass::from_index(class as usize - 1)),
        }
    }
}

const _: () = assert!(size_class::SLABS < SlotKind::SPAN as usize);

/// What returning blocks has made of a slab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Freed {
    /// A slab that waits where it belongs.
    Kept,
    /// These are its first free blocks, or there are so many now that it is sparse: it belongs elsewhere.
    Movable,
    /// Every block is free.
    Empty,
}

/// The head of a slab. The first line is the owner's, who writes to it all the time; the second is for those who return
/// blocks from elsewhere, and has all that they need.
#[repr(C, align(128))]
pub(crate) struct Slab {
    /// Bit w is set while word w of the bitmap has a bit set.
    nonempty: Cell<u64>,
    /// The bitmap's first line.
    bits: Cell<*const Cell<u64>>,
    /// The slot's first byte, where block 0 starts.
    start: Cell<*mut u8>,
    /// Neighbours in the heap's list of slabs that have free blocks.
    pub(crate) next: Cell<*const Slab>,
    pub(crate) previous: Cell<*const Slab>,
    /// Number of bits set. Written by the owner, read by anybody for statistics.
    free: AtomicU32,
    /// Number of blocks in a slab; number of slots in a span.
    extent: AtomicU16,
    /// Number of free blocks, less one, below which one block more leaves the slab where it belongs: neither with the
    /// sparse ones nor out of use.
    settled: Cell<u16>,
    /// Blocks from this index on have not been taken since `watched_since`.
    reached: Cell<u16>,
    /// Blocks from this index on were never handed out since the system gave the memory: they read as zero.
    fresh: Cell<u16>,
    /// When somebody last took note of the free pages, in the low bits of the platform's milliseconds.
    watched_since: Cell<u32>,
    /// Bit p is set while page p was given back to the system and blocks lie in it, of which none is in use. Written by
    /// the owner, read by anybody for statistics.
    purged: AtomicU16,
    /// As `purged`, of the pages behind the last block.
    purged_rest: AtomicU16,
    /// The pages that were free then, and not given back.
    watched: Cell<u16>,
    /// True while the slab waits with the sparse ones.
    is_sparse: Cell<bool>,
    /// The kind that `remote` tells, where the owner finds it without waiting for the other line.
    own_kind: Cell<u8>,
    /// Blocks returned by other heaps.
    pub(crate) remote: Remote,
}

const _: () = assert!(cfg!(loom) || size_of::<Slab>() == 128);
const _: () = assert!(cfg!(loom) || core::mem::offset_of!(Slab, remote) == 64);

impl Slab {
    /// What the slot is used for.
    #[inline(always)]
    pub(crate) fn kind(&self) -> SlotKind {
        SlotKind::from_code(self.remote.kind.load(Ordering::Relaxed))
    }

    /// Number of blocks that are free here.
    pub(crate) fn free(&self) -> usize {
        self.free.load(Ordering::Relaxed) as usize
    }

    /// Number of blocks of a slab, or of slots of a span.
    pub(crate) fn extent(&self) -> usize {
        self.extent.load(Ordering::Relaxed) as usize
    }

    /// Makes the slot a slab of `class` whose blocks are all free. `is_zero` says that the slot reads as zero
    /// throughout.
    ///
    /// Owner-only. The slot starts at `start`; `bits` is the first line of its bitmap.
    pub(crate) fn carve(&self, class: SizeClass, start: *mut u8, bits: *const Cell<u64>, is_zero: bool) {
        let capacity = capacity(class);
        self.start.set(start);
        self.bits.set(bits);
        let words = capacity.div_ceil(64);
        for index in 0..words {
            let blocks = (capacity - index * 64).min(64);
            self.word(index).set(u64::MAX >> (64 - blocks));
        }
        self.nonempty.set(u64::MAX >> (64 - words));
        self.free.store(capacity as u32, Ordering::Relaxed);
        self.extent.store(capacity as u16, Ordering::Relaxed);
        // Where blocks are placed at random, none is known to be the first that was never handed out.
        let is_zero = is_zero && cfg!(not(feature = "hardened"));
        self.fresh.set(if is_zero { 0 } else { capacity as u16 });
        self.watched.set(0);
        self.reached.set(0);
        self.set_sparse(false);
        self.set_kind(SlotKind::Slab(class));
    }

    /// True where so many blocks are free that the slab is to be used after all others: then it gets a chance to become
    /// empty. From three quarters on; but one that is filling up is sparse until half of it is in use. Owner-only.
    pub(crate) fn is_to_be_sparse(&self) -> bool {
        let extent = self.extent();
        if self.is_sparse.get() { 2 * self.free() >= extent } else { self.free() >= extent - extent / 4 }
    }

    /// True while the slab waits with the sparse ones. Owner-only.
    pub(crate) fn is_sparse(&self) -> bool {
        self.is_sparse.get()
    }

    /// Says with whom the slab waits. Owner-only.
    pub(crate) fn set_sparse(&self, is_sparse: bool) {
        let extent = self.extent.load(Ordering::Relaxed);
        self.is_sparse.set(is_sparse);
        let limit = if is_sparse { extent } else { extent - extent / 4 };
        self.settled.set(limit.saturating_sub(2));
    }

    /// Makes the slot the first of a span of `slots` slots. Owner-only.
    pub(crate) fn make_span(&self, slots: usize) {
        self.extent.store(slots as u16, Ordering::Relaxed);
        self.remote.freshness.forget();
        self.set_kind(SlotKind::Span);
    }

    /// True for the first slot of a span of `slots` slots that nobody has returned; a snapshot.
    #[inline(always)]
    pub(crate) fn is_span_in_use(&self, slots: usize) -> bool {
        self.remote.kind.load(Ordering::Relaxed) == SlotKind::SPAN
            && self.remote.is_empty()
            && usize::from(self.extent.load(Ordering::Relaxed)) == slots
    }

    /// What is known of a span's memory. The span's holder only.
    pub(crate) fn freshness(&self) -> &Freshness {
        &self.remote.freshness
    }

    /// One more than the bytes that were asked for of a span that is in use; 0 of one that is free.
    #[cfg(feature = "hardened")]
    pub(crate) fn asked(&self) -> &AtomicUsize {
        &self.remote.asked
    }

    /// Ends the slot's use. Owner-only.
    pub(crate) fn clear(&self) {
        self.set_kind(SlotKind::Free);
    }

    fn set_kind(&self, kind: SlotKind) {
        self.remote.kind.store(kind.code(), Ordering::Relaxed);
        self.own_kind.set(kind.code());
    }

    #[inline(always)]
    fn word(&self, index: usize) -> &Cell<u64> {
        debug_assert!(index < MAX_BLOCKS / 64);
        // The word's place in its line, and the line's.
        let offset = index * size_of::<u64>();
        let line = offset & !(LINE_WORDS * size_of::<u64>() - 1);
        let offset = offset + line * (LINE_STRIDE / (LINE_WORDS * size_of::<u64>()) - 1);
        // SAFETY: `carve` was given the first of `LINES` lines of the segment's bitmap area, `LINE_STRIDE` apart, and
        // `index` is below the number of words; the area lives as long as the segment, and segments' first slots are
        // never unmapped.
        unsafe { &*self.bits.get().byte_add(offset) }
    }

    /// Takes up to `places.len()` free blocks, lowest addresses first, and writes their addresses from the end of
    /// `places` towards its start, since a magazine hands out its last entry first; returns how many. Owner-only.
    pub(crate) fn take(&self, blocks: Blocks, places: &mut [*mut u8]) -> usize {
        let wanted = places.len();
        let mut left = wanted;
        while left > 0 && self.nonempty.get() != 0 {
            let index = self.next_word();
            let cell = self.word(index);
            let mut bits = cell.get();
            let base = self.start.get().wrapping_add(index * 64 * blocks.size());
            let first = bits.trailing_zeros() as usize;
            let run = ((bits >> first).trailing_ones() as usize).min(left);
            if run >= LONG_RUN {
                let base = base.wrapping_add(first * blocks.size());
                for (nth, place) in places[left - run..left].iter_mut().rev().enumerate() {
                    *place = base.wrapping_add(nth * blocks.size());
                }
                left -= run;
                bits &= !run_mask(first, run);
            } else {
                while bits != 0 && left > 0 {
                    left -= 1;
                    places[left] = base.wrapping_add(bits.trailing_zeros() as usize * blocks.size());
                    bits &= bits - 1;
                }
            }
            cell.set(bits);
            if bits == 0 {
                self.nonempty.set(self.nonempty.get() & !(1 << index));
            }
        }
        let taken = wanted - left;
        self.free.store((self.free() - taken) as u32, Ordering::Relaxed);
        if taken > 0 {
            // The last address taken is the highest.
            let end = (places[left].addr() - self.start.get().addr()) / blocks.size() + 1;
            if end > self.fresh.get() as usize {
                self.fresh.set(end as u16);
            }
            if end > self.reached.get() as usize {
                self.reached.set(end as u16);
            }
        }
        taken
    }

    /// Index of the word from which blocks are taken next, which has some: the lowest. Owner-only.
    #[cfg(not(feature = "hardened"))]
    #[inline(always)]
    fn next_word(&self) -> usize {
        self.nonempty.get().trailing_zeros() as usize % 64
    }

    /// Index of the word from which blocks are taken next, which has some: the lowest from a random one on, and then
    /// from the start. Another one for each slab, but one at a time, since each word that is begun touches a page.
    /// Owner-only.
    #[cfg(feature = "hardened")]
    #[inline(always)]
    fn next_word(&self) -> usize {
        let first = (crate::secret::number_of(ptr::from_ref(self).addr()) >> 58) as u32;
        ((self.nonempty.get().rotate_right(first).trailing_zeros() + first) % 64) as usize
    }

    /// Index of the next block that [`Slab::take`] yields, which there is. Owner-only.
    fn next_index(&self) -> usize {
        let index = self.next_word();
        index * 64 + self.word(index).get().trailing_zeros() as usize
    }

    /// True where the next block that [`Slab::take`] yields reads as zero. Owner-only.
    pub(crate) fn next_is_zero(&self) -> bool {
        self.nonempty.get() != 0 && self.next_index() >= self.fresh.get() as usize
    }

    /// Takes back block `index`; `None` where it is free already. Owner-only.
    #[inline(always)]
    pub(crate) fn put_back_one(&self, index: usize) -> Option<Freed> {
        self.set_bits(index / 64, 1 << (index % 64)).ok()?;
        Some(self.has_regained(1))
    }

    /// Takes back `count` neighbouring blocks from block `index` on; the first of them that is free already is an
    /// error. Owner-only.
    #[inline(never)]
    pub(crate) fn put_back(&self, index: usize, count: usize) -> Result<Freed, usize> {
        let (mut next, end) = (index, index + count);
        while next < end {
            let run = (end - next).min(64 - next % 64);
            self.set_bits(next / 64, run_mask(next % 64, run))?;
            next += run;
        }
        Ok(self.has_regained(count as u32))
    }

    /// Takes back the blocks of word `index` whose bits are set; the first of them that is free already is an error.
    /// Owner-only.
    pub(crate) fn put_back_word(&self, index: usize, bits: u64) -> Result<Freed, usize> {
        self.set_bits(index, bits)?;
        Ok(self.has_regained(bits.count_ones()))
    }

    #[inline(always)]
    fn set_bits(&self, index: usize, bits: u64) -> Result<(), usize> {
        let cell = self.word(index);
        let old = cell.get();
        if old & bits != 0 {
            return Err(index * 64 + (old & bits).trailing_zeros() as usize);
        }
        cell.set(old | bits);
        if old == 0 {
            self.nonempty.set(self.nonempty.get() | 1 << index);
        }
        Ok(())
    }

    #[inline(always)]
    fn has_regained(&self, count: u32) -> Freed {
        let before = self.free.load(Ordering::Relaxed);
        let after = before + count;
        self.free.store(after, Ordering::Relaxed);
        // One comparison for the usual case: neither the first free blocks, where the left side is huge, nor so many
        // that the slab belongs elsewhere.
        if before.wrapping_sub(1) < u32::from(self.settled.get()).saturating_sub(count - 1) {
            Freed::Kept
        } else if after == u32::from(self.extent.load(Ordering::Relaxed)) {
            Freed::Empty
        } else {
            Freed::Movable
        }
    }

    /// True where the block with this index is free. Owner-only.
    pub(crate) fn is_free(&self, index: usize) -> bool {
        self.word(index / 64).get() & 1 << (index % 64) != 0
    }

    /// True where the slot is a slab of this class. Owner-only.
    #[inline(always)]
    pub(crate) fn is_of(&self, blocks: Blocks) -> bool {
        self.own_kind.get() == SlotKind::Slab(blocks.class()).code()
    }

    /// First byte of the slot. Owner-only.
    pub(crate) fn start(&self) -> NonNull<u8> {
        // SAFETY: `carve` set it to an address inside a segment.
        unsafe { NonNull::new_unchecked(self.start.get()) }
    }

    /// The block with this index in a slab of `blocks`. Owner-only.
    pub(crate) fn block(&self, blocks: Blocks, index: usize) -> *mut u8 {
        self.start.get().wrapping_add(index * blocks.size())
    }

    /// True where both are the same slab.
    pub(crate) fn is(&self, other: &Slab) -> bool {
        ptr::eq(self, other)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
