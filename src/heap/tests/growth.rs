//! Growth: which heaps have huge pages, and for which classes.

use super::super::core::GROWING_FROM;
use super::*;
use crate::segment::SEGMENT_SIZE;

/// How many of a heap's segments huge pages were asked for, once it has two more than where it begins to grow, all of
/// them taken by what `take` takes.
fn huge_segments(sample: &Sample, take: impl Fn() -> NonNull<u8>) -> usize {
    while sample.segments() < GROWING_FROM + 2 {
        take();
    }
    sample.mock.huge_pages() / SEGMENT_SIZE
}

#[test]
fn a_heap_that_grows_has_huge_pages() {
    let sample = Sample::new();
    let class = SizeClass::of_size(1024).unwrap();
    while sample.segments() < GROWING_FROM {
        sample.alloc(class);
    }
    assert_eq!(sample.mock.huge_pages(), 0, "the first segments are small programs'");
    assert_eq!(huge_segments(&sample, || sample.alloc(class)), 2);
}

#[test]
fn what_fills_its_slots_but_for_a_page_has_huge_pages() {
    for size in [16 * 1024, 20 * 1024, 32 * 1024] {
        let sample = Sample::new();
        let class = SizeClass::of_size(size).unwrap();
        assert_eq!(huge_segments(&sample, || sample.alloc(class)), 2, "{size}");
    }
}

#[test]
fn what_leaves_parts_of_its_slots_untouched_has_small_pages() {
    for size in [22 * 1024, 24 * 1024, 13 * 1024] {
        let sample = Sample::new();
        let class = SizeClass::of_size(size).unwrap();
        assert_eq!(huge_segments(&sample, || sample.alloc(class)), 0, "{size}");
    }
    let sample = Sample::new();
    assert_eq!(huge_segments(&sample, || sample.span(3)), 0, "a span");
}

#[test]
fn where_memory_is_limited_nothing_has_huge_pages() {
    let sample = Sample::new();
    sample.backend.counters.limits.set(usize::MAX, 1 << 40, 0);
    let class = SizeClass::of_size(1024).unwrap();
    assert_eq!(huge_segments(&sample, || sample.alloc(class)), 0);
}
