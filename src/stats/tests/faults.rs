//! Every system call of a workload fails once, alone or with all that follow. A request may then be met with nothing;
//! nothing else may happen.

use super::world::{Live, Thread, World};
use crate::os::mock::{Call, Mock};
use crate::stats::Stats;
use std::vec::Vec;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Bytes of the owner map, where the address space has room for the full one and where it does not.
const MAPS: [usize; 2] = [crate::segment::OWNER_MAP, 256 * KIB];

/// A thread, as soon as there is memory for its heap.
fn thread(world: &World) -> Thread {
    let first = world.thread();
    first
        .or_else(|| {
            world.mock.succeed();
            world.thread()
        })
        .expect("nothing fails any more")
}

fn blocks(world: &World, live: &mut Live, mine: &Thread, other: &Thread) {
    for round in 0..3 {
        for size in [8, 24, 64, 100, 700, 1024, 5000, 32 * KIB] {
            for nth in 0..40 {
                live.alloc([mine, other][(nth + round) % 2], size, 8, nth % 9 == 0);
            }
        }
        // Each frees what is the other's as well: through the outbox, and past it.
        for nth in (0..live.len()).rev().step_by(2) {
            live.free([mine, other][nth / 2 % 2], nth);
        }
        world.purge(round as u64 * 1000, round as u64 * 1000 + 1000);
    }
}

fn spans(world: &World, live: &mut Live, mine: &Thread, other: &Thread) {
    for nth in 0..36 {
        live.alloc(
            [mine, other][nth % 2],
            (nth % 16 + 1) * 64 * KIB - 100,
            [8, 64 * KIB, 512 * KIB][nth % 3],
            nth % 5 == 0,
        );
    }
    live.check();
    for nth in (0..live.len()).step_by(3) {
        live.resize(mine, nth, (nth * 7 % 16 + 1) * 64 * KIB);
    }
    for nth in (0..live.len()).rev().step_by(2) {
        live.free([other, mine][nth / 2 % 2], nth);
    }
    world.purge(4000, 5000);
    world.purge(5000, 6000);
}

fn mappings(world: &World, live: &mut Live, mine: &Thread, other: &Thread) {
    for nth in 0..12 {
        live.alloc(
            mine,
            MIB + nth * 300 * KIB + 1,
            [8, 64 * KIB, 256 * KIB, MIB, 2 * MIB, 8 * MIB][nth % 6],
            nth % 2 == 0,
        );
    }
    for nth in (0..live.len()).rev().step_by(2) {
        live.free(other, nth);
    }
    for factor in [2, 1, 3, 5, 2, 9] {
        for nth in (0..live.len()).step_by(2) {
            live.resize(mine, nth, 1536 * KIB * factor + nth);
        }
    }
    world.purge(6000, 7000);
    live.check();
    // As when the system has no more to give.
    world.backend.relieve(usize::MAX);
    live.check();
}

/// All that heaps and backends do, with two threads, one of which ends and comes again.
fn workload(world: &World) -> Live {
    let mut live = Live::default();
    let (mine, other) = (thread(world), thread(world));
    // As every heap that is new; the other one has its magazines from the start.
    mine.heap.begin_probation();
    blocks(world, &mut live, &mine, &other);
    spans(world, &mut live, &mine, &other);
    mappings(world, &mut live, &mine, &other);
    other.end();
    live.free_all(&mine);
    world.backend.relieve(usize::MAX);
    let other = thread(world);
    spans(world, &mut live, &other, &mine);
    blocks(world, &mut live, &other, &mine);
    if let Some(shared) = world.registry.shared(world.backend) {
        let class = crate::size_class::SizeClass::of_size(48).unwrap();
        if let Some((block, _)) = shared.take_one(class) {
            world.count();
            // SAFETY: a block of the shared heap.
            unsafe { crate::heap::return_remotely(class, block, &world.backend.counters) };
        }
    }
    mine.end();
    other.end();
    live.check();
    live
}

