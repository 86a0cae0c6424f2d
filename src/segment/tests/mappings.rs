//! Blocks with a mapping of their own: where they stand, and what is refused.

use super::super::*;
use super::{KIB, MIB, Source, assert_marked, assert_zero, is_in_place_of, layout, mark};
use crate::os::mock::{Call, Mock};
use std::vec;
use std::vec::Vec;

#[test]
fn blocks_stand_at_every_alignment_up_to_8_mib_and_read_as_zero() {
    for page_size in [4 * KIB, 16 * KIB, 64 * KIB] {
        let source = Source::on(Mock::with_page_size(page_size));
        let mut blocks = Vec::new();
        for align in (0..=23).map(|bit| 1 << bit) {
            for size in [1, 100 * KIB + 1, 2 * MIB, 3 * MIB + 5] {
                let before = source.in_use();
                let (block, is_zero) = source.backend.map_block(layout(size, align)).unwrap();
                assert!(block.addr().get().is_multiple_of(align), "{block:p} at {align:#x}");
                let body = source.in_use() - before;
                assert!(source.is_block(block) && body >= size && body < size + page_size);
                assert!(is_zero);
                assert_zero(block, size.min(8 * KIB));
                mark(block, size);
                blocks.push((block, size));
            }
        }
        for &(block, size) in &blocks {
            assert_marked(block, size, size);
        }
        let counters = &source.backend.counters;
        assert_eq!(counters.mappings(), blocks.len());
        assert_eq!(counters.committed(), counters.mapped() + counters.metadata());
        for (block, _) in blocks {
            assert!(source.backend.unmap_block(block));
        }
        assert!(source.backend.relieve(usize::MAX));
        assert_eq!((counters.mappings(), counters.mapped(), counters.reserved()), (0, 0, 0));
        assert_eq!(counters.committed(), counters.metadata());
        assert_eq!(source.mock.mapped(), crate::segment::OWNER_MAP, "only the owner map is left");
    }
}

#[test]
fn a_size_beyond_all_memory_is_refused_and_leaves_nothing_behind() {
    let source = Source::new();
    let block = source.block(MIB);
    let before = source.mock.mapped();
    for align in [1, 64 * KIB, 8 * MIB] {
        for size in [ADDRESSES, 1 << 62, isize::MAX as usize - align + 1] {
            assert!(source.backend.map_block(layout(size, align)).is_none());
            assert!(source.remap(block, layout(size.min(isize::MAX as usize - 7), 8)).is_none());
        }
    }
    assert_eq!((source.mock.mapped(), source.in_use()), (before, MIB));
    source.block(2 * MIB);
}

