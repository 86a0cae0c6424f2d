//! Where there is no thread-local storage, or loom models the threads: every block comes from the arena's cursor.
//!
//! Stands in for `set_aside`, function for function.

use super::arena_list::Node;
use super::memory::Memory;
use super::unpublished::Unpublished;
use core::alloc::Layout;
use core::ptr::NonNull;

/// No thread has a piece.
#[inline(always)]
pub(super) fn take(_arena: &Node, _layout: Layout) -> Option<NonNull<u8>> {
    None
}

/// A block from the arena's cursor; `None` where there is no room.
pub(super) fn take_slowly(arena: &'static Node, memory: Memory, layout: Layout) -> Option<NonNull<u8>> {
    arena.cursor.take(memory.addresses(), layout).ok().map(|block| memory.at(block.start))
}

/// Takes back the block of `size` bytes that the calling thread took last of this arena.
pub(super) fn put_back(arena: &Node, memory: Memory, block: NonNull<u8>, size: usize) {
    arena.cursor.put_back(memory.offsets(block.as_ptr(), size));
}

/// No thread has a piece.
pub(super) fn give_back(_arena: &Node) {}

/// The cursor knows everything.
pub(super) fn unpublished(_arena: &Node) -> Unpublished {
    Unpublished::default()
}
