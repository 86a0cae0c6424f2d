//! A piece of memory in which one thread places blocks: a bump cursor without atomic read-modify-writes.
//!
//! How far it is used and how many blocks it holds is one word, as it is of a [`Cursor`](super::cursor::Cursor): a block costs one store, and a store is what
//! such a path waits for. The fields are atomics all the same, so that others may look at the figures; relaxed loads and stores cost nothing more.
//!
//! - **Owner-only**: one thread at a time calls what is marked so.
//! - **Below the cursor**: every byte of every block in use lies below `next`.

use super::bump;
use super::cursor::{MAX_CAPACITY, State};
use super::likely::likely;
use crate::align;
use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, constructor};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// A piece of memory, in which blocks start and end at multiples of `MIN`, a power of two: with `MIN` above 1, alignments up to it cost nothing.
pub(crate) struct Piece<const MIN: usize> {
    /// A [`State`]: bytes from the start to the place where the next block may start, a multiple of `MIN`; and blocks placed here and not put back.
    state: AtomicU64,
    /// Bytes of the piece. 0 while there is no memory.
    len: AtomicUsize,
    /// Null while there is no memory.
    start: AtomicPtr<u8>,
    /// The highest `used` from which it was ever moved back; bytes at or above both were not handed out from this piece.
    peak: AtomicUsize,
    /// Bytes in use that no block holds.
    dead: AtomicUsize,
}

/// What a piece counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct PieceFigures {
    /// Wraps round at 2^32, and below zero where blocks were put back that were not placed here.
    pub(crate) blocks: usize,
    pub(crate) dead: usize,
    /// Bytes at its end in which nothing is placed.
    pub(crate) left: usize,
}

impl<const MIN: usize> Piece<MIN> {
    /// Bytes of the longest piece.
    pub(crate) const LONGEST: usize = align::down(MAX_CAPACITY, MIN);

    constructor! {
        /// No memory: whatever is asked for does not fit.
        pub(crate) fn empty() -> Self {
            Self {
                state: AtomicU64::new(0),
                len: AtomicUsize::new(0),
                start: AtomicPtr::new(ptr::null_mut()),
                peak: AtomicUsize::new(0),
                dead: AtomicUsize::new(0),
            }
        }
    }

    /// Begins anew with the `len` bytes at `start`, of which the first `stale` may hold something other than what the memory came with.
    /// What was counted is forgotten. Owner-only.
    ///
    /// `start` is a multiple of `MIN`, and `len` is one, too, and at most `LONGEST`.
    pub(crate) fn begin(&self, start: NonNull<u8>, len: usize, stale: usize) {
        debug_assert!(align::is_aligned(start.addr().get() | len, MIN) && stale <= len && len <= Self::LONGEST);
        self.set(start.as_ptr(), len, stale);
    }

    /// Has no memory any more, and nothing counted. Owner-only.
    pub(crate) fn clear(&self) {
        self.set(ptr::null_mut(), 0, 0);
    }

    fn set(&self, start: *mut u8, len: usize, peak: usize) {
        self.state.store(0, Ordering::Relaxed);
        self.len.store(len, Ordering::Relaxed);
        self.start.store(start, Ordering::Relaxed);
        self.peak.store(peak, Ordering::Relaxed);
        self.dead.store(0, Ordering::Relaxed);
    }

    /// Gets `len` bytes more behind its end, of which the first `stale` may hold something. Owner-only. Not beyond `LONGEST`.
    pub(crate) fn extend(&self, len: usize, stale: usize) {
        let old = self.len.load(Ordering::Relaxed);
        debug_assert!(old + len <= Self::LONGEST);
        if stale > 0 {
            self.peak.store(old + stale, Ordering::Relaxed);
        }
        self.len.store(old + len, Ordering::Relaxed);
    }

    #[inline(always)]
    fn state(&self) -> State {
        State::of_word(self.state.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn set_state(&self, state: State) {
        self.state.store(state.word(), Ordering::Relaxed);
    }

    /// A block for `layout`; `None` where it does not fit, or its size is zero. Owner-only.
    #[inline(always)]
    pub(crate) fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return None;
        }
        let word = self.state.load(Ordering::Relaxed);
        let State { used, .. } = State::of_word(word);
        let block = self.start.load(Ordering::Relaxed).wrapping_add(used);
        if layout.align() > MIN && !likely(align::is_aligned(block.addr(), layout.align())) {
            return self.take_aligned(layout);
        }
        // No overflow: a layout's size is at most `isize::MAX`.
        let size = align::up(layout.size(), MIN);
        // Nor here: what is used is less than 4 GiB.
        if !likely(used + size <= self.len.load(Ordering::Relaxed)) {
            return None;
        }
        // One more block, and so many bytes more, in one addition.
        self.state.store(word.wrapping_add(State { used: size, blocks: 1 }.word()), Ordering::Relaxed);
        // SAFETY: some bytes fit before the end, so there is memory, and the block lies in it.
        Some(unsafe { NonNull::new_unchecked(block) })
    }