#[test]
fn a_freed_mapping_serves_what_is_at_most_a_quarter_smaller() {
    let source = Source::new();
    let offset = cache::OFFSET;
    let freed = source.block(5 * MIB - offset);
    mark(freed, 5 * MIB - offset);
    assert!(source.backend.unmap_block(freed));
    assert_eq!(source.backend.owners.look_up(freed.addr().get()), Owner::NONE);
    assert_eq!((source.backend.cached().mappings, source.backend.cached().bytes), (1, 5 * MIB - offset));
    for size in [4 * MIB - offset - 4 * KIB, 5 * MIB - offset + 1] {
        let (other, is_zero) = source.backend.map_block(layout(size, 8)).unwrap();
        assert!(other != freed && is_zero, "{size} bytes do not fit");
    }
    let calls = source.mock.calls(None);
    let (again, is_zero) = source.backend.map_block(layout(4 * MIB - offset, 64 * KIB)).unwrap();
    assert!(again == freed && !is_zero);
    assert_eq!((source.mock.calls(None), source.backend.cached().mappings), (calls, 0));
    assert!(source.backend.map_block(layout(5 * MIB - offset, 8)).unwrap().0 != freed, "it is in use");
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has a quarantine instead")]
fn the_block_of_a_mapping_that_is_used_again_starts_elsewhere_and_is_as_large() {
    for (page_size, starts) in [(4 * KIB, 7), (16 * KIB, 3), (64 * KIB, 0)] {
        let source = Source::on(Mock::with_page_size(page_size));
        let first = source.block(MIB);
        let mut seen = vec![first];
        assert!(source.backend.unmap_block(first));
        for _ in 0..starts {
            let block = source.block(MIB);
            assert!(is_in_place_of(block, first) && block.addr().get().is_multiple_of(page_size));
            assert!(!seen.contains(&block), "{block:p} of {seen:?}");
            for &before in &seen {
                assert!(!source.backend.unmap_block(before), "nobody has {before:p} any more");
            }
            mark(block, MIB);
            assert!(source.is_block(block) && source.in_use() == MIB);
            assert_marked(block, MIB, MIB);
            assert!(source.backend.unmap_block(block));
            seen.push(block);
        }
        // What is to be aligned to more than a page stands where it stood first.
        assert_eq!(source.backend.map_block(layout(MIB, 64 * KIB)).unwrap().0, first);
    }
}

#[test]
fn a_mapping_of_unusual_alignment_is_not_kept() {
    let source = Source::new();
    for align in [128 * KIB, 2 * MIB, 4 * MIB] {
        let (block, _) = source.backend.map_block(layout(MIB, align)).unwrap();
        assert!(source.backend.unmap_block(block));
        assert_eq!((source.backend.cached().mappings, source.backend.counters.reserved()), (0, 0));
    }
}

#[test]
fn a_kept_mapping_is_given_back_once_it_was_found_and_found_again_later() {
    let source = Source::new();
    let block = source.block(MIB);
    assert!(source.backend.unmap_block(block));
    let kept = || source.backend.cached().mappings;
    source.backend.purge_unused(4000, 5000);
    assert_eq!(kept(), 1, "the first look takes note");
    source.backend.purge_unused(4999, 5999);
    assert_eq!(kept(), 1, "it is younger than that");
    let another = source.block(2 * MIB);
    assert!(source.backend.unmap_block(another));
    source.backend.purge_unused(5000, 6000);
    assert_eq!(kept(), 1, "the first one goes, the other was not found before");
    source.backend.purge_unused(6000, 7000);
    assert_eq!((kept(), source.backend.counters.reserved()), (0, 0));
}

#[test]
fn a_mapping_that_was_used_meanwhile_ages_anew() {
    let source = Source::new();
    let block = source.block(MIB);
    assert!(source.backend.unmap_block(block));
    source.backend.purge_unused(0, 1000);
    let again = source.block(MIB);
    assert!(is_in_place_of(again, block));
    assert!(source.backend.unmap_block(again));
    source.backend.purge_unused(1500, 2500);
    assert_eq!(source.backend.cached().mappings, 1);
}

#[test]
fn a_mapping_that_the_system_does_not_take_back_is_purged_instead() {
    let source = Source::new();
    let block = source.backend.map_block(layout(MIB, 2 * MIB)).unwrap().0;
    source.mock.fail_nth(Some(Call::Unmap), 1);
    assert!(source.backend.unmap_block(block));
    assert_eq!(source.mock.calls(Some(Call::Purge)), 1);
    let counters = &source.backend.counters;
    assert_eq!((counters.mappings(), counters.mapped()), (0, 0));
    assert_eq!(counters.committed(), counters.metadata());
    assert_eq!(source.backend.owners.look_up(block.addr().get()), Owner::NONE);
}

#[test]
fn only_a_blocks_start_is_freed_and_only_once() {
    let source = Source::new();
    for align in [8, 256 * KIB, 2 * MIB, 4 * MIB] {
        let block = source.backend.map_block(layout(MIB, align)).unwrap().0;
        mark(block, MIB);
        for inside in [1, 8, 4096, 64 * KIB, MIB - 1] {
            // SAFETY: inside the test's own block.
            assert!(!source.backend.unmap_block(unsafe { block.add(inside) }), "{inside} bytes behind the start");
            assert!(source.is_block(block) && source.in_use() == MIB);
        }
        assert_marked(block, MIB, MIB);
        assert!(source.backend.unmap_block(block));
        assert!(!source.backend.unmap_block(block));
    }
}

#[test]
fn a_mapping_below_the_last_one_costs_one_call() {
    let source = Source::new();
    source.block(2 * MIB);
    let cost = || {
        let calls = source.mock.calls(None);
        source.block(2 * MIB);
        source.mock.calls(None) - calls
    };
    // Other tests map memory as well, and may take the place now and then.
    assert!((0..50).any(|_| cost() == 1));
}

#[test]
fn the_head_of_a_mapping_is_not_taken_for_its_block() {
    let source = Source::new();
    let block = source.block(MIB);
    for before in [1, 4096, 64 * KIB - 1, 64 * KIB] {
        // SAFETY: inside the test's own mapping.
        assert!(!source.backend.unmap_block(unsafe { block.sub(before) }), "{before} bytes before the start");
        assert!(source.is_block(block) && source.in_use() == MIB);
    }
}

#[test]
fn a_soft_limit_that_is_passed_beside_a_request_that_the_system_refuses_is_told_of() {
    let source = Source::new();
    let backend = source.backend;
    let counters = &backend.counters;
    counters.limits.set(counters.committed() + 3 * MIB, counters.committed() + 100 * MIB, counters.committed());
    source.mock.fail_from(Some(Call::Map), 1);
    source.mock.during_next(Call::Map, || backend.counters.commit(4 * MIB));
    assert_eq!(backend.map_block(layout(4 * MIB, 8)), None);
    assert!(counters.limits.take_passed());
}

#[test]
fn what_the_system_refuses_is_committed_at_no_moment_and_leaves_no_peak() {
    let source = Source::new();
    let backend = source.backend;
    let (block, freed) = (source.block(3 * MIB), source.block(6 * MIB));
    assert!(backend.unmap_block(freed));
    let (committed, peak) = (backend.counters.committed(), backend.counters.peak());
    for call in [Call::Map, Call::MapExactly, Call::Resize] {
        source.mock.fail_from(Some(call), 1);
    }
    let lengthen = || assert_eq!(source.block_of_kept(9 * MIB), None);
    let grow = || assert_eq!(source.remap(block, layout(1 << 46, 8)), None);
    let map = || assert_eq!(backend.map_block(layout(1 << 46, 8)), None);
    for (first, request) in [(Call::Resize, &lengthen as &dyn Fn()), (Call::Resize, &grow), (Call::Map, &map)] {
        source.mock.during_next(first, move || assert_eq!(backend.counters.committed(), committed));
        request();
        assert_eq!((backend.counters.peak(), backend.counters.peak_since_reset()), (peak, peak));
    }
    // What was kept has made way.
    assert_eq!(backend.counters.committed(), committed - 6 * MIB - backend.os.page_size());
}
