//! Mapping: a block with a mapping of its own, for what is too large or too strictly aligned for a span.
//!
//! A head stands at the start, in a page of its own, and the block an offset behind it. The block's granule has an entry in the
//! owner map; the granules after it have none, so a pointer into the middle of a block is nobody's and is noticed when freed.

use super::backend::Backend;
use super::cache;
use super::owner::{GRANULE, Owner};
use crate::align;
use crate::slab::SLOT_SIZE;
use crate::sync::{Cell, Ordering};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// The head. **Holder-only**: its cells are touched by whoever owns the block, or has taken the mapping out of the cache.
#[repr(C)]
pub(crate) struct Mapping {
    /// Bytes from the head's start to the mapping's end.
    len: Cell<usize>,
    /// Bytes from the head's start to the block.
    offset: Cell<usize>,
}

/// Where the block of a mapping stands, for an alignment: bytes from the head, and what the head's address is to be.
struct Placement {
    offset: usize,
    align: usize,
    /// Part of the offset that `align` refers to.
    shift: usize,
}

impl Placement {
    fn of(align: usize) -> Self {
        if align < GRANULE {
            // In the head's granule, at a multiple of every smaller alignment.
            Self { offset: align.max(SLOT_SIZE), align: GRANULE, shift: 0 }
        } else {
            // At the start of a granule; the head has the one before to itself.
            Self { offset: GRANULE, align, shift: GRANULE }
        }
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
    pub(crate) unsafe fn of(block: NonNull<u8>) -> &'static Mapping {
        // A block stands behind its head by at most a granule, so the byte before it is in the head's granule.
        // SAFETY: passed on.
        unsafe { Self::at(align::down(block.addr().get() - 1, GRANULE)) }
    }

    pub(super) fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    pub(super) fn len(&self) -> usize {
        self.len.get()
    }

    /// Bytes from the block's start to the mapping's end.
    pub(crate) fn body(&self) -> usize {
        self.len.get() - self.offset.get()
    }

    pub(crate) fn block(&self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.address() + self.offset.get())
    }

    fn start(&self) -> NonNull<u8> {
        NonNull::from(self).cast()
    }
}

impl Backend {
    /// A mapping for `layout`, and whether its block reads as zero; `None` where the system has no memory.
    pub(crate) fn map_block(&self, layout: Layout) -> Option<(NonNull<u8>, bool)> {
        let placement = Placement::of(layout.align());
        let len = align::checked_up(layout.size().checked_add(placement.offset)?, self.os.page_size())?;
        if len > isize::MAX as usize {
            return None;
        }
        if placement.offset == cache::OFFSET
            && let Some(mapping) = self.cache.take(len)
        {
            self.owners.set(mapping.block().addr(), Owner::MAPPING);
            return Some((NonNull::new(mapping.block())?, false));
        }
        let map = || self.map_placed(len, placement.align, placement.shift);
        let start = map().or_else(|| if self.relieve() { map() } else { None })?;
        let _ = start.as_ptr().expose_provenance();
        // SAFETY: mapped just now; zeros are a valid head.
        let mapping = unsafe { start.cast::<Mapping>().as_ref() };
        mapping.len.set(len);
        mapping.offset.set(placement.offset);
        self.counters.reserved.fetch_add(len, Ordering::Relaxed);
        self.counters.commit(mapping.body());
        self.counters.commit_metadata(self.os.page_size());
        self.counters.mappings.fetch_add(1, Ordering::Relaxed);
        self.counters.mapped.fetch_add(mapping.body(), Ordering::Relaxed);
        self.owners.set(mapping.block().addr(), Owner::MAPPING);
        Some((NonNull::new(mapping.block())?, true))
    }

