//! Random allocations, resizes and frees, held against a model: the contents of every block and the set of addresses in
//! use.
//!
//! `TENURE_TEST_OPERATIONS` sets how many operations each test does, `TENURE_TEST_SEED` repeats a run. A run of several
//! threads repeats only as far as their timing does.
#![cfg(not(loom))]

mod support;

use std::alloc::Layout;
use std::env;
use std::sync::{Arc, Mutex};
use std::thread;
use support::account::{assert_same_live, quiet_stats};
use support::block::Block;
use support::intervals::Intervals;
use support::memory::{KIB, MIB};
use support::process::alone;
use support::random::{Random, seed};
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Sizes at which a request gets another kind of memory, or another place for it.
const BORDERS: [usize; 9] =
    [KIB, 4 * KIB, 32 * KIB, 64 * KIB, 128 * KIB, MIB - 64 * KIB, MIB, 2 * MIB - 64 * KIB, 2 * MIB];

/// A few of the classes' block sizes, small and large.
const CLASS_SIZES: [usize; 20] =
    [8, 16, 24, 32, 40, 48, 64, 72, 128, 144, 256, 288, 512, 1024, 1152, 4096, 7168, 16384, 18432, 28672];

/// Requests that no memory is large enough for.
const IMPOSSIBLE: [usize; 3] = [isize::MAX as usize - 8 * MIB, isize::MAX as usize / 2, 1 << 48];

/// Operations after which a player changes its habits.
const PHASE: usize = 20_000;

/// Places through which players hand blocks to each other.
type Slots = [Mutex<Option<Block>>];

/// One thread's share of the game.
struct Player<'a> {
    random: Random,
    intervals: &'a Intervals,
    blocks: Vec<Block>,
    bytes: usize,
    max_bytes: usize,
    /// How many blocks the player tends to have at the moment.
    target: usize,
}

impl<'a> Player<'a> {
    fn new(seed: u64, intervals: &'a Intervals, max_bytes: usize) -> Self {
        Self { random: Random::new(seed), intervals, blocks: Vec::new(), bytes: 0, max_bytes, target: 1000 }
    }

    fn play(&mut self, operations: usize, slots: &Slots) {
        for nth in 0..operations {
            if nth % PHASE == 0 {
                self.target = self.random.log_uniform(8, 8192);
            }
            if self.bytes > self.max_bytes {
                self.free_one();
            } else if !slots.is_empty() && self.random.one_in(6) {
                self.trade(slots);
            } else {
                self.step();
            }
        }
    }

    fn step(&mut self) {
        // Freed more often than allocated above the target, less often below it.
        let wants_more = self.blocks.len() < self.target;
        match self.random.below(16) {
            0..3 => self.resize_one(),
            3..6 => self.add(Block::zeroed),
            6..9 => self.free_one(),
            9..11 if wants_more => self.free_one(),
            9..11 => self.add(Block::new),
            _ if wants_more => self.add(Block::new),
            _ => self.free_one(),
        }
    }

    fn add(&mut self, allocate: fn(Layout) -> Option<Block>) {
        if self.random.one_in(4096) {
            let impossible = Layout::from_size_align(self.random.pick(&IMPOSSIBLE), self.align()).unwrap();
            return assert!(allocate(impossible).is_none(), "{impossible:?} was met");
        }
        let layout = Layout::from_size_align(self.size(), self.align()).unwrap();
        match allocate(layout) {
            Some(block) => self.keep(block),
            None => self.give_way(),
        }
    }

    fn resize_one(&mut self) {
        let Some(mut block) = self.any() else { return };
        if self.random.one_in(1024) {
            let impossible = self.random.pick(&IMPOSSIBLE);
            assert!(!block.resize(impossible), "{impossible} bytes were met");
            return self.keep(block);
        }
        // Half of the sizes are near the old one, as when a vector grows.
        let size = match self.random.below(4) {
            0 => block.size() * 2,
            1 => block.size().div_ceil(2),
            _ => self.size(),
        };
        if !block.resize(size.min(64 * MIB)) {
            self.give_way();
        }
        self.keep(block);
    }

    fn free_one(&mut self) {
        if let Some(block) = self.any() {
            block.free();
        }
    }

    /// Exchanges a block, or none, with whatever is in a slot.
    fn trade(&mut self, slots: &Slots) {
        let mine = self.any_claimed();
        let slot = &slots[self.random.below(slots.len())];
        let theirs = std::mem::replace(&mut *slot.lock().unwrap(), mine);
        if let Some(block) = theirs {
            self.bytes += block.size();
            self.blocks.push(block);
        }
    }

    /// There is no memory: that is no error, but what was freed has to be of use.
    fn give_way(&mut self) {
        for _ in 0..self.blocks.len() / 2 {
            self.free_one();
        }
    }

    /// Enters a block that came from Tenure.
    fn keep(&mut self, block: Block) {
        self.intervals.claim(block.range());
        self.bytes += block.size();
        self.blocks.push(block);
    }

