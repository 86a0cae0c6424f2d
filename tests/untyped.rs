//! Blocks without a layout: random use on several threads, held against a model, and what the functions promise one by
//! one.
//!
//! `TENURE_TEST_OPERATIONS` sets how many operations the random test does, `TENURE_TEST_SEED` repeats a run as far as
//! the threads' timing does.
#![cfg(not(loom))]

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::env;
use std::ptr::{self, NonNull};
use std::sync::Mutex;
use std::thread;
use support::block::layout;
use support::intervals::Intervals;
use support::memory::{KIB, MIB};
use support::process::alone;
use support::random::{Random, seed};
use tenure::{Stats, Tenure};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Sizes at which a request gets another kind of memory, or a class of another step.
const BORDERS: [usize; 14] =
    [8, 9, 16, 17, 24, 128, 129, KIB, 4 * KIB, 32 * KIB, 64 * KIB, MIB, 2 * MIB - 64 * KIB, 2 * MIB];

/// Requests that no memory is large enough for.
const IMPOSSIBLE: [usize; 4] = [usize::MAX, isize::MAX as usize + 1, isize::MAX as usize, 1 << 48];

/// A block in use, of which its owner knows the size that it asked for. Its first and last bytes hold what no other
/// block's do.
struct Block {
    start: NonNull<u8>,
    size: usize,
    mark: u64,
}

// SAFETY: the block is this value's alone.
unsafe impl Send for Block {}

/// Bytes at each end of a block that are filled.
const MARKED: usize = 64;

impl Block {
    fn new(start: *mut u8, size: usize, mark: u64) -> Option<Self> {
        let block = Self { start: NonNull::new(start)?, size, mark };
        block.fill();
        Some(block)
    }

    /// Where bytes are filled.
    fn marked(size: usize) -> impl Iterator<Item = usize> {
        (0..size.min(MARKED)).chain(size.saturating_sub(MARKED).max(MARKED.min(size))..size)
    }

    fn byte(&self, at: usize) -> u8 {
        (self.mark.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (at % 7 * 8)) as u8
    }

    fn fill(&self) {
        for at in Self::marked(self.size) {
            // SAFETY: inside the block.
            unsafe { self.start.add(at).write(self.byte(at)) };
        }
    }

    /// Panics unless the first `kept` bytes are as they were filled.
    fn check(&self, kept: usize) {
        for at in Self::marked(self.size).filter(|&at| at < kept) {
            // SAFETY: inside the block.
            let byte = unsafe { self.start.add(at).read() };
            assert_eq!(byte, self.byte(at), "{} bytes at {:p} were changed at {at}", self.size, self.start);
        }
    }

    fn usable(&self) -> usize {
        // SAFETY: the block is in use.
        unsafe { GLOBAL.usable_size(self.start.as_ptr()) }
    }

    /// What is the block's, up to its usable end.
    fn range(&self) -> std::ops::Range<usize> {
        let start = self.start.addr().get();
        start..start + self.usable()
    }

    /// Makes it another size; false where there is no memory.
    fn resize(&mut self, size: usize) -> bool {
        // SAFETY: the block is in use, and this value takes the result.
        let Some(start) = NonNull::new(unsafe { GLOBAL.realloc_untyped(self.start.as_ptr(), size) }) else {
            self.check(self.size);
            return false;
        };
        self.start = start;
        self.check(self.size.min(size));
        self.size = size;
        self.fill();
        true
    }

    fn free(self) {
        self.check(self.size);
        // SAFETY: the block is in use, and ends here.
        unsafe { GLOBAL.free_untyped(self.start.as_ptr()) };
    }
}

/// One thread's share of the game.
struct Player<'a> {
    random: Random,
    intervals: &'a Intervals,
    slots: &'a [Mutex<Option<Block>>],
    blocks: Vec<Block>,
    bytes: usize,
}

