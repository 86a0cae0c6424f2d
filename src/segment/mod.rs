//! Segment: 2 MiB of address space at a multiple of 2 MiB, in 32 slots of 64 KiB.
//!
//! Slot 0 holds what is known about the others: a head, a [`Slab`] for each slot, and the bitmaps. A segment's first
//! slot is never unmapped, so whoever holds an address that once was a segment's may read its head: statistics and
//! purges need no lock for that.
//!
//! ```text
//! slots 1 to 31 == free (bit in `free`) + held back + slabs + spans            (1 to 30 in a hardened build)
//! touched: slots that may hold something other than zeros, and so may be resident
//! ```

mod backend;
mod cache;
mod classes;
mod clear;
mod conversion;
mod counters;
mod demand;
mod density;
#[cfg(feature = "hardened")]
mod guard;
#[cfg(feature = "profile")]
mod guarded;
mod huge;
mod limit;
mod live;
mod mapping;
mod owner;
mod pace;
mod purge;
mod runs;
mod static_chunk;
mod tagged;

pub(crate) use backend::Backend;
pub(crate) use cache::Kept;
pub(crate) use classes::BASE_ALIGN;
use classes::Classes;
#[cfg(not(feature = "std"))]
pub(crate) use classes::at_class_code;
#[cfg(any(feature = "std", feature = "profile"))]
pub(crate) use classes::class_code_at;
pub(crate) use classes::{blocks_at, class_at};
pub(crate) use counters::Counters;
pub(crate) use huge::Join;
use mapping::Mapping;
#[cfg(all(test, not(loom)))]
pub(crate) use owner::OWNER_MAP;
pub(crate) use owner::{ADDRESSES, GRANULE, Owner, OwnerView};

use crate::align;
use crate::size_class::{SLOT_SIZE, SizeClass};
use crate::slab::{self, Lines, Pending, Remote, Slab, SlotKind};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Cell, Ordering};
use core::mem::offset_of;
use core::ptr::{self, NonNull};
use runs::{longest_run, run_mask, run_of};

/// Bytes of a segment.
pub(crate) const SEGMENT_SIZE: usize = GRANULE;

/// Slots of a segment, the first included.
pub(crate) const SLOTS: usize = SEGMENT_SIZE / SLOT_SIZE;

/// Where the slots that may be used end. A hardened build leaves the last one alone: what is written beyond the slot
/// before it does not reach the next segment's first.
pub(crate) const END: usize = if cfg!(feature = "hardened") { SLOTS - 1 } else { SLOTS };

/// Every slot that may be used: all but the first.
const USABLE: u32 = run_mask(1, END - 1);

/// Bytes of these slots.
const USABLE_BYTES: usize = (END - 1) * SLOT_SIZE;

/// Which free slots will do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Warmth {
    /// Those that were touched before.
    Warm,
    /// All; those that were touched before by preference.
    Any,
}

/// The head of a segment.
#[repr(C, align(64))]
struct Head {
    /// The stack on which the owning heap expects slabs with returned blocks. Null in a pooled segment.
    pending: AtomicPtr<Pending>,
    /// Bit n is set while slot n is used for nothing.
    free: AtomicU32,
    /// Bit n is set while slot n may hold something other than zeros.
    touched: AtomicU32,
    /// Bit n is set while slot n is touched, but only by the system: it reads as zero.
    clean: Cell<u32>,
    /// True while the system may back the segment by a huge page.
    is_huge: Cell<bool>,
    /// True once all but the first slot was unmapped: it is two mappings since. Owner-only.
    is_pieced: Cell<bool>,
    /// How many lines of the bitmaps may be resident; one more than there are where what lies behind them may be, too.
    lines: Cell<u8>,
    /// Bit n is set while slot n is as it was at `idle_since`: free, and touched.
    idle: AtomicU32,
    /// The longest run of free slots, as far as the heap knows; 0 while the segment is in none of its rings.
    room: Cell<usize>,
    /// When somebody last looked for free slots that were touched, in milliseconds of the platform's clock. Nobody who
    /// frees has to look at the clock.
    idle_since: AtomicU64,
    /// Neighbours in the heap's list.
    next: Cell<*const Segment>,
    previous: Cell<*const Segment>,
}

/// A segment's first slot, as far as it is used.
///
/// Memory fresh from the system is a valid value: no slab, no bit set. Cells are **owner-only**, as in [`Slab`].
///
/// The first slot has no bitmap of its own. What describes the whole segment stands in place of that one's first lines,
/// so that a segment of slabs of few blocks is described by two pages and not a byte more.
#[repr(C)]
pub(crate) struct Segment {
    /// The first is always free: a free of what lies in slot 0 finds no block there.
    slabs: [Slab; SLOTS],
    head: Head,
    /// Line 0 of the other slots: of free blocks.
    bits: [slab::Line; SLOTS - 1],
    classes: Classes,
    /// Line 0 of the other slots: of blocks that other threads have returned.
    remote: [slab::RemoteLine; SLOTS - 1],
    /// Lines 1 to 7 of all slots.
    lines: [Lines; slab::LINES - 1],
}

