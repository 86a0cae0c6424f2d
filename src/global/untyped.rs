//! Blocks without a layout: what a `malloc` needs and `GlobalAlloc` does not give.
//!
//! Where a block lies says how large it is, so a free finds its class in the segment's first slot: one load more than a
//! free that is told a layout, of a line that changes only when a slab is carved or retired.

use super::request::Request;
use super::thread::learn_owners;
use super::{BACKEND, Tenure, into_raw, large, misuse, resize, slow, tls};
#[cfg(feature = "profile")]
use super::{guard, samples};
use crate::segment::{self, GRANULE, Owner};
use crate::size_class::{SLOT_SIZE, SizeClass, UNTYPED_ALIGN};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// For programs that keep no layouts, as those in C do.
///
/// A block from [`Tenure::alloc_untyped`] may be freed with [`Tenure::free_untyped`] alone, not with `dealloc`: its
/// class is not that of any layout. The other way round it may: `free_untyped`, `realloc_untyped` and `usable_size`
/// take every block of Tenure's, but for those of [static scopes](crate::static_scope), of which only a layout tells
/// the size. Blocks without a layout are dynamic in every scope.
impl Tenure {
    /// A block of at least `size` bytes; null where there is no memory. A size of 0 gives a block of its own too.
    ///
    /// Aligned to 16 bytes, or to 8 where `size` is at most 8. Costs what `alloc` costs with a layout that is not
    /// constant.
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
        match self.untyped_at_hand(size).or_else(|| self.untyped_span_at_hand(size)) {
            Some(block) => block.as_ptr(),
            None => self.alloc_untyped_anew(size),
        }
    }

    /// What [`Tenure::alloc_untyped`] gives where a free block of at most 32 KiB waits in the calling thread's
    /// magazine; `None` otherwise. For callers that have something of their own to do when it takes longer, without a
    /// cost for when it does not.
    #[inline(always)]
    pub fn untyped_at_hand(&self, size: usize) -> Option<NonNull<u8>> {
        // SAFETY: the calling thread's own.
        unsafe { tls::current().tops.for_untyped(size)?.pop() }
    }

    /// As [`Tenure::untyped_at_hand`], for the sizes that follow, up to 1 MiB.
    #[inline(always)]
    pub fn untyped_span_at_hand(&self, size: usize) -> Option<NonNull<u8>> {
        SizeClass::of_untyped_span(size).and_then(large::span_at_hand)
    }

    /// What [`Tenure::alloc_untyped`] gives where none is at hand.
    #[cold]
    #[inline(never)]
    pub fn alloc_untyped_anew(&self, size: usize) -> *mut u8 {
        into_raw(match SizeClass::of_untyped(size) {
            Some(class) => {
                #[cfg(feature = "profile")]
                if let Some(block) = samples::take_hot(class) {
                    return block.as_ptr();
                }
                slow::alloc_dynamic(class, untyped_block(size))
            }
            None => untyped(size).and_then(large::alloc_dynamic),
        })
    }

    /// A free block of `size` bytes at a multiple of `align`, and of 16, where one waits in the calling thread's
    /// magazine: what `alloc` gives for such a layout, to be freed without one, too. `None` otherwise, and where `size`
    /// is 0 or `align` no power of two.
    #[inline(always)]
    pub fn aligned_at_hand(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        if !align.is_power_of_two() {
            return None;
        }
        // A size of 0 becomes 0 again.
        let last = size.wrapping_sub(1) | (align - 1) | (UNTYPED_ALIGN - 1);
        let class = SizeClass::of_last(last)?;
        // SAFETY: the calling thread's own tops.
        unsafe { tls::current().tops.pop(class) }
    }

    /// As [`Tenure::alloc_untyped`], of a block whose first `size` bytes are zero.
    #[inline]
    pub fn alloc_zeroed_untyped(&self, size: usize) -> *mut u8 {
        let Some(class) = SizeClass::of_untyped(size) else { return alloc_large_zeroed(size) };
        // SAFETY: the calling thread's own tops.
        let block = match unsafe { tls::current().tops.pop(class) } {
            Some(block) => block,
            None => match slow::alloc_dynamic_zeroed(class, untyped_block(size)) {
                Some((block, false)) => block,
                Some((block, true)) => return block.as_ptr(),
                None => return ptr::null_mut(),
            },
        };
        // SAFETY: the block is at least `size` bytes large, and nobody else's.
        unsafe { block.as_ptr().write_bytes(0, size) };
        block.as_ptr()
    }

    /// Frees a block, or does nothing where `block` is null.
    ///
    /// Two loads find the owner and the class. An address that is no block's is noticed at once where nobody owns it or
    /// no block could be there; an address inside a block, or one that has bits set that no program's address has, is
    /// noticed when the thread's magazine is flushed, or, in a block of more than 32 KiB, when it would be handed out.
    ///
    /// # Safety
    /// - `block` is null or a block of Tenure's that is in use, allocated by any of its functions, and is not used
    ///   afterwards.
    #[inline]
    pub unsafe fn free_untyped(&self, block: *mut u8) {
        let thread = tls::current();
        let owners = thread.owners.get();
        let granule = owners.granule_of(block.addr());
        let owner = owners.owner_of(granule);
        if owner == thread.owner.get() {
            // SAFETY: the calling thread's record, whose heap owns the granule: so it is a segment.
            let stack = unsafe { thread.stack_at(granule, block.addr()) };
            // SAFETY: the calling thread's own.
            if unsafe { stack.push_first(block) } {
                return;
            }
        } else {
            #[cfg(feature = "profile")]
            if let Some(sampling) = thread.returns.get()
                && sampling.owner() == owner
            {
                // SAFETY: as above.
                let code = unsafe { segment::class_code_at(granule, block.addr()) };
                // SAFETY: as above.
                if unsafe { sampling.keep(&thread.tops, code, block, owner) } {
                    return;
                }
            }
        }
        free(block);
    }

    /// As [`Tenure::free_untyped`], of a block of which `size` bytes were asked for. A hardened build ends the process
    /// where they were not; any other needs no size, and does not look at it.
    ///
    /// # Safety
    /// - As for [`Tenure::free_untyped`], and `size` is what was asked for.
    #[inline]
    pub unsafe fn free_untyped_sized(&self, block: *mut u8, _size: usize) {
        // SAFETY: passed on.
        unsafe { self.free_untyped(block) }
    }

    /// Makes a block `size` bytes large, in place where that is possible, and returns where it is now. The first bytes
    /// are kept, as many as both sizes have. Null where there is no memory: then the block is as it was. A null `block`
    /// is allocated anew.
    ///
    /// A block that shrinks by less than a quarter stays. A block of more than 1 MiB grows and shrinks without a copy.
    /// An alignment above 16 that the block was allocated with is not kept.
    ///
    /// # Safety
    /// - `block` is null or a block of Tenure's that is in use. Where the result is not null, it takes the place of
    ///   `block`, which is not used afterwards.
    pub unsafe fn realloc_untyped(&self, block: *mut u8, size: usize) -> *mut u8 {
        let thread = tls::current();
        let owner = thread.owners.get().look_up(block.addr());
        if thread.allocates_from(owner)
            && let Some(address) = NonNull::new(block)
            // SAFETY: the calling thread's heap owns the granule: so it is a segment.
            && let Some(blocks) = unsafe { segment::blocks_at(block) }
        {
            let class = blocks.class();
            if stays_in(class, size) {
                if thread.tops.get(class).is_some() && thread.tops.next(class) != Some(address) {
                    return block;
                }
            } else if let Some(to) = SizeClass::of_untyped(size) {
                let (from, to) = ((class, layout_of(class.size())), (to, size));
                // SAFETY: the caller's block, of the heap that the calling thread allocates from.
                let moved = unsafe { resize::move_between_magazines(thread, address, owner, from, to) };
                if let Some(target) = moved {
                    return target.as_ptr();
                }
            }
        }
        // SAFETY: passed on.
        unsafe { realloc_slowly(block, size) }
    }

    /// Bytes of a block that may be used: at least as many as were asked for. 0 where `block` is null.
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
    #[inline]
    pub unsafe fn usable_size(&self, block: *const u8) -> usize {
        if tls::current().owners.get().look_up(block.addr()).is_heap()
            // SAFETY: in a segment.
            && let Some(blocks) = unsafe { segment::blocks_at(block) }
        {
            return blocks.size();
        }
        usable_size_slowly(block)
    }

    /// Bytes that a block of `size` bytes will have, where nothing larger is at hand for it: what
    /// [`Tenure::usable_size`] will say at least.
    pub fn good_size(&self, size: usize) -> usize {
        match SizeClass::of_untyped(size) {
            Some(class) => class.size(),
            None => match untyped(size).and_then(SizeClass::of_span) {
                Some(class) => class.size(),
                None => size.checked_next_multiple_of(BACKEND.os.page_size()).unwrap_or(size),
            },
        }
    }
}

