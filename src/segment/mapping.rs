//! Mapping: a block with a mapping of its own, for what is too large or too strictly aligned for a span.
//!
//! A head stands at the start, in a page of its own, and the block an offset behind it. The block's granule has an
//! entry in the owner map; the granules after it have none, so a pointer into the middle of a block is nobody's and is
//! noticed when freed.

mod cutting;
mod huge;
mod keeping;
mod resizing;
mod shift;

use super::backend::{Backend, Place};
use super::cache::{self, Kind, Range};
use super::owner::{GRANULE, Owner};
use crate::align;
use crate::size_class::SLOT_SIZE;
use crate::slab::Freshness;
#[cfg(feature = "hardened")]
use crate::sync::AtomicUsize;
use crate::sync::{Cell, Ordering};
use core::alloc::Layout;
use core::ptr::{self, NonNull};
use shift::Shift;

/// The head. **Holder-only**: its cells are touched by whoever owns the block, or has taken the mapping out of the
/// cache.
#[repr(C)]
pub(super) struct Mapping {
    /// Bytes from the head's start to the mapping's end.
    len: Cell<usize>,
    /// Bytes from the head's start to where a block stands in a mapping that is new.
    offset: Cell<usize>,
    /// Bytes by which the block stands in front of that.
    shift: Shift,
    /// The tag under which the block was allocated, or 0. 0 while the block is free.
    tag: Cell<u8>,
    /// True until the block is freed for the first time, of memory fresh from the system: what is resident then, the
    /// program has touched.
    pub(super) is_new: Cell<bool>,
    /// Bytes that the block was to have: how far the program is expected to touch it.
    pub(super) wanted: Cell<usize>,
    /// True where all of that was found to be resident.
    pub(super) is_dense: Cell<bool>,
    /// True while the system was asked for huge pages.
    is_huge: Cell<bool>,
    /// True where the mapping was cut off the one in front of it.
    is_piece: Cell<bool>,
    /// True where the memory was mapped in several parts, or the system has said that it is several mappings: it moves
    /// pages of one alone.
    is_patched: Cell<bool>,
    /// What is known of the block's memory.
    freshness: Freshness,
    /// While the block is in use, one more than the bytes that were asked for; 0 while it is free.
    #[cfg(feature = "hardened")]
    asked: AtomicUsize,
}

/// From so many mappings on, they are made as long as the addresses that they take.
pub(super) const MANY: usize = 16 * 1024;

/// Where the block of a mapping stands, for an alignment: bytes behind the head, and where the head is to be.
struct Placement {
    offset: usize,
    place: Place,
    /// What the owner map says of the block's granule.
    owner: Owner,
}

impl Placement {
    fn of(align: usize) -> Self {
        // Below a granule, the block is in the head's granule, at a multiple of every smaller alignment. From a granule
        // on, it is at the start of one, and the head has the granule before to itself.
        //
        // A clamp on purpose: rustc 1.95 with optimisation compiles `if a < C { a.max(D) } else { C }` wrongly. A test
        // goes through every alignment.
        let offset = align.clamp(SLOT_SIZE, GRANULE);
        let shift = if align < GRANULE { 0 } else { GRANULE };
        let owner = if align < GRANULE { Owner::MAPPING } else { Owner::ALIGNED_MAPPING };
        Self { offset, place: Place { align: align.max(GRANULE), offset: shift, headroom: 0 }, owner }
    }
}

impl Mapping {
    /// The mapping whose head is at `start`.
    ///
    /// # Safety
    /// - A mapping's head is there, and it stays mapped for as long as the result is used.
    pub(super) unsafe fn at(start: usize) -> &'static Mapping {
        // SAFETY: the caller says so; the provenance was exposed when it was mapped.
        unsafe { &*ptr::with_exposed_provenance(start) }
    }

    /// The mapping to which `block` belongs.
    ///
    /// # Safety
    /// - The owner map says that a mapping's block is in the granule of `block`.
    pub(super) unsafe fn of(block: NonNull<u8>) -> &'static Mapping {
        // A block stands behind its head by at most a granule, so the byte before it is in the head's granule.
        // SAFETY: passed on.
        unsafe { Self::at(align::down(block.addr().get() - 1, GRANULE)) }
    }

    /// Says that the mapping ends `len` bytes behind its head's start, earlier than before.
    pub(super) fn shorten(&self, len: usize) {
        debug_assert!(len <= self.len.get());
        self.len.set(len);
    }

    pub(super) fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// True while the system was asked for huge pages.
    pub(super) fn is_huge(&self) -> bool {
        self.is_huge.get()
    }

    pub(super) fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    pub(super) fn len(&self) -> usize {
        self.len.get()
    }

    /// Bytes that the block has: from its start to the mapping's end, or less where it is shifted.
    pub(super) fn body(&self) -> usize {
        self.len.get() - self.offset.get()
    }

    fn end(&self) -> usize {
        self.address() + self.len()
    }

    /// The mapping as a range.
    fn range(&self) -> Range {
        let kind = if self.is_piece.get() { Kind::Piece } else { Kind::Whole };
        Range { start: self.address(), len: self.len(), kind }
    }

    pub(super) fn block(&self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.address() + self.offset.get() - self.shift.bytes())
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        NonNull::from(self).cast()
    }
}

