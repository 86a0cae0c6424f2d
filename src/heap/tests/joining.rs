//! Joining: small pages of segments that were filled become huge ones.

use super::*;
#[cfg(not(feature = "std"))]
use crate::heap::core::GROWING_FROM;
use crate::os::Platform;
use crate::segment::{END, SEGMENT_SIZE};
use std::vec::Vec;

/// Spans that fill one segment, every `step`th page of which is written to.
fn fill(sample: &Sample, step: usize) -> Vec<NonNull<u8>> {
    let page = sample.mock.page_size();
    let spans: Vec<_> = (1..END).map(|_| sample.span(1)).collect();
    for nth in (0..spans.len() * SLOT_SIZE / page).step_by(step) {
        let at = nth * page;
        // SAFETY: inside a span of the test's own.
        unsafe { spans[at / SLOT_SIZE].add(at % SLOT_SIZE).write(1) };
    }
    spans
}

/// How many of four segments are joined in a heap of middling size.
const OF_FOUR: usize = if cfg!(feature = "std") { 4 } else { 3 };

fn joined(sample: &Sample) -> usize {
    sample.mock.joined() / SEGMENT_SIZE
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has guards in its segments, which are not joined")]
fn what_was_filled_is_joined_once_when_a_third_segment_is_needed() {
    let sample = Sample::new();
    let first = fill(&sample, 1);
    fill(&sample, 1);
    assert_eq!(joined(&sample), 0, "the second is not full before the heap needs another");
    fill(&sample, 1);
    assert_eq!(joined(&sample), 2);
    sample.span(1);
    assert_eq!(joined(&sample), 3);
    // What is free again and used again is a huge page still.
    first.into_iter().for_each(|span| sample.free_span(span));
    (0..3).for_each(|_| drop(fill(&sample, 1)));
    // In the fourth there is the span that nobody has written to: for a program that was not rebuilt it is not full.
    let full = if cfg!(feature = "std") { 4 } else { 3 };
    assert_eq!((joined(&sample), sample.segments()), (full, 6), "the fifth was not full when the sixth came");
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has guards in its segments, which are not joined")]
fn what_is_used_here_and_there_has_small_pages_until_it_is_filled() {
    let sample = Sample::new();
    let sparse = fill(&sample, 2);
    (0..3).for_each(|_| drop(fill(&sample, 1)));
    assert_eq!(joined(&sample), 2);
    for span in sparse {
        // SAFETY: a span of the test's own.
        unsafe { span.write_bytes(1, SLOT_SIZE) };
    }
    sample.span(1);
    assert_eq!(joined(&sample), OF_FOUR);
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has guards in its segments, which are not joined")]
fn a_segment_of_which_pages_of_a_slab_were_given_back_is_not_joined() {
    for is_purged in [false, true] {
        let sample = Sample::new();
        let class = class_of(1024);
        // Its slab has all of the first slot but for the pages that are given back.
        let block = sample.alloc(class);
        let filled: Vec<_> = (1..SLOT_SIZE / class.size()).map(|_| sample.alloc(class)).collect();
        for &block in filled.iter().chain([&block]) {
            // SAFETY: a block of the test's own.
            unsafe { block.write_bytes(1, class.size()) };
        }
        filled.into_iter().for_each(|block| sample.free(class, block));
        sample.empty_magazines();
        if is_purged {
            sample.heap.purge(u64::MAX, 0, true);
        }
        (0..3).for_each(|_| drop(fill(&sample, 1)));
        assert_eq!(joined(&sample), if is_purged { 1 } else { 2 });
    }
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has guards in its segments, which are not joined")]
fn a_heap_that_takes_a_segment_and_gives_it_up_again_and_again_seldom_looks_at_what_is_resident() {
    let sample = Sample::new();
    // More than all small segments of a heap that grows.
    let sparse: Vec<_> = (0..40).map(|_| fill(&sample, 2)).collect();
    let (joined_before, looks_before) = (joined(&sample), sample.mock.looks());
    for _ in 0..1000 {
        // The second of them is not kept as the spare.
        for segment in [fill(&sample, SLOT_SIZE), fill(&sample, SLOT_SIZE)] {
            segment.into_iter().for_each(|span| sample.free_span(span));
        }
        sample.heap.reclaim();
    }
    let looks = sample.mock.looks() - looks_before;
    // Eight each time that a segment is taken would be 8,000.
    assert!(joined(&sample) == joined_before && looks < 1600, "{looks} looks");
    drop(sparse);
}

#[test]
fn a_segment_with_slots_that_nobody_has_used_is_not_joined() {
    let sample = Sample::new();
    // Two segments with room for what is too little each.
    let spans: Vec<_> = (0..2).map(|_| sample.span(16)).collect();
    for span in spans {
        // SAFETY: a span of the test's own.
        unsafe { span.write_bytes(1, 16 * SLOT_SIZE) };
    }
    sample.span(16);
    sample.span(16);
    assert_eq!((joined(&sample), sample.segments()), (0, 4));
}

#[test]
fn where_memory_is_limited_nothing_is_joined() {
    let sample = Sample::new();
    sample.backend.counters.limits.set(usize::MAX, 1 << 40, 0);
    (0..3).for_each(|_| drop(fill(&sample, 1)));
    assert_eq!(joined(&sample), 0);
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has guards in its segments, which are not joined")]
fn segments_of_others_are_left_alone() {
    let sample = Sample::new();
    let spans: Vec<_> = (0..2).map(|_| fill(&sample, 1)).collect();
    spans.into_iter().flatten().for_each(|span| sample.free_span(span));
    // Both are in the pool now, from which the neighbour has one and fills it.
    sample.heap.reclaim();
    let neighbour = sample.neighbour(2);
    fill(&neighbour, 1);
    fill(&sample, 1);
    fill(&sample, 1);
    sample.span(1);
    assert_eq!(joined(&sample), 2, "the neighbour has not grown");
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has guards in its segments, which are not joined")]
fn a_forked_child_keeps_what_it_shares_with_its_parent() {
    let sample = Sample::new();
    fill(&sample, 1);
    fill(&sample, 1);
    sample.heap.keep_pages_shared();
    fill(&sample, 1);
    sample.span(1);
    assert_eq!(joined(&sample), 1, "the segment that came after the fork");
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has guards in its segments, which are not joined")]
fn where_joining_takes_long_the_process_waits_before_it_joins_more() {
    let sample = Sample::new();
    let neighbour = sample.neighbour(2);
    sample.mock.set_tick_ns(10_000_000);
    for heap in [&sample, &*neighbour] {
        (0..5).for_each(|_| drop(fill(heap, 1)));
    }
    assert_eq!(joined(&sample), 1, "one segment of the first heap, and none of the other");
    sample.mock.set_tick_ns(1000);
    fill(&sample, 1);
    assert_eq!(joined(&sample), 1, "hardly any time has passed");
    sample.mock.set_tick_ns(1_000_000_000);
    fill(&neighbour, 1);
    assert_eq!(joined(&sample), 2, "which took a second, after one second");
}

#[test]
#[cfg(not(feature = "std"))]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has guards in its segments, which are not joined")]
fn a_program_that_was_not_rebuilt_has_its_first_segments_joined_and_all_of_them_once_it_is_large() {
    let sample = Sample::new();
    let nth_fill = |nth| {
        while sample.segments() < nth {
            fill(&sample, 1);
        }
    };
    nth_fill(GROWING_FROM);
    assert_eq!(joined(&sample), 3);
    let sparse = fill(&sample, 2);
    nth_fill(2 * GROWING_FROM);
    assert_eq!(joined(&sample), sample.segments() - 2, "all but the sparse one and the last");
    drop(sparse);
}
