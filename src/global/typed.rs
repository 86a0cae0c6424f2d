//! Blocks with a layout: what Rust asks of an allocator.

use super::request::Request;
use super::{BACKEND, Tenure, into_raw, large, resize, slow, tls};
use crate::size_class::SizeClass;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

// SAFETY: blocks come from slabs, spans and mappings that are in use until the block is freed; none overlap; every path
// honours the layout.
unsafe impl GlobalAlloc for Tenure {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = SizeClass::of(layout) else { return into_raw(large::alloc(self, layout)) };
        // SAFETY: the calling thread's own tops.
        match unsafe { tls::current().tops.pop(class) } {
            Some(block) => block.as_ptr(),
            None => into_raw(slow::alloc(Request::of(layout), class, self)),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back a block, which is not null.
        let address = unsafe { NonNull::new_unchecked(block) };
        let Some(class) = SizeClass::of(layout) else { return large::free(address, layout) };
        let thread = tls::current();
        // SAFETY: the block came from Tenure.
        let owner = unsafe { BACKEND.owners.owner_of(block) };
        // SAFETY: the calling thread's own tops.
        if owner != thread.owner.get() || !unsafe { thread.tops.push(class, block) } {
            slow::free(address, Request::of(layout), class, owner, thread);
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(class) = SizeClass::of(layout) else { return into_raw(large::alloc_zeroed(self, layout)) };
        // SAFETY: the calling thread's own tops.
        let (block, is_zero) = match unsafe { tls::current().tops.pop(class) } {
            Some(block) => (block, false),
            None => match slow::alloc_zeroed(Request::of(layout), class, self) {
                Some(found) => found,
                None => return core::ptr::null_mut(),
            },
        };
        if !is_zero {
            // SAFETY: the block is at least as large as the layout, and nobody else's.
            unsafe { block.as_ptr().write_bytes(0, layout.size()) };
        }
        block.as_ptr()
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller gives a block, which is not null.
        let address = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller says that `new_size`, rounded up to the alignment, is at most `isize::MAX`.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if let Some(class) = SizeClass::of(layout) {
            if SizeClass::of(new_layout) != Some(class) {
                // SAFETY: passed on.
                return unsafe { resize::change_class(address, Request::of(layout), new_size, class, self) };
            }
            // What is static or guarded has no class: such blocks are as large as was asked for. A class without a
            // magazine is little used, and its blocks are looked at.
            // SAFETY: the block came from Tenure.
            let has_class = !unsafe { BACKEND.owners.owner_of(block) }.has_exact_sizes();
            if has_class && tls::current().tops.get(class).is_some() {
                return block;
            }
        }
        // SAFETY: passed on.
        into_raw(unsafe { resize::realloc(self, address, layout, new_layout) })
    }
}