impl Player<'_> {
    fn play(&mut self, operations: usize) {
        for nth in 0..operations {
            let target = 200 + nth / 1000 % 8 * 400;
            match self.random.below(16) {
                _ if self.bytes > 48 * MIB => self.free_one(),
                0..3 => self.resize_one(),
                3..6 => self.trade(),
                6..10 if self.blocks.len() > target => self.free_one(),
                10.. if self.blocks.len() > target => self.free_one(),
                6..8 => self.free_one(),
                _ => self.add(),
            }
        }
        while !self.blocks.is_empty() {
            self.free_one();
        }
    }

    fn add(&mut self) {
        let (size, mark) = (self.size(), self.random.next());
        let start = match self.random.below(16) {
            0 => {
                let most = if self.random.one_in(50) { 19 } else { 9 };
                let align = 16 << self.random.below(most);
                // SAFETY: the size is not zero.
                let start = unsafe { GLOBAL.alloc(layout(size.max(1), align)) };
                assert!(start.addr().is_multiple_of(align), "{start:p} for an alignment of {align}");
                start
            }
            1..5 => {
                let start = GLOBAL.alloc_zeroed_untyped(size);
                for at in Block::marked(size) {
                    // SAFETY: inside the block.
                    assert_eq!(unsafe { start.add(at).read() }, 0, "{size} bytes at {start:p} are not zero at {at}");
                }
                start
            }
            _ => GLOBAL.alloc_untyped(size),
        };
        assert!(start.addr().is_multiple_of(if size > 8 { 16 } else { 8 }), "{start:p} for {size} bytes");
        self.keep(Block::new(start, size, mark).expect("there is memory"));
    }

    fn keep(&mut self, block: Block) {
        let usable = block.usable();
        assert!(usable >= block.size, "{usable} of {}", block.size);
        self.intervals.claim(block.range());
        self.bytes += block.size;
        self.blocks.push(block);
    }

    fn any(&mut self) -> Option<Block> {
        if self.blocks.is_empty() {
            return None;
        }
        let block = self.blocks.swap_remove(self.random.below(self.blocks.len()));
        self.bytes -= block.size;
        Some(block)
    }

    fn resize_one(&mut self) {
        let Some(mut block) = self.any() else { return };
        self.intervals.release(block.range());
        if self.random.one_in(500) {
            assert!(!block.resize(self.random.pick(&IMPOSSIBLE)));
        } else {
            let size = match self.random.below(4) {
                0 => block.size * 2,
                1 => block.size / 2,
                _ => self.size(),
            };
            assert!(block.resize(size.min(32 * MIB)), "there is memory");
        }
        self.keep(block);
    }

    fn free_one(&mut self) {
        if let Some(block) = self.any() {
            self.intervals.release(block.range());
            block.free();
        }
    }

    /// Exchanges a block, or none, with whatever is in a slot.
    fn trade(&mut self) {
        let mine = self.any();
        let slot = &self.slots[self.random.below(self.slots.len())];
        let theirs = std::mem::replace(&mut *slot.lock().unwrap(), mine);
        if let Some(block) = theirs {
            self.bytes += block.size;
            self.blocks.push(block);
        }
    }

    fn size(&mut self) -> usize {
        match self.random.below(1024) {
            0 => self.random.log_uniform(MIB, 16 * MIB),
            1..10 => self.random.log_uniform(32 * KIB, 2 * MIB),
            10..100 => (self.random.pick(&BORDERS[..11]) + self.random.below(3)).saturating_sub(1),
            100..103 => (self.random.pick(&BORDERS) + self.random.below(3)).saturating_sub(1),
            103..120 => 0,
            120..200 => self.random.log_uniform(KIB, 32 * KIB),
            _ => self.random.log_uniform(1, 2 * KIB),
        }
    }
}

fn operations() -> usize {
    match env::var("TENURE_TEST_OPERATIONS") {
        Ok(text) => text.parse().expect("the number of operations is a number"),
        Err(_) => 3_000_000,
    }
}

fn play_in_threads(seed: u64, operations: usize) {
    let (rounds, players) = (6, 4);
    let mut seeds = Random::new(seed);
    let intervals = Intervals::new();
    let slots: Vec<_> = (0..256).map(|_| Mutex::new(None)).collect();
    // Threads end and others begin, while blocks of the first ones are still in use.
    for _ in 0..rounds {
        thread::scope(|scope| {
            let start = |seed| {
                let (intervals, slots, random) = (&intervals, &slots[..], Random::new(seed));
                let mut player = Player { random, intervals, slots, blocks: Vec::new(), bytes: 0 };
                scope.spawn(move || player.play(operations / rounds / players))
            };
            let handles: Vec<_> = (0..players).map(|_| start(seeds.next())).collect();
            // Joined, a thread has ended; a scope waits only until its work is done.
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        });
    }
    for block in slots.into_iter().filter_map(|slot| slot.into_inner().unwrap()) {
        intervals.release(block.range());
        block.free();
    }
    assert!(intervals.is_empty());
}

