//! Threads that really run at the same time, and free each other's blocks, while system calls fail.

use super::world::{Live, World};
use crate::os::mock::Mock;
use crate::os::mock::random::Random;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

const THREADS: usize = 4;

/// One thread's work: it takes blocks over from others, leaves blocks to them, and ends and begins anew now and then.
/// Calls `pause` before each step.
fn work(world: &World, left: &Mutex<Live>, seed: u64, steps: usize, pause: impl Fn(usize)) {
    let mut random = Random::new(seed);
    let mut mine = Live::default();
    let mut me = None;
    for nth in 0..steps {
        pause(nth);
        let Some(thread) = me.take().or_else(|| world.thread()) else { continue };
        match random.within(0..1000) {
            0..500 => {
                let size = match random.within(0..100) {
                    0..80 => random.within(1..2000),
                    80..95 => random.within(2000..70_000),
                    95..99 => random.within(70_000..1_000_000),
                    _ => random.within(1_000_000..4_000_000),
                };
                let align = if random.once_in(20) { 1 << random.within(0..22) } else { 8 };
                mine.alloc(&thread, size, align, random.once_in(8));
            }
            500..930 if mine.len() > 0 => {
                let nth = random.within(0..mine.len());
                mine.free(&thread, nth);
            }
            930..960 if mine.len() > 0 => {
                let (nth, size) = (random.within(0..mine.len()), random.within(1..3_000_000));
                mine.resize(&thread, nth, size);
            }
            960..970 => mine.give(&mut left.lock().unwrap()),
            970..985 => mine.take_half(&mut left.lock().unwrap()),
            985..988 => world.purge(u64::MAX, 0),
            988..990 => {
                world.backend.relieve(usize::MAX);
            }
            990..993 => {
                thread.end();
                continue;
            }
            993 => {
                // Nothing is known of others at work, but that it can be counted.
                let _ = world.stats();
            }
            _ => {}
        }
        me = Some(thread);
    }
    mine.give(&mut left.lock().unwrap());
    if let Some(thread) = me {
        thread.end();
    }
}

fn run(seed: u64, page_size: usize, with_faults: bool) {
    let world = World::on(Mock::with_page_size(page_size));
    let left = Mutex::new(Live::default());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: [_; THREADS] = core::array::from_fn(|nth| {
            let (world, left) = (&world, &left);
            scope.spawn(move || work(world, left, seed + nth as u64, 20_000, |_| ()))
        });
        if with_faults {
            scope.spawn(|| {
                let mut random = Random::new(seed);
                while !is_over.load(Ordering::Relaxed) {
                    world.mock.succeed();
                    let first = random.within(1..20);
                    world.mock.fail(None, first, first + random.within(0..5));
                    thread::yield_now();
                }
            });
        }
        let ends = workers.map(|worker| worker.join());
        is_over.store(true, Ordering::Relaxed);
        assert!(ends.iter().all(Result::is_ok));
    });
    world.mock.succeed();
    let mut live = left.into_inner().unwrap();
    live.check();
    world.assert_has(&live);
    let last = world.thread().unwrap();
    live.free_all(&last);
    last.end();
    world.purge(u64::MAX, 0);
    world.assert_has(&live);
    let stats = world.stats();
    assert_eq!((stats.balance.free_in_slabs, stats.balance.in_magazines, stats.live_bytes()), (0, 0, 0), "{stats}");
    while world.backend.relieve(usize::MAX) {}
    if !with_faults {
        world.assert_no_leak(crate::segment::OWNER_MAP, 0);
    }
}

#[test]
fn threads_that_free_each_others_blocks_lose_none() {
    run(21, 4096, false);
}

#[test]
fn threads_lose_no_block_while_system_calls_fail() {
    run(31, 4096, true);
    run(32, 64 * 1024, true);
}

#[test]
fn every_byte_is_accounted_for_whenever_threads_that_really_run_stand_still() {
    let world = World::new();
    let (left, barrier) = (Mutex::new(Live::default()), Barrier::new(THREADS));
    let pause = |nth: usize| {
        if nth.is_multiple_of(25) {
            if barrier.wait().is_leader() {
                world.assert_balanced();
            }
            barrier.wait();
        }
    };
    thread::scope(|scope| {
        for seed in 41..41 + THREADS as u64 {
            let (world, left, pause) = (&world, &left, &pause);
            scope.spawn(move || work(world, left, seed, 10_000, pause));
        }
    });
    left.into_inner().unwrap().check();
}
