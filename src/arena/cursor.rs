//! How far an arena is used: a lock-free bump cursor.
//!
//! The last block can be given back, grown and shrunk, and no ABA can arise from it: the word below is all the state
//! there is, so a compare-exchange that finds the value it read finds the same arena.
//!
//! - **Below the cursor**: every byte of every live block lies below `used`.
//! - **Last**: a live block whose end is `used` has no live block above it, so its owner may move the cursor.
//! - **Dead stay dead**: a byte once counted dead lies below `used` for good.
//! - **Closed stays closed**: the value of `used` that says so is the end of no block, so no step moves the cursor any
//!   more.

use super::arena_full::ArenaFull;
use super::bump;
use crate::sync::{AtomicU64, AtomicUsize, Ordering, constructor};
use core::alloc::Layout;
use core::ops::Range;

/// Largest capacity, in bytes, that a cursor can count: 4 GiB - 2. A static of 2 GiB is more than the usual code model
/// can link.
pub(crate) const MAX_CAPACITY: usize = CLOSED - 1;

/// What a closed cursor's word says in place of `used`: more than any capacity, so nothing fits and no block ends
/// there.
const CLOSED: usize = u32::MAX as usize;

/// What one atomic word says of an arena. `blocks <= used`, since no block is empty.
#[derive(Clone, Copy)]
pub(crate) struct State {
    /// Bytes from the arena's start to the cursor.
    pub(crate) used: usize,
    /// Blocks handed out and not given back.
    pub(crate) blocks: usize,
}

impl State {
    /// The word's difference for one block.
    const ONE_BLOCK: u64 = 1 << 32;

    #[inline(always)]
    pub(crate) const fn of_word(word: u64) -> Self {
        Self { used: word as u32 as usize, blocks: (word >> 32) as usize }
    }

    /// The number of blocks wraps round at 2^32: see [`Cursor::adopt`].
    #[inline(always)]
    pub(crate) const fn word(self) -> u64 {
        self.used as u64 | (self.blocks as u64) << 32
    }

    /// Number of blocks, where it may be below zero for a while: see [`Cursor::adopt`].
    pub(crate) const fn signed_blocks(self) -> isize {
        self.blocks as u32 as i32 as isize
    }
}

/// The bump cursor of one arena. Zero at first in every bit, so that an arena lives in `.bss`.
///
/// Blocks are ranges of offsets from the arena's start. `used == bytes of live blocks + dead`
pub(crate) struct Cursor {
    /// A [`State`].
    state: AtomicU64,
    /// The highest `used` that a block was given back or shrunk at, or that the used part of a rest ended at. Bytes at
    /// or above both this and `used` were never handed out.
    peak: AtomicUsize,
    /// Bytes below `used` that no live block holds.
    dead: AtomicUsize,
    /// Where the cursor stood when it was closed; 0 until then. Written by the thread that closed it.
    closed_at: AtomicUsize,
}

impl Cursor {
    constructor! {
        pub(crate) fn new() -> Self {
            Self {
                state: AtomicU64::new(0),
                peak: AtomicUsize::new(0),
                dead: AtomicUsize::new(0),
                closed_at: AtomicUsize::new(0),
            }
        }
    }

