//! Single figures: traffic, spans, mappings, peaks, and what the system says.

use super::world::{Live, World};
use crate::os::SystemMemory;
use crate::size_class::SizeClass;
use crate::stats::{Stats, SystemStats, Traffic};

fn of_class(world: &World, size: usize) -> crate::stats::ClassStats {
    world.stats().classes[SizeClass::of_size(size).unwrap().index()]
}

#[test]
fn traffic_is_counted_where_blocks_leave_slabs_and_come_back() {
    let world = World::new();
    let (mine, other) = (world.thread().unwrap(), world.thread().unwrap());
    let mut live = Live::default();
    assert!((0..500).all(|_| live.alloc(&mine, 48, 8, false)));
    let Traffic { refills, refilled, flushes, .. } = of_class(&world, 48).traffic;
    assert!(refills >= 500 / 63 && refilled >= 500 && flushes == 0, "{refills} {refilled}");
    // What magazines serve is not counted.
    for _ in 0..1000 {
        live.free(&mine, live.len() - 1);
        assert!(live.alloc(&mine, 48, 8, false));
    }
    assert_eq!(of_class(&world, 48).traffic.refilled, refilled);
    (0..128).for_each(|_| live.free(&other, 0));
    mine.heap.purge(0, 0, true);
    assert_eq!(of_class(&world, 48).traffic.remote_frees, 128);
    live.free_all(&mine);
    mine.end();
    other.end();
    let after = of_class(&world, 48);
    assert_eq!((after.live, after.traffic.outside()), (0, 0));
    assert_eq!(after.traffic.flushed + after.traffic.remote_frees, after.traffic.refilled);
}

#[test]
fn spans_and_mappings_are_counted_however_they_are_had() {
    let world = World::new();
    let (mine, other) = (world.thread().unwrap(), world.thread().unwrap());
    let mut live = Live::default();
    // From a magazine, past it since it is aligned, and with a mapping of its own; then the same again, from what is
    // kept.
    for _ in 0..2 {
        for (size, align) in [(100_000, 8), (100_000, 128 * 1024), (2_000_000, 8)] {
            assert!(live.alloc(&mine, size, align, false));
        }
        (0..3).for_each(|_| live.free(&mine, 0));
    }
    assert!(live.alloc(&mine, 200_000, 8, false));
    live.free(&other, 0);
    mine.heap.purge(0, 0, true);
    let stats = world.assert_balanced();
    assert_eq!(stats.mappings_allocated, 2);
    assert_eq!(stats.span_traffic.remote_frees, 1);
    mine.end();
    other.end();
    assert_eq!(world.stats().span_traffic.outside(), 0);
}

#[test]
fn the_peak_can_be_forgotten_and_comes_again() {
    let world = World::new();
    let mine = world.thread().unwrap();
    let mut live = Live::default();
    assert!(live.alloc(&mine, 8_000_000, 8, false));
    live.free_all(&mine);
    world.purge(u64::MAX, 0);
    let high = world.stats();
    assert!(high.peak_since_reset > high.committed + 7_000_000, "{high}");
    world.backend.counters.reset_peak();
    let low = world.stats();
    assert_eq!((low.peak_since_reset, low.peak_committed), (low.committed, high.peak_committed));
    assert!(live.alloc(&mine, 2_000_000, 8, false));
    live.free_all(&mine);
    let again = world.stats();
    assert!((2_000_000..3_000_000).contains(&(again.peak_since_reset - low.committed)), "{again}");
    assert_eq!(again.peak_committed, high.peak_committed);
}

#[test]
fn what_the_system_says_is_set_against_what_is_committed() {
    let says = |anonymous, swapped| SystemMemory { resident: 900, anonymous, lazily_freed: None, swapped };
    let differences = |committed, memory| {
        let system = SystemStats::beside(committed, memory);
        (system.not_ours, system.untouched)
    };
    assert_eq!(differences(1000, says(Some(600), Some(50))), (0, 350), "all that is resident may be Tenure's");
    assert_eq!(differences(500, says(Some(600), Some(50))), (450, 0));
    assert_eq!(differences(800, says(Some(600), Some(0))), (100, 200), "files are resident, too");
    assert_eq!(differences(1000, says(None, None)), (0, 100), "where only the whole is known");
}

#[test]
fn the_system_is_asked_when_the_program_says_so() {
    let world = World::new();
    let mut stats = world.stats();
    assert_eq!((stats.system, stats.uptime_ms), (None, None));
    world.mock.set_now(1234);
    stats.ask(world.mock);
    assert_eq!(stats.uptime_ms, Some(1234));
    let system = stats.system.unwrap();
    assert!(system.resident >= system.anonymous.unwrap() && system.resident > 100_000, "{system:?}");
}

#[test]
fn a_snapshot_fits_a_small_stack() {
    assert!(size_of::<Stats>() < 16 * 1024, "{} bytes", size_of::<Stats>());
}
