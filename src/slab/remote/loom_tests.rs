//! Loom models of remote frees. Each ordering above `Relaxed` has one that goes red when it is weakened.

use super::*;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::vec::Vec;

/// Words of a slab's remote bitmap, and blocks of a word.
const WORDS: usize = 2;
const BLOCKS: usize = 2;

/// The life of a block, which stands in its memory: loom fails the model where two threads use that at once.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Block {
    HandedOut,
    Returned,
    Collected,
}

/// What other threads reach of a slab.
struct Place {
    remote: Remote,
    words: [AtomicU64; WORDS],
    blocks: [[UnsafeCell<Block>; BLOCKS]; WORDS],
    /// Blocks that are not collected yet. Owner-only.
    left: UnsafeCell<usize>,
}

impl Place {
    fn new() -> Self {
        Self {
            remote: Remote::new(),
            words: [(); WORDS].map(|()| AtomicU64::new(0)),
            blocks: [(); WORDS].map(|()| [(); BLOCKS].map(|()| UnsafeCell::new(Block::HandedOut))),
            left: UnsafeCell::new(0),
        }
    }

    /// Moves the blocks of word `word` whose bits are set from one state to the next.
    fn turn(&self, word: usize, bits: u64, from: Block, to: Block) {
        for (_, block) in self.blocks[word].iter().enumerate().filter(|(nth, _)| bits & 1 << nth != 0) {
            // SAFETY: the caller owns the block; loom fails the model if another thread is at it.
            let before = block.with_mut(|block| unsafe { block.replace(to) });
            assert_eq!(before, from);
        }
    }

    /// Fails the model where a thread writes to the slab's link before or after, and neither knows of the other.
    fn assert_link_is_still(&self) {
        // SAFETY: loom fails the model if this is not so.
        let _ = unsafe { self.remote.next.unsync_load() };
    }

    /// Fails the model where a thread that returned blocks may still have a step to do here.
    fn assert_untouched(&self) {
        self.assert_link_is_still();
        // SAFETY: loom fails the model if a thread is at it.
        assert_eq!(unsafe { self.remote.summary.unsync_load() }, 0);
        for word in &self.words {
            // SAFETY: as above.
            assert_eq!(unsafe { word.unsync_load() }, 0);
        }
    }
}

/// A heap's slabs. The stack only passes on what was pushed, so a slab's index plus one stands for its address.
struct Heap {
    pending: Pending,
    slabs: Vec<Place>,
}

/// The slab, the word and the bits of blocks that are returned at once.
type Gift = (usize, usize, u64);

impl Heap {
    fn put(&self, (slab, word, bits): Gift) -> u64 {
        let place = &self.slabs[slab];
        place.remote.put(&place.words[word], word, bits, ptr::without_provenance_mut(slab + 1), &self.pending)
    }

    /// On a thread that has the blocks: uses them for the last time, and returns them.
    fn give(&self, gifts: &[Gift]) {
        for &gift in gifts {
            let (slab, word, bits) = gift;
            self.slabs[slab].turn(word, bits, Block::HandedOut, Block::Returned);
            assert_eq!(self.put(gift), 0);
        }
    }

    /// The owner takes the stack, and passes on what it collects.
    fn collect_each(&self, mut each: impl FnMut(&Place, usize, u64)) {
        let mut next = self.pending.take();
        while !next.is_null() {
            let place = &self.slabs[next.addr() - 1];
            next = Pending::below(&place.remote);
            place.assert_link_is_still();
            place.remote.collect(|word| &place.words[word], |word, bits| each(place, word, bits));
        }
    }

    /// The owner collects, uses what it gets at once, and gives a slab another use when that is all of its blocks.
    fn collect(&self) {
        self.collect_each(|place, word, bits| {
            place.turn(word, bits, Block::Returned, Block::Collected);
            // SAFETY: owner-only.
            let left = place.left.with_mut(|left| unsafe {
                *left -= bits.count_ones() as usize;
                *left
            });
            if left == 0 {
                place.assert_untouched();
            }
        });
    }

    fn assert_all_collected(&self) {
        for place in &self.slabs {
            // SAFETY: owner-only.
            assert_eq!(place.left.with(|left| unsafe { *left }), 0);
        }
    }
}