fn quiet_stats() -> Stats {
    let stats = GLOBAL.stats();
    assert!(stats.is_balanced(), "{stats}");
    stats
}

#[test]
fn threads_that_hand_blocks_to_each_other_free_and_resize_them_without_a_layout_and_lose_none() {
    alone(900, || {
        let seed = seed();
        play_in_threads(seed, 3200);
        let before = quiet_stats();
        play_in_threads(seed, operations());
        let after = quiet_stats();
        let live = |stats: &Stats| (stats.live_blocks(), stats.live_bytes());
        assert_eq!(live(&before), live(&after), "blocks and bytes in use, before and after");
    });
}

#[test]
fn a_request_that_no_memory_is_large_enough_for_is_refused() {
    let block = GLOBAL.alloc_untyped(100);
    for size in IMPOSSIBLE {
        assert!(GLOBAL.alloc_untyped(size).is_null(), "{size}");
        assert!(GLOBAL.alloc_zeroed_untyped(size).is_null(), "{size}");
        // SAFETY: the block is in use.
        assert!(unsafe { GLOBAL.realloc_untyped(block, size) }.is_null(), "{size}");
    }
    // SAFETY: the block is in use, and ends here.
    unsafe { GLOBAL.free_untyped(block) };
}

#[test]
fn no_block_is_at_hand_of_no_size_or_at_a_multiple_of_what_is_no_power_of_two() {
    // So that there are some.
    let waits = |size| {
        let block = GLOBAL.alloc_untyped(size);
        // SAFETY: the block is in use, and is not used afterwards.
        unsafe { GLOBAL.free_untyped(block) };
    };
    for size in [1, 8, 24, 100, 4096] {
        for align in [0, 3, 5, 6, 7, 12, 15, 17, 24, 4095, usize::MAX] {
            waits(size);
            assert_eq!(GLOBAL.aligned_at_hand(size, align), None, "{size} bytes at {align}");
        }
    }
    for align in [0, 1, 3, 16, 4096] {
        assert_eq!(GLOBAL.aligned_at_hand(0, align), None, "{align}");
    }
    // A size that was little used has no magazine yet.
    let at_hand = (0..5000).find_map(|_| {
        waits(100);
        GLOBAL.aligned_at_hand(100, 1)
    });
    let block = at_hand.expect("a block waits");
    assert!(block.addr().get().is_multiple_of(16));
    // SAFETY: the block is in use, and is not used afterwards.
    unsafe { GLOBAL.free_untyped(block.as_ptr()) };
}

#[test]
fn null_is_nothing_to_free_and_has_no_size_and_is_allocated_when_it_is_resized() {
    // SAFETY: null is no block.
    unsafe { GLOBAL.free_untyped(ptr::null_mut()) };
    // SAFETY: as above.
    assert_eq!(unsafe { GLOBAL.usable_size(ptr::null()) }, 0);
    // SAFETY: as above.
    let block = unsafe { GLOBAL.realloc_untyped(ptr::null_mut(), 100) };
    assert!(!block.is_null());
    // SAFETY: the block is in use, and ends here.
    unsafe { GLOBAL.free_untyped(block) };
}

#[test]
fn the_good_size_is_the_usable_size_of_slabs_and_spans_and_a_lower_bound_of_mappings() {
    for size in (0..40_000).chain((40_000..3 * MIB).step_by(9973)) {
        let block = GLOBAL.alloc_untyped(size);
        // SAFETY: the block is in use.
        let usable = unsafe { GLOBAL.usable_size(block) };
        let good = GLOBAL.good_size(size);
        assert!(if size <= MIB { good == usable } else { size <= good && good <= usable }, "{size}: {good}, {usable}");
        // SAFETY: the block is in use, and ends here.
        unsafe { GLOBAL.free_untyped(block) };
    }
    assert_eq!(GLOBAL.good_size(usize::MAX), usize::MAX);
}

#[test]
fn a_block_with_a_layout_can_be_freed_and_resized_without_it() {
    for align in (0..23).map(|shift| 1 << shift) {
        for size in BORDERS {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the size is not zero.
            let block = unsafe { GLOBAL.alloc(layout) };
            // SAFETY: the block is in use.
            assert!(unsafe { GLOBAL.usable_size(block) } >= size, "{layout:?}");
            // SAFETY: the block is in use, and its place is taken by the result.
            let block = unsafe { GLOBAL.realloc_untyped(block, size * 3 + 1) };
            // SAFETY: the block is in use, and ends here.
            unsafe { GLOBAL.free_untyped(block) };
            // SAFETY: the size is not zero.
            let block = unsafe { GLOBAL.alloc(layout) };
            // SAFETY: the block is in use, and ends here.
            unsafe { GLOBAL.free_untyped(block) };
        }
    }
}

