//! The pool: unused segments, how they are purged and how they are released.

use super::super::Warmth;
use super::super::*;
use super::Source;
use crate::os::Platform;
use crate::os::mock::{Call, Mock};
use core::alloc::Layout;
use std::vec::Vec;

/// How often a test is made that needs the addresses that it has given back: what else maps memory in this process, as
/// other tests do, may have taken them meanwhile.
pub(in crate::segment) const ATTEMPTS: usize = 100;

impl Source {
    fn owner(&self, segment: &Segment) -> Owner {
        self.backend.owners.look_up(segment.address())
    }

    /// Uses every slot and frees it again, so that all are touched.
    fn touch(&self, segment: &Segment) {
        segment.carve_span(END - 1, 1, Warmth::Any, &self.backend.counters).unwrap();
        segment.retire(segment.slab(1), self.backend);
    }
}

#[test]
fn a_segment_that_is_given_back_is_taken_again_the_lowest_first() {
    let source = Source::new();
    let mut segments: Vec<_> = (0..5).map(|_| source.take_segment()).collect();
    for &nth in &[3, 0, 4, 1, 2] {
        source.backend.give_segment(segments[nth]);
        assert_eq!(source.owner(segments[nth]), Owner::POOLED);
    }
    let calls = source.mock.calls(None);
    segments.sort_by_key(|segment| segment.address());
    for segment in segments {
        assert!(ptr::eq(source.take_segment(), segment));
        assert_eq!(source.owner(segment), Owner(1));
    }
    assert_eq!(source.mock.calls(None), calls);
}

#[test]
fn pooled_segments_are_purged_once_they_were_found_and_found_again_later() {
    let source = Source::new();
    let segment = source.take_segment();
    source.touch(segment);
    source.backend.give_segment(segment);
    for (before, now) in [(0, 1000), (999, 1999)] {
        source.backend.purge_unused(before, now);
        assert_eq!(source.mock.calls(Some(Call::Purge)), 0);
    }
    source.backend.purge_unused(1000, 2000);
    assert_eq!((source.mock.calls(Some(Call::Purge)), segment.touched_slots()), (1, 0));
    assert_eq!(source.owner(segment), Owner::POOLED);
    source.backend.purge_unused(u64::MAX, 0);
    assert_eq!(source.mock.calls(Some(Call::Purge)), 1, "there is nothing left to purge");
    let again = source.take_segment();
    assert!(ptr::eq(again, segment) && again.carve_span(16, 1, Warmth::Any, &source.backend.counters).unwrap().1);
}

#[test]
fn a_segment_that_is_used_meanwhile_ages_anew() {
    let source = Source::new();
    let segment = source.take_segment();
    source.touch(segment);
    source.backend.give_segment(segment);
    source.backend.purge_unused(0, 1000);
    source.touch(source.take_segment());
    source.backend.give_segment(segment);
    source.backend.purge_unused(1500, 2500);
    assert_eq!(source.mock.calls(Some(Call::Purge)), 0);
    source.backend.purge_unused(2500, 3500);
    assert_eq!(source.mock.calls(Some(Call::Purge)), 1);
}

#[test]
fn where_addresses_are_few_a_purge_gives_back_those_of_pooled_segments() {
    let source = Source::new();
    source.mock.limit_addresses();
    let segments: Vec<_> = (0..3).map(|_| source.take_segment()).collect();
    for segment in &segments {
        source.touch(segment);
        source.backend.give_segment(segment);
    }
    source.backend.purge_unused(u64::MAX, 0);
    assert!(segments.iter().all(|segment| source.owner(segment) == Owner::RELEASED));
    assert_eq!(source.backend.counters.reserved(), 3 * SLOT_SIZE);
    assert_eq!(source.backend.counters.pooled.load(Ordering::Relaxed), 0);
}

#[test]
fn where_addresses_are_few_segments_go_a_delay_after_their_memory() {
    let source = Source::new();
    source.mock.limit_addresses();
    let segment = source.take_segment();
    source.touch(segment);
    source.backend.give_segment(segment);
    for now in [1000, 2000, 2999] {
        source.backend.purge_unused(now - 1000, now);
        assert_eq!(source.owner(segment), Owner::POOLED, "at {now}");
    }
    // A system that refuses has it stay, as it was.
    source.mock.fail_nth(Some(Call::Unmap), 1);
    source.backend.purge_unused(2000, 3000);
    assert_eq!(source.owner(segment), Owner::POOLED);
    source.backend.purge_unused(2000, 3000);
    assert_eq!(source.owner(segment), Owner::RELEASED);
    assert_eq!(source.backend.counters.reserved(), SLOT_SIZE);
}

