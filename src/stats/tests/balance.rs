//! The balance: every byte is accounted for, whatever threads have done.

use super::world::{Live, Thread, World};
use crate::os::mock::Mock;
use crate::os::mock::random::Random;
use std::vec::Vec;

/// A size such as programs ask for: small ones mostly, and now and then a large one.
fn any_size(random: &mut Random) -> usize {
    match random.within(0..100) {
        0..70 => random.within(1..600),
        70..90 => random.within(600..33_000),
        90..98 => random.within(33_000..1_000_000),
        _ => random.within(1_000_000..6_000_000),
    }
}

fn any_align(random: &mut Random) -> usize {
    if random.once_in(10) { 1 << random.within(0..23) } else { 8 }
}

/// One step of a random program with several threads, of which each makes its steps while the others stand still.
fn step(random: &mut Random, world: &World, threads: &mut Vec<Thread>, live: &mut Live) {
    let nth = random.within(0..threads.len());
    let any_block = random.within(0..live.len().max(1));
    match random.within(0..100) {
        0..45 => {
            let (size, align, zeroed) = (any_size(random), any_align(random), random.once_in(8));
            assert!(live.alloc(&threads[nth], size, align, zeroed));
        }
        45..88 if live.len() > 0 => live.free(&threads[nth], any_block),
        88..94 if live.len() > 0 => {
            let size = any_size(random);
            live.resize(&threads[nth], any_block, size);
        }
        94 if random.once_in(4) => {
            let now = random.within(0..100_000) as u64;
            world.mock.set_now(now);
            world.purge(now.saturating_sub(1000), now);
        }
        95 if random.once_in(8) => world.purge(u64::MAX, 0),
        96 if random.once_in(8) => {
            world.backend.relieve(usize::MAX);
        }
        97 if random.once_in(8) => {
            threads.swap_remove(nth).end();
            threads.push(world.thread().unwrap());
        }
        // SAFETY: the heap is this thread's.
        98 => unsafe { threads[nth].heap.empty_magazines(&threads[nth].borrower.tops) },
        _ => {}
    }
}

fn run(seed: u64, page_size: usize, count: usize, steps: usize) {
    let mut random = Random::new(seed);
    let world = World::on(Mock::with_page_size(page_size));
    let mut live = Live::default();
    let mut threads: Vec<_> = (0..count).map(|_| world.thread().unwrap()).collect();
    for _ in 0..steps {
        step(&mut random, &world, &mut threads, &mut live);
        world.assert_has(&live);
    }
    live.check();
    live.free_all(&threads[0]);
    threads.into_iter().for_each(Thread::end);
    world.purge(u64::MAX, 0);
    world.assert_has(&live);
    let stats = world.stats();
    assert_eq!(
        (stats.balance.free_in_slabs, stats.balance.in_magazines, stats.balance.retained(), stats.live_bytes()),
        (0, 0, 0, 0),
        "{stats}"
    );
    assert_eq!(stats.committed - stats.static_memory.used, stats.balance.metadata, "descriptions are all that is left");
    world.assert_no_leak(crate::segment::OWNER_MAP, 0);
}

#[test]
fn every_byte_is_accounted_for_after_each_step_of_one_thread() {
    run(11, 4096, 1, 6000);
}

#[test]
fn every_byte_is_accounted_for_after_each_step_of_three_threads_that_free_each_others_blocks() {
    run(12, 4096, 3, 6000);
}

#[test]
fn every_byte_is_accounted_for_with_pages_of_64_kib() {
    run(13, 64 * 1024, 2, 3000);
}

#[test]
fn a_snapshot_tells_where_a_block_is_at_each_stage_of_its_life() {
    let world = World::new();
    let mut live = Live::default();
    let (mine, other) = (world.thread().unwrap(), world.thread().unwrap());
    assert!((0..100).all(|_| live.alloc(&mine, 64, 8, false)));
    let class = crate::size_class::SizeClass::of_size(64).unwrap().index();
    let of_class = |world: &World| world.stats().classes[class];
    let before = of_class(&world);
    assert_eq!((before.live, before.slabs, before.block_size), (100, 1, 64));
    assert_eq!(before.live + before.in_magazines + before.free, 1024);
    // Freed elsewhere: first in the outbox, then on its way, then back in the slab.
    for _ in 0..10 {
        live.free(&other, 0);
    }
    let in_outbox = of_class(&world);
    assert_eq!((in_outbox.live, in_outbox.in_magazines, in_outbox.in_outboxes), (90, before.in_magazines, 10));
    // SAFETY: the heap is this thread's.
    unsafe { other.heap.empty_magazines(&other.borrower.tops) };
    let pending = of_class(&world);
    assert_eq!((pending.live, pending.remote_pending, pending.free), (90, 10, before.free + 10));
    assert_eq!(world.stats().remote_pending(), 10);
    mine.heap.purge(0, 0, true);
    let collected = of_class(&world);
    assert_eq!((collected.live, collected.remote_pending, collected.free), (90, 0, before.free + 10));
    world.assert_has(&live);
    let text = std::format!("{}", world.stats());
    assert!(text.contains("live") && text.contains("committed"), "{text}");
}

#[test]
fn a_world_without_memory_is_balanced() {
    let world = World::new();
    world.assert_has(&Live::default());
    assert_eq!(world.stats().heaps, 0);
}
