//! A piece of memory in which one thread places blocks: a bump cursor without atomic read-modify-writes.
//!
//! Where the next block may start and how many blocks there are is one word, so a block costs one store, which is what
//! such a path waits for. The number has 16 bits: it is taken over into a counter of its own before it can overflow,
//! since so many blocks fill a *window* of the piece, and behind a window's end the path is a slower one. The fields
//! are atomics all the same, so that others may look at the figures; relaxed loads and stores cost nothing more.
//!
//! - **Owner-only**: one thread at a time calls what is marked so.
//! - **Below the cursor**: every byte of every block in use lies below `next`.
//! - **Window**: as many blocks as still fit before `window`, with those that `state` counts, are less than 2^16.

use super::bump;
use super::likely::likely;
use crate::align;
use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, constructor};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// A piece of memory, in which blocks start and end at multiples of `MIN`, a power of two: with `MIN` above 1,
/// alignments up to it cost nothing.
///
/// Its memory ends where [`Piece::reaches`], as all memory of Tenure does: its addresses have 47 bits.
pub(crate) struct Piece<const MIN: usize> {
    /// A [`State`].
    state: AtomicU64,
    /// The end of the part in which blocks may be placed without a look at the counter. Null while there is no memory,
    /// as are `end` and `start`.
    window: AtomicPtr<u8>,
    end: AtomicPtr<u8>,
    start: AtomicPtr<u8>,
    /// The highest `next` from which it was ever moved back; bytes at or above both were not handed out from this
    /// piece.
    peak: AtomicPtr<u8>,
    /// Blocks placed here and not put back, but for those that `state` counts. Below zero, wrapping round, where blocks
    /// were put back that were not placed here.
    blocks: AtomicUsize,
    /// Bytes before `next` that no block holds.
    dead: AtomicUsize,
}

/// What one word says.
#[derive(Clone, Copy)]
struct State {
    /// Address of the place where the next block may start, a multiple of `MIN`. 0 while there is no memory.
    next: usize,
    /// Blocks that were placed since the window was opened.
    placed: usize,
}

impl State {
    const BITS: u32 = 16;

    #[inline(always)]
    const fn of_word(word: u64) -> Self {
        Self { next: (word >> Self::BITS) as usize, placed: word as u16 as usize }
    }

    #[inline(always)]
    const fn word(self) -> u64 {
        (self.next as u64) << Self::BITS | self.placed as u64
    }
}

/// What a piece counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct PieceFigures {
    /// Below zero, wrapping round, where blocks were put back that were not placed here.
    pub(crate) blocks: usize,
    pub(crate) dead: usize,
    /// Bytes at its end in which nothing is placed.
    pub(crate) left: usize,
}

impl<const MIN: usize> Piece<MIN> {
    /// Bytes of the longest window: the fewest that hold as many blocks as can be counted.
    const WINDOW: usize = u16::MAX as usize * MIN;

    /// True where memory that ends at `end` may be a piece's: `state` has so many bits for an address.
    pub(super) fn reaches(end: usize) -> bool {
        end as u64 >> (u64::BITS - State::BITS) == 0
    }

    constructor! {
        /// No memory: whatever is asked for does not fit.
        pub(crate) fn empty() -> Self {
            Self {
                state: AtomicU64::new(0),
                window: AtomicPtr::new(ptr::null_mut()),
                end: AtomicPtr::new(ptr::null_mut()),
                start: AtomicPtr::new(ptr::null_mut()),
                peak: AtomicPtr::new(ptr::null_mut()),
                blocks: AtomicUsize::new(0),
                dead: AtomicUsize::new(0),
            }
        }
    }

    /// Begins anew with the `len` bytes at `start`, of which the first `stale` may hold something other than what the
    /// memory came with. What was counted is forgotten. Owner-only.
    ///
    /// `start` is a multiple of `MIN`, and `len` is one, too.
    pub(crate) fn begin(&self, start: NonNull<u8>, len: usize, stale: usize) {
        debug_assert!(align::is_aligned(start.addr().get() | len, MIN) && stale <= len);
        debug_assert!(Self::reaches(start.addr().get() + len));
        let _ = start.as_ptr().expose_provenance();
        self.set(start.as_ptr(), len, stale);
    }

    /// Has no memory any more, and nothing counted. Owner-only.
    pub(crate) fn clear(&self) {
        self.set(ptr::null_mut(), 0, 0);
    }

    /// Begins anew with the same memory, of which nothing is stale. What was counted is forgotten. Owner-only.
    ///
    /// Writes only what has changed: most often that is `state` alone.
    #[inline]
    pub(crate) fn restart(&self) {
        let start = self.start.load(Ordering::Relaxed);
        if self.peak.load(Ordering::Relaxed) != start {
            self.peak.store(start, Ordering::Relaxed);
        }
        for count in [&self.blocks, &self.dead] {
            if count.load(Ordering::Relaxed) != 0 {
                count.store(0, Ordering::Relaxed);
            }
        }
        self.open_window(start.addr());
    }