    /// Takes out any block, to be freed or resized.
    fn any(&mut self) -> Option<Block> {
        let block = self.any_claimed()?;
        self.intervals.release(block.range());
        Some(block)
    }

    fn any_claimed(&mut self) -> Option<Block> {
        if self.blocks.is_empty() {
            return None;
        }
        let block = self.blocks.swap_remove(self.random.below(self.blocks.len()));
        self.bytes -= block.size();
        Some(block)
    }

    fn size(&mut self) -> usize {
        match self.random.below(2048) {
            0..400 => self.near_border(&CLASS_SIZES),
            400..420 => self.near_border(&BORDERS),
            420..436 => self.random.log_uniform(32 * KIB, 2 * MIB),
            436..438 => self.random.log_uniform(MIB, 32 * MIB),
            438..500 => self.random.log_uniform(KIB, 32 * KIB),
            _ => self.random.log_uniform(1, 4 * KIB),
        }
    }

    /// A size at a border, or one less or more.
    fn near_border(&mut self, borders: &[usize]) -> usize {
        (self.random.pick(borders) + self.random.below(3)).saturating_sub(1).max(1)
    }

    fn align(&mut self) -> usize {
        match self.random.below(4096) {
            0 => self.random.pick(&[MIB, 2 * MIB, 4 * MIB]),
            1..4 => self.random.pick(&[32 * KIB, 64 * KIB, 128 * KIB, 512 * KIB]),
            4..64 => 1 << self.random.below(15),
            64..512 => 1 << self.random.below(8),
            _ => 1 << self.random.below(5),
        }
    }

    fn free_all(&mut self) {
        while !self.blocks.is_empty() {
            self.free_one();
        }
    }
}

fn operations() -> usize {
    match env::var("TENURE_TEST_OPERATIONS") {
        Ok(text) => text.parse().expect("the number of operations is a number"),
        Err(_) => 6_000_000,
    }
}

#[test]
fn one_thread_gets_aligned_disjoint_blocks_that_keep_their_contents_and_every_byte_is_accounted_for() {
    alone(900, || {
        let seed = seed();
        // What the standard library allocates once and for all comes first.
        play_here(seed, 3200);
        let before = quiet_stats(&GLOBAL);
        play_here(seed, operations());
        assert_same_live(&before, &quiet_stats(&GLOBAL));
    });
}

/// Has one player play on the calling thread.
fn play_here(seed: u64, operations: usize) {
    let intervals = Intervals::new();
    let mut player = Player::new(seed, &intervals, 256 * MIB);
    for _ in 0..32 {
        player.play(operations / 32, &[]);
        quiet_stats(&GLOBAL);
    }
    player.free_all();
    assert!(intervals.is_empty());
}

#[test]
fn four_threads_that_hand_blocks_to_each_other_free_and_resize_them_wherever_they_are() {
    alone(900, || {
        let seed = seed();
        play_in_threads(seed, 3200);
        let before = quiet_stats(&GLOBAL);
        play_in_threads(seed, operations());
        assert_same_live(&before, &quiet_stats(&GLOBAL));
    });
}

/// Has four players at a time play, until all together have done so many operations.
fn play_in_threads(seed: u64, operations: usize) {
    let (rounds, players) = (8, 4);
    let mut seeds = Random::new(seed);
    let intervals = Arc::new(Intervals::new());
    let slots: Arc<Slots> = (0..512).map(|_| Mutex::new(None)).collect();
    // Threads end and others begin, while blocks of the first ones are still in use.
    for _ in 0..rounds {
        let start = |seed| {
            let (intervals, slots) = (Arc::clone(&intervals), Arc::clone(&slots));
            thread::spawn(move || {
                let mut player = Player::new(seed, &intervals, 48 * MIB);
                player.play(operations / rounds / players, &slots);
                player.free_all();
            })
        };
        let handles: Vec<_> = (0..players).map(|_| start(seeds.next())).collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        quiet_stats(&GLOBAL);
    }
    for slot in &*slots {
        if let Some(block) = slot.lock().unwrap().take() {
            intervals.release(block.range());
            block.free();
        }
    }
    assert!(intervals.is_empty());
}

#[cfg(all(feature = "profile", not(feature = "hardened")))]
#[test]
fn blocks_of_which_one_in_two_is_guarded_are_no_different_from_others() {
    alone(900, || {
        let seed = seed();
        tenure::guard::arm(2).unwrap();
        play_here(seed, 3200);
        play_in_threads(seed, 3200);
        let before = quiet_stats(&GLOBAL);
        play_here(seed, operations() / 20);
        play_in_threads(seed, operations() / 20);
        assert_same_live(&before, &quiet_stats(&GLOBAL));
        let totals = tenure::guard::totals();
        println!("{totals:?}");
        assert!(totals.guarded > 1000, "{totals:?}");
    });
}
