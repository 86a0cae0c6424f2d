//! Random phases and scopes of an arena, held against a model: the contents of every block, the addresses in use, and
//! what the arena counts.
//!
//! `TENURE_TEST_SEED` repeats a run.
#![cfg(not(loom))]

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::collections::HashMap;
use std::panic::catch_unwind;
use std::ptr::NonNull;
use std::slice;
use std::sync::mpsc;
use std::thread;
use support::block::layout;
use support::intervals::Intervals;
use support::memory::{KIB, MIB};
use support::process::{alone, alone_under};
use support::random::{Random, seed};
use tenure::{Arena, ArenaStats, Scope, Tenure};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// What an arena rounds sizes up to.
const GRAIN: usize = 8;

/// A block that is filled with a pattern of its own.
struct Placed {
    start: NonNull<u8>,
    layout: Layout,
    identity: u64,
}

impl Placed {
    fn byte(&self, at: usize) -> u8 {
        (self.identity.wrapping_add(at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
    }

    /// Of a large block, both ends.
    fn filled(&self) -> impl Iterator<Item = usize> + use<> {
        let size = self.layout.size();
        let end = size.min(2000);
        (0..end).chain(size.saturating_sub(100).max(end)..size)
    }

    fn fill(&mut self, identity: u64) {
        self.identity = identity;
        for at in self.filled() {
            // SAFETY: inside a block that is in use and is this value's.
            unsafe { self.start.add(at).write(self.byte(at)) };
        }
    }

    fn check_first(&self, kept: usize) {
        for at in self.filled().filter(|at| *at < kept) {
            // SAFETY: as above, and filled before.
            let byte = unsafe { self.start.add(at).read() };
            assert_eq!(byte, self.byte(at), "{:?} at {:p} was changed at {at}", self.layout, self.start);
        }
    }

    fn check(&self) {
        self.check_first(self.layout.size());
    }

    /// Bytes that the arena has for it.
    fn rounded(&self) -> usize {
        self.layout.size().next_multiple_of(GRAIN)
    }

    fn range(&self) -> std::ops::Range<usize> {
        let start = self.start.addr().get();
        start..start + self.rounded()
    }
}

/// What should be in the arena.
struct Model {
    random: Random,
    in_use: Intervals,
    placed: Vec<Placed>,
    high_water: usize,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), in_use: Intervals::new(), placed: Vec::new(), high_water: 0 }
    }

    fn layout(&mut self) -> Layout {
        let size = match self.random.below(1000) {
            0 => self.random.log_uniform(64 * KIB, 4 * MIB),
            1..20 => self.random.log_uniform(KIB, 64 * KIB),
            _ => self.random.log_uniform(1, 512),
        };
        let align = match self.random.below(1000) {
            0 => self.random.pick(&[MIB, 2 * MIB, 4 * MIB]),
            1..10 => 1 << self.random.below(20),
            10..300 => 1 << self.random.below(8),
            _ => 1 << self.random.below(4),
        };
        layout(size, align)
    }

    /// Enters a block that was just placed.
    fn enter(&mut self, start: NonNull<u8>, layout: Layout) {
        assert_eq!(start.addr().get() % layout.align(), 0, "{layout:?}");
        let mut placed = Placed { start, layout, identity: 0 };
        self.in_use.claim(placed.range());
        placed.fill(self.random.next());
        self.placed.push(placed);
    }

    fn take_out(&mut self, nth: usize) -> Placed {
        let placed = self.placed.swap_remove(nth);
        self.in_use.release(placed.range());
        placed.check();
        placed
    }

    /// Takes out what was placed after the first `kept` blocks, which are then checked.
    fn end_all_but(&mut self, kept: usize) {
        while self.placed.len() > kept {
            self.take_out(self.placed.len() - 1);
        }
        self.placed.iter().for_each(Placed::check);
    }

    fn check(&mut self, stats: ArenaStats) {
        assert_eq!(stats.blocks, self.placed.len());
        assert_eq!(stats.live(), self.placed.iter().map(Placed::rounded).sum());
        assert!(stats.used + stats.slack <= stats.capacity, "{stats:?}");
        assert!(stats.high_water >= stats.used.max(self.high_water), "{stats:?}");
        self.high_water = stats.high_water;
    }

    /// A phase in which blocks are placed, resized and given back.
    fn play_with_blocks(&mut self, arena: &Arena, operations: usize) {
        for nth in 0..operations {
            let choice = self.random.below(10);
            // The last block more often than others.
            let index = match self.placed.len() {
                0 => 0,
                len if self.random.one_in(2) => len - 1,
                len => self.random.below(len),
            };
            let new = self.layout();
            if choice < 6 || self.placed.is_empty() {
                // SAFETY: the size is not zero.
                let block =
                    unsafe { if choice < 3 { GlobalAlloc::alloc(arena, new) } else { arena.alloc_zeroed(new) } };
                let block = NonNull::new(block).expect("there is memory");
                if choice >= 3 {
                    // SAFETY: a block of this size, which is initialised.
                    assert!(unsafe { slice::from_raw_parts(block.as_ptr(), new.size()) }.iter().all(|byte| *byte == 0));
                }
                self.enter(block, new);
            } else if choice < 8 {
                let mut old = self.take_out(index);
                // SAFETY: the block is in use and has this layout.
                let moved = unsafe { arena.realloc(old.start.as_ptr(), old.layout, new.size()) };
                old.start = NonNull::new(moved).expect("there is memory");
                old.check_first(new.size());
                self.enter(old.start, layout(new.size(), old.layout.align()));
            } else {
                let old = self.take_out(index);
                // SAFETY: the block is in use and has this layout.
                unsafe { arena.dealloc(old.start.as_ptr(), old.layout) };
            }
            if nth % 64 == 0 {
                self.check(arena.stats());
            }
        }
    }

    /// Places values in a scope of an arena in which nothing is placed, or in one of scopes within it.
    fn play_in_unused(&mut self, scope: &mut Scope<'_, '_>, depth: usize) {
        for _ in 0..self.random.below(2) * depth {
            scope.scoped(|inner| self.play_in_unused(inner, depth - 1));
            self.end_all_but(0);
            self.check(scope.stats());
        }
        // Larger than many a first chunk, which makes way for another then.
        let layout = layout(self.random.log_uniform(KIB, 256 * KIB), 8);
        self.enter(scope.alloc_layout(layout), layout);
        self.play_in_scope(scope, depth);
    }

    /// Places values in a scope, and opens others in it.
    fn play_in_scope(&mut self, scope: &mut Scope<'_, '_>, depth: usize) {
        let steps = self.random.log_uniform(2, 128);
        for _ in 0..steps {
            match self.random.below(16) {
                0 if depth > 0 => {
                    let (kept, before) = (self.placed.len(), scope.stats());
                    scope.scoped(|inner| self.play_in_scope(inner, depth - 1));
                    self.end_all_but(kept);
                    let after = scope.stats();
                    let figures = |stats: &ArenaStats| (stats.used, stats.dead, stats.slack, stats.blocks);
                    assert_eq!(figures(&after), figures(&before));
                    self.check(after);
                }
                1 => {
                    let text = "ab".repeat(1 + self.random.below(40));
                    let copy = scope.alloc_str(&text);
                    assert_eq!(*copy, *text);
                    self.enter(NonNull::from(copy).cast(), Layout::for_value(&*text));
                }
                2..6 => {
                    let len = 1 + self.random.below(30);
                    let values = scope.alloc_slice_fill_with(len, |index| index as u32);
                    assert!(values.iter().enumerate().all(|(index, value)| *value == index as u32));
                    self.enter(NonNull::from(values).cast(), Layout::array::<u32>(len).unwrap());
                }
                6..10 => {
                    let value = scope.alloc([0_u64; 4]);
                    self.enter(NonNull::from(value).cast(), Layout::new::<[u64; 4]>());
                }
                _ => {
                    let layout = self.layout();
                    self.enter(scope.alloc_layout(layout), layout);
                }
            }
        }
        self.check(scope.stats());
    }
}