/// The layout of a block of which only the size is known; `None` where no block can be so large.
fn untyped(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, UNTYPED_ALIGN).ok()
}

/// As [`untyped`], of a block that a slab serves: the smallest have a smaller alignment.
fn untyped_block(size: usize) -> Layout {
    let align = if size <= LEAST_ALIGN { LEAST_ALIGN } else { UNTYPED_ALIGN };
    // SAFETY: a block of a slab is far smaller than a layout can be.
    unsafe { Layout::from_size_align_unchecked(size, align) }
}

/// What blocks of so many bytes or fewer are aligned to.
const LEAST_ALIGN: usize = 8;

/// As [`Tenure::realloc_untyped`], of whatever block.
///
/// # Safety
/// - As there.
#[inline(never)]
unsafe fn realloc_slowly(block: *mut u8, size: usize) -> *mut u8 {
    let Some(block) = NonNull::new(block) else { return Tenure::new().alloc_untyped(size) };
    learn_owners(tls::current());
    let extent = Extent::of(block);
    if let Extent::Slab(class) = extent {
        resize::check_before_resizing(block, class, BACKEND.owners.look_up(block.addr().get()));
    }
    match extent {
        Extent::Slab(class) if stays_in(class, size) => block.as_ptr(),
        // SAFETY: the caller's block, as large as its class.
        Extent::Slab(class) => unsafe { move_to(block, class.size(), size) },
        // SAFETY: as above.
        #[cfg(feature = "profile")]
        Extent::Guarded { len } => unsafe { move_to(block, len, size) },
        // SAFETY: the caller's block, as large as it says.
        Extent::Large { len, align } => unsafe { realloc_large(block, len, align, size) },
    }
}

