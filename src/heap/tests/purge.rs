use super::*;
use crate::os::mock::Call;

fn purges(sample: &Sample) -> usize {
    sample.mock.calls(Some(Call::Purge))
}

/// As a thread does that has looked at the clock.
fn look(sample: &Sample, now: u64) {
    sample.heap.purge(now.saturating_sub(1000), now, false);
    sample.backend.purge_unused(now.saturating_sub(1000), now);
}

#[test]
fn free_slots_are_purged_once_they_were_found_and_found_again_after_the_delay() {
    let sample = Sample::new();
    let span = sample.span(3);
    sample.span(1);
    sample.free_span(span);
    let returned = sample.backend.counters.returned();
    for now in [5000, 5500, 5999] {
        look(&sample, now);
        assert_eq!(purges(&sample), 0, "found first at 5000");
    }
    look(&sample, 6000);
    assert_eq!((purges(&sample), sample.backend.counters.returned() - returned), (1, 3 * SLOT_SIZE));
    look(&sample, 9000);
    assert_eq!(purges(&sample), 1, "there is nothing left");
}

#[test]
fn a_slot_that_is_freed_meanwhile_makes_the_segment_young_again() {
    let sample = Sample::new();
    let spans = [sample.span(1), sample.span(1), sample.span(1)];
    sample.free_span(spans[0]);
    look(&sample, 5000);
    sample.free_span(spans[1]);
    for now in [6000, 6999] {
        look(&sample, now);
        assert_eq!(purges(&sample), 0);
    }
    look(&sample, 7000);
    assert_eq!(purges(&sample), 1);
}

#[test]
fn nothing_in_use_is_purged() {
    let sample = Sample::new();
    let class = class_of(1000);
    let span = sample.span(4);
    let block = sample.alloc(class);
    for (at, len) in [(span, 4 * SLOT_SIZE), (block, class.size())] {
        // SAFETY: the test's own blocks.
        unsafe { at.write_bytes(0x5a, len) };
    }
    let gone = sample.span(2);
    sample.free_span(gone);
    sample.heap.purge(u64::MAX, 0, true);
    assert_eq!(purges(&sample), 1);
    for (at, len) in [(span, 4 * SLOT_SIZE), (block, class.size())] {
        // SAFETY: the test's own blocks.
        assert!(unsafe { std::slice::from_raw_parts(at.as_ptr(), len) }.iter().all(|&byte| byte == 0x5a));
    }
}

#[test]
fn what_was_purged_reads_as_zero_and_what_could_not_be_is_not_said_to() {
    for is_refused in [false, true] {
        let sample = Sample::new();
        let span = sample.span(2);
        // SAFETY: the test's own block.
        unsafe { span.write_bytes(0x77, 2 * SLOT_SIZE) };
        sample.free_span(span);
        if is_refused {
            sample.mock.fail_from(Some(Call::Purge), 1);
        }
        sample.heap.purge(u64::MAX, 0, true);
        let (again, is_zero) = sample.heap.take_span(span_layout(2)).unwrap();
        assert_eq!((again, is_zero), (span, !is_refused));
        // SAFETY: the test's own block.
        assert_eq!(unsafe { again.read() }, if is_refused { 0x77 } else { 0 });
    }
}

#[test]
fn one_unused_segment_stays_and_others_are_pooled() {
    let sample = Sample::new();
    let spans: [_; 6] = std::array::from_fn(|_| sample.span(16));
    assert_eq!((sample.segments(), sample.pooled()), (6, 0));
    for (nth, span) in spans.into_iter().enumerate() {
        sample.free_span(span);
        assert_eq!(sample.pooled(), nth);
    }
    for _ in 0..20 {
        let span = sample.span(16);
        assert_eq!(sample.pooled(), 5, "the one that stayed serves again");
        sample.free_span(span);
    }
    let calls = sample.mock.calls(None);
    let spans: [_; 6] = std::array::from_fn(|_| sample.span(16));
    assert_eq!((sample.segments(), sample.pooled(), sample.mock.calls(None)), (6, 0, calls));
    spans.into_iter().for_each(|span| sample.free_span(span));
}

#[test]
fn a_heap_at_work_is_left_alone_by_those_who_do_not_wait() {
    let sample = Sample::new();
    let span = sample.span(1);
    sample.span(16);
    sample.free_span(span);
    let heap = sample.heap;
    sample.mock.during_next(Call::Map, move || {
        assert!(heap.is_locked());
        heap.purge(u64::MAX, 0, false);
        // Nor does a heap keep anybody waiting that is lost.
        heap.lose();
        heap.purge(u64::MAX, 0, true);
    });
    sample.span(16);
    assert!(!heap.is_locked() && heap.is_lost());
    assert_eq!(purges(&sample), 0);
}

#[test]
fn whoever_purges_collects_as_well() {
    let sample = Sample::new();
    let class = class_of(100);
    let block = sample.alloc(class);
    sample.empty_magazines();
    // SAFETY: a block of the heap.
    unsafe { return_remotely(class, block) };
    assert!(!sample.heap.pending.is_empty());
    sample.heap.purge(u64::MAX, 0, false);
    assert!(sample.heap.pending.is_empty());
    assert_eq!(sample.backend.counters.committed(), sample.backend.counters.metadata());
}
