//! Limits on committed memory: purge first, call the program next, fail last.
#![cfg(not(loom))]

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use support::block::{Block, layout};
use support::memory::{KIB, MIB};
use support::process::alone;
use tenure::{Limit, Pressure, Tenure};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Sizes of every kind: two of slabs, a span, a mapping.
const KINDS: [usize; 4] = [64, 5000, 100 * KIB, 3 * MIB];

/// Blocks of a size until there are no more.
fn hoard(size: usize) -> Vec<Block> {
    // What the vector itself takes comes first.
    let mut blocks = Vec::with_capacity(100 * MIB / size.max(100));
    while let Some(block) = Block::new(layout(size, 8)) {
        blocks.push(block);
        assert!(blocks.len() < blocks.capacity(), "there is no limit");
    }
    blocks
}

fn committed() -> usize {
    let stats = GLOBAL.stats();
    stats.committed - stats.static_memory.used
}

/// A hard limit of so many bytes more than there are.
fn limit_to(more: usize) -> usize {
    GLOBAL.purge();
    let hard = committed() + more;
    GLOBAL.set_limit(Limit::hard(hard));
    hard
}

#[test]
fn at_the_hard_limit_requests_fail_and_freed_memory_serves_every_other_kind() {
    for first in KINDS {
        alone(60, || {
            let blocks = Vec::<Block>::with_capacity(2 * MIB);
            drop(blocks);
            let hard = limit_to(64 * MIB);
            for size in KINDS.into_iter().filter(|&size| size != first) {
                let blocks = hoard(first);
                let held: usize = blocks.iter().map(Block::size).sum();
                assert!(held > 20 * MIB, "only {held} bytes of blocks of {first}");
                assert!(committed() <= hard);
                blocks.into_iter().for_each(Block::free);
                let blocks = hoard(size);
                let held: usize = blocks.iter().map(Block::size).sum();
                assert!(held > 20 * MIB, "only {held} bytes of blocks of {size} after those of {first}");
                assert!(committed() <= hard);
                blocks.into_iter().for_each(Block::free);
            }
            GLOBAL.set_limit(Limit::NONE);
            assert!(Block::new(layout(100 * MIB, 8)).is_some());
        });
    }
}

static CALLS: AtomicUsize = AtomicUsize::new(0);
static RESERVE: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// Gives up what is in reserve, and uses the allocator in every way on the occasion.
fn give_up(pressure: Pressure) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    assert!(pressure.is_critical && pressure.committed <= pressure.limit);
    // It is entered outside of all locks, and not again by what it does itself.
    GLOBAL.purge();
    let _ = GLOBAL.stats();
    for size in KINDS {
        if let Some(block) = Block::new(layout(size, 8)) {
            block.free();
        }
    }
    RESERVE.lock().unwrap().drain(..).for_each(Block::free);
}

#[test]
fn the_program_is_called_before_a_request_fails_and_what_it_frees_serves_the_request() {
    alone(60, || {
        limit_to(64 * MIB);
        RESERVE.lock().unwrap().extend((0..6).map(|_| Block::of(5 * MIB)));
        GLOBAL.on_pressure(Some(give_up));
        let mut blocks = Vec::with_capacity(1000);
        while CALLS.load(Ordering::Relaxed) == 0 {
            blocks.push(Block::new(layout(MIB / 2, 8)).expect("the reserve is not used up"));
        }
        assert!(RESERVE.lock().unwrap().is_empty());
        assert_eq!(CALLS.load(Ordering::Relaxed), 1, "not once more for what it asks for itself");
        let before = blocks.len();
        while let Some(block) = Block::new(layout(MIB / 2, 8)) {
            blocks.push(block);
        }
        assert!(blocks.len() - before > 40, "the reserve serves {} more", blocks.len() - before);
        assert_eq!(CALLS.load(Ordering::Relaxed), 2, "each request that fails has been told of");
        GLOBAL.on_pressure(None);
        assert!(Block::new(layout(MIB, 8)).is_none());
        assert_eq!(CALLS.load(Ordering::Relaxed), 2);
        blocks.into_iter().for_each(Block::free);
    });
}