#[test]
fn blocks_are_aligned_disjoint_and_keep_their_contents_through_phases_and_nested_scopes() {
    alone(300, || {
        let mut model = Model::new(seed());
        let mut arena = Arena::new();
        for phase in 0..300 {
            if model.random.one_in(2) {
                arena.scoped(|scope| model.play_in_unused(scope, 2));
                model.end_all_but(0);
                model.check(arena.stats());
                assert_eq!(arena.retained(), arena.stats().capacity);
            }
            let operations = model.random.log_uniform(16, 1024);
            model.play_with_blocks(&arena, operations);
            for _ in 0..3 {
                let kept = model.placed.len();
                arena.scoped(|scope| model.play_in_scope(scope, 5));
                model.end_all_but(kept);
                model.check(arena.stats());
            }
            model.end_all_but(0);
            arena.reset();
            model.check(arena.stats());
            assert_eq!(arena.retained(), arena.stats().capacity);
            if phase % 16 == 15 {
                arena.release_retained();
                assert_eq!((arena.stats().capacity, arena.stats().chunks), (0, 0));
            }
        }
        assert!(model.in_use.is_empty());
        assert!(model.high_water > MIB, "the test hardly used the arena");
        drop(arena);
        let stats = GLOBAL.stats();
        assert!(stats.is_balanced(), "{stats}");
    });
}

