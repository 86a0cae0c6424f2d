//! Stealing: what is free in one heap serves another.

use super::*;
use std::collections::BTreeSet;
use std::vec::Vec;

/// Blocks of 1 KiB in a heap that is asked for them, and in more than one segment.
const MANY: usize = 3000;

/// A heap in which another has freed all of so many blocks, and that other one, which was not given any.
fn at_rest(count: usize) -> (Sample, std::mem::ManuallyDrop<Sample>, BTreeSet<usize>) {
    let idle = Sample::new();
    let other = idle.neighbour(2);
    let class = class_of(1024);
    let blocks: BTreeSet<_> = (0..count).map(|_| idle.alloc(class)).collect();
    for &block in &blocks {
        // SAFETY: the test's own block, of another heap.
        unsafe { other.heap.put_in_outbox(class, block) };
    }
    other.empty_magazines();
    let addresses = blocks.into_iter().map(|block| block.addr().get()).collect();
    (idle, other, addresses)
}

/// A block for `thief`, which asks `idle` before it grows.
fn alloc(thief: &Sample, idle: &Sample, class: SizeClass) -> NonNull<u8> {
    let others = |class, places: &mut [_]| idle.heap.give_unclaimed(class, places);
    // SAFETY: the test's own heap and tops.
    unsafe { thief.tops().pop(class).or_else(|| thief.heap.refill(thief.tops(), class, &others)) }
        .expect("there is memory")
}

/// Frees a block of whichever heap, as `thief`.
fn free(thief: &Sample, idle: &Sample, class: SizeClass, block: NonNull<u8>) {
    if thief.backend.owners.look_up(block.addr().get()) == thief.heap.owner() {
        return thief.free(class, block);
    }
    // SAFETY: the test's own heap and tops, and a block of the other heap.
    unsafe {
        if !thief.heap.keep_stolen(idle.heap.owner(), thief.tops(), class, block) {
            thief.heap.put_in_outbox(class, block);
        }
    }
}

fn assert_nothing_is_in_use(idle: &Sample, thief: &Sample) {
    for sample in [idle, thief] {
        sample.heap.purge(u64::MAX, 0, true);
        assert_eq!(sample.heap.counts_of(class_of(1024)).out(), 0);
    }
    idle.backend.purge_unused(u64::MAX, 0);
    assert_eq!(idle.backend.counters.committed(), idle.backend.counters.metadata());
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "hardened heaps steal nothing")]
fn what_came_home_to_a_heap_at_rest_serves_another_before_that_grows() {
    let (idle, thief, known) = at_rest(MANY);
    let class = class_of(1024);
    let segments = idle.segments();
    let blocks: BTreeSet<_> = (0..MANY / 2).map(|_| alloc(&thief, &idle, class).addr().get()).collect();
    assert_eq!(blocks.len(), MANY / 2, "each once");
    assert!(blocks.is_subset(&known));
    assert_eq!(idle.segments(), segments);
    // The rest is for the heap itself, and none of it is in use.
    let rest: BTreeSet<_> = (0..MANY / 2).map(|_| idle.alloc(class).addr().get()).collect();
    assert!(rest.len() == MANY / 2 && rest.is_disjoint(&blocks));
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "hardened heaps steal nothing")]
fn stolen_blocks_are_kept_when_they_are_freed_and_go_home_in_the_end() {
    let (idle, thief, _) = at_rest(MANY);
    let class = class_of(1024);
    for _ in 0..20 {
        let blocks: Vec<_> = (0..MANY / 2).map(|_| alloc(&thief, &idle, class)).collect();
        let held = thief.held(class);
        let full = magazine::capacity(class) - held;
        for (nth, &block) in blocks.iter().enumerate() {
            free(&thief, &idle, class, block);
            if held > 0 && nth < full {
                assert_eq!(thief.held(class), held + nth + 1);
            }
        }
        assert!(thief.held(class) <= magazine::capacity(class));
    }
    thief.empty_magazines();
    assert!(!thief.heap.has_stolen(class));
    idle.empty_magazines();
    assert_nothing_is_in_use(&idle, &thief);
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "hardened heaps steal nothing")]
fn a_magazine_of_own_and_stolen_blocks_gives_each_back_to_its_heap() {
    let (idle, thief, known) = at_rest(MANY);
    let class = class_of(1024);
    // More than there is to be stolen, so the heap grows in the end.
    let blocks: Vec<_> = (0..2 * MANY).map(|_| alloc(&thief, &idle, class)).collect();
    let stolen = blocks.iter().filter(|block| known.contains(&block.addr().get())).count();
    assert!(stolen > MANY / 2 && stolen < 2 * MANY, "{stolen}");
    // By turns, one of either.
    let (theirs, mine): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|block| known.contains(&block.addr().get()));
    let mut theirs = theirs.into_iter();
    for block in mine {
        free(&thief, &idle, class, block);
        theirs.next().into_iter().for_each(|block| free(&thief, &idle, class, block));
    }
    theirs.for_each(|block| free(&thief, &idle, class, block));
    thief.empty_magazines();
    idle.empty_magazines();
    assert_nothing_is_in_use(&idle, &thief);
}

#[test]
fn what_a_borrower_asks_for_is_its_own_and_so_is_what_it_has_freed_itself() {
    let class = class_of(1024);
    let (idle, _other, _) = at_rest(MANY);
    // As much as came home.
    let blocks: Vec<_> = (0..MANY + 200).map(|_| idle.alloc(class)).collect();
    let mut places = [std::ptr::null_mut(); 100];
    assert_eq!(idle.heap.give_unclaimed(class, &mut places), 0);
    blocks.into_iter().for_each(|block| idle.free(class, block));
    idle.empty_magazines();
    assert_eq!(idle.heap.give_unclaimed(class, &mut places), 0);
}

#[test]
fn heaps_of_tags_spans_and_heaps_at_work_give_nothing() {
    let class = class_of(1024);
    let (idle, _other, _) = at_rest(MANY);
    let mut places = [std::ptr::null_mut(); 100];
    assert_eq!(idle.heap.give_unclaimed(SizeClass::of_span(span_layout(1)).unwrap(), &mut places), 0);
    {
        let _work = idle.heap.core.lock();
        assert_eq!(idle.heap.give_unclaimed(class, &mut places), 0);
    }
    idle.heap.lose();
    assert_eq!(idle.heap.give_unclaimed(class, &mut places), 0);
    let under_tag = Heap::create(idle.backend, Owner(3), [1, 0]).unwrap();
    // SAFETY: kept for as long as the sample.
    let under_tag = unsafe { under_tag.as_ref() };
    assert!(!under_tag.may_steal(class));
}