#[test]
#[cfg_attr(
    feature = "hardened",
    ignore = "what a hardened block does not need is slack, which is checked: it moves to its own class"
)]
fn a_block_that_shrinks_by_less_than_a_quarter_stays_where_it_is() {
    let block = GLOBAL.alloc_untyped(1024);
    // SAFETY: the block is in use.
    assert_eq!(unsafe { GLOBAL.realloc_untyped(block, 800) }, block);
    // SAFETY: the block is in use, and its place is taken by the result.
    let moved = unsafe { GLOBAL.realloc_untyped(block, 100) };
    assert_ne!(moved, block);
    // SAFETY: the block is in use, and ends here.
    unsafe { GLOBAL.free_untyped(moved) };
}

#[test]
fn a_mapping_grows_without_a_copy_at_the_cost_of_addresses_alone() {
    // A copy of 1 GiB would touch all of it.
    let mut block = GLOBAL.alloc_untyped(2 * MIB);
    // SAFETY: inside the block.
    unsafe { block.write(7) };
    for shift in 2..=10 {
        // SAFETY: the block is in use, and its place is taken by the result.
        block = unsafe { GLOBAL.realloc_untyped(block, MIB << shift) };
        assert!(!block.is_null());
    }
    // SAFETY: inside the block.
    assert_eq!(unsafe { block.read() }, 7);
    assert!(support::memory::peak_resident() < 512 * MIB);
    // SAFETY: the block is in use, and ends here.
    unsafe { GLOBAL.free_untyped(block) };
}

#[test]
fn blocks_without_a_layout_are_dynamic_in_a_static_scope_too() {
    alone(60, || {
        let before = quiet_stats();
        tenure::static_scope(|| {
            let blocks: Vec<_> = BORDERS.iter().map(|&size| GLOBAL.alloc_untyped(size)).collect();
            for (block, size) in blocks.into_iter().zip(BORDERS) {
                // SAFETY: the block is in use, and its place is taken by the result.
                let block = unsafe { GLOBAL.realloc_untyped(block, size * 3) };
                // SAFETY: the block is in use.
                assert!(unsafe { GLOBAL.usable_size(block) } >= size * 3);
                let zeros = GLOBAL.alloc_zeroed_untyped(size);
                // SAFETY: the block is in use, and ends here.
                unsafe { GLOBAL.free_untyped(zeros) };
                // SAFETY: the block is in use, and ends here.
                unsafe { GLOBAL.free_untyped(block) };
            }
        });
        let after = quiet_stats();
        // The vector of addresses is the only static block, and was given back.
        assert_eq!(after.scopes.blocks, 0);
        assert_eq!((before.live_blocks(), before.live_bytes()), (after.live_blocks(), after.live_bytes()));
    });
}

#[test]
fn a_small_block_that_grows_stays_in_slabs_where_there_is_room_for_spans() {
    alone(60, || {
        // Room for the largest spans, which somebody has touched.
        let spans: Vec<_> = (0..4).map(|_| vec![1_u8; MIB]).collect();
        drop(spans);
        for size in [64, 4 * KIB, 30 * KIB] {
            // SAFETY: a layout of a size that is not zero.
            let block = unsafe { GLOBAL.alloc(layout(size / 2, 8)) };
            // SAFETY: allocated just now, and not used any more.
            let block = NonNull::new(unsafe { GLOBAL.realloc(block, layout(size / 2, 8), size) }).unwrap();
            // SAFETY: a block in use.
            assert!(unsafe { GLOBAL.usable_size(block.as_ptr()) } < 64 * KIB, "{size}");
            // SAFETY: a block of this layout, not used any more.
            unsafe { GLOBAL.dealloc(block.as_ptr(), layout(size, 8)) };

            let block = GLOBAL.alloc_untyped(size / 2);
            // SAFETY: allocated just now, and not used any more.
            let block = unsafe { GLOBAL.realloc_untyped(block, size) };
            // SAFETY: a block in use.
            assert!(unsafe { GLOBAL.usable_size(block) } < 64 * KIB, "{size}");
            // SAFETY: a block of Tenure's, not used any more.
            unsafe { GLOBAL.free_untyped(block) };
        }
    });
}
