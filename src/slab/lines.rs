//! Lines: the bitmaps of a segment's slabs, cut into cache lines.
//!
//! A slab's bitmap is one line of each of the first few [`Lines`]. Those of all slabs with the same number lie side by
//! side, so slabs of few blocks share few pages, and what no slab of a segment needs lies behind all that one needs.

use crate::sync::{AtomicU64, Cell};

/// Words in a line of the bitmap: one cache line.
pub(crate) const LINE_WORDS: usize = 8;

/// Blocks that one line is enough for.
pub(super) const LINE_BLOCKS: usize = LINE_WORDS * 64;

/// Lines in a slab's bitmap, at most.
pub(crate) const LINES: usize = super::MAX_BLOCKS / LINE_BLOCKS;

/// Bytes from one line of a slab's bitmap to its next.
pub(crate) const LINE_STRIDE: usize = size_of::<Lines>();

/// Slabs of a segment, and one more.
pub(crate) const SLABS: usize = 32;

/// A line of one slab: of free blocks.
pub(crate) type Line = [Cell<u64>; LINE_WORDS];

/// A line of one slab: of blocks that other threads have returned.
pub(crate) type RemoteLine = [AtomicU64; LINE_WORDS];

/// The lines of all slabs with one number.
#[repr(C)]
pub(crate) struct Lines {
    pub(crate) bits: [Line; SLABS],
    pub(crate) remote: [RemoteLine; SLABS],
}