#[test]
fn unused_memory_is_given_back_before_the_program_is_called() {
    alone(60, || {
        let hard = limit_to(64 * MIB);
        GLOBAL.on_pressure(Some(|_| {
            CALLS.fetch_add(1, Ordering::Relaxed);
        }));
        for size in [100, 5000, 100 * KIB, 3 * MIB, 700, 31 * KIB] {
            let blocks: Vec<_> = (0..40 * MIB / size).map(|_| Block::of(size)).collect();
            blocks.into_iter().for_each(Block::free);
        }
        assert!(committed() <= hard);
        assert_eq!(CALLS.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn passing_the_soft_limit_calls_the_program_and_fails_nothing() {
    alone(60, || {
        GLOBAL.purge();
        let soft = committed() + 32 * MIB;
        GLOBAL.set_limit(Limit::soft(soft));
        GLOBAL.on_pressure(Some(|pressure| {
            assert!(!pressure.is_critical && pressure.committed > pressure.limit);
            CALLS.fetch_add(1, Ordering::Relaxed);
        }));
        let blocks: Vec<_> = (0..30).map(|_| Block::of(MIB)).collect();
        assert_eq!(CALLS.load(Ordering::Relaxed), 0);
        let more: Vec<_> = (0..30).map(|_| Block::of(MIB)).collect();
        assert_eq!(CALLS.load(Ordering::Relaxed), 1, "once, when it is passed");
        blocks.into_iter().chain(more).for_each(Block::free);
    });
}

#[test]
fn a_block_that_may_not_grow_stays_as_it_was() {
    alone(60, || {
        limit_to(32 * MIB);
        for size in KINDS {
            let mut block = Block::of(size);
            assert!(!block.resize(64 * MIB), "64 MiB");
            block.check();
            block.free();
        }
        // Most that there is room for.
        let mut block = Block::of(2 * MIB);
        assert!(block.resize(20 * MIB));
        block.free();
    });
}

#[test]
fn threads_that_meet_the_limit_together_neither_pass_it_nor_hang() {
    alone(120, || {
        let hard = limit_to(48 * MIB);
        GLOBAL.on_pressure(Some(|_| {
            CALLS.fetch_add(1, Ordering::Relaxed);
        }));
        let work = |seed: usize| {
            let mut blocks: Vec<Option<Block>> = Vec::with_capacity(4000);
            for nth in 0..20_000_usize {
                let size = KINDS[(nth * 7 + seed) % 4];
                if blocks.len() == 400 || nth.is_multiple_of(11) {
                    blocks.drain(..).flatten().for_each(Block::free);
                }
                blocks.push(Block::new(layout(size, 8)));
            }
            blocks.drain(..).flatten().for_each(Block::free);
        };
        thread::scope(|scope| {
            let threads = [0, 1, 2, 3].map(|seed| scope.spawn(move || work(seed)));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        assert!(committed() <= hard);
        assert!(Block::new(layout(20 * MIB, 8)).is_some());
    });
}

#[test]
fn null_is_what_a_refused_request_gets_zeroed_or_not() {
    alone(60, || {
        limit_to(8 * MIB);
        for size in [16 * MIB, 9 * MIB] {
            let layout = Layout::from_size_align(size, 8).unwrap();
            // SAFETY: the size is not zero.
            assert!(unsafe { GLOBAL.alloc(layout).is_null() && GLOBAL.alloc_zeroed(layout).is_null() });
        }
    });
}

#[test]
fn a_soft_limit_above_the_hard_one_is_as_if_there_was_none() {
    let limit = Limit::hard(10 * MIB).with_soft(20 * MIB);
    assert_eq!((limit.soft_bytes(), limit.hard_bytes()), (None, Some(10 * MIB)));
    assert_eq!(limit, Limit::hard(10 * MIB));
    // Both at once are passed by nobody, but given back from.
    assert_eq!(Limit::hard(10).with_soft(10).soft_bytes(), Some(10));
    assert_eq!(Limit::soft(5).with_soft(7), Limit::soft(7));
}

#[test]
fn a_limit_is_shown_with_what_there_is_none_of_as_none() {
    let shown = |limit: Limit| format!("{limit:?}");
    assert_eq!(shown(Limit::NONE), "Limit { soft: None, hard: None }");
    assert_eq!(shown(Limit::hard(10)), "Limit { soft: None, hard: Some(10) }");
    assert_eq!(shown(Limit::hard(10).with_soft(7)), "Limit { soft: Some(7), hard: Some(10) }");
}
