//! Blocks with a layout, of a hardened build.

use super::hardened::misuse::{self, Deed};
use super::hardened::{self, large, size};
use super::{Tenure, into_raw, resize};
use crate::segment::Owner;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

// SAFETY: blocks come from slabs, spans and mappings that are in use until the block is freed; none overlap; every path
// honours the layout.
unsafe impl GlobalAlloc for Tenure {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        into_raw(match size::class_of(layout) {
            Some(class) => hardened::alloc(self, class, layout),
            None => large::alloc(self, layout, false),
        })
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back a block, which is not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        match size::class_of(layout) {
            Some(class) => hardened::free(block, class, layout),
            None => large::free(block, Some(layout)),
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        into_raw(match size::class_of(layout) {
            Some(class) => hardened::alloc_zeroed(self, class, layout),
            None => large::alloc(self, layout, true),
        })
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller says that `new_size`, rounded up to the alignment, is at most `isize::MAX`; and gives a
        // block, which is not null.
        let (new, block) =
            unsafe { (Layout::from_size_align_unchecked(new_size, layout.align()), NonNull::new_unchecked(block)) };
        let owner = misuse::owner_of(block.addr().get());
        if owner == Owner::STATIC {
            // SAFETY: passed on.
            return into_raw(unsafe { resize::realloc(self, block, layout, new) });
        }
        let resized = match size::class_of(layout) {
            Some(class) => {
                // SAFETY: a heap owns the granule, where it is one.
                if !owner.is_heap() || unsafe { hardened::class_at(block) } != Some(class) {
                    misuse::refuse(block, Some(layout.size()), owner, Deed::Use);
                }
                // SAFETY: inside of a slab.
                unsafe { hardened::resize(block, class, Some(layout.size()), new_size, size::class_of(new), owner) };
                (size::class_of(new) == Some(class)).then_some(block)
            }
            None => large::resize(block, Some(layout.size()), new),
        };
        if resized.is_some() {
            return into_raw(resized);
        }
        // What is dynamic stays dynamic, whatever scope it grows in.
        let target = match size::class_of(new) {
            Some(class) => hardened::alloc_dynamic(class, new),
            None => large::alloc_dynamic(new),
        };
        let Some(target) = target else { return core::ptr::null_mut() };
        // SAFETY: both blocks are as large as what is kept, and the new one is nobody else's; the old one is the
        // caller's.
        unsafe {
            target.copy_from_nonoverlapping(block, layout.size().min(new_size));
            self.dealloc(block.as_ptr(), layout);
        }
        target.as_ptr()
    }
}
