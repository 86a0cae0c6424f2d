//! The depot: batches that come and go, and what it gives way to.

use super::*;
use std::collections::BTreeSet;
use std::vec::Vec;

/// Rounds of a batch after which the depot is in use.
const ROUNDS: usize = 16;

fn batch(sample: &Sample, class: SizeClass, count: usize) -> Vec<NonNull<u8>> {
    (0..count).map(|_| sample.alloc(class)).collect()
}

/// Frees in an order in which no two neighbours follow each other.
fn give_back(sample: &Sample, class: SizeClass, blocks: &[NonNull<u8>]) {
    for start in 0..7 {
        blocks.iter().skip(start).step_by(7).for_each(|&block| sample.free(class, block));
    }
}

fn counted(sample: &Sample, class: SizeClass) -> Counted {
    sample.heap.counts()[class.index()].read()
}

/// Frees in the order of addresses, so that what the magazine keeps lies in one slab or two.
fn give_back_in_order(sample: &Sample, class: SizeClass) {
    let mut blocks = batch(sample, class, 8000);
    blocks.sort();
    blocks.into_iter().for_each(|block| sample.free(class, block));
}

/// A batch of `count` blocks goes to and fro until the depot is in use.
fn warm_up(sample: &Sample, class: SizeClass, count: usize) {
    for _ in 0..ROUNDS {
        let blocks = batch(sample, class, count);
        give_back(sample, class, &blocks);
    }
}

#[test]
fn a_batch_that_comes_again_and_again_reaches_no_slab() {
    let sample = Sample::new();
    let class = class_of(64);
    warm_up(&sample, class, 3000);
    let before = counted(&sample, class);
    for _ in 0..10 {
        let blocks = batch(&sample, class, 3000);
        assert_eq!(blocks.iter().collect::<BTreeSet<_>>().len(), 3000, "no block is given out twice");
        give_back(&sample, class, &blocks);
    }
    let after = counted(&sample, class);
    assert_eq!((after.refilled, after.flushed), (before.refilled, before.flushed));
    assert!(after.in_depot > 2000, "{}", after.in_depot);
    assert_eq!(after.refilled - after.flushed, after.in_depot + sample.held(class) as u64, "nothing is lost");
}

#[test]
fn no_more_waits_than_a_mebibyte() {
    for size in [16, 64, 1024, 8192] {
        let sample = Sample::new();
        let class = class_of(size);
        let count = 3 * 1024 * 1024 / class.size();
        warm_up(&sample, class, count);
        let waiting = counted(&sample, class).in_depot as usize * class.size();
        assert!(waiting > 128 * 1024 && waiting <= 1024 * 1024, "{size}: {waiting}");
    }
}

#[test]
fn what_waits_is_used_before_memory_that_was_never_touched() {
    let sample = Sample::new();
    let (class, other) = (class_of(64), class_of(1024));
    warm_up(&sample, class, 8000);
    give_back_in_order(&sample, class);
    assert!(counted(&sample, class).in_depot > 7000);
    let committed = sample.backend.counters.committed();
    // As much as lies in the slabs of the other class.
    let blocks = batch(&sample, other, 4 * SLOT_SIZE / 1024);
    assert_eq!(counted(&sample, class).in_depot, 0);
    assert!(sample.backend.counters.committed() <= committed + SLOT_SIZE);
    give_back(&sample, other, &blocks);
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "hardened slabs take any slot, so that fewer neighbours are free")]
fn a_span_takes_the_place_of_what_waits_too() {
    let sample = Sample::new();
    let class = class_of(64);
    warm_up(&sample, class, 8000);
    give_back_in_order(&sample, class);
    let committed = sample.backend.counters.committed();
    let span = sample.span(4);
    assert_eq!(counted(&sample, class).in_depot, 0);
    assert!(sample.backend.counters.committed() <= committed + SLOT_SIZE, "in slots that slabs have left");
    sample.free(SizeClass::of_slots(4).unwrap(), span);
}

#[test]
fn others_put_back_what_waits_in_a_heap_that_is_not_used() {
    let sample = Sample::new();
    let class = class_of(64);
    warm_up(&sample, class, 3000);
    sample.heap.purge(0, 0, true);
    assert!(counted(&sample, class).in_depot > 2000, "it was used since the last look");
    sample.heap.purge(0, 0, true);
    assert_eq!(counted(&sample, class).in_depot, 0);
    warm_up(&sample, class, 3000);
    sample.heap.purge(u64::MAX, 0, true);
    assert_eq!(counted(&sample, class).in_depot, 0, "all at once when that is asked for");
    warm_up(&sample, class, 3000);
    sample.heap.reclaim();
    assert_eq!(counted(&sample, class).in_depot, 0, "memory is short");
}

#[test]
fn without_memory_for_a_depot_overflows_go_to_the_slabs() {
    let sample = Sample::new();
    let class = class_of(64);
    let blocks = batch(&sample, class, 3000);
    give_back(&sample, class, &blocks);
    sample.mock.fail_from(None, 1);
    warm_up(&sample, class, 3000);
    assert_eq!(counted(&sample, class).in_depot, 0);
    sample.mock.succeed();
    warm_up(&sample, class, 3000);
    assert!(counted(&sample, class).in_depot > 2000);
}

#[test]
fn of_a_large_heap_blocks_wait_that_lie_near_each_other_and_scattered_ones_where_they_do_in_a_small_one() {
    const COUNT: usize = 8000;
    let sample = Sample::new();
    let class = class_of(64);
    let small = class_of(4096);
    // Each is in another slab than the one that was freed before it.
    let scatter = |sample: &Sample| {
        let mut blocks = batch(sample, class, COUNT);
        blocks.sort();
        (0..COUNT).for_each(|nth| sample.free(class, blocks[nth * 1201 % COUNT]));
    };
    for _ in 0..ROUNDS {
        scatter(&sample);
    }
    assert!(counted(&sample, class).in_depot > 0, "the heap is small");
    let others = batch(&sample, small, 2500);
    for _ in 0..ROUNDS {
        scatter(&sample);
    }
    assert_eq!(counted(&sample, class).in_depot > 0, cfg!(feature = "std"));
    for _ in 0..ROUNDS {
        give_back_in_order(&sample, class);
    }
    assert!(counted(&sample, class).in_depot > 0, "neighbours wait");
    others.into_iter().for_each(|block| sample.free(small, block));
}
