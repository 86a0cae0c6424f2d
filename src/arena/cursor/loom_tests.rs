//! Loom models of the cursor. Each ordering above `Relaxed` has one that goes red when it is weakened.

use super::*;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::vec::Vec;

/// An arena whose bytes loom watches: using one that another thread has used, without having heard of it, fails the
/// model.
struct Arena {
    cursor: Cursor,
    bytes: Vec<UnsafeCell<u8>>,
}

impl Arena {
    fn of(capacity: usize) -> Arc<Self> {
        Arc::new(Self { cursor: Cursor::new(), bytes: (0..capacity).map(|_| UnsafeCell::new(0)).collect() })
    }

    fn take(&self, size: usize) -> Option<Range<usize>> {
        self.cursor.take(0..self.bytes.len(), Layout::from_size_align(size, 1).unwrap()).ok()
    }

    fn write(&self, block: &Range<usize>, value: u8) {
        for byte in &self.bytes[block.clone()] {
            // SAFETY: the caller owns `block`; loom fails the model if another thread is at it.
            byte.with_mut(|byte| unsafe { *byte = value });
        }
    }

    fn assert_filled(&self, block: &Range<usize>, value: u8) {
        for byte in &self.bytes[block.clone()] {
            // SAFETY: the caller owns `block`; loom fails the model if another thread is at it.
            assert_eq!(byte.with(|byte| unsafe { *byte }), value);
        }
    }

    /// `used == live + dead`
    fn assert_adds_up(&self, live: usize, blocks: usize) {
        let state = self.cursor.state();
        assert_eq!((state.used, state.blocks), (live + self.cursor.dead(), blocks));
    }
}

/// Needs no ordering: it is the compare-exchange that tells the blocks apart. Red where `take` stores what it computed.
#[test]
fn loom_blocks_taken_at_once_never_overlap() {
    loom::model(|| {
        let arena = Arena::of(4);
        let other = arena.clone();
        let take_and_fill = |arena: &Arena, value| {
            let block = arena.take(2).unwrap();
            arena.write(&block, value);
            arena.assert_filled(&block, value);
        };
        let thread = thread::spawn(move || take_and_fill(&other, 1));
        take_and_fill(&arena, 2);
        thread.join().unwrap();
        assert_eq!(arena.take(1), None);
        arena.assert_adds_up(4, 2);
    });
}

/// Red where `take` succeeds with `Relaxed`, and where `put_back` moves the cursor with `Relaxed`.
#[test]
fn loom_bytes_put_back_are_done_with_when_they_are_taken_again() {
    loom::model(|| {
        let arena = Arena::of(3);
        let other = arena.clone();
        let thread = thread::spawn(move || {
            let block = other.take(2).unwrap();
            other.write(&block, 1);
            other.cursor.put_back(block);
        });
        let live = match arena.take(1) {
            Some(block) => {
                arena.write(&block, 2);
                arena.assert_filled(&block, 2);
                1
            }
            None => 0,
        };
        thread.join().unwrap();
        arena.assert_adds_up(live, live);
    });
}

/// Red where `grow` moves the cursor with `Relaxed`, and where `put_back` does.
#[test]
fn loom_a_block_grows_only_over_bytes_that_are_done_with() {
    loom::model(|| {
        let arena = Arena::of(2);
        let block = arena.take(1).unwrap();
        let other = arena.clone();
        let thread = thread::spawn(move || {
            if let Some(block) = other.take(1) {
                other.write(&block, 1);
                other.cursor.put_back(block);
            }
        });
        let grown = arena.cursor.grow(block, 2, 2);
        if grown {
            arena.write(&(0..2), 2);
            arena.assert_filled(&(0..2), 2);
        }
        thread.join().unwrap();
        arena.assert_adds_up(if grown { 2 } else { 1 }, 1);
    });
}

/// Red where `shrink` moves the cursor with `Relaxed`, and where `take` succeeds with `Relaxed`.
#[test]
fn loom_bytes_cut_off_are_done_with_when_they_are_taken_again() {
    loom::model(|| {
        let arena = Arena::of(2);
        let block = arena.take(2).unwrap();
        let other = arena.clone();
        let thread = thread::spawn(move || {
            let taken = other.take(1);
            if let Some(block) = &taken {
                other.write(block, 1);
                other.assert_filled(block, 1);
            }
            taken.map_or(0, |block| block.len())
        });
        arena.write(&block, 2);
        arena.cursor.shrink(block, 1);
        let taken = thread.join().unwrap();
        arena.assert_filled(&(0..1), 2);
        arena.assert_adds_up(1 + taken, 1 + taken);
    });
}