    /// As [`take`](Self::take), where bytes must be skipped first. Out of line, for most blocks are like the last one.
    #[inline(never)]
    fn take_aligned(&self, layout: Layout) -> Option<NonNull<u8>> {
        let State { used, blocks } = self.state();
        let start = self.start.load(Ordering::Relaxed);
        let free = start.addr() + used..start.addr() + self.len.load(Ordering::Relaxed);
        // No overflow: a layout's size is at most `isize::MAX`.
        let block = bump::place(free.clone(), align::up(layout.size(), MIN), layout.align())?;
        self.count_dead(block.start - free.start);
        self.set_state(State { used: block.end - start.addr(), blocks: blocks.wrapping_add(1) });
        NonNull::new(start.wrapping_add(block.start - start.addr()))
    }

    /// True where the block of `size` bytes at `block` is the last of this piece, so that it may be put back, grown or shrunk.
    #[inline(always)]
    pub(crate) fn is_last(&self, block: NonNull<u8>, size: usize) -> bool {
        let size = align::up(size, MIN);
        // A block that ends where the piece begins is none of its own.
        ptr::addr_eq(block.as_ptr().wrapping_add(size), self.next()) && size <= self.state().used
    }

    /// Takes a block of this piece back: its bytes are handed out again if it is the last, and dead if it is not. Owner-only.
    #[inline]
    pub(crate) fn put_back(&self, block: NonNull<u8>, size: usize) {
        let State { mut used, blocks } = self.state();
        let is_last = self.is_last(block, size);
        let size = align::up(size, MIN);
        if is_last {
            self.raise_peak(used);
            used -= size;
        } else {
            self.count_dead(size);
        }
        self.set_state(State { used, blocks: blocks.wrapping_sub(1) });
    }

    /// Makes the last block, of `old` bytes, `new` bytes large where it stands; false, and no change, where the memory does not allow it.
    /// Owner-only, and only for a block that [`Piece::is_last`].
    #[inline]
    pub(crate) fn resize_last(&self, block: NonNull<u8>, old: usize, new: usize) -> bool {
        debug_assert!(self.is_last(block, old));
        let State { used, blocks } = self.state();
        // No overflow: a block's size is at most `isize::MAX`.
        let (old, new) = (align::up(old, MIN), align::up(new, MIN));
        let Some(block) = bump::place(used - old..self.len.load(Ordering::Relaxed), new, 1) else { return false };
        if new < old {
            self.raise_peak(used);
        }
        self.set_state(State { used: block.end, blocks });
        true
    }

    /// Counts the bytes cut off a block that is not the last, and goes from `old` bytes to `new`, as dead. Owner-only.
    #[inline]
    pub(crate) fn cut_off(&self, old: usize, new: usize) {
        self.count_dead(align::up(old, MIN) - align::up(new, MIN));
    }

    fn raise_peak(&self, used: usize) {
        if self.peak.load(Ordering::Relaxed) < used {
            self.peak.store(used, Ordering::Relaxed);
        }
    }

    /// How many bytes at the start of a block of `size` bytes, just taken, may hold something. All others are as they were when the piece began.
    /// Owner-only.
    #[inline]
    pub(crate) fn stale_bytes(&self, block: NonNull<u8>, size: usize) -> usize {
        let offset = block.addr().get() - self.start.load(Ordering::Relaxed).addr();
        self.peak.load(Ordering::Relaxed).clamp(offset, offset + size) - offset
    }

    /// How many bytes from `next` on may hold something. Owner-only.
    pub(crate) fn stale_rest(&self) -> usize {
        let used = self.state().used;
        self.peak.load(Ordering::Relaxed).clamp(used, self.len.load(Ordering::Relaxed)) - used
    }

    #[inline]
    fn count_dead(&self, bytes: usize) {
        self.dead.store(self.dead.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
    }

    /// Where the next block may start: null while there is no memory. With [`Piece::end`], what is left.
    #[inline(always)]
    pub(crate) fn next(&self) -> *mut u8 {
        self.start.load(Ordering::Relaxed).wrapping_add(self.state().used)
    }

    /// The end of the memory: null while there is none.
    #[inline(always)]
    pub(crate) fn end(&self) -> *mut u8 {
        self.start.load(Ordering::Relaxed).wrapping_add(self.len.load(Ordering::Relaxed))
    }

    /// The highest place at which the next block ever could have started: `next`, or where that was before blocks were put back. Null while there
    /// is no memory. At least the end of what was stale at the beginning.
    pub(crate) fn highest(&self) -> *mut u8 {
        self.start.load(Ordering::Relaxed).wrapping_add(self.state().used.max(self.peak.load(Ordering::Relaxed)))
    }

    /// What is counted here; a snapshot when another thread is at work.
    pub(crate) fn figures(&self) -> PieceFigures {
        let state = self.state();
        PieceFigures {
            blocks: state.signed_blocks() as usize,
            dead: self.dead.load(Ordering::Relaxed),
            left: self.len.load(Ordering::Relaxed).saturating_sub(state.used),
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
        assert_eq!([piece.take(layout(1, 1)), piece.take(layout(0, 1)), piece.take(layout(0, 64))], [None; 3]);
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
        assert_eq!(piece.highest().addr(), start.addr().get() + 60);
        assert_eq!(figures(&piece), (2, 0, 231));
        let third = piece.take(layout(50, 1)).unwrap();
        assert_eq!((piece.stale_bytes(third, 50), piece.stale_rest()), (35, 0));
        piece.cut_off(20, 5);
        piece.put_back(first, 5);
        assert_eq!(figures(&piece), (2, 20, 181));
        piece.put_back(third, 50);
        piece.put_back(second, 5);
        assert_eq!((figures(&piece), piece.stale_rest()), ((0, 20, 236), 55));
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
