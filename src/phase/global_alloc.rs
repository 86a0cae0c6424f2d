//! An arena as an allocator: blocks that are given back and resized, as collections do with theirs.
//!
//! The last block is resized where it stands, and its bytes serve again when it is given back. Of all others the arena
//! keeps no record, so their bytes are dead.

use super::GRAIN;
use super::arena::Arena;
use crate::align;
use crate::arena::{Place, move_to_larger};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

// SAFETY: the arena hands out no byte twice, aligned as asked for, and nothing here panics. Who uses a block borrows
// the arena, which can be reset by none but who has it to himself.
unsafe impl GlobalAlloc for Arena {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.try_place(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: a block is not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        self.piece().put_back(block, layout.size());
    }

    /// In place where the block shrinks, or is the last of a chunk that has room. Else it moves, and the old bytes are
    /// dead.
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: a block is not null.
        let old = unsafe { NonNull::new_unchecked(block) };
        if self.resize_in_place(old, layout.size(), new_size) {
            return block;
        }
        // SAFETY: the caller's block and sizes; a block that shrinks stays, so the new size is the larger.
        unsafe { move_to_larger(self, block, layout, new_size) }
    }
}

impl Arena {
    /// Makes the block of `old` bytes at `block` `new` bytes large where it stands; false, and no change, where that
    /// cannot be.
    fn resize_in_place(&self, block: NonNull<u8>, old: usize, new: usize) -> bool {
        if self.piece().is_last(block, old) {
            return self.piece().resize_last(block, old, new);
        }
        if align::up(new, GRAIN) > align::up(old, GRAIN) {
            return false;
        }
        self.piece().cut_off(old, new);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    #[test]
    fn the_last_block_comes_back_and_any_other_is_dead() {
        let arena = Arena::new();
        // SAFETY: each block is used within its size and given back once, with its own layout.
        unsafe {
            let first = GlobalAlloc::alloc(&arena, layout(13));
            let second = GlobalAlloc::alloc(&arena, layout(100));
            arena.dealloc(second, layout(100));
            assert_eq!(GlobalAlloc::alloc(&arena, layout(1000)), second);
            arena.dealloc(first, layout(13));
            arena.dealloc(second, layout(1000));
        }
        let stats = arena.stats();
        assert_eq!((stats.used, stats.dead, stats.blocks, stats.high_water), (16, 16, 0, 16 + 1000));
    }

    #[test]
    fn the_last_block_is_resized_in_place_and_any_other_only_to_shrink() {
        let arena = Arena::new();
        // SAFETY: each block is used within its size, with the layout it has by then.
        unsafe {
            let block = GlobalAlloc::alloc(&arena, layout(10));
            block.write_bytes(7, 10);
            assert_eq!(arena.realloc(block, layout(10), 2000), block);
            assert_eq!(arena.realloc(block, layout(2000), 20), block);
            assert_eq!((arena.stats().used, arena.stats().dead), (24, 0));
            let other = GlobalAlloc::alloc(&arena, layout(50));
            assert_eq!(arena.realloc(block, layout(20), 24), block, "within the bytes it was rounded up to");
            assert_eq!(arena.realloc(block, layout(24), 10), block);
            assert_eq!((arena.stats().dead, arena.stats().blocks), (8, 2));
            let moved = arena.realloc(block, layout(10), 30);
            assert_ne!(moved, block);
            assert_eq!(core::slice::from_raw_parts(moved, 10), [7; 10]);
            assert_eq!((arena.stats().dead, arena.stats().blocks), (24, 2));
            // Too large for the rest of the chunk.
            let moved_on = arena.realloc(moved, layout(30), 5000);
            assert_eq!(core::slice::from_raw_parts(moved_on, 10), [7; 10]);
            assert_eq!((arena.stats().dead, arena.stats().chunks), (56, 2));
            // In a chunk that is not the current one any more.
            arena.dealloc(other, layout(50));
            assert_eq!((arena.stats().dead, arena.stats().blocks), (112, 1));
        }
    }

    #[test]
    fn a_block_for_whose_growth_there_is_no_memory_stays_as_it_was() {
        let arena = Arena::with_limit(4096);
        // SAFETY: as above.
        unsafe {
            let block = GlobalAlloc::alloc(&arena, layout(1000));
            block.write_bytes(7, 1000);
            assert!(arena.realloc(block, layout(1000), 5000).is_null());
            assert_eq!(core::slice::from_raw_parts(block, 1000), [7; 1000]);
            assert!(GlobalAlloc::alloc(&arena, layout(5000)).is_null());
        }
        let stats = arena.stats();
        assert_eq!((stats.used, stats.dead, stats.blocks, stats.fallbacks), (1000, 0, 1, 2));
    }
}