#[test]
fn relief_gives_back_all_but_first_slots_which_can_be_used_again_later() {
    let is_through = (0..ATTEMPTS).any(|_| {
        let source = Source::new();
        let counters = &source.backend.counters;
        let segments: Vec<_> = (0..3).map(|_| source.take_segment()).collect();
        for segment in &segments {
            source.touch(segment);
            source.backend.give_segment(segment);
        }
        assert!(source.backend.relieve(usize::MAX));
        assert!(segments.iter().all(|segment| source.owner(segment) == Owner::RELEASED));
        assert_eq!((counters.reserved(), counters.committed()), (3 * SLOT_SIZE, counters.metadata()));
        assert_eq!(source.mock.mapped(), counters.reserved() + crate::segment::OWNER_MAP);
        assert!(!source.backend.relieve(usize::MAX), "there is nothing left to give");
        // With every other mapping refused, the places of the old ones still do.
        source.mock.fail_from(Some(Call::Map), 1);
        let again: Option<Vec<_>> = (0..3).map(|_| source.backend.take_segment(Owner(1), false)).collect();
        let Some(again) = again else { return false };
        assert!(source.backend.take_segment(Owner(1), false).is_none());
        let mut again: Vec<_> = again.into_iter().map(|segment| segment.addr().get()).collect();
        again.sort();
        let mut expected: Vec<_> = segments.iter().map(|segment| segment.address()).collect();
        expected.sort();
        assert_eq!(again, expected);
        for segment in segments {
            assert!(segment.carve_span(16, 1, Warmth::Any, counters).unwrap().1, "it reads as zero");
        }
        assert_eq!(counters.reserved(), 3 * SEGMENT_SIZE);
        true
    });
    assert!(is_through, "released places could never be used again");
}

#[test]
fn a_released_segment_whose_place_was_taken_is_left_alone() {
    let is_through = (0..ATTEMPTS).any(|_| {
        let source = Source::new();
        let segment = source.take_segment();
        source.backend.give_segment(segment);
        assert!(source.backend.relieve(usize::MAX));
        let page = source.mock.page_size();
        if source.mock.map_exactly(segment.address() + 20 * SLOT_SIZE, page).is_none() {
            return false;
        }
        source.mock.fail_from(Some(Call::Map), 1);
        for _ in 0..3 {
            assert!(source.backend.take_segment(Owner(1), false).is_none());
            assert_eq!(source.owner(segment), Owner::RELEASED);
        }
        source.mock.succeed();
        assert!(!ptr::eq(source.take_segment(), segment));
        true
    });
    assert!(is_through, "the place was never free");
}

#[test]
fn relief_that_the_system_refuses_leaves_the_segment_in_the_pool() {
    let source = Source::new();
    let segment = source.take_segment();
    source.touch(segment);
    source.backend.give_segment(segment);
    let committed = source.backend.counters.committed();
    source.mock.fail_from(Some(Call::Unmap), 1);
    assert!(!source.backend.relieve(usize::MAX));
    assert_eq!((source.owner(segment), source.backend.counters.committed()), (Owner::POOLED, committed));
    assert!(ptr::eq(source.take_segment(), segment));
}

#[test]
fn a_refused_mapping_is_asked_for_again_after_relief() {
    let source = Source::new();
    let large = Layout::from_size_align(4 << 20, 8).unwrap();
    let (block, _) = source.backend.map_block(large).unwrap();
    assert!(source.backend.unmap_block(block));
    let segment = source.take_segment();
    // The hint and the whole fail once; then the cache is emptied, and the system has room again.
    source.mock.fail(Some(Call::Map), 1, 2);
    assert!(!ptr::eq(source.take_segment(), segment));
    assert_eq!(source.backend.cached().mappings, 0);
    source.backend.give_segment(segment);
    source.mock.fail(Some(Call::Map), 1, 2);
    assert!(source.backend.map_block(Layout::from_size_align(5 << 20, 8).unwrap()).is_some());
    assert_eq!(source.owner(segment), Owner::RELEASED);
}

#[test]
fn without_memory_there_is_no_segment_and_nothing_is_kept() {
    for call in [Call::Map, Call::Commit] {
        let source = Source::new();
        source.mock.fail_from(Some(call), 1);
        for _ in 0..3 {
            assert!(source.backend.take_segment(Owner(1), false).is_none());
        }
        assert_eq!(source.mock.mapped(), crate::segment::OWNER_MAP, "only the owner map");
        assert_eq!((source.backend.counters.reserved(), source.backend.counters.committed()), (0, 0));
        source.mock.succeed();
        source.take_segment();
    }
}

#[test]
fn a_place_that_is_taken_costs_a_cut_and_no_memory() {
    for page_size in [4096, 16 * 1024, 64 * 1024] {
        let source = Source::on(Mock::with_page_size(page_size));
        let first = source.take_segment();
        // Somebody else sits where the next segment would stand.
        source.mock.map_exactly(first.address() - page_size, page_size);
        let before = source.mock.mapped();
        for nth in 1..=3 {
            assert!(source.take_segment().address().is_multiple_of(SEGMENT_SIZE));
            assert_eq!(source.mock.mapped(), before + nth * SEGMENT_SIZE);
        }
    }
}