    fn set(&self, start: *mut u8, len: usize, stale: usize) {
        self.end.store(start.wrapping_add(len), Ordering::Relaxed);
        self.start.store(start, Ordering::Relaxed);
        self.peak.store(start.wrapping_add(stale), Ordering::Relaxed);
        self.blocks.store(0, Ordering::Relaxed);
        self.dead.store(0, Ordering::Relaxed);
        self.open_window(start.addr());
    }

    /// Gets `len` bytes more behind its end, of which the first `stale` may hold something. Owner-only.
    pub(crate) fn extend(&self, len: usize, stale: usize) {
        let end = self.end();
        if stale > 0 {
            self.peak.store(end.wrapping_add(stale), Ordering::Relaxed);
        }
        self.end.store(end.wrapping_add(len), Ordering::Relaxed);
        self.go_on_from(self.state().next, 0);
    }

    #[inline(always)]
    fn state(&self) -> State {
        State::of_word(self.state.load(Ordering::Relaxed))
    }

    /// The next block may start at `next`, and there are `more` blocks; less than before where that wraps round.
    fn go_on_from(&self, next: usize, more: usize) {
        let placed = self.state().placed;
        self.blocks
            .store(self.blocks.load(Ordering::Relaxed).wrapping_add(placed).wrapping_add(more), Ordering::Relaxed);
        self.open_window(next);
    }

    /// Opens a window at `next`. The blocks that were placed in the last one have been counted, or are forgotten.
    #[inline]
    fn open_window(&self, next: usize) {
        let end = self.end();
        let window = end.with_addr(end.addr().min(next + Self::WINDOW));
        if self.window.load(Ordering::Relaxed) != window {
            self.window.store(window, Ordering::Relaxed);
        }
        self.state.store(State { next, placed: 0 }.word(), Ordering::Relaxed);
    }