impl Backend {
    /// A mapping for `layout`, and whether its block reads as zero; `None` where the system has no memory.
    pub(crate) fn map_block(&self, layout: Layout) -> Option<(NonNull<u8>, bool)> {
        let placement = Placement::of(layout.align());
        let len = self.mapping_len(layout.size(), placement.offset)?;
        if placement.offset == cache::OFFSET
            && let Some(range) = self.cache.take(len)
        {
            return Some((self.reuse(range, layout), false));
        }
        let bytes = len.checked_add(placement.place.align)?;
        self.make_way(len);
        // The block, and the page of its head.
        let (body, head) = (len - placement.offset, self.os.page_size());
        let map = || self.or_relieve(bytes, || self.map_placed(len, placement.place));
        let start = self.counters.fetch(body + head, map)?;
        let _ = start.as_ptr().expose_provenance();
        // SAFETY: mapped just now; zeros are a valid head.
        let mapping = unsafe { start.cast::<Mapping>().as_ref() };
        self.demand.fetched(body, self.counters.peak());
        mapping.len.set(len);
        mapping.offset.set(placement.offset);
        mapping.is_new.set(true);
        mapping.wanted.set(layout.size());
        self.counters.reserved.fetch_add(len, Ordering::Relaxed);
        self.counters.metadata.fetch_add(head, Ordering::Relaxed);
        self.counters.mappings.fetch_add(1, Ordering::Relaxed);
        self.counters.blocks_mapped.fetch_add(1, Ordering::Relaxed);
        self.counters.mapped.fetch_add(mapping.body(), Ordering::Relaxed);
        self.counters.live_changed(0, mapping.body());
        self.owners.set(mapping.block().addr(), placement.owner);
        Some((NonNull::new(mapping.block())?, true))
    }

    /// Bytes of a mapping whose block is `size` large and stands at `offset`.
    fn mapping_len(&self, size: usize, offset: usize) -> Option<usize> {
        // Mappings that touch are one for the system, which has a limit of 65,530; gaps of addresses between them would
        // make it felt.
        let unit = if self.counters.mappings() < MANY { self.os.page_size() } else { GRANULE };
        let len = align::checked_up(size.checked_add(offset)?, unit)?;
        (len <= isize::MAX as usize).then_some(len)
    }

    /// Hands the block of a kept mapping out, for `layout`.
    fn reuse(&self, range: Range, layout: Layout) -> NonNull<u8> {
        // SAFETY: the range was taken from the cache with its head, so it is this thread's alone.
        let mapping = unsafe { Mapping::at(range.start) };
        mapping.len.set(range.len);
        mapping.wanted.set(layout.size());
        mapping.shift.advance(mapping.offset.get(), layout.align(), self.os.page_size());
        self.counters.live_changed(0, mapping.body());
        self.counters.blocks_mapped.fetch_add(1, Ordering::Relaxed);
        self.owners.set(mapping.block().addr(), Owner::MAPPING);
        // SAFETY: behind a head.
        unsafe { NonNull::new_unchecked(mapping.block()) }
    }

    /// Frees the block of a mapping; false where none starts there. Keeps the mapping for a while, or gives it back.
    #[must_use]
    pub(crate) fn unmap_block(&self, block: NonNull<u8>) -> bool {
        let address = block.addr().get();
        let owner = self.owners.look_up(address);
        // Before anything is read: where else a head would have to be, there may be no memory, or the block of another
        // mapping.
        let is_aligned = owner == Owner::ALIGNED_MAPPING;
        if !owner.is_mapping() || align::is_aligned(address, GRANULE) != is_aligned {
            return false;
        }
        // Of two threads that free the same block, one finds the entry gone.
        if !self.owners.claim(address, owner, Owner::NONE) {
            return false;
        }
        // SAFETY: the entry has just said so.
        let mapping = unsafe { Mapping::of(block) };
        if mapping.block() != block.as_ptr() {
            self.owners.set(address, owner);
            return false;
        }
        self.counters.recount_mappings(mapping.tag.replace(0), [1, 0], [mapping.body(), 0]);
        self.counters.live_changed(mapping.body(), 0);
        self.note_density(mapping);
        if mapping.offset.get() == cache::OFFSET {
            self.keep(self.join(mapping));
        } else {
            self.unmap_mapping(mapping);
        }
        true
    }