#[test]
fn every_alignment_up_to_4_mib_is_exact() {
    let mut arena = Arena::new();
    for round in 0..2 {
        for shift in (0..=22).rev() {
            let block = arena.alloc_layout(layout(3, 1 << shift));
            assert_eq!(block.addr().get() % (1 << shift), 0);
        }
        let stats = arena.stats();
        assert_eq!((stats.blocks, stats.live()), (23, 23 * 8), "round {round}");
        arena.reset();
    }
    #[repr(align(65536))]
    struct Page(u8);
    let page = arena.alloc(Page(1));
    assert_eq!(((&raw const *page).addr() % 65536, page.0), (0, 1));
}

#[test]
fn a_dropped_arena_gives_all_its_memory_back() {
    alone(60, || {
        let live = || (GLOBAL.stats().live_blocks(), GLOBAL.stats().live_bytes());
        let use_up = || {
            let mut arena = Arena::with_capacity(10_000);
            arena.alloc_slice_fill_with(3 * MIB, |_| 1_u8);
            arena.scoped(|scope| scope.alloc([0; 100])[1]);
            arena.reset();
            arena.alloc([0; 1000]);
        };
        use_up();
        let before = live();
        use_up();
        assert_eq!(live(), before);
    });
}

#[test]
fn when_memory_runs_out_the_arena_says_so_and_goes_on_with_what_it_has() {
    alone_under(Some((libc::RLIMIT_AS, 256 * MIB as u64)), 120, || {
        let mut arena = Arena::new();
        for round in 0..3 {
            let mut placed = 0_u64;
            let mut last: Option<&(u64, Option<&u64>)> = None;
            let full = loop {
                let number = match arena.try_alloc(placed) {
                    Ok(number) => &*number,
                    Err(full) => break full,
                };
                match arena.try_alloc((placed, Some(number))) {
                    Ok(pair) => last = Some(pair),
                    Err(full) => break full,
                }
                if let Err(full) = arena.try_alloc([0_u8; 1000]) {
                    break full;
                }
                placed += 1;
            };
            // What fails is told of when there is memory again to tell it.
            let are_kept = last.map(|(number, same)| (*number + 1 - placed <= 1, same == &Some(number)));
            let is_served = arena.try_alloc_slice_fill_with(10 * MIB, |_| 0_u8).is_ok();
            // SAFETY: the size is not zero.
            let block = unsafe { GlobalAlloc::alloc(&arena, layout(10 * MIB, 8)) };
            let stats = arena.stats();
            // The memory of many small chunks serves a large request, once nothing is in them.
            arena.reset();
            assert!(placed > 20_000, "only {placed} placed in round {round}: {full}, {stats:?}\n{}", GLOBAL.stats());
            assert!(full.left() < 1000 && full.size() <= 1000, "{full}");
            assert_eq!((are_kept, is_served, block.is_null()), (Some((true, true)), false, true));
            assert_eq!(stats.fallbacks, 3 * (round + 1));
            assert_eq!(arena.alloc_slice_fill_with(10 * MIB, |_| 1_u8)[MIB], 1);
            arena.reset();
            if round == 1 {
                arena.release_retained();
            }
        }
        drop(arena);
        // Half of the limit is the owner map's, and what the system maps where differs from run to run.
        assert_eq!(vec![1_u8; 64 * MIB][MIB], 1);
    });
}