/// Each list of gifts has a thread of its own, beside which the owner collects `rounds` times, and once more at the
/// end: every block is to be collected then, exactly once. Threads are interrupted `preemptions` times at most, or at
/// every step.
///
/// Explored twice, with the owner on the first thread and on the last: of a load that comes before another thread's
/// store, loom does not always see that it might have come after.
fn explore(slabs: usize, gifts: &'static [&'static [Gift]], rounds: usize, preemptions: Option<usize>) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    for is_owner_first in [true, false] {
        builder.check(move || {
            let heap = Heap { pending: Pending::new(), slabs: (0..slabs).map(|_| Place::new()).collect() };
            let heap = Arc::new(heap);
            for &(slab, _, bits) in gifts.iter().copied().flatten() {
                // SAFETY: no other thread yet.
                heap.slabs[slab].left.with_mut(|left| unsafe { *left += bits.count_ones() as usize });
            }
            let own = move |heap: &Heap| (0..rounds).for_each(|_| heap.collect());
            let (first, rest) = gifts.split_first().unwrap();
            let mut threads = Vec::new();
            for gifts in if is_owner_first { gifts } else { rest } {
                let heap = heap.clone();
                threads.push(thread::spawn(move || heap.give(gifts)));
            }
            if is_owner_first {
                own(&heap);
            } else {
                let owned = heap.clone();
                threads.push(thread::spawn(move || own(&owned)));
                heap.give(first);
            }
            for thread in threads {
                thread.join().unwrap();
            }
            heap.collect();
            heap.assert_all_collected();
        });
    }
}

/// Red where `put` sets the word with `Relaxed`, and where `collect` takes it with `Relaxed`.
#[test]
fn loom_blocks_of_one_word_are_each_collected_once_and_done_with() {
    explore(1, &[&[(0, 0, 0b01)], &[(0, 0, 0b10)]], 2, None);
}

/// Red where `put` sets the summary with `Relaxed` or `Acquire`, and where `collect` takes it with `Relaxed` or
/// `Release`.
#[test]
fn loom_a_slab_is_left_alone_once_all_of_its_blocks_are_collected() {
    explore(1, &[&[(0, 0, 0b11)], &[(0, 1, 0b01)]], 2, None);
}

/// Red where `push` is `Relaxed`, and where `take` is.
#[test]
fn loom_slabs_that_are_pushed_at_once_are_all_found() {
    explore(2, &[&[(0, 0, 0b01)], &[(1, 0, 0b01)]], 1, None);
}

/// Red where `put` sets the summary with `Release`, and where `collect` takes it with `Acquire`: the link of a slab
/// that is pushed again would not be known to be newer than the one that the owner has followed.
#[test]
fn loom_a_slab_that_is_pushed_again_has_its_new_link() {
    explore(2, &[&[(0, 0, 0b01)], &[(1, 0, 0b01), (0, 1, 0b01)]], 2, Some(3));
}

/// Three threads beside the owner, on two words of a slab and on another slab.
#[test]
fn loom_three_threads_return_blocks_and_none_is_lost() {
    explore(2, &[&[(0, 0, 0b01)], &[(0, 0, 0b10)], &[(1, 0, 0b01)]], 1, Some(3));
}

/// Either the second `put` finds the bit set, or the owner gets the block twice, and finds it free already. No ordering
/// does that. Red where `put` does not return what was set before.
#[test]
fn loom_a_block_returned_twice_is_noticed_by_the_giver_or_by_the_owner() {
    loom::model(|| {
        let heap = Arc::new(Heap { pending: Pending::new(), slabs: std::vec![Place::new()] });
        let count = |heap: &Heap| {
            let mut count = 0;
            heap.collect_each(|_, _, bits| count += bits.count_ones());
            count
        };
        let givers = [(); 2].map(|()| {
            let heap = heap.clone();
            thread::spawn(move || heap.put((0, 0, 1)).count_ones())
        });
        let early = count(&heap);
        let refused: u32 = givers.into_iter().map(|giver| giver.join().unwrap()).sum();
        assert_eq!(early + count(&heap) + refused, 2);
    });
}

/// Of an owner that marks a span and another thread that returns it, the one that comes later is told so. No ordering
/// does that. Red where `mark` is a load and a store.
#[test]
fn loom_a_span_that_its_owner_marks_and_another_returns_is_freed_once() {
    loom::model(|| {
        let heap = Arc::new(Heap { pending: Pending::new(), slabs: std::vec![Place::new()] });
        let other = heap.clone();
        let other = thread::spawn(move || other.put((0, 0, 1)) == 0);
        let is_owners = Remote::mark(&heap.slabs[0].words[0]);
        assert_ne!(is_owners, other.join().unwrap());
        // Who is told leaves the slab alone.
        assert_eq!(heap.pending.is_empty(), is_owners);
    });
}
