//! One chunk of an arena: dynamic memory of Tenure, with a head at its start.
//!
//! The head also keeps the blocks of different chunks apart: none ends where another chunk's first block may start, so
//! that an address tells the last block of the current chunk from all others.

use super::GRAIN;
use crate::align;
#[cfg(not(all(test, miri)))]
use crate::global::{DynamicScope, Tenure};
use crate::sync::Cell;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

/// Every chunk's alignment, and so that of its first block.
const ALIGN: usize = 16;

/// Bytes in front of the first block.
pub(super) const HEAD: usize = size_of::<Head>();

const _: () = assert!(HEAD > 0 && HEAD.is_multiple_of(ALIGN) && ALIGN.is_multiple_of(GRAIN));

#[repr(C, align(16))]
struct Head {
    /// The chunk that follows in the arena's list.
    after: Cell<Option<Chunk>>,
    /// Bytes of the chunk, its head included.
    size: usize,
}

/// A chunk that has not been given back, which whoever gives it back vouches for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chunk(NonNull<Head>);

/// Where chunks come from: Tenure, whatever the program's allocator is.
#[cfg(not(all(test, miri)))]
fn source() -> impl GlobalAlloc {
    Tenure::new()
}

/// Miri has no mappings.
#[cfg(all(test, miri))]
fn source() -> impl GlobalAlloc {
    std::alloc::System
}

/// Bytes of a chunk in which there is room for `layout` wherever the chunk lies; `None` where none can be so large.
pub(super) fn size_for(layout: Layout) -> Option<usize> {
    // Blocks start at multiples of the grain, so this is the most that can be skipped.
    let skipped = layout.align().saturating_sub(GRAIN);
    let block = align::checked_up(layout.size(), GRAIN)?;
    block.checked_add(skipped)?.checked_add(HEAD)
}

impl Chunk {
    /// A new chunk of `size` bytes, head included: more than the head, and a multiple of the grain. `None` where there
    /// is no memory for it.
    pub(super) fn take(size: usize) -> Option<Self> {
        debug_assert!(size > HEAD && align::is_aligned(size, GRAIN));
        let layout = Layout::from_size_align(size, ALIGN).ok()?;
        // An arena's memory comes and goes, also where its owner is in a static scope.
        #[cfg(not(all(test, miri)))]
        let _scope = DynamicScope::enter();
        // SAFETY: the size is not zero, since it is more than the head's.
        let head = NonNull::new(unsafe { source().alloc(layout) })?.cast::<Head>();
        // SAFETY: the new memory is large and aligned enough for a head, and nobody else's.
        unsafe { head.write(Head { after: Cell::new(None), size }) };
        Some(Self(head))
    }

    /// Gives the memory back.
    ///
    /// # Safety
    /// - Nothing in the chunk is in use, and no copy of `self` is used any more.
    pub(super) unsafe fn give_back(self) {
        // SAFETY: the layout was valid when the chunk was taken.
        let layout = unsafe { Layout::from_size_align_unchecked(self.size(), ALIGN) };
        // SAFETY: taken from there with this layout; the caller says that nobody uses it.
        unsafe { source().dealloc(self.0.as_ptr().cast(), layout) };
    }

    fn head(&self) -> &Head {
        // SAFETY: written when the chunk was taken, which was not given back; only its cell ever changes.
        unsafe { self.0.as_ref() }
    }

    /// The chunk that follows in the arena's list.
    pub(super) fn after(self) -> Option<Self> {
        self.head().after.get()
    }

    pub(super) fn set_after(self, chunk: Option<Self>) {
        self.head().after.set(chunk);
    }

    /// Bytes of the chunk, its head included.
    pub(super) fn size(self) -> usize {
        self.head().size
    }

    /// Bytes in which blocks may lie.
    pub(super) fn capacity(self) -> usize {
        self.size() - HEAD
    }

    /// The first byte in which a block may lie.
    pub(super) fn start(self) -> NonNull<u8> {
        // SAFETY: a chunk is larger than its head.
        unsafe { self.0.cast::<u8>().add(HEAD) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_begins_behind_its_head_and_says_how_large_it_is() {
        let chunk = Chunk::take(4096).unwrap();
        assert_eq!((chunk.size(), chunk.capacity(), chunk.after()), (4096, 4096 - HEAD, None));
        assert!(align::is_aligned(chunk.start().addr().get(), ALIGN));
        // SAFETY: the chunk's own bytes.
        unsafe { chunk.start().write_bytes(0xFF, chunk.capacity()) };
        let other = Chunk::take(64).unwrap();
        chunk.set_after(Some(other));
        assert_eq!((chunk.size(), chunk.after()), (4096, Some(other)));
        for chunk in [chunk, other] {
            // SAFETY: not used any more.
            unsafe { chunk.give_back() };
        }
    }

    #[test]
    fn the_room_for_a_layout_holds_it_at_whatever_address_the_chunk_lies() {
        let size = |size, align| size_for(Layout::from_size_align(size, align).unwrap());
        assert_eq!([size(1, 1), size(8, 8), size(9, 1)], [Some(HEAD + 8), Some(HEAD + 8), Some(HEAD + 16)]);
        assert_eq!(size(8, 64), Some(HEAD + 8 + 56));
        assert_eq!(size(isize::MAX as usize, 1), Some(HEAD + (1 << (usize::BITS - 1))));
        assert_eq!(size(1 << (usize::BITS - 2), 1 << (usize::BITS - 2)), Some(HEAD + (1 << (usize::BITS - 1)) - GRAIN));
        assert_eq!(Chunk::take(HEAD + (1 << (usize::BITS - 1))), None);
    }
}