#[cold]
#[inline(never)]
fn alloc_large_zeroed(size: usize) -> *mut u8 {
    into_raw(untyped(size).and_then(large::alloc_dynamic_zeroed))
}

/// True where a block of `class` that is to have `size` bytes stays as it is: no other class would serve it, or it
/// would be copied for little.
#[inline(always)]
fn stays_in(class: SizeClass, size: usize) -> bool {
    let len = class.size();
    size <= len && len - size < len / 4 || SizeClass::of_untyped(size) == Some(class)
}

/// Where a block lies, and how large it is.
#[derive(Clone, Copy)]
pub(super) enum Extent {
    /// In a slab of this class.
    Slab(SizeClass),
    /// A span or a mapping of so many bytes, which stands at a multiple of `align` at least.
    Large { len: usize, align: usize },
    /// Between guard pages, of just so many bytes as were asked for.
    #[cfg(feature = "profile")]
    Guarded { len: usize },
}

impl Extent {
    /// Ends the process where no block starts at `block`.
    fn of(block: NonNull<u8>) -> Self {
        Self::find(block).unwrap_or_else(|| misuse::refuse_use(block, 0, BACKEND.owners.look_up(block.addr().get())))
    }

    /// `None` where no block starts at `block`, or one of static memory.
    pub(super) fn find(block: NonNull<u8>) -> Option<Self> {
        let address = block.addr().get();
        let owner = BACKEND.owners.look_up(address);
        if owner.is_heap() {
            // SAFETY: in a segment.
            if let Some(blocks) = unsafe { segment::blocks_at(block.as_ptr()) } {
                return Some(Self::Slab(blocks.class()));
            }
            // SAFETY: in a segment.
            let class = unsafe { segment::class_at(address) }?;
            (class.is_span() && address.is_multiple_of(SLOT_SIZE))
                .then(|| Self::Large { len: class.size(), align: UNTYPED_ALIGN })
        } else {
            #[cfg(feature = "profile")]
            if owner == Owner::GUARDED {
                return guard::size_of(block).map(|len| Self::Guarded { len });
            }
            let len = BACKEND.mapped_size(block)?;
            let align = if owner == Owner::ALIGNED_MAPPING { GRANULE } else { UNTYPED_ALIGN };
            Some(Self::Large { len, align })
        }
    }

