//! A static arena as an allocator, for programs whose data lives as long as they do.
//!
//! Only the last block can be given back: of anything else the arena keeps no record, so freed bytes are counted and
//! left.

use super::static_arena::{StaticArena, dangling};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;

// SAFETY: the cursor hands out no byte twice at a time, at the alignment asked for; and nothing here panics.
//
// An arena that is no `static` must stay where it is while its blocks are in use. Its blocks point into it, and what
// uses them borrows it, by `GlobalAlloc`'s own terms.
unsafe impl<const N: usize> GlobalAlloc for StaticArena<N> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Ok(Some(block)) => self.memory().at(block.start).as_ptr(),
            Ok(None) => dangling(layout).as_ptr(),
            Err(_) => ptr::null_mut(),
        }
    }

    /// Clears only bytes that were handed out before, where the arena's bytes are its own: all others are still the
    /// zeros of `.bss`, and are not touched.
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Ok(Some(block)) => {
                let start = self.memory().at(block.start).as_ptr();
                // SAFETY: these are the first bytes of a block that was just taken, and is ours alone.
                unsafe { start.write_bytes(0, self.stale_bytes(&block)) };
                start
            }
            Ok(None) => dangling(layout).as_ptr(),
            Err(_) => ptr::null_mut(),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() > 0 {
            self.node.cursor.put_back(self.memory().offsets(block, layout.size()));
        }
    }

    /// In place where the block shrinks or is the last. Else it moves, and the old bytes are dead.
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let offsets = self.memory().offsets(block, layout.size());
        if new_size <= layout.size() {
            self.node.cursor.shrink(offsets, new_size);
            return block;
        }
        if self.node.cursor.grow(offsets, new_size, self.capacity()) {
            return block;
        }
        // SAFETY: the caller's block and sizes, of which the new one is the larger.
        unsafe { move_to_larger(self, block, layout, new_size) }
    }
}

/// Moves a block of an arena to a larger one; null, and no change, where there is none.
///
/// # Safety
/// - `block` is the caller's, and came from `arena` for `layout`.
/// - `new_size` is above the layout's size; rounded up to its alignment, it is no more than `isize::MAX`.
#[inline(always)]
pub(crate) unsafe fn move_to_larger(
    arena: &impl GlobalAlloc,
    block: *mut u8,
    layout: Layout,
    new_size: usize,
) -> *mut u8 {
    // SAFETY: the caller vouches for the size.
    let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
    // SAFETY: `new_size` is not zero, for it is more than the old size.
    let moved = unsafe { arena.alloc(new_layout) };
    if !moved.is_null() {
        // SAFETY: the old block holds `layout.size()` bytes and the new one more; both are live, so they do not
        // overlap.
        unsafe { moved.copy_from_nonoverlapping(block, layout.size()) };
        // SAFETY: the caller gives the old block up, as it was allocated with `layout`.
        unsafe { arena.dealloc(block, layout) };
    }
    moved
}
