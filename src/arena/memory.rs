//! Where an arena's bytes lie. Blocks are known to the cursor as offsets from there, and to all else as pointers.

use core::ops::Range;
use core::ptr::NonNull;

/// The bytes of one arena.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    start: NonNull<u8>,
    len: usize,
}

impl Memory {
    /// The `len` bytes from `start` on.
    ///
    /// # Safety
    /// - They lie in one allocation, and are there for as long as this value or a copy of it is used.
    #[inline(always)]
    pub(super) const unsafe fn new(start: NonNull<u8>, len: usize) -> Self {
        Self { start, len }
    }

    #[inline(always)]
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "without thread-local storage there are no pieces"))]
    pub(super) const fn len(self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(super) fn addresses(self) -> Range<usize> {
        let start = self.start.addr().get();
        start..start + self.len
    }

    /// The byte `offset` from the start; at most the length.
    #[inline(always)]
    pub(super) fn at(self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset <= self.len);
        // SAFETY: offsets come from the cursor, and are at most the length; `new`'s caller vouches for the bytes.
        unsafe { self.start.add(offset) }
    }

    /// The offset of an address in this memory, or of its end.
    #[inline(always)]
    pub(super) fn offset(self, address: *const u8) -> usize {
        address.addr() - self.start.addr().get()
    }

    /// The offsets of the block of `size` bytes at `block`.
    #[inline(always)]
    pub(super) fn offsets(self, block: *const u8, size: usize) -> Range<usize> {
        let start = self.offset(block);
        start..start + size
    }
}