    /// A block for `layout`; `None` where it does not fit, or its size is zero. Owner-only.
    #[inline(always)]
    pub(crate) fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return None;
        }
        let word = self.state.load(Ordering::Relaxed);
        let State { next, .. } = State::of_word(word);
        if layout.align() > MIN && !likely(align::is_aligned(next, layout.align())) {
            return self.take_slowly(layout);
        }
        // No overflow: a layout's size is at most `isize::MAX`.
        let size = align::up(layout.size(), MIN);
        // The window's end is not before `next`.
        if !likely(size <= self.window.load(Ordering::Relaxed).addr().wrapping_sub(next)) {
            return self.take_slowly(layout);
        }
        // So many bytes and one block more, in one addition.
        self.state.store(word.wrapping_add(State { next: size, placed: 1 }.word()), Ordering::Relaxed);
        // SAFETY: some bytes fit before the window's end, so there is memory, and the block lies in it.
        Some(unsafe { NonNull::new_unchecked(ptr::with_exposed_provenance_mut(next)) })
    }

    /// As [`take`](Self::take), where bytes must be skipped first, or the window is full. Out of line, for most blocks
    /// are like the last one.
    #[inline(never)]
    fn take_slowly(&self, layout: Layout) -> Option<NonNull<u8>> {
        let next = self.state().next;
        // No overflow: a layout's size is at most `isize::MAX`.
        let block = bump::place(next..self.end().addr(), align::up(layout.size(), MIN), layout.align())?;
        self.count_dead(block.start - next);
        self.go_on_from(block.end, 1);
        NonNull::new(ptr::with_exposed_provenance_mut(block.start))
    }

    /// True where the block of `size` bytes at `block` is the last of this piece, so that it may be put back, grown or
    /// shrunk.
    #[inline(always)]
    pub(crate) fn is_last(&self, block: NonNull<u8>, size: usize) -> bool {
        let address = block.addr().get();
        // A block that ends where the piece begins is none of its own.
        address + align::up(size, MIN) == self.state().next && address >= self.start.load(Ordering::Relaxed).addr()
    }

    /// Takes a block of this piece back: its bytes are handed out again if it is the last, and dead if it is not.
    /// Owner-only.
    #[inline]
    pub(crate) fn put_back(&self, block: NonNull<u8>, size: usize) {
        let next = if self.is_last(block, size) {
            self.raise_peak();
            block.addr().get()
        } else {
            self.count_dead(align::up(size, MIN));
            self.state().next
        };
        self.go_on_from(next, usize::MAX);
    }

    /// Makes the last block, of `old` bytes, `new` bytes large where it stands; false, and no change, where the memory
    /// does not allow it. Owner-only, and only for a block that [`Piece::is_last`].
    #[inline]
    pub(crate) fn resize_last(&self, block: NonNull<u8>, old: usize, new: usize) -> bool {
        debug_assert!(self.is_last(block, old));
        // No overflow: a block's size is at most `isize::MAX`.
        let free = block.addr().get()..self.end().addr();
        let Some(block) = bump::place(free, align::up(new, MIN), 1) else { return false };
        if new < old {
            self.raise_peak();
        }
        self.go_on_from(block.end, 0);
        true
    }

    /// Counts the bytes cut off a block that is not the last, and goes from `old` bytes to `new`, as dead. Owner-only.
    #[inline]
    pub(crate) fn cut_off(&self, old: usize, new: usize) {
        self.count_dead(align::up(old, MIN) - align::up(new, MIN));
    }

    fn raise_peak(&self) {
        let next = self.next();
        if self.peak.load(Ordering::Relaxed) < next {
            self.peak.store(next, Ordering::Relaxed);
        }
    }

    /// How many bytes at the start of a block of `size` bytes, just taken, may hold something. All others are as they
    /// were when the piece began. Owner-only.
    #[inline]
    pub(crate) fn stale_bytes(&self, block: NonNull<u8>, size: usize) -> usize {
        let start = block.addr().get();
        self.peak.load(Ordering::Relaxed).addr().clamp(start, start + size) - start
    }

    /// How many bytes from `next` on may hold something. Owner-only.
    pub(crate) fn stale_rest(&self) -> usize {
        let (next, end) = (self.next().addr(), self.end().addr());
        self.peak.load(Ordering::Relaxed).addr().clamp(next, end) - next
    }

    #[inline]
    fn count_dead(&self, bytes: usize) {
        self.dead.store(self.dead.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
    }

    /// Where the next block may start: null while there is no memory. With [`Piece::end`], what is left.
    #[inline(always)]
    pub(crate) fn next(&self) -> *mut u8 {
        self.end().with_addr(self.state().next)
    }

    /// The end of the memory: null while there is none.
    #[inline(always)]
    pub(crate) fn end(&self) -> *mut u8 {
        self.end.load(Ordering::Relaxed)
    }

    /// The highest place at which the next block ever could have started: `next`, or where that was before blocks were
    /// put back. Null while there is no memory. At least the end of what was stale at the beginning.
    pub(crate) fn highest(&self) -> *mut u8 {
        let (next, peak) = (self.next(), self.peak.load(Ordering::Relaxed));
        if peak > next { peak } else { next }
    }

    /// What is counted here; a snapshot when another thread is at work.
    pub(crate) fn figures(&self) -> PieceFigures {
        let State { next, placed } = self.state();
        PieceFigures {
            blocks: self.blocks.load(Ordering::Relaxed).wrapping_add(placed),
            dead: self.dead.load(Ordering::Relaxed),
            left: self.end().addr().saturating_sub(next),
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

    /// Hundreds of thousands of steps, which are too many for an interpreter.
    #[cfg(not(miri))]
    #[test]
    fn more_blocks_than_a_window_has_are_all_counted_and_none_is_moved() {
        const BLOCKS: usize = 3 * 65_536 + 5;
        let mut memory = std::vec![0_u64; BLOCKS];
        let start = NonNull::from(&mut memory[..]).cast::<u8>();
        let piece = Piece::<8>::empty();
        piece.begin(start, 8 * BLOCKS, 0);
        for nth in 0..BLOCKS {
            let block = piece.take(layout(8, 8)).unwrap();
            assert_eq!(block.addr().get(), start.addr().get() + 8 * nth);
        }
        assert_eq!((figures(&piece), piece.take(layout(1, 1))), ((BLOCKS, 0, 0), None));
        piece.begin(start, 8 * BLOCKS, 0);
        for _ in 0..100_000 {
            let block = piece.take(layout(8, 8)).unwrap();
            piece.put_back(block, 8);
        }
        assert_eq!(figures(&piece), (0, 0, 8 * BLOCKS));
    }

    #[test]
    fn a_piece_that_is_restarted_is_as_it_was_at_first() {
        let mut memory = Memory([0; 256]);
        let start = NonNull::from(&mut memory.0).cast::<u8>();
        let piece = Piece::<1>::empty();
        piece.begin(start, 256, 0);
        let first = piece.take(layout(100, 1)).unwrap();
        let second = piece.take(layout(8, 8)).unwrap();
        piece.put_back(second, 8);
        piece.restart();
        assert_eq!((figures(&piece), piece.highest()), ((0, 0, 256), start.as_ptr()));
        assert_eq!(piece.take(layout(256, 1)), Some(first));
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