/// Red where `take` or `put_back` is `Relaxed`, and where `peak` is raised only after the cursor moved.
#[test]
fn loom_whoever_takes_used_bytes_knows_that_they_are_not_fresh() {
    loom::model(|| {
        let arena = Arena::of(3);
        let other = arena.clone();
        let thread = thread::spawn(move || {
            if let Some(block) = other.take(2) {
                other.write(&block, 1);
                other.cursor.put_back(block);
            }
        });
        if let Some(block) = arena.take(3) {
            let stale = block.start..block.start + arena.cursor.handed_out_before(&block);
            arena.write(&stale, 0);
            arena.assert_filled(&block, 0);
        }
        thread.join().unwrap();
    });
}

/// The order of two `put_back`s decides whether both blocks are taken up again or the lower one is dead.
#[test]
fn loom_blocks_put_back_at_once_are_each_counted_once() {
    loom::model(|| {
        let arena = Arena::of(2);
        let (lower, upper) = (arena.take(1).unwrap(), arena.take(1).unwrap());
        let other = arena.clone();
        let thread = thread::spawn(move || other.cursor.put_back(upper));
        arena.cursor.put_back(lower);
        thread.join().unwrap();
        arena.assert_adds_up(0, 0);
        assert!(arena.cursor.dead() <= 1);
    });
}

/// Red where `close` succeeds with `Relaxed`, and where `put_back` moves the cursor with `Relaxed`.
#[test]
fn loom_bytes_that_a_closing_thread_gets_are_done_with() {
    loom::model(|| {
        let arena = Arena::of(2);
        let other = arena.clone();
        let thread = thread::spawn(move || {
            if let Some(block) = other.take(2) {
                other.write(&block, 1);
                other.cursor.put_back(block);
            }
        });
        let rest = arena.cursor.close().unwrap()..2;
        arena.write(&rest, 2);
        arena.assert_filled(&rest, 2);
        thread.join().unwrap();
        assert_eq!((arena.take(1), arena.cursor.close()), (None, None));
    });
}

/// What a thread does with a piece that it has divided: it counts its blocks and gives the rest back, of which it had
/// used a part.
///
/// Red where `give_up` moves the cursor with `Relaxed`, where `take` succeeds with `Relaxed`, and where `peak` is
/// raised only after the cursor moved.
#[test]
fn loom_the_rest_of_a_piece_is_done_with_when_it_is_taken_again() {
    loom::model(|| {
        let arena = Arena::of(3);
        let piece = arena.take(3).unwrap();
        let other = arena.clone();
        let thread = thread::spawn(move || {
            let taken = other.take(2);
            if let Some(block) = &taken {
                let stale = block.start..block.start + other.cursor.handed_out_before(block);
                other.write(&stale, 0);
                other.assert_filled(block, 0);
            }
            taken.map_or(0, |block| block.len())
        });
        // One block of one byte stays; another of one byte was taken back into the piece.
        arena.write(&(0..2), 1);
        arena.cursor.adopt(1 - 1, 0);
        assert!(arena.cursor.give_up(1..piece.end, 1));
        let taken = thread.join().unwrap();
        arena.assert_filled(&(0..1), 1);
        arena.assert_adds_up(1 + taken, 1 + usize::from(taken > 0));
        assert_eq!(arena.cursor.dead(), 0);
    });
}

/// The piece grows, or the other thread's block comes behind it and the rest is dead; neither byte nor block is counted
/// twice.
#[test]
fn loom_a_piece_is_extended_only_where_nothing_lies_behind_it() {
    loom::model(|| {
        let arena = Arena::of(4);
        let piece = arena.take(2).unwrap();
        let other = arena.clone();
        let thread = thread::spawn(move || {
            let taken = other.take(1);
            if let Some(block) = &taken {
                other.write(block, 2);
                other.assert_filled(block, 2);
            }
            taken.map_or(0, |block| block.len())
        });
        let end = if arena.cursor.grow(1..piece.end, 2, 4) { 3 } else { 2 };
        arena.write(&(0..end), 1);
        arena.assert_filled(&(0..end), 1);
        // Three blocks of one byte, or two.
        arena.cursor.adopt(end as isize - 1, 0);
        let taken = thread.join().unwrap();
        arena.assert_adds_up(end + taken, end + taken);
    });
}
