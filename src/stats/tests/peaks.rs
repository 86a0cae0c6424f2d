//! Peaks of live bytes, which heaps tell of in steps.

use super::world::{Live, Thread, World};
use crate::heap::{Heap, UNTOLD};
use crate::os::mock::random::Random;
use crate::size_class::SizeClass;
use crate::stats::Stats;
use core::alloc::Layout;
use std::sync::{Barrier, Mutex};
use std::thread;

/// What counts as live for a peak: what waits in depots does not, though it is among what waits in magazines otherwise.
pub(super) fn told_of(world: &World, stats: &Stats) -> usize {
    let waiting = |heap: &Heap| -> usize {
        SizeClass::slabs()
            .zip(heap.counts())
            .map(|(class, counts)| counts.read().in_depot as usize * class.size())
            .sum()
    };
    let in_depots: usize = world.registry.heaps().map(waiting).sum();
    stats.live_bytes() + stats.balance.in_magazines - in_depots + stats.balance.in_outboxes
}

/// How far a peak may be off.
pub(super) fn bound(stats: &Stats) -> usize {
    stats.heaps * UNTOLD
}

#[test]
fn a_peak_of_threads_that_really_run_is_within_a_step_of_each_heap() {
    const THREADS: usize = 4;
    let world = World::new();
    let (barrier, left) = (Barrier::new(THREADS), Mutex::new(Live::default()));
    let top = Mutex::new(None);
    thread::scope(|scope| {
        for seed in 0..THREADS as u64 {
            let (world, barrier, left, top) = (&world, &barrier, &left, &top);
            scope.spawn(move || {
                let (me, mut random, mut mine) = (world.thread().unwrap(), Random::new(71 + seed), Live::default());
                for _ in 0..3000 {
                    let size = if random.once_in(50) { random.within(1..2_000_000) } else { random.within(1..3000) };
                    mine.alloc(&me, size, 8, false);
                }
                barrier.wait();
                // Nobody has freed yet, so no moment before had more.
                if seed == 0 {
                    *top.lock().unwrap() = Some(told_of(world, &world.stats()));
                }
                barrier.wait();
                // The blocks change hands, and are freed by others; some are allocated anew, but fewer.
                mine.give(&mut left.lock().unwrap());
                barrier.wait();
                for nth in 0..4000 {
                    if nth % 4 == 0 {
                        mine.alloc(&me, random.within(1..1000), 8, false);
                    } else {
                        mine.take_last(&mut left.lock().unwrap());
                        let last = mine.len() - 1;
                        mine.free(&me, random.within(0..last + 1));
                    }
                }
                mine.give(&mut left.lock().unwrap());
                me.end();
            });
        }
    });
    let top = top.into_inner().unwrap().unwrap();
    let now = world.assert_balanced();
    assert!(told_of(&world, &now) + 4 * bound(&now) < top, "{now}");
    for peak in [now.peak_live_bytes, now.peak_live_since_reset] {
        assert!(peak.abs_diff(top) <= bound(&now), "{peak} of {top}");
    }
    world.backend.counters.reset_peak();
    let reset = world.stats();
    assert_eq!(reset.peak_live_bytes, now.peak_live_bytes, "what has been has been");
    assert!(reset.peak_live_since_reset.abs_diff(told_of(&world, &reset)) <= bound(&reset), "{reset:?}");
    let last = world.thread().unwrap();
    left.into_inner().unwrap().free_all(&last);
    last.end();
}

fn peak_of(world: &World, thread: &Thread, layout: Layout) -> usize {
    world.backend.counters.reset_peak();
    let before = world.stats().peak_live_since_reset;
    let block = thread.alloc(layout).unwrap();
    let larger = thread.resize(block, layout, Layout::from_size_align(2 * layout.size(), 8).unwrap());
    let end = larger.map_or(layout, |_| Layout::from_size_align(2 * layout.size(), 8).unwrap());
    thread.free(larger.unwrap_or(block), end);
    assert!(larger.is_some(), "there is room behind the only block");
    world.stats().peak_live_since_reset - before
}

#[test]
fn spans_and_mappings_count_at_once_and_as_they_grow() {
    let world = World::new();
    let thread = world.thread().unwrap();
    for size in [100 * 1024, 300 * 1024, 3 << 20] {
        let peak = peak_of(&world, &thread, Layout::from_size_align(size, 8).unwrap());
        assert!((2 * size..2 * size + 2 * UNTOLD + 8192).contains(&peak), "{size}: {peak}");
    }
    thread.end();
}

#[test]
fn a_block_that_goes_to_and_fro_tells_the_process_nothing() {
    let world = World::new();
    let thread = world.thread().unwrap();
    let layout = Layout::from_size_align(64, 8).unwrap();
    let before = world.stats().peak_live_bytes;
    for _ in 0..10_000 {
        let block = thread.alloc(layout).unwrap();
        thread.free(block, layout);
    }
    assert!(world.stats().peak_live_bytes - before <= UNTOLD);
    thread.end();
}