    /// Frees the block of a mapping; false where none starts there. Keeps the mapping for a while, or gives it back.
    #[must_use]
    pub(crate) fn unmap_block(&self, block: NonNull<u8>) -> bool {
        // Of two threads that free the same block, one finds the entry gone.
        if !self.owners.claim(block.addr().get(), Owner::MAPPING, Owner::NONE) {
            return false;
        }
        // SAFETY: the entry has just said so.
        let mapping = unsafe { Mapping::of(block) };
        if mapping.block() != block.as_ptr() {
            self.owners.set(block.addr().get(), Owner::MAPPING);
            return false;
        }
        if mapping.offset.get() != cache::OFFSET || !self.cache.put(mapping) {
            self.unmap_mapping(mapping);
        }
        true
    }

    /// Gives a mapping back to the system. The caller holds it, and no entry of the owner map speaks of it.
    pub(super) fn unmap_mapping(&self, mapping: &Mapping) {
        let (start, len, body) = (mapping.start(), mapping.len(), mapping.body());
        self.counters.mappings.fetch_sub(1, Ordering::Relaxed);
        self.counters.mapped.fetch_sub(body, Ordering::Relaxed);
        // SAFETY: the caller holds the mapping, and its block is free.
        if unsafe { self.os.unmap(start, len) } {
            self.forget_start(start.addr().get(), len);
            self.counters.reserved.fetch_sub(len, Ordering::Relaxed);
        } else {
            // The system cannot split its table of mappings just now. The addresses are lost, the memory need not be.
            // SAFETY: as above.
            unsafe { self.os.purge(start, len) };
        }
        self.counters.decommit(body);
        self.counters.decommit_metadata(self.os.page_size());
    }

    /// Makes the block of a mapping `layout` large, without copying: where it stands, or by moving its pages. `None`: not possible, and nothing
    /// has changed.
    ///
    /// # Safety
    /// - `block` is a mapping's, in use, and the caller's; it was allocated with the alignment of `layout`.
    pub(crate) unsafe fn remap_block(&self, block: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the caller says that it is a mapping's block.
        let mapping = unsafe { Mapping::of(block) };
        let (old_len, offset) = (mapping.len(), mapping.offset.get());
        let len = align::checked_up(layout.size().checked_add(offset)?, self.os.page_size())?;
        if len > isize::MAX as usize {
            return None;
        }
        if len <= old_len && old_len - len <= old_len / 8 {
            return Some(block);
        }
        // SAFETY: the mapping is the caller's, who no longer needs what lies beyond the new length.
        if unsafe { self.os.resize(mapping.start(), old_len, len) } {
            self.resized(mapping, len);
            return Some(block);
        }
        if len < old_len {
            return Some(block);
        }
        let placement = Placement::of(layout.align());
        let target = self.map_placed(len, placement.align, placement.shift)?;
        let _ = target.as_ptr().expose_provenance();
        // The old addresses are anybody's as soon as they are unmapped, so the entry goes first.
        self.owners.set(block.addr().get(), Owner::NONE);
        // SAFETY: both mappings are this thread's alone.
        if !unsafe { self.os.relocate(mapping.start(), old_len, target, len) } {
            // What has become of the target is not known, so it is left as it is: untouched addresses at worst.
            self.owners.set(block.addr().get(), Owner::MAPPING);
            return None;
        }
        // SAFETY: the head has moved with the other pages.
        let mapping = unsafe { Mapping::at(target.addr().get()) };
        self.resized(mapping, len);
        self.owners.set(mapping.block().addr(), Owner::MAPPING);
        NonNull::new(mapping.block())
    }

    fn resized(&self, mapping: &Mapping, len: usize) {
        let old_len = mapping.len.replace(len);
        if len >= old_len {
            self.counters.reserved.fetch_add(len - old_len, Ordering::Relaxed);
            self.counters.mapped.fetch_add(len - old_len, Ordering::Relaxed);
            self.counters.commit(len - old_len);
        } else {
            self.counters.reserved.fetch_sub(old_len - len, Ordering::Relaxed);
            self.counters.mapped.fetch_sub(old_len - len, Ordering::Relaxed);
            self.counters.decommit(old_len - len);
        }
    }
}