/// Bytes of a segment that describe the rest.
pub(crate) const METADATA: usize = size_of::<Segment>();

const _: () = assert!(cfg!(loom) || METADATA <= SLOT_SIZE);
const _: () = assert!(cfg!(loom) || size_of::<Head>() == 64);
// A slab finds its next line at the same distance from each.
const _: () = assert!(
    cfg!(loom) || offset_of!(Segment, lines) - offset_of!(Segment, bits) + size_of::<slab::Line>() == slab::LINE_STRIDE
);
const _: () = assert!(SLOTS == slab::SLABS_OF_A_SEGMENT);
const _: () = assert!(SLOTS == u32::BITS as usize);

/// The segment that holds `address`, if a segment does.
#[inline(always)]
pub(crate) fn segment_of(address: usize) -> *const Segment {
    // The provenance of a block covers the block alone; that of its segment was exposed when the segment was mapped.
    ptr::with_exposed_provenance(align::down(address, SEGMENT_SIZE))
}

/// The slab or span slot that holds `address`.
///
/// # Safety
/// - `address` lies in a segment.
#[inline(always)]
pub(crate) unsafe fn slab_of<'a>(address: usize) -> &'a Slab {
    let slot = address % SEGMENT_SIZE / SLOT_SIZE;
    // SAFETY: a segment starts with its slabs, one to a slot.
    unsafe { &*segment_of(address).cast::<Slab>().add(slot) }
}

const _: () = assert!(offset_of!(Segment, slabs) == 0);

impl Segment {
    /// Makes memory fresh from the system a segment without an owner.
    ///
    /// # Safety
    /// - `start` is a segment's size of zeros at a multiple of it, which nobody else uses.
    unsafe fn found(start: NonNull<u8>) -> NonNull<Segment> {
        let segment = start.cast::<Segment>();
        let _ = start.as_ptr().expose_provenance();
        // SAFETY: zeros are a valid segment, and nobody else knows of it.
        unsafe { segment.as_ref() }.head.free.store(USABLE, Ordering::Relaxed);
        segment
    }

    /// The segment to which `slab` belongs.
    pub(crate) fn of(slab: &Slab) -> &Segment {
        // SAFETY: a slab's head lies in its segment's first slot, which is never unmapped.
        unsafe { &*segment_of(ptr::from_ref(slab).addr()) }
    }

    fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    fn slot_start(&self, slot: usize) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.address() + slot * SLOT_SIZE)
    }

    /// Where the memory of the slot begins that `slab` describes.
    pub(crate) fn start_of(&self, slab: &Slab) -> NonNull<u8> {
        // SAFETY: behind the start of the segment, which is not null.
        unsafe { NonNull::new_unchecked(self.slot_start(self.slot_index(slab))) }
    }

    /// What slot `slot`, from 1 to 31, is used for.
    pub(crate) fn slab(&self, slot: usize) -> &Slab {
        &self.slabs[slot]
    }

    /// The slabs and spans of the segment; a snapshot when another thread owns it.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slab> {
        self.slabs[1..].iter()
    }

    fn slot_index(&self, slab: &Slab) -> usize {
        (ptr::from_ref(slab).addr() - self.address()) / size_of::<Slab>()
    }

    /// Says on which stack the owning heap looks for slabs with returned blocks.
    pub(crate) fn set_pending(&self, pending: *const Pending) {
        self.head.pending.store(pending.cast_mut(), Ordering::Relaxed);
    }

    /// Slots that are used for nothing.
    pub(crate) fn free_slots(&self) -> u32 {
        self.head.free.load(Ordering::Relaxed)
    }

    /// Slots that may be resident.
    fn touched_slots(&self) -> u32 {
        self.head.touched.load(Ordering::Relaxed)
    }

    /// True where some slot is free and was touched before, so that its use costs no new memory.
    pub(crate) fn has_warm_slot(&self) -> bool {
        self.free_slots() & self.touched_slots() != 0
    }

    /// Bytes of slots that are used for nothing and yet may be resident.
    pub(crate) fn retained_bytes(&self) -> usize {
        (self.free_slots() & self.touched_slots()).count_ones() as usize * SLOT_SIZE
    }

    /// True where no slot is in use.
    pub(crate) fn is_unused(&self) -> bool {
        self.free_slots() == USABLE
    }

    /// The longest run of free slots.
    pub(crate) fn longest_free_run(&self) -> usize {
        longest_run(self.free_slots())
    }

    /// Where the heap keeps in which of its rings the segment is. Owner-only.
    pub(crate) fn room(&self) -> &Cell<usize> {
        &self.head.room
    }

    pub(crate) fn links(&self) -> (&Cell<*const Segment>, &Cell<*const Segment>) {
        (&self.head.next, &self.head.previous)
    }

    /// Takes `count` neighbouring free slots, the first at a multiple of `align` slots; the lowest that were touched
    /// before or, where `warmth` allows it, else the lowest. Returns the first slot and whether all of them read as
    /// zero. Owner-only.
    fn take_slots(&self, count: usize, align: usize, warmth: Warmth, counters: &Counters) -> Option<(usize, bool)> {
        let free = self.free_slots();
        let touched = self.touched_slots();
        let warm = run_of(free & touched, count, align);
        let first = match warmth {
            Warmth::Warm => warm?,
            Warmth::Any => warm.or_else(|| run_of(free, count, align))?,
        };
        self.take_run(first, count, counters).map(|is_zero| (first, is_zero))
    }

    /// Takes `count` free slots from `first` on; says whether all of them read as zero. Owner-only.
    fn take_run(&self, first: usize, count: usize, counters: &Counters) -> Option<bool> {
        let mask = run_mask(first, count);
        let fresh = mask & !self.touched_slots();
        if !counters.try_commit(fresh.count_ones() as usize * SLOT_SIZE) {
            return None;
        }
        let is_zero = fresh | mask & self.head.clean.get() == mask;
        self.use_run(mask);
        Some(is_zero)
    }

    /// Makes a free slot a slab of `class`. Owner-only.
    pub(crate) fn carve_slab(&self, class: SizeClass, warmth: Warmth, counters: &Counters) -> Option<&Slab> {
        #[cfg(not(feature = "hardened"))]
        let (slot, is_zero) = self.take_slots(1, 1, warmth, counters)?;
        #[cfg(feature = "hardened")]
        let (slot, is_zero) = self.take_any_slot(warmth, counters)?;
        let slab = self.slab(slot);
        slab.carve(class, self.slot_start(slot), ptr::from_ref(&self.bits[slot - 1]).cast(), is_zero);
        self.classes.set(slot, Some(class));
        self.head.lines.set(self.head.lines.get().max(slab::lines(class) as u8));
        Some(slab)
    }

    /// Makes `count` free slots a span, at a multiple of `align` slots. Returns its start and whether it reads as zero.
    /// Owner-only.
    pub(crate) fn carve_span(
        &self,
        count: usize,
        align: usize,
        warmth: Warmth,
        counters: &Counters,
    ) -> Option<(NonNull<u8>, bool)> {
        let (slot, is_zero) = self.take_slots(count, align, warmth, counters)?;
        self.make_span(slot, count);
        Some((NonNull::new(self.slot_start(slot))?, is_zero))
    }

    /// Makes `count` free slots a span that may grow to `room` slots; all of them were touched before. Owner-only.
    pub(crate) fn carve_growing_span(&self, count: usize, room: usize, counters: &Counters) -> Option<NonNull<u8>> {
        let first = run_of(self.free_slots() & self.touched_slots(), room, 1)?;
        self.take_run(first, count, counters)?;
        self.make_span(first, count);
        NonNull::new(self.slot_start(first))
    }

    /// Ends the use of a slab or a span. Owner-only.
    pub(crate) fn retire(&self, slab: &Slab, backend: &Backend) {
        let slot = self.slot_index(slab);
        let count = if slab.kind() == SlotKind::Span { slab.extent() } else { 1 };
        if slab.lacks_pages() {
            self.retire_purged(slab, slot, backend);
        }
        slab.clear();
        self.classes.set(slot, None);
        self.free_run(slot, count);
    }

    /// Ends the use of a span, gives its memory back, and leaves its slots out of use until [`Segment::let_go`]: they
    /// are not free. False, and nothing has changed, where the system refuses, and where it backs the segment by a huge
    /// page, which this would break. Owner-only.
    ///
    /// The span was marked as returned, and stays so until then.
    pub(crate) fn retire_held_back(&self, slab: &Slab, backend: &Backend) -> bool {
        let (slot, count) = (self.slot_index(slab), slab.extent());
        if self.head.is_huge.get() || !backend.purge(self.slot_start(slot), count * SLOT_SIZE) {
            return false;
        }
        self.untouch(run_mask(slot, count));
        slab.clear();
        self.classes.set(slot, None);
        true
    }

    /// Frees the slots of a span that were held back. Owner-only.
    pub(crate) fn let_go(&self, slab: &Slab) {
        self.unmark_returned(slab);
        self.free_run(self.slot_index(slab), slab.extent());
    }

    /// Of a slab that ends, pages were given back. A slot is touched or not, as a whole: all of it is committed again,
    /// or else all of it given back.
    #[cold]
    fn retire_purged(&self, slab: &Slab, slot: usize, backend: &Backend) {
        let purged = slab.forget_purged() * backend.os.page_size();
        if backend.counters.try_commit(purged) {
            return;
        }
        backend.counters.commit(purged);
        if backend.purge(self.slot_start(slot), SLOT_SIZE) {
            self.untouch(run_mask(slot, 1));
        }
    }

    fn free_run(&self, slot: usize, count: usize) {
        self.head.free.store(self.free_slots() | run_mask(slot, count), Ordering::Relaxed);
    }

    /// Slots have been given back to the system.
    fn untouch(&self, mask: u32) {
        self.head.touched.store(self.touched_slots() & !mask, Ordering::Relaxed);
        self.head.clean.set(self.head.clean.get() & !mask);
    }

    fn use_run(&self, mask: u32) {
        self.head.free.store(self.free_slots() & !mask, Ordering::Relaxed);
        self.head.touched.store(self.touched_slots() | mask, Ordering::Relaxed);
        self.head.clean.set(self.head.clean.get() & !mask);
        self.head.idle.store(self.head.idle.load(Ordering::Relaxed) & !mask, Ordering::Relaxed);
    }

    /// Makes the span at `slab` `count` slots long, where it stands; false where a slot in the way is in use.
    /// Owner-only.
    pub(crate) fn resize_span(&self, slab: &Slab, count: usize, counters: &Counters) -> bool {
        let (slot, old) = (self.slot_index(slab), slab.extent());
        if slot + count > END {
            return false;
        }
        if count < old {
            self.free_run(slot + count, old - count);
        } else {
            let mask = run_mask(slot, count) & !run_mask(slot, old);
            if self.free_slots() & mask != mask {
                return false;
            }
            if !counters.try_commit((mask & !self.touched_slots()).count_ones() as usize * SLOT_SIZE) {
                return false;
            }
            self.use_run(mask);
        }
        self.make_span(slot, count);
        true
    }

    fn make_span(&self, slot: usize, count: usize) {
        self.slab(slot).make_span(count);
        self.classes.set(slot, SizeClass::of_slots(count));
    }

    /// Word `index` of the remote bitmap of the slab in slot `slot`.
    fn remote_word(&self, slot: usize, index: usize) -> &AtomicU64 {
        let line = match (index / slab::LINE_WORDS).checked_sub(1) {
            None => &self.remote[slot - 1],
            Some(further) => &self.lines[further].remote[slot],
        };
        &line[index % slab::LINE_WORDS]
    }

    /// Returns blocks to a slab or a span of this segment from a thread that does not own it: those of word `index` of
    /// the slab's bitmap whose bits are set. Returns the bits that were set already: blocks that are free.
    pub(crate) fn put_remote(&self, slab: &Slab, index: usize, bits: u64) -> u64 {
        // SAFETY: a segment with blocks in use belongs to a heap, and heaps are never given back.
        let pending = unsafe { &*self.head.pending.load(Ordering::Relaxed) };
        let word = self.remote_word(self.slot_index(slab), index);
        slab.remote.put(word, index, bits, ptr::from_ref(slab).cast_mut(), pending)
    }

    /// Marks a span as returned: see [`Remote::mark`]. Owner-only.
    pub(crate) fn mark_returned(&self, slab: &Slab) -> bool {
        Remote::mark(self.remote_word(self.slot_index(slab), 0))
    }

    /// Takes the mark away. Owner-only.
    pub(crate) fn unmark_returned(&self, slab: &Slab) {
        Remote::unmark(self.remote_word(self.slot_index(slab), 0));
    }

    /// True where one of the blocks of word `index` whose bits are set was returned to `slab`, and not collected; a
    /// snapshot.
    pub(crate) fn is_returned(&self, slab: &Slab, index: usize, bits: u64) -> bool {
        self.remote_word(self.slot_index(slab), index).load(Ordering::Relaxed) & bits != 0
    }

    /// Takes the blocks that other threads have returned to `slab`, which was found on the pending stack. Owner-only.
    pub(crate) fn collect_remote(&self, slab: &Slab, each: impl FnMut(usize, u64)) {
        let slot = self.slot_index(slab);
        slab.remote.collect(|index| self.remote_word(slot, index), each);
    }

    /// Number of blocks of `slab` that were returned and not collected; a snapshot.
    pub(crate) fn waiting_remote(&self, slab: &Slab) -> usize {
        let slot = self.slot_index(slab);
        slab.remote.waiting(|index| self.remote_word(slot, index))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
