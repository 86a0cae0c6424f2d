//! A piece of memory in which one thread places blocks: a bump cursor without atomic read-modify-writes.
//!
//! The fields are atomics all the same, so that others may look at the figures; relaxed loads and stores cost nothing more.
//!
//! - **Owner-only**: one thread at a time calls what is marked so.
//! - **Below the cursor**: every byte of every block in use lies below `next`.

use super::bump;
use crate::align;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, constructor};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// A piece of memory, in which blocks start and end at multiples of `MIN`, a power of two: with `MIN` above 1, alignments up to it cost nothing.
pub(crate) struct Piece<const MIN: usize> {
    /// Where the next block may start, a multiple of `MIN`. Null, as is `end`, while there is no memory.
    next: AtomicPtr<u8>,
    end: AtomicPtr<u8>,
    /// The highest `next` from which it was ever moved back; bytes at or above both were not handed out from this piece.
    peak: AtomicPtr<u8>,
    /// Blocks placed here and not put back.
    blocks: AtomicUsize,
    /// Bytes below `next` that no block holds.
    dead: AtomicUsize,
}

/// What a piece counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct PieceFigures {
    pub(crate) blocks: usize,
    pub(crate) dead: usize,
    /// Bytes at its end in which nothing is placed.
    pub(crate) left: usize,
}

impl<const MIN: usize> Piece<MIN> {
    constructor! {
        /// No memory: whatever is asked for does not fit.
        pub(crate) fn empty() -> Self {
            Self {
                next: AtomicPtr::new(ptr::null_mut()),
                end: AtomicPtr::new(ptr::null_mut()),
                peak: AtomicPtr::new(ptr::null_mut()),
                blocks: AtomicUsize::new(0),
                dead: AtomicUsize::new(0),
            }
        }
    }

    /// Begins anew with the `len` bytes at `start`, of which the first `stale` may hold something other than what the memory came with.
    /// What was counted is forgotten. Owner-only.
    ///
    /// `start` is a multiple of `MIN`, and `len` is one, too.
    pub(crate) fn begin(&self, start: NonNull<u8>, len: usize, stale: usize) {
        debug_assert!(align::is_aligned(start.addr().get() | len, MIN) && stale <= len);
        let start = start.as_ptr();
        self.next.store(start, Ordering::Relaxed);
        self.end.store(start.wrapping_add(len), Ordering::Relaxed);
        self.peak.store(start.wrapping_add(stale), Ordering::Relaxed);
        self.blocks.store(0, Ordering::Relaxed);
        self.dead.store(0, Ordering::Relaxed);
    }

    /// Gets `len` bytes more behind its end, of which the first `stale` may hold something. Owner-only.
    pub(crate) fn extend(&self, len: usize, stale: usize) {
        let end = self.end.load(Ordering::Relaxed);
        if stale > 0 {
            self.peak.store(end.wrapping_add(stale), Ordering::Relaxed);
        }
        self.end.store(end.wrapping_add(len), Ordering::Relaxed);
    }

    /// Has no memory any more, and nothing counted. Owner-only.
    pub(crate) fn clear(&self) {
        for pointer in [&self.next, &self.end, &self.peak] {
            pointer.store(ptr::null_mut(), Ordering::Relaxed);
        }
        self.blocks.store(0, Ordering::Relaxed);
        self.dead.store(0, Ordering::Relaxed);
    }

    /// A block for `layout`, whose size is not zero; `None` where it does not fit. Owner-only.
    #[inline(always)]
    pub(crate) fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        let next = self.next.load(Ordering::Relaxed);
        let end = self.end.load(Ordering::Relaxed);
        let align = if layout.align() <= MIN { 1 } else { layout.align() };
        // No overflow: a layout's size is at most `isize::MAX`.
        let block = bump::place(next.addr()..end.addr(), align::up(layout.size(), MIN), align)?;
        let skipped = block.start - next.addr();
        self.next.store(next.wrapping_add(block.end - next.addr()), Ordering::Relaxed);
        self.blocks.store(self.blocks.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        if skipped > 0 {
            self.count_dead(skipped);
        }
        NonNull::new(next.wrapping_add(skipped))
    }

    /// True where the block of `size` bytes at `block` is the last of this piece, so that it may be put back, grown or shrunk.
    #[inline(always)]
    pub(crate) fn is_last(&self, block: NonNull<u8>, size: usize) -> bool {
        ptr::addr_eq(block.as_ptr().wrapping_add(align::up(size, MIN)), self.next.load(Ordering::Relaxed))
    }

    /// Takes a block of this piece back: its bytes are handed out again if it is the last, and dead if it is not. Owner-only.
    #[inline]
    pub(crate) fn put_back(&self, block: NonNull<u8>, size: usize) {
        self.blocks.store(self.blocks.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Relaxed);
        if self.is_last(block, size) {
            self.move_back(block.as_ptr());
        } else {
            self.count_dead(align::up(size, MIN));
        }
    }

    /// Makes the last block, of `old` bytes, `new` bytes large where it stands; false, and no change, where the memory does not allow it.
    /// Owner-only, and only for a block that [`Piece::is_last`].
    #[inline]
    pub(crate) fn resize_last(&self, block: NonNull<u8>, old: usize, new: usize) -> bool {
        debug_assert!(self.is_last(block, old));
        let start = block.as_ptr();
        let end = self.end.load(Ordering::Relaxed);
        // No overflow: a block's size is at most `isize::MAX`.
        let Some(block) = bump::place(start.addr()..end.addr(), align::up(new, MIN), 1) else { return false };
        let next = start.wrapping_add(block.len());
        if new < old {
            self.move_back(next);
        } else {
            self.next.store(next, Ordering::Relaxed);
        }
        true
    }