/// Runs the workload with faults in it, and then finds everything in order.
fn survive(page_size: usize, order: impl FnOnce(&Mock)) -> (Live, usize) {
    let world = World::on(Mock::with_page_size(page_size));
    order(world.mock);
    let mut live = workload(&world);
    let failures = world.mock.failures();
    world.mock.succeed();
    world.assert_has(&live);
    // The next call of every kind works.
    let refused = live.refused;
    let last = world.thread().expect("there is memory");
    for (size, align) in [(16, 8), (3000, 8), (70 * KIB, 8), (MIB, 8), (MIB, MIB), (3 * MIB, 8), (MIB, 4 * MIB)] {
        assert!(live.alloc(&last, size, align, false), "{size} bytes at {align}");
    }
    // Nothing is lost.
    live.free_all(&last);
    last.end();
    world.purge(u64::MAX, 0);
    world.assert_has(&Live::default());
    let stats = world.stats();
    assert_all_free(&stats);
    world.backend.relieve(usize::MAX);
    let map = MAPS.into_iter().find(|&map| world.mock.mapped() >= map).unwrap();
    world.assert_no_leak(map, world.mock.forsaken());
    live.refused = refused;
    (live, failures)
}

#[track_caller]
fn assert_all_free(stats: &Stats) {
    assert_eq!((stats.live_blocks(), stats.live_bytes(), stats.remote_pending()), (0, 0, 0), "{stats}");
    assert_eq!((stats.balance.free_in_slabs, stats.balance.in_magazines), (0, 0), "every slab is retired\n{stats}");
    assert!(stats.classes.iter().all(|class| class.slabs == 0));
    assert_eq!(stats.heaps, stats.parked_heaps + usize::from(stats.heaps > 2), "all but the shared heap are parked");
}

/// Number of calls that the workload makes when nothing fails.
fn calls_of(call: Option<Call>) -> usize {
    let world = World::new();
    let live = workload(&world);
    assert_eq!(live.refused, 0);
    world.mock.calls(call)
}

#[test]
fn without_faults_no_request_is_refused_and_all_kinds_of_calls_are_made() {
    let world = World::new();
    let live = workload(&world);
    assert_eq!(live.refused, 0);
    let made: Vec<_> = Call::ALL.iter().map(|&call| (call, world.mock.calls(Some(call)))).collect();
    std::println!("{} calls: {made:?}", world.mock.calls(None));
    // The workload has no static memory to protect, and may do without the other two.
    let may_be_missing = [Call::MapExactly, Call::Relocate, Call::Protect];
    assert!(made.iter().all(|&(call, count)| count > 0 || may_be_missing.contains(&call)));
}

#[test]
fn any_one_call_may_fail() {
    let (mut refused, mut failed) = (0, 0);
    for nth in (1..=200).chain((201..=calls_of(None)).step_by(3)) {
        let (live, failures) = survive(4 * KIB, |mock| mock.fail_nth(None, nth));
        refused += live.refused;
        failed += failures;
        assert!(live.refused <= 2, "one call fails, and {} requests are refused", live.refused);
    }
    std::println!("{failed} calls failed, {refused} requests were refused");
}

#[test]
fn any_one_call_of_each_kind_may_fail() {
    for call in Call::ALL {
        let mut refused = 0;
        for nth in 1..=calls_of(Some(call)).clamp(1, 40) {
            refused += survive(4 * KIB, |mock| mock.fail_nth(Some(call), nth)).0.refused;
        }
        std::println!("{call:?}: {refused} requests were refused");
        if matches!(call, Call::Unmap | Call::Purge | Call::Resize | Call::Reserve) {
            assert_eq!(refused, 0, "no request depends on {call:?}");
        }
    }
}

#[test]
fn every_call_of_one_kind_may_fail_from_any_moment_on() {
    for call in Call::ALL {
        for nth in [1, 2, 3, 5, 8, 13, 21, 34, 55, 89] {
            let (live, failures) = survive(4 * KIB, |mock| mock.fail_from(Some(call), nth));
            if matches!(call, Call::Unmap | Call::Purge | Call::Resize | Call::Reserve) {
                assert_eq!(live.refused, 0, "no request depends on {call:?}, of which {failures} failed");
            }
        }
    }
}

#[test]
fn all_calls_may_fail_from_any_moment_on_until_they_succeed_again() {
    for nth in (1..=calls_of(None).min(200)).step_by(3) {
        survive(4 * KIB, |mock| mock.fail_from(None, nth));
        survive(4 * KIB, |mock| mock.fail(None, nth, nth + 20));
    }
}

#[test]
fn the_same_holds_for_pages_of_16_and_64_kib_and_in_a_small_address_space() {
    for page_size in [16 * KIB, 64 * KIB] {
        for nth in (1..200).step_by(7) {
            survive(page_size, |mock| mock.fail_nth(None, nth));
        }
    }
    for nth in (1..200).step_by(7) {
        survive(4 * KIB, |mock| {
            mock.fail_from(Some(Call::Reserve), 1);
            mock.fail_nth(None, nth);
        });
    }
}