    pub(super) fn len(self) -> usize {
        match self {
            Self::Slab(class) => class.size(),
            Self::Large { len, .. } => len,
            #[cfg(feature = "profile")]
            Self::Guarded { len } => len,
        }
    }
}

/// As [`Tenure::usable_size`], of a block that is in no slab, or whose owner is not known yet.
#[cold]
#[inline(never)]
fn usable_size_slowly(block: *const u8) -> usize {
    NonNull::new(block.cast_mut()).map_or(0, |block| Extent::of(block).len())
}

/// Frees a block that does not go straight into a magazine, or whose owner is not known yet.
#[cold]
#[inline(never)]
fn free(block: *mut u8) {
    let Some(block) = NonNull::new(block) else { return };
    let address = block.addr().get();
    let owner = BACKEND.owners.look_up(address);
    let thread = tls::current();
    learn_owners(thread);
    if owner.is_heap() {
        // SAFETY: in a segment.
        if let Some(class) = unsafe { segment::class_at(address) } {
            if class.is_span() {
                return large::free(block, layout_of(class.size()));
            }
            // SAFETY: the calling thread's own tops.
            if owner != thread.owner.get() || !unsafe { thread.tops.push(class, block.as_ptr()) } {
                slow::free(block, Request::of(layout_of(class.size())), class, owner, thread);
            }
            return;
        }
    } else if let Some(len) = BACKEND.mapped_size(block) {
        return large::free(block, layout_of(len));
    }
    #[cfg(feature = "profile")]
    if owner == Owner::GUARDED {
        return slow::free_guarded(block);
    }
    misuse::refuse(block, format_args!(""), owner)
}

/// A layout for a block that has `len` bytes.
fn layout_of(len: usize) -> Layout {
    // SAFETY: no block that exists is larger than a layout can be.
    unsafe { Layout::from_size_align_unchecked(len, UNTYPED_ALIGN) }
}

/// Makes a span or a mapping `size` bytes large.
///
/// # Safety
/// - `block` is the caller's, a span or mapping of `len` bytes that stands at a multiple of `align`.
unsafe fn realloc_large(block: NonNull<u8>, len: usize, align: usize, size: usize) -> *mut u8 {
    // A mapping at a granule's start grows as such, and what becomes smaller than a granule need not be one.
    if SizeClass::of_untyped(size).is_some() || align != UNTYPED_ALIGN && size <= GRANULE {
        // SAFETY: the caller's block.
        return unsafe { move_to(block, len, size) };
    }
    let (Ok(old), Ok(new)) = (Layout::from_size_align(len, align), Layout::from_size_align(size, align)) else {
        return ptr::null_mut();
    };
    // SAFETY: the caller's block; with these layouts it lies where it would, had it been allocated with the first.
    into_raw(unsafe { resize::realloc(&Tenure::new(), block, old, new) })
}

/// Copies a block to one of `size` bytes, and frees it. Null where there is no memory.
///
/// # Safety
/// - `block` is the caller's, and has `len` bytes.
unsafe fn move_to(block: NonNull<u8>, len: usize, size: usize) -> *mut u8 {
    let target = match untyped(size).and_then(|new| resize::growing_span(len, new)) {
        Some(span) => span.as_ptr(),
        None => Tenure::new().alloc_untyped(size),
    };
    if !target.is_null() {
        // SAFETY: both blocks are as large as what is kept, and the new one is nobody else's.
        unsafe { block.as_ptr().copy_to_nonoverlapping(target, len.min(size)) };
        // SAFETY: the caller's block.
        unsafe { Tenure::new().free_untyped(block.as_ptr()) };
    }
    target
}
