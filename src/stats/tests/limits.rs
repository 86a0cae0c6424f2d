//! A limit on committed memory: it is never exceeded, what it refuses is null, and nothing is lost.

use super::world::{Live, World};
use crate::os::mock::Mock;
use crate::os::mock::random::Random;

const MIB: usize = 1024 * 1024;

fn size(random: &mut Random) -> usize {
    match random.within(0..100) {
        0..70 => random.within(1..2000),
        70..90 => random.within(2000..33_000),
        90..98 => random.within(33_000..1_000_000),
        _ => random.within(1_000_000..6_000_000),
    }
}

fn run(seed: u64, page_size: usize, hard: usize) {
    let mut random = Random::new(seed);
    let world = World::on(Mock::with_page_size(page_size));
    world.backend.counters.limits.set(usize::MAX, hard, 0);
    let mut live = Live::default();
    let threads = [world.thread().unwrap(), world.thread().unwrap()];
    // The owner map's pieces are not refused.
    let map = 2 * 64 * 1024;
    for nth in 0..20_000 {
        let thread = &threads[nth % 2];
        let any = random.within(0..live.len().max(1));
        match random.within(0..100) {
            0..50 => {
                let (size, zeroed) = (size(&mut random), random.once_in(8));
                live.alloc(thread, size, 8, zeroed);
            }
            50..90 if live.len() > 0 => live.free(thread, any),
            90..97 if live.len() > 0 => {
                let size = size(&mut random);
                live.resize(thread, any, size);
            }
            97 if random.once_in(20) => world.purge(u64::MAX, 0),
            98 if random.once_in(40) => live.free_all(thread),
            _ => {}
        }
        let committed = world.backend.counters.committed();
        assert!(committed <= hard + map, "{committed} bytes are committed, {hard} allowed");
        world.assert_has(&live);
    }
    assert!(live.refused > 100, "the limit was hardly ever reached: {} times", live.refused);
    live.check();
    live.free_all(&threads[0]);
    for thread in threads {
        thread.end();
    }
    world.purge(u64::MAX, 0);
    let last = world.thread().unwrap();
    for size in [16, 5000, 200_000, 2 * MIB] {
        assert!(live.alloc(&last, size, 8, false), "{size} bytes, once everything is free");
    }
    live.free_all(&last);
    world.assert_has(&Live::default());
}

#[test]
fn no_more_is_committed_than_the_limit_allows_and_nothing_is_lost() {
    run(1, 4096, 24 * MIB);
    run(2, 4096, 8 * MIB);
}

#[test]
fn the_same_holds_with_pages_of_16_and_64_kib() {
    run(3, 16 * 1024, 12 * MIB);
    run(4, 64 * 1024, 12 * MIB);
}

#[test]
fn passing_the_soft_limit_is_noticed_once_each_time() {
    let world = World::new();
    let thread = world.thread().unwrap();
    let limits = &world.backend.counters.limits;
    limits.set(8 * MIB, usize::MAX, world.backend.counters.committed());
    let mut live = Live::default();
    for _ in 0..2 {
        assert!(!limits.is_passed());
        while world.backend.counters.committed() <= 8 * MIB {
            assert!(live.alloc(&thread, 100_000, 8, false));
        }
        assert!(limits.is_passed() && limits.take_passed() && !limits.take_passed());
        assert!(live.alloc(&thread, 200_000, 8, false) && !limits.is_passed(), "only when it is passed");
        live.free_all(&thread);
        // SAFETY: the test's own thread.
        unsafe { thread.heap.empty_magazines(&thread.borrower.tops) };
        world.purge(u64::MAX, 0);
    }
    limits.set(MIB, usize::MAX, 2 * MIB);
    assert!(limits.is_passed(), "a limit below what is committed is passed at once");
}
