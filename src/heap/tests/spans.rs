//! Spans: in which segment one stands, and what it costs.

use super::*;
use crate::os::mock::Call;
use crate::segment::END;
use std::vec::Vec;

#[test]
fn no_segment_is_added_while_one_has_room_however_many_have_too_little() {
    let sample = Sample::new();
    // Every segment has room for 15 slots, but one, which has room for 16.
    let mut spans: Vec<_> = (0..100).map(|_| sample.span(16)).collect();
    assert_eq!(sample.segments(), 100);
    let gap = spans.swap_remove(50);
    sample.span(1);
    sample.free_span(gap);
    let maps = sample.mock.calls(Some(Call::Map));
    let taken = sample.span(16);
    assert_eq!((sample.mock.calls(Some(Call::Map)), sample.segments()), (maps, 100), "{taken:p} is in one of them");
}

#[test]
fn what_just_fits_is_filled_up_before_larger_runs_are_broken() {
    let sample = Sample::new();
    let spans: Vec<_> = (0..(END - 1) * 3).map(|_| sample.span(1)).collect();
    // One segment with a gap of one slot, one with a gap of three, and one with a gap of two.
    for nth in [5, 40, 41, 42, 70, 71] {
        sample.free_span(spans[nth]);
    }
    assert_eq!(sample.span(2), spans[70]);
    assert_eq!(sample.span(1), spans[5]);
    assert_eq!(sample.span(3), spans[40]);
}

#[test]
fn a_span_that_the_limit_does_not_allow_costs_no_segment_each_time() {
    let sample = Sample::new();
    sample.span(16);
    let (committed, segments) = (sample.backend.counters.committed(), sample.segments());
    // Room for a segment's description and a slot.
    sample.backend.counters.limits.set(usize::MAX, committed + 900 * 1024, 0);
    for _ in 0..20 {
        assert!(sample.heap.take_span(span_layout(16)).is_none());
    }
    // One stays with the heap, and one in the pool.
    assert!(sample.segments() <= segments + 2, "{} segments", sample.segments());
    assert!(sample.heap.take_span(span_layout(8)).is_some());
    sample.heap.reclaim();
    assert!(sample.heap.take_span(span_layout(1)).is_some());
}

#[test]
fn a_span_that_is_going_to_grow_stands_where_it_can_in_memory_that_was_touched() {
    let sample = Sample::new();
    let growing = |slots: usize| {
        let class = SizeClass::of_span(span_layout(slots)).unwrap();
        // SAFETY: the test's own heap and tops.
        unsafe { sample.heap.take_growing_span(sample.tops(), class) }
    };
    let spans: Vec<_> = (0..END - 1).map(|_| sample.span(1)).collect();
    let fresh = sample.span(1);
    assert_eq!(growing(1), None, "there is room behind it, but nobody has touched that");
    // A gap of one slot comes first, and then one of 16.
    for &span in spans[2..3].iter().chain(&spans[10..26]) {
        sample.free_span(span);
    }
    let grown = growing(2).unwrap();
    assert_eq!(grown, spans[10]);
    // SAFETY: a span of the test's own.
    assert!(unsafe { sample.heap.resize_span(grown, span_layout(16)) });
    assert_eq!(growing(1), None);
    assert_ne!(fresh, grown);
}

#[test]
fn a_segment_that_is_wholly_unused_is_found_wherever_it_is() {
    let sample = Sample::new();
    let spans: Vec<_> = (0..41).map(|_| sample.span(16)).collect();
    sample.free_span(spans[20]);
    assert_eq!((sample.span(16), sample.segments()), (spans[20], 41));
}

#[test]
fn spans_of_all_lengths_and_alignments_stand_where_they_should() {
    let sample = Sample::new();
    let mut taken: Vec<(usize, usize)> = Vec::new();
    for slots in 1..=16 {
        for align in [8, SLOT_SIZE, 2 * SLOT_SIZE, 4 * SLOT_SIZE, 8 * SLOT_SIZE, 16 * SLOT_SIZE] {
            let layout = Layout::from_size_align(slots * SLOT_SIZE - 1, align).unwrap();
            if cfg!(feature = "hardened") && slots == 16 && align == 16 * SLOT_SIZE {
                assert!(!is_span(layout), "its last slot would be the segment's, which is a guard");
                continue;
            }
            assert!(is_span(layout));
            let (span, is_zero) = sample.heap.take_span(layout).unwrap();
            assert!(is_zero && span.addr().get().is_multiple_of(align.max(SLOT_SIZE)));
            taken.push((span.addr().get(), span.addr().get() + slots * SLOT_SIZE));
        }
    }
    taken.sort();
    assert!(taken.windows(2).all(|pair| pair[0].1 <= pair[1].0), "spans overlap");
}

#[test]
fn what_is_larger_or_more_strictly_aligned_is_no_span() {
    let sample = Sample::new();
    for (size, align) in [(16 * SLOT_SIZE + 1, 8), (100, 32 * SLOT_SIZE), (1 << 40, 8)] {
        let layout = Layout::from_size_align(size, align).unwrap();
        assert!(!is_span(layout) && sample.heap.take_span(layout).is_none());
    }
}