#[test]
fn arenas_go_from_thread_to_thread_and_are_used_by_each() {
    let (to_first, from_last) = mpsc::channel::<Arena>();
    let mut out = to_first;
    for _ in 0..4 {
        let (sender, receiver) = mpsc::channel::<Arena>();
        let next = std::mem::replace(&mut out, sender);
        thread::spawn(move || {
            for mut arena in receiver {
                let total =
                    arena.scoped(|scope| scope.alloc_slice_fill_with(5000, |index| index).iter().sum::<usize>());
                assert_eq!(total, 4999 * 2500);
                arena.alloc_slice_fill_with(3000, |_| 1_u8);
                next.send(arena).unwrap();
            }
        });
    }
    for _ in 0..50 {
        out.send(Arena::new()).unwrap();
    }
    for arena in from_last.iter().take(50) {
        assert_eq!((arena.stats().blocks, arena.stats().used), (4, 12_000));
    }
}

#[test]
fn a_phase_may_build_a_graph_of_values_that_refer_to_each_other() {
    use std::cell::Cell;
    struct Word<'a> {
        text: &'a str,
        followers: Cell<Option<&'a Follower<'a>>>,
    }
    struct Follower<'a> {
        word: &'a Word<'a>,
        next: Option<&'a Follower<'a>>,
    }
    let text = "the cat and the dog and the bird and the cat";
    let mut arena = Arena::new();
    let most = arena.scoped(|scope| {
        let mut words: HashMap<&str, &Word<'_>> = HashMap::new();
        let mut before: Option<&Word<'_>> = None;
        for text in text.split(' ') {
            let new = || &*scope.alloc_with(|| Word { text: scope.alloc_str(text), followers: Cell::new(None) });
            let word = *words.entry(text).or_insert_with(new);
            if let Some(before) = before {
                before.followers.set(Some(scope.alloc(Follower { word, next: before.followers.get() })));
            }
            before = Some(word);
        }
        let followers = |word: &Word<'_>| {
            std::iter::successors(word.followers.get(), |follower| follower.next)
                .map(|follower| follower.word.text.to_owned())
                .collect::<Vec<_>>()
        };
        followers(words["the"])
    });
    assert_eq!(most, ["cat", "bird", "dog", "cat"]);
    assert_eq!(arena.stats().blocks, 0);
}

#[test]
fn a_request_that_is_larger_than_any_layout_is_counted_as_refused() {
    let mut arena = Arena::new();
    assert!(arena.try_alloc_slice_fill_with(usize::MAX / 2, |_| 0_u64).is_err());
    assert_eq!(arena.stats().fallbacks, 1);
    arena.scoped(|scope| {
        assert!(scope.try_alloc_slice_fill_with(usize::MAX, |_| 0_u8).is_err());
        assert_eq!(scope.stats().fallbacks, 2);
    });
}

#[test]
fn an_arena_may_be_moved_into_what_panics() {
    let arena = Arena::new();
    let end = catch_unwind(move || arena.alloc_with(|| -> u64 { panic!("nothing comes to be") }).wrapping_add(1));
    assert!(end.is_err());
}