    /// Hands out a block for `layout`, whose size is not zero, in the arena that lies at the addresses `memory`.
    ///
    /// The bytes may have been handed out before: see [`handed_out_before`](Self::handed_out_before).
    #[inline]
    pub(crate) fn take(&self, memory: Range<usize>, layout: Layout) -> Result<Range<usize>, ArenaFull> {
        debug_assert!(layout.size() > 0 && memory.len() <= MAX_CAPACITY);
        let base = memory.start;
        let mut word = self.state.load(Ordering::Relaxed);
        loop {
            let State { used, blocks } = State::of_word(word);
            // Beyond the end where the cursor is closed.
            let free = base.saturating_add(used)..memory.end;
            let Some(block) = bump::place(free.clone(), layout.size(), layout.align()) else {
                return Err(ArenaFull::new(layout, free.len()));
            };
            let next = State { used: block.end - base, blocks: blocks.wrapping_add(1) }.word();
            // Acquire: pairs with the Release in `put_back` and in `shrink`, whose callers may have used these bytes.
            match self.state.compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    self.count_dead(block.start - free.start);
                    return Ok(block.start - base..block.end - base);
                }
                Err(now) => word = now,
            }
        }
    }

    /// How many bytes at the start of `block`, just taken, may have been handed out before. All others are as they were
    /// when the arena was made.
    #[inline]
    pub(crate) fn handed_out_before(&self, block: &Range<usize>) -> usize {
        // Relaxed: whoever gave these bytes back raised `peak` first, and `take` acquired that.
        self.peak.load(Ordering::Relaxed).clamp(block.start, block.end) - block.start
    }

    /// Takes a block back from its owner: to be handed out again if it is the last, and dead if it is not.
    #[inline]
    pub(crate) fn put_back(&self, block: Range<usize>) {
        // Release: pairs with the Acquire in `take` and in `grow`. Our use of the bytes comes before theirs.
        if !self.move_end(block.end, block.start, block.end, 1, Ordering::Release) {
            self.lose(block.len());
        }
    }

    /// Counts a block of `size` bytes dead. Nothing is asked of its bytes: they are never used again.
    #[inline]
    pub(crate) fn lose(&self, size: usize) {
        self.state.fetch_sub(State::ONE_BLOCK, Ordering::Relaxed);
        self.count_dead(size);
    }

    /// Grows the caller's block to `size` bytes in place; false, and no change, where it is not the last or the arena's
    /// `capacity` does not allow it.
    #[inline]
    pub(crate) fn grow(&self, block: Range<usize>, size: usize, capacity: usize) -> bool {
        let Some(grown) = bump::place(block.start..capacity, size, 1) else { return false };
        // Acquire: pairs with the Release in `put_back` and in `shrink`, whose callers may have used the bytes we gain.
        self.move_end(block.end, grown.end, 0, 0, Ordering::Acquire)
    }

    /// Shrinks the caller's block to `size` bytes, in place. Those cut off can be handed out again if it is the last,
    /// and are dead if it is not.
    #[inline]
    pub(crate) fn shrink(&self, block: Range<usize>, size: usize) {
        debug_assert!(0 < size && size <= block.len());
        // Release: pairs with the Acquire in `take` and in `grow`. Our use of the bytes comes before theirs.
        if !self.move_end(block.end, block.start + size, block.end, 0, Ordering::Release) {
            self.count_dead(block.len() - size);
        }
    }

    /// Takes the end of the caller's block back, of which nothing but the first `used` bytes was ever used, to be
    /// handed out again; false, and no change, where the block is not the last.
    pub(crate) fn give_up(&self, rest: Range<usize>, used: usize) -> bool {
        // Release: pairs with the Acquire in `take` and in `grow`. Our use of the bytes comes before theirs.
        self.move_end(rest.end, rest.start, rest.start + used, 0, Ordering::Release)
    }

    /// Moves the cursor from the end of a block that the caller owns; false where the block is not the last. What it
    /// gives back was used up to `peak`.
    #[inline]
    fn move_end(&self, from: usize, to: usize, peak: usize, blocks_put_back: usize, on_success: Ordering) -> bool {
        let mut word = self.state.load(Ordering::Relaxed);
        loop {
            let State { used, blocks } = State::of_word(word);
            if used != from {
                return false;
            }
            // Before the cursor moves, so that whoever takes the bytes knows that they are not fresh. Should the move
            // fail, `peak` is still true: so far they were used.
            if to < peak && self.peak.load(Ordering::Relaxed) < peak {
                self.peak.fetch_max(peak, Ordering::Relaxed);
            }
            let next = State { used: to, blocks: blocks.wrapping_sub(blocks_put_back) }.word();
            match self.state.compare_exchange_weak(word, next, on_success, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Counts `blocks` and `dead` bytes more, which lie in a block that was taken as one and divided since.
    ///
    /// Parts that are given back one by one may come before this, so that the number of blocks goes below zero and
    /// wraps round for a while.
    pub(crate) fn adopt(&self, blocks: isize, dead: usize) {
        self.state.fetch_add((blocks as u64).wrapping_mul(State::ONE_BLOCK), Ordering::Relaxed);
        self.count_dead(dead);
    }

    /// Ends the handing out for good. Returns where the bytes begin that were never to be handed out, which are the
    /// caller's now; `None` where the cursor was closed already.
    pub(crate) fn close(&self) -> Option<usize> {
        let mut word = self.state.load(Ordering::Relaxed);
        loop {
            let state = State::of_word(word);
            if state.used == CLOSED {
                return None;
            }
            let next = State { used: CLOSED, ..state }.word();
            // Acquire: pairs with the Release in `put_back` and in `shrink`, whose callers may have used the bytes we
            // get.
            match self.state.compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    self.closed_at.store(state.used, Ordering::Relaxed);
                    return Some(state.used);
                }
                Err(now) => word = now,
            }
        }
    }

    /// True where the cursor was closed. One relaxed load.
    pub(crate) fn is_closed(&self) -> bool {
        State::of_word(self.state.load(Ordering::Relaxed)).used == CLOSED
    }

    #[inline]
    fn count_dead(&self, bytes: usize) {
        if bytes > 0 {
            self.dead.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Bytes and blocks in use. One relaxed load, so the two agree; two where the cursor is closed.
    pub(crate) fn state(&self) -> State {
        let state = State::of_word(self.state.load(Ordering::Relaxed));
        if state.used == CLOSED { State { used: self.closed_at.load(Ordering::Relaxed), ..state } } else { state }
    }

    /// Bytes below the cursor that no live block holds.
    pub(crate) fn dead(&self) -> usize {
        self.dead.load(Ordering::Relaxed)
    }

    /// The highest `used` at which a block was given back or shrunk.
    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// The largest number of bytes that were ever in use.
    pub(crate) fn high_water(&self) -> usize {
        self.peak().max(self.state().used)
    }
}

#[cfg(all(loom, test))]
mod loom_tests;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MEMORY: Range<usize> = 1 << 20..(1 << 20) + 1000;

    fn take(cursor: &Cursor, size: usize, align: usize) -> Range<usize> {
        cursor.take(MEMORY, Layout::from_size_align(size, align).unwrap()).unwrap()
    }

    fn figures(cursor: &Cursor) -> (usize, usize, usize, usize) {
        let State { used, blocks } = cursor.state();
        (used, blocks, cursor.dead(), cursor.high_water())
    }

    #[test]
    fn bytes_skipped_for_alignment_are_dead() {
        let cursor = Cursor::new();
        assert_eq!(take(&cursor, 1, 1), 0..1);
        assert_eq!(take(&cursor, 8, 8), 8..16);
        assert_eq!(figures(&cursor), (16, 2, 7, 16));
    }

    #[test]
    fn the_last_block_is_taken_up_again_and_any_other_is_dead() {
        let cursor = Cursor::new();
        let (first, last) = (take(&cursor, 100, 4), take(&cursor, 60, 4));
        cursor.put_back(last.clone());
        assert_eq!(figures(&cursor), (100, 1, 0, 160));
        assert_eq!(take(&cursor, 60, 4), last);
        cursor.put_back(first);
        assert_eq!(figures(&cursor), (160, 1, 100, 160));
    }

    #[test]
    fn only_bytes_that_were_put_back_count_as_handed_out_before() {
        let cursor = Cursor::new();
        let fresh = take(&cursor, 100, 1);
        assert_eq!(cursor.handed_out_before(&fresh), 0);
        cursor.put_back(fresh);
        let larger = take(&cursor, 150, 1);
        assert_eq!(cursor.handed_out_before(&larger), 100);
        cursor.shrink(larger, 20);
        let rest = take(&cursor, 40, 1);
        assert_eq!((rest.clone(), cursor.handed_out_before(&rest)), (20..60, 40));
        let beyond = take(&cursor, 200, 1);
        assert_eq!((beyond.clone(), cursor.handed_out_before(&beyond)), (60..260, 90));
    }

    #[test]
    fn the_last_block_grows_and_shrinks_and_any_other_only_shrinks() {
        let cursor = Cursor::new();
        let first = take(&cursor, 100, 1);
        assert!(cursor.grow(first.clone(), 200, 1000));
        assert!(!cursor.grow(0..200, 1001, 1000), "no room");
        assert!(!cursor.grow(0..200, usize::MAX, 1000), "no room at all");
        cursor.shrink(0..200, 50);
        assert_eq!(figures(&cursor), (50, 1, 0, 200));
        let second = take(&cursor, 10, 1);
        assert!(!cursor.grow(0..50, 51, 1000), "another block follows");
        cursor.shrink(0..50, 20);
        assert_eq!(figures(&cursor), (60, 2, 30, 200));
        cursor.put_back(second);
        cursor.put_back(0..20);
        assert_eq!(figures(&cursor), (50, 0, 50, 200));
    }

    #[test]
    fn of_a_rest_that_is_given_up_only_the_used_part_counts_as_handed_out_before() {
        let cursor = Cursor::new();
        let piece = take(&cursor, 500, 1);
        cursor.adopt(3 - 1, 20);
        assert!(cursor.give_up(100..piece.end, 40));
        assert_eq!(figures(&cursor), (100, 3, 20, 140));
        let again = take(&cursor, 300, 1);
        assert_eq!((again.clone(), cursor.handed_out_before(&again)), (100..400, 40));
        assert!(!cursor.give_up(90..100, 0));
        assert_eq!(figures(&cursor), (400, 4, 20, 400));
    }

    #[test]
    fn blocks_of_a_piece_may_be_lost_before_they_are_counted() {
        let cursor = Cursor::new();
        let piece = take(&cursor, 500, 1);
        (0..3).for_each(|_| cursor.lose(10));
        assert_eq!(cursor.state().signed_blocks(), -2);
        cursor.adopt(5 - 1, 0);
        assert!(cursor.give_up(50..piece.end, 0));
        assert_eq!(figures(&cursor), (50, 2, 30, 50));
    }

    #[test]
    fn an_error_tells_what_was_left_and_changes_nothing() {
        let cursor = Cursor::new();
        take(&cursor, 999, 1);
        let layout = Layout::from_size_align(2, 1).unwrap();
        assert_eq!(cursor.take(MEMORY, layout), Err(ArenaFull::new(layout, 1)));
        assert_eq!(figures(&cursor), (999, 1, 0, 999));
        assert_eq!(take(&cursor, 1, 1), 999..1000);
    }

    #[test]
    fn a_closed_cursor_hands_nothing_out_and_keeps_its_figures() {
        let cursor = Cursor::new();
        let (first, last) = (take(&cursor, 100, 1), take(&cursor, 60, 1));
        assert_eq!((cursor.is_closed(), cursor.close()), (false, Some(160)));
        assert_eq!((cursor.is_closed(), cursor.close()), (true, None));
        let layout = Layout::from_size_align(1, 1).unwrap();
        assert_eq!(cursor.take(MEMORY, layout), Err(ArenaFull::new(layout, 0)));
        assert_eq!(figures(&cursor), (160, 2, 0, 160));
        assert!(!cursor.grow(last.clone(), 61, 1000));
        cursor.shrink(last, 50);
        cursor.put_back(first);
        assert_eq!(figures(&cursor), (160, 1, 110, 160));
        assert_eq!(cursor.take(MEMORY, layout), Err(ArenaFull::new(layout, 0)));
    }

    #[test]
    fn a_cursor_that_is_closed_when_it_is_full_stays_full() {
        let cursor = Cursor::new();
        let all = take(&cursor, 1000, 1);
        assert_eq!(cursor.close(), Some(1000));
        cursor.put_back(all);
        assert_eq!((cursor.state().used, cursor.state().blocks, cursor.dead()), (1000, 0, 1000));
        assert!(cursor.take(MEMORY, Layout::new::<u8>()).is_err());
    }

    #[test]
    fn the_largest_capacity_and_as_many_blocks_fit_the_word() {
        let full = State { used: MAX_CAPACITY, blocks: MAX_CAPACITY };
        let State { used, blocks } = State::of_word(full.word());
        assert_eq!((used, blocks), (MAX_CAPACITY, MAX_CAPACITY));
    }
}