#[test]
fn a_span_grows_where_it_stands_and_a_segment_that_it_fills_is_found_again_when_it_shrinks() {
    let sample = Sample::new();
    let resize = |span, slots| {
        // SAFETY: a span of the test's own.
        unsafe { sample.heap.resize_span(span, span_layout(slots)) }
    };
    let (low, high) = (sample.span(8), sample.span(8));
    assert!(!resize(low, 9), "the other one is in the way");
    assert!(resize(high, 16) && resize(high, 16));
    assert_eq!(
        sample.span(END - 1 - 24).addr().get(),
        high.addr().get() + 16 * SLOT_SIZE,
        "all that is left of the segment"
    );
    assert_eq!(sample.segments(), 1);
    assert!(!resize(high, 17), "no span is that long");
    assert!(resize(high, 3));
    assert_eq!(sample.span(13).addr().get(), high.addr().get() + 3 * SLOT_SIZE);
    assert_eq!(sample.segments(), 1);
    // SAFETY: inside a span of the test's own.
    assert!(!unsafe { sample.heap.resize_span(low.add(SLOT_SIZE), span_layout(2)) });
}

#[test]
fn slots_of_spans_and_slabs_serve_each_other() {
    let sample = Sample::new();
    let class = class_of(32 * 1024);
    let mut ends = Vec::new();
    for _ in 0..5 {
        let blocks: Vec<_> = (0..2 * (END - 1)).map(|_| sample.heap.take_one(class).unwrap().0).collect();
        assert_eq!(sample.segments(), 1);
        for block in blocks {
            // SAFETY: a block of the heap.
            unsafe { return_remotely(class, block, &sample.backend.counters) };
        }
        // The slab that waits for blocks of its class may stand anywhere in a hardened build, and splits what is left.
        let sizes = if cfg!(feature = "hardened") { &[16][..] } else { &[16, 8, 4, 2][..] };
        let mut spans: Vec<_> = sizes.iter().map(|&slots| sample.span(slots)).collect();
        spans.extend((sizes.iter().sum()..END - 1).map(|_| sample.span(1)));
        ends.push(spans.clone());
        assert_eq!(sample.segments(), 1);
        spans.into_iter().for_each(|span| sample.free_span(span));
    }
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_span_waits_in_a_magazine_and_is_handed_out_again() {
    let sample = Sample::new();
    for slots in 1..=16 {
        let class = SizeClass::of_span(span_layout(slots)).unwrap();
        assert_eq!(class.size(), slots * SLOT_SIZE);
        // What has room in 256 KiB, and one that has not.
        let most = (4 / slots).max(1);
        let spans: Vec<_> = (0..most + 1).map(|_| sample.alloc(class)).collect();
        for (nth, &span) in spans.iter().enumerate().take(most) {
            sample.free(class, span);
            assert_eq!(sample.held(class), nth + 1);
        }
        sample.free(class, spans[most]);
        assert_eq!(sample.held(class), most - most.div_ceil(2) + 1);
        assert_eq!(sample.alloc(class), spans[most], "the last comes first");
        sample.free(class, spans[most]);
    }
    sample.empty_magazines();
    sample.heap.purge(u64::MAX, 0, true);
    sample.backend.purge_unused(u64::MAX, 0);
    assert_eq!(sample.backend.counters.committed(), sample.backend.counters.metadata());
}

#[test]
fn classes_of_small_spans_wait_side_by_side_and_the_first_makes_way_for_a_large_one() {
    let sample = Sample::new();
    let class = |slots| SizeClass::of_slots(slots).unwrap();
    let wait = |slots| {
        let span = sample.span(slots);
        // SAFETY: the test's own heap and tops.
        unsafe { sample.heap.make_way_for_span(sample.tops(), class(slots)) };
        sample.free(class(slots), span);
    };
    let waiting = || (1..=16).filter(|&slots| sample.held(class(slots)) > 0).collect::<Vec<_>>();
    (1..=4).for_each(wait);
    assert_eq!(waiting(), [1, 2, 3, 4], "960 KiB, were they full");
    wait(5);
    assert_eq!(waiting(), [2, 3, 4, 5], "what came first has made way");
    wait(1);
    assert_eq!(waiting(), [1, 3, 4, 5]);
    wait(16);
    assert_eq!(waiting(), [16]);
    wait(1);
    assert_eq!(waiting(), [1]);
}

#[test]
fn a_span_that_waits_serves_slabs_before_memory_that_was_never_touched() {
    let sample = Sample::new();
    let span = SizeClass::of_slots(16).unwrap();
    // SAFETY: the test's own heap and tops.
    unsafe { sample.heap.make_way_for_span(sample.tops(), span) };
    let block = sample.alloc(span);
    sample.free(span, block);
    assert_eq!(sample.held(span), 1);
    let range = block.addr().get()..block.addr().get() + 16 * SLOT_SIZE;
    let class = class_of(32 * 1024);
    for _ in 0..32 {
        assert!(range.contains(&sample.alloc(class).addr().get()));
        assert_eq!(sample.held(span), 0);
    }
    assert!(!range.contains(&sample.alloc(class).addr().get()), "the span's slots are used up");
    // The span's magazine is there still.
    let another = sample.alloc(span);
    sample.free(span, another);
    assert_eq!(sample.held(span), 1);
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build places spans at random")]
fn spans_that_wait_serve_a_longer_one_before_memory_that_was_never_touched() {
    let sample = Sample::new();
    let class = |slots| SizeClass::of_slots(slots).unwrap();
    // SAFETY: the test's own heap and tops.
    (1..=3).for_each(|slots| unsafe { sample.heap.make_way_for_span(sample.tops(), class(slots)) });
    let (short, long) = (sample.alloc(class(1)), sample.alloc(class(2)));
    assert_eq!(long.addr().get(), short.addr().get() + SLOT_SIZE);
    sample.free(class(1), short);
    sample.free(class(2), long);
    assert_eq!((sample.held(class(1)), sample.held(class(2))), (1, 1));
    assert_eq!(sample.alloc(class(3)), short, "both have gone back for it");
    assert_eq!((sample.held(class(1)), sample.held(class(2))), (0, 0));
    assert_ne!(sample.alloc(class(3)), short);
}
