//! Blocks without a layout, of a hardened build: the check word, or the head of a span or a mapping, says how many
//! bytes were asked for.

use super::hardened::misuse::{self, Deed};
use super::hardened::{self, large, size};
use super::{BACKEND, Tenure, into_raw};
use crate::segment::{self, GRANULE, Owner};
use crate::size_class::{SLOT_SIZE, SizeClass, UNTYPED_ALIGN};
use core::alloc::Layout;
use core::ptr::NonNull;

/// For programs that keep no layouts, as those in C do.
///
/// A block from [`Tenure::alloc_untyped`] may be freed with [`Tenure::free_untyped`] alone, not with `dealloc`: its
/// class is not that of any layout. The other way round it may: `free_untyped`, `realloc_untyped` and `usable_size`
/// take every block of Tenure's, but for those of [static scopes](crate::static_scope), of which only a layout tells
/// the size. Blocks without a layout are dynamic in every scope.
impl Tenure {
    /// A block of `size` bytes; null where there is no memory. A size of 0 gives a block of its own too.
    ///
    /// Aligned to 16 bytes, or to 8 where `size` is 0. Costs what `alloc` costs with a layout that is not constant.
    ///
    /// ```
    /// let tenure = tenure::Tenure::new();
    /// let block = tenure.alloc_untyped(100);
    /// assert!(!block.is_null() && block.addr() % 16 == 0);
    /// // SAFETY: the block is in use, and is not used afterwards.
    /// unsafe { tenure.free_untyped(block) };
    /// ```
    #[inline]
    pub fn alloc_untyped(&self, size: usize) -> *mut u8 {
        into_raw(match size::class_of_untyped(size) {
            Some(class) => hardened::at_hand(class, size).or_else(|| hardened::alloc_untyped(class, size)),
            None => untyped(size).and_then(large::alloc_dynamic),
        })
    }

    /// What [`Tenure::alloc_untyped`] gives where a free block waits in the calling thread's magazine; `None`
    /// otherwise. For callers that have something of their own to do when it takes longer, without a cost for when it
    /// does not.
    #[inline]
    pub fn untyped_at_hand(&self, size: usize) -> Option<NonNull<u8>> {
        hardened::at_hand(size::class_of_untyped(size)?, size)
    }

    /// As [`Tenure::untyped_at_hand`], for the sizes that follow, up to 1 MiB: never one, as each is looked at when it
    /// is handed out.
    #[inline]
    pub fn untyped_span_at_hand(&self, _size: usize) -> Option<NonNull<u8>> {
        None
    }

    /// What [`Tenure::alloc_untyped`] gives where none is at hand.
    #[cold]
    pub fn alloc_untyped_anew(&self, size: usize) -> *mut u8 {
        self.alloc_untyped(size)
    }

    /// A free block of `size` bytes at a multiple of `align`, and of 16, where one waits in the calling thread's
    /// magazine: what `alloc` gives for such a layout, to be freed without one, too. `None` otherwise, and where `size`
    /// is 0 or `align` no power of two.
    #[inline]
    pub fn aligned_at_hand(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        hardened::at_hand(size::class_of_aligned(size, align)?, size)
    }

    /// As [`Tenure::alloc_untyped`], of a block whose first `size` bytes are zero: all blocks are when they are handed
    /// out.
    #[inline]
    pub fn alloc_zeroed_untyped(&self, size: usize) -> *mut u8 {
        self.alloc_untyped(size)
    }

    /// Frees a block, or does nothing where `block` is null. What is no block in use ends the process at once.
    ///
    /// # Safety
    /// - `block` is null or a block of Tenure's that is in use, allocated by any of its functions, and is not used
    ///   afterwards.
    #[inline]
    pub unsafe fn free_untyped(&self, block: *mut u8) {
        if let Some(block) = NonNull::new(block) {
            hardened::free_untyped(block);
        }
    }

    /// As [`Tenure::free_untyped`], of a block of which `size` bytes were asked for. A hardened build ends the process
    /// where they were not; any other needs no size, and does not look at it.
    ///
    /// # Safety
    /// - As for [`Tenure::free_untyped`], and `size` is what was asked for.
    #[inline]
    pub unsafe fn free_untyped_sized(&self, block: *mut u8, size: usize) {
        if let Some(block) = NonNull::new(block) {
            hardened::free_untyped_sized(block, size);
        }
    }