    /// Counts the bytes cut off a block that is not the last, and goes from `old` bytes to `new`, as dead. Owner-only.
    #[inline]
    pub(crate) fn cut_off(&self, old: usize, new: usize) {
        self.count_dead(align::up(old, MIN) - align::up(new, MIN));
    }

    fn move_back(&self, next: *mut u8) {
        let from = self.next.load(Ordering::Relaxed);
        if self.peak.load(Ordering::Relaxed) < from {
            self.peak.store(from, Ordering::Relaxed);
        }
        self.next.store(next, Ordering::Relaxed);
    }

    /// How many bytes at the start of a block of `size` bytes, just taken, may hold something. All others are as they were when the piece began.
    /// Owner-only.
    #[inline]
    pub(crate) fn stale_bytes(&self, block: NonNull<u8>, size: usize) -> usize {
        let start = block.addr().get();
        self.peak.load(Ordering::Relaxed).addr().clamp(start, start + size) - start
    }

    #[inline]
    fn count_dead(&self, bytes: usize) {
        self.dead.store(self.dead.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
    }

    /// Where the next block may start: null while there is no memory. With [`Piece::end`], what is left.
    #[inline(always)]
    pub(crate) fn next(&self) -> *mut u8 {
        self.next.load(Ordering::Relaxed)
    }

    /// The end of the memory: null while there is none.
    #[inline(always)]
    pub(crate) fn end(&self) -> *mut u8 {
        self.end.load(Ordering::Relaxed)
    }

    /// What is counted here; a snapshot when another thread is at work.
    pub(crate) fn figures(&self) -> PieceFigures {
        PieceFigures {
            blocks: self.blocks.load(Ordering::Relaxed),
            dead: self.dead.load(Ordering::Relaxed),
            left: self.end().addr().saturating_sub(self.next().addr()),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[repr(align(64))]
    struct Memory([u8; 256]);

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    fn figures<const MIN: usize>(piece: &Piece<MIN>) -> (usize, usize, usize) {
        let PieceFigures { blocks, dead, left } = piece.figures();
        (blocks, dead, left)
    }

    #[test]
    fn blocks_follow_each_other_and_what_is_skipped_is_dead() {
        let mut memory = Memory([0; 256]);
        let start = NonNull::from(&mut memory.0).cast::<u8>();
        let piece = Piece::<1>::empty();
        assert_eq!(piece.take(layout(1, 1)), None);
        piece.begin(start, 256, 0);
        assert_eq!(piece.take(layout(3, 1)), Some(start));
        assert_eq!(piece.take(layout(8, 8)).unwrap().addr().get(), start.addr().get() + 8);
        assert_eq!(figures(&piece), (2, 5, 240));
        assert_eq!(piece.take(layout(241, 1)), None);
        assert!(piece.take(layout(240, 16)).is_some());
        assert_eq!(figures(&piece), (3, 5, 0));
    }

    #[test]
    fn with_a_minimum_every_block_ends_at_a_multiple_of_it() {
        let mut memory = Memory([0; 256]);
        let start = NonNull::from(&mut memory.0).cast::<u8>();
        let piece = Piece::<8>::empty();
        piece.begin(start, 256, 0);
        for nth in 0..3 {
            assert_eq!(piece.take(layout(3, 1)).unwrap().addr().get(), start.addr().get() + 8 * nth);
        }
        assert_eq!(piece.take(layout(64, 64)).unwrap().addr().get(), start.addr().get() + 64);
        assert_eq!(figures(&piece), (4, 40, 128));
    }

    #[test]
    fn the_last_block_comes_back_grows_and_shrinks_and_any_other_is_dead() {
        let mut memory = Memory([0; 256]);
        let start = NonNull::from(&mut memory.0).cast::<u8>();
        let piece = Piece::<1>::empty();
        piece.begin(start, 256, 10);
        let first = piece.take(layout(20, 1)).unwrap();
        assert_eq!(piece.stale_bytes(first, 20), 10);
        let second = piece.take(layout(30, 1)).unwrap();
        assert!(!piece.is_last(first, 20) && piece.is_last(second, 30));
        assert!(piece.resize_last(second, 30, 40));
        assert!(!piece.resize_last(second, 40, 237));
        assert!(piece.resize_last(second, 40, 5));
        assert_eq!(figures(&piece), (2, 0, 231));
        let third = piece.take(layout(50, 1)).unwrap();
        assert_eq!(piece.stale_bytes(third, 50), 35);
        piece.cut_off(20, 5);
        piece.put_back(first, 5);
        assert_eq!(figures(&piece), (2, 20, 181));
        piece.put_back(third, 50);
        piece.put_back(second, 5);
        assert_eq!(figures(&piece), (0, 20, 236));
        let all = piece.take(layout(236, 1)).unwrap();
        piece.extend(0, 0);
        assert_eq!((piece.take(layout(1, 1)), piece.stale_bytes(all, 236)), (None, 55));
        piece.clear();
        assert_eq!((figures(&piece), piece.next().is_null()), ((0, 0, 0), true));
    }

    #[test]
    fn a_piece_that_is_extended_goes_on_where_it_stood() {
        let mut memory = Memory([0; 256]);
        let start = NonNull::from(&mut memory.0).cast::<u8>();
        let piece = Piece::<1>::empty();
        piece.begin(start, 10, 0);
        piece.take(layout(8, 1)).unwrap();
        piece.extend(30, 5);
        let block = piece.take(layout(32, 1)).unwrap();
        assert_eq!((block.addr().get() - start.addr().get(), piece.stale_bytes(block, 32)), (8, 7));
        assert_eq!(figures(&piece), (2, 0, 0));
    }
}
