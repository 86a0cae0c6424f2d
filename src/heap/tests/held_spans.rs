//! Places of spans that were freed on probation, which hardened builds have none of.

#![cfg(not(feature = "hardened"))]

use super::*;
use crate::os::mock::Call;
use crate::segment::END;
use std::vec::Vec;

fn on_probation() -> Sample {
    let sample = Sample::new();
    sample.heap.begin_probation();
    sample
}

fn spans_of(slots: usize) -> SizeClass {
    SizeClass::of_slots(slots).unwrap()
}

/// A span that is written to and freed.
fn freed(sample: &Sample, slots: usize) -> NonNull<u8> {
    let span = sample.alloc(spans_of(slots));
    // SAFETY: a span of so many slots.
    unsafe { span.write_bytes(0x5A, slots * SLOT_SIZE) };
    sample.free(spans_of(slots), span);
    span
}

#[test]
fn the_place_of_a_span_is_not_used_again_while_others_are_free() {
    let sample = on_probation();
    let span = freed(&sample, 3);
    let others: Vec<_> = (0..END - 4).map(|_| sample.alloc(spans_of(1))).collect();
    let segments = sample.segments();
    assert!(
        others.iter().all(|other| !(span..span.map_addr(|start| start.saturating_add(3 * SLOT_SIZE))).contains(other))
    );
    let slab = sample.alloc(class_of(64));
    assert_eq!((slab, sample.segments()), (span, segments), "a slab takes it before the heap grows");
}

#[test]
fn a_span_takes_a_new_segment_rather_than_a_place_that_is_held_back() {
    let sample = on_probation();
    let span = freed(&sample, 16);
    let next = sample.alloc(spans_of(16));
    assert_ne!(next, span);
    assert_eq!(sample.segments(), 2);
    // Where there is none, the place has to do.
    sample.mock.fail_from(Some(Call::Map), 0);
    assert_eq!(sample.alloc(spans_of(16)), span);
    sample.mock.succeed();
}

#[test]
fn what_is_held_back_has_no_memory_and_is_counted_as_returned() {
    let sample = on_probation();
    let counters = &sample.backend.counters;
    let span = sample.alloc(spans_of(4));
    let (committed, returned) = (counters.committed(), counters.returned());
    sample.free(spans_of(4), span);
    assert_eq!(counters.committed(), committed - 4 * SLOT_SIZE);
    assert_eq!(counters.returned(), returned + 4 * SLOT_SIZE);
    assert_eq!(sample.heap.counts_of(spans_of(4)).out(), 0);
    // It is as good as new once it is free.
    sample.heap.reclaim();
    let (again, is_zero) = sample.heap.take_one(spans_of(4)).expect("there is memory");
    assert!(is_zero && again == span && counters.committed() == committed);
}

#[test]
fn sixteen_slots_are_held_back_and_the_oldest_leave_first() {
    let sample = on_probation();
    let spans = [4, 5, 6, 7].map(|slots| (spans_of(slots), sample.alloc(spans_of(slots))));
    for (class, span) in spans {
        sample.free(class, span);
    }
    // The last two have thirteen.
    for (class, span) in &spans[..2] {
        assert_eq!(sample.alloc(*class), *span);
    }
    for (class, span) in &spans[2..] {
        assert_ne!(sample.alloc(*class), *span);
    }
}

#[test]
fn places_are_free_when_memory_is_short_and_at_a_purge() {
    for give_back in [Heap::reclaim, |heap: &Heap| heap.purge(u64::MAX, 0, true)] {
        let sample = on_probation();
        let span = freed(&sample, 2);
        give_back(sample.heap);
        assert_eq!(sample.alloc(spans_of(2)), span);
    }
}

#[test]
fn a_span_whose_memory_the_system_does_not_take_may_be_used_again_at_once() {
    let sample = on_probation();
    let span = sample.alloc(spans_of(2));
    let committed = sample.backend.counters.committed();
    sample.mock.fail_from(Some(Call::Purge), 0);
    sample.free(spans_of(2), span);
    assert_eq!(sample.backend.counters.committed(), committed);
    assert_eq!(sample.alloc(spans_of(2)), span);
    assert_eq!(sample.heap.counts_of(spans_of(2)).out(), 1);
}

#[test]
fn a_size_has_a_magazine_after_eight_frees_of_one_slot_and_after_one_of_many() {
    for (slots, frees) in [(1, 8), (2, 4), (5, 2), (8, 1), (16, 1)] {
        let sample = on_probation();
        let spans: Vec<_> = (0..frees + 1).map(|_| sample.alloc(spans_of(slots))).collect();
        for (nth, &span) in spans.iter().enumerate() {
            assert_eq!(sample.held(spans_of(slots)), 0, "{nth} frees of {slots} slots");
            sample.free(spans_of(slots), span);
        }
        assert_eq!(sample.held(spans_of(slots)), 1, "{slots} slots");
    }
}