    /// Makes a block `size` bytes large, in place where that is possible, and returns where it is now. The first bytes
    /// are kept, as many as both sizes have. Null where there is no memory: then the block is as it was. A null `block`
    /// is allocated anew.
    ///
    /// A block of more than 1 MiB grows and shrinks without a copy.
    /// An alignment above 16 that the block was allocated with is not kept.
    ///
    /// # Safety
    /// - `block` is null or a block of Tenure's that is in use. Where the result is not null, it takes the place of
    ///   `block`, which is not used afterwards.
    pub unsafe fn realloc_untyped(&self, block: *mut u8, size: usize) -> *mut u8 {
        let Some(block) = NonNull::new(block) else { return self.alloc_untyped(size) };
        let owner = misuse::owner_of(block.addr().get());
        // SAFETY: a heap owns the granule, where it is asked.
        let (old, resized) = match if owner.is_heap() { unsafe { hardened::class_at(block) } } else { None } {
            Some(class) => {
                let to = size::class_of_untyped(size);
                // SAFETY: inside of a slab.
                let old = unsafe { hardened::resize(block, class, None, size, to, owner) };
                (old, (to == Some(class)).then_some(block))
            }
            None => {
                let Some(old) = large::size_of(block, owner) else { misuse::refuse(block, None, owner, Deed::Use) };
                // What is aligned to a granule need not be when it is smaller.
                let align = if owner == Owner::ALIGNED_MAPPING { GRANULE } else { UNTYPED_ALIGN };
                let new = Layout::from_size_align(size, align).ok();
                (old, new.and_then(|new| large::resize(block, Some(old), new)))
            }
        };
        if resized.is_some() {
            return into_raw(resized);
        }
        let target = self.alloc_untyped(size);
        if !target.is_null() {
            // SAFETY: both blocks are as large as what is kept, and the new one is nobody else's.
            unsafe { block.as_ptr().copy_to_nonoverlapping(target, old.min(size)) };
            hardened::free_untyped(block);
        }
        target
    }

    /// Bytes of a block that may be used: as many as were asked for. 0 where `block` is null.
    ///
    /// ```
    /// let tenure = tenure::Tenure::new();
    /// let block = tenure.alloc_untyped(1000);
    /// // SAFETY: the block is in use until it is freed, below.
    /// assert!(unsafe { tenure.usable_size(block) } >= 1000);
    /// // SAFETY: the block is in use, and is not used afterwards.
    /// unsafe { tenure.free_untyped(block) };
    /// ```
    ///
    /// # Safety
    /// - `block` is null or a block of Tenure's that is in use.
    pub unsafe fn usable_size(&self, block: *const u8) -> usize {
        let Some(block) = NonNull::new(block.cast_mut()) else { return 0 };
        let owner = misuse::owner_of(block.addr().get());
        // SAFETY: a heap owns the granule, where it is asked.
        match if owner.is_heap() { unsafe { hardened::class_at(block) } } else { None } {
            // SAFETY: inside of a slab.
            Some(class) => unsafe { hardened::size_in_use(block, class, None, owner, Deed::Use) },
            None => match large::size_of(block, owner) {
                Some(size) => size,
                None => misuse::refuse(block, None, owner, Deed::Use),
            },
        }
    }

    /// Bytes that a block of `size` bytes will have: just as many.
    pub fn good_size(&self, size: usize) -> usize {
        size
    }
}

/// The layout of a block of which only the size is known; `None` where no block can be so large.
fn untyped(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, UNTYPED_ALIGN).ok()
}

/// Where a block lies, and how many bytes it takes, for those who count that.
#[derive(Clone, Copy)]
pub(super) enum Extent {
    /// In a slab of this class.
    Slab(SizeClass),
    /// A span or a mapping of so many bytes.
    Large(usize),
}

impl Extent {
    /// `None` where no block starts at `block`, or one of static memory.
    pub(super) fn find(block: NonNull<u8>) -> Option<Self> {
        let address = block.addr().get();
        if !BACKEND.owners.look_up(address).is_heap() {
            return BACKEND.mapped_size(block).map(Self::Large);
        }
        // SAFETY: in a segment.
        if let Some(blocks) = unsafe { segment::blocks_at(block.as_ptr()) } {
            return Some(Self::Slab(blocks.class()));
        }
        // SAFETY: in a segment.
        let class = unsafe { segment::class_at(address) }?;
        (class.is_span() && address.is_multiple_of(SLOT_SIZE)).then(|| Self::Large(class.size()))
    }

    pub(super) fn len(self) -> usize {
        match self {
            Self::Slab(class) => class.size(),
            Self::Large(len) => len,
        }
    }
}