    /// Gives a range back to the system. The caller holds it.
    pub(super) fn unmap_range(&self, range: Range) {
        if range.has_head() {
            // SAFETY: the caller holds the range.
            return self.unmap_mapping(unsafe { Mapping::at(range.start) });
        }
        self.counters.mapped.fetch_sub(range.len, Ordering::Relaxed);
        if let Some(start) = NonNull::new(ptr::with_exposed_provenance_mut(range.start)) {
            // SAFETY: the caller holds the range, and nothing is in it.
            unsafe { self.give_up(start, range.len) };
        }
        self.counters.decommit(range.len);
    }

    /// Gives a mapping back to the system. The caller holds it, and no entry of the owner map speaks of it.
    fn unmap_mapping(&self, mapping: &Mapping) {
        let (start, len, body) = (mapping.start(), mapping.len(), mapping.body());
        self.counters.mappings.fetch_sub(1, Ordering::Relaxed);
        self.counters.mapped.fetch_sub(body, Ordering::Relaxed);
        // SAFETY: the caller holds the mapping, and its block is free.
        unsafe { self.give_up(start, len) };
        self.counters.decommit(body);
        self.counters.decommit_metadata(self.os.page_size());
    }

    /// Unmaps, or purges where that fails.
    ///
    /// # Safety
    /// - The range is the caller's, and nothing is in it.
    unsafe fn give_up(&self, start: NonNull<u8>, len: usize) {
        // SAFETY: passed on.
        if unsafe { self.os.unmap(start, len) } {
            self.forget_start(start.addr().get(), len);
            self.counters.reserved.fetch_sub(len, Ordering::Relaxed);
        } else {
            // The system cannot split its table of mappings just now. The addresses are lost, the memory need not be.
            // SAFETY: passed on.
            unsafe { self.os.purge(start, len) };
        }
    }

    /// Bytes that the block of a mapping has; `None` where no mapping's block starts at `block`, which may be anything.
    ///
    /// Of a block that another thread frees or resizes meanwhile, the answer may be anything, or none: the head may be
    /// gone.
    pub(crate) fn mapped_size(&self, block: NonNull<u8>) -> Option<usize> {
        let address = block.addr().get();
        self.mapped_around(address).filter(|&(start, _)| start == address).map(|(_, size)| size)
    }

    /// The mapping's block that starts in the granule of `address`: where, and how many bytes it has. `None` where none
    /// does. What the answer is worth is told of at [`Backend::mapped_size`].
    pub(crate) fn mapped_around(&self, address: usize) -> Option<(usize, usize)> {
        let granule = align::down(address, GRANULE);
        let head = match self.owners.look_up(address) {
            Owner::MAPPING => granule,
            Owner::ALIGNED_MAPPING => granule - GRANULE,
            _ => return None,
        };
        // SAFETY: the entry says that a block is there, whose head is in the same granule or the one before.
        let mapping = unsafe { Mapping::at(head) };
        Some((mapping.block().addr(), mapping.body()))
    }

    /// Of the mapping whose block starts at `block`, what was asked for, as its head says, and where the head's
    /// addresses end; `None` where no mapping's block starts there.
    #[cfg(feature = "hardened")]
    pub(crate) fn mapping_asked(&self, block: NonNull<u8>) -> Option<(&'static AtomicUsize, usize)> {
        self.mapped_size(block)?;
        // SAFETY: a mapping's block starts there.
        let mapping = unsafe { Mapping::of(block) };
        Some((&mapping.asked, mapping.address() + self.os.page_size()))
    }

    /// Counts a block that has just been allocated under `tag`.
    ///
    /// # Safety
    /// - `block` is a mapping's, in use, and the caller's.
    pub(crate) unsafe fn tag_block(&self, block: NonNull<u8>, tag: u8) {
        // SAFETY: the caller says that it is a mapping's block.
        let mapping = unsafe { Mapping::of(block) };
        mapping.tag.set(tag);
        self.counters.recount_mappings(tag, [0, 1], [0, mapping.body()]);
    }

    /// Counts a block under no tag any more, though it stays as it is.
    ///
    /// # Safety
    /// - As for [`Backend::tag_block`].
    #[cfg(feature = "hardened")]
    pub(crate) unsafe fn untag_block(&self, block: NonNull<u8>) {
        // SAFETY: the caller says that it is a mapping's block.
        let mapping = unsafe { Mapping::of(block) };
        self.counters.recount_mappings(mapping.tag.replace(0), [1, 0], [mapping.body(), 0]);
    }
}
