//! Keeping: which freed mappings wait, and what they serve.

use super::super::*;
use super::{MIB, Source, assert_marked, assert_zero, is_in_place_of, layout, mark};
use crate::os::Platform;
use crate::os::mock::Call;
use crate::os::mock::random::Random;
use core::ptr::NonNull;
use std::vec::Vec;

impl Source {
    /// A block of what is kept.
    pub(in crate::segment) fn block_of_kept(&self, size: usize) -> Option<NonNull<u8>> {
        self.backend.map_block_of_kept(layout(size, 8))
    }

    /// True where a mapping is kept that `freed` was the block of.
    fn is_kept(&self, freed: NonNull<u8>) -> bool {
        let (mappings, count) = self.backend.cache.mappings();
        mappings[..count].iter().any(|range| range.start / GRANULE == freed.addr().get() / GRANULE)
    }

    /// Every byte is counted once, and what the system gave is what is reserved.
    pub(in crate::segment) fn assert_balance(&self) {
        self.assert_balance_beside(0);
    }

    /// As [`Source::assert_balance`], where segments were made of what was kept.
    pub(in crate::segment) fn assert_balance_beside(&self, segments: usize) {
        let counters = &self.backend.counters;
        assert_eq!(self.mock.mapped(), counters.reserved() + crate::segment::OWNER_MAP);
        assert_eq!(counters.committed(), counters.mapped() + counters.metadata() + segments * USABLE_BYTES);
    }
}

#[test]
fn at_most_32_mappings_are_kept_those_that_were_freed_last() {
    let source = Source::new();
    let blocks: Vec<_> = (0..40).map(|_| source.block(MIB)).collect();
    for (nth, &block) in blocks.iter().enumerate() {
        assert!(source.backend.unmap_block(block));
        assert_eq!(source.backend.cached().mappings, (nth + 1).min(cache::CACHED_RANGES));
    }
    assert!(blocks.iter().enumerate().all(|(nth, &block)| source.is_kept(block) == (nth >= 8)));
    let counters = &source.backend.counters;
    assert_eq!((counters.mappings(), counters.mapped()), (32, 32 * MIB));
}

#[test]
fn at_most_64_mib_are_kept_where_no_more_are_in_use() {
    let source = Source::new();
    let blocks: Vec<_> = [25, 25, 25, 24].map(|size| source.block(size * MIB)).into();
    let kept = blocks.into_iter().map(|block| {
        assert!(source.backend.unmap_block(block));
        source.backend.cached().bytes / MIB
    });
    assert_eq!(kept.collect::<Vec<_>>(), [25, 50, 64, 64]);
    let counters = &source.backend.counters;
    assert_eq!((source.backend.cached().mappings, counters.mapped()), (3, 64 * MIB));
}

#[test]
fn the_start_of_a_mapping_is_kept_for_which_there_is_room_and_serves_again() {
    let source = Source::new();
    let block = source.block(200 * MIB);
    mark(block, 64 * MIB);
    assert!(source.backend.unmap_block(block));
    assert_eq!((source.backend.cached().mappings, source.backend.cached().bytes), (1, 64 * MIB));
    assert_eq!((source.in_use(), source.backend.counters.mapped()), (0, 64 * MIB));
    let (again, is_zero) = source.backend.map_block(layout(64 * MIB, 8)).unwrap();
    assert!(is_in_place_of(again, block) && !is_zero);
    mark(again, 64 * MIB);
    assert!(source.backend.unmap_block(again));
    assert_eq!(source.backend.drop_unused(u64::MAX, 0), 64 * MIB + cache::OFFSET);
    assert_eq!((source.backend.counters.reserved(), source.backend.counters.mapped()), (0, 0));
}

#[test]
fn what_was_kept_longest_makes_room_for_what_is_freed_later() {
    let source = Source::new();
    let (large, small) = (source.block(200 * MIB), source.block(3 * MIB));
    assert!(source.backend.unmap_block(large));
    assert!(source.backend.unmap_block(small));
    assert_eq!((source.backend.cached().mappings, source.backend.cached().bytes), (2, 64 * MIB));
    let (again, _) = source.backend.map_block(layout(3 * MIB, 8)).unwrap();
    assert!(is_in_place_of(again, small));
    let (again, _) = source.backend.map_block(layout(61 * MIB, 8)).unwrap();
    assert!(is_in_place_of(again, large));
    let blocks: Vec<_> = [3, 28, 30, 9].map(|size| source.block(size * MIB)).into();
    assert!(source.backend.unmap_block(again) && source.backend.relieve(usize::MAX));
    for &block in &blocks {
        assert!(source.backend.unmap_block(block));
    }
    // All of the first, 3 MiB of the second.
    assert_eq!((source.backend.cached().mappings, source.backend.cached().bytes), (3, 64 * MIB));
    assert!(!source.is_kept(blocks[0]) && blocks[1..].iter().all(|&block| source.is_kept(block)));
    source.assert_balance();
}

#[test]
fn where_more_is_in_use_as_much_is_kept() {
    let source = Source::new();
    let blocks: Vec<_> = [100, 50, 150, 100].map(|size| source.block(size * MIB)).into();
    let kept = blocks.into_iter().map(|block| {
        assert!(source.backend.unmap_block(block));
        source.assert_balance();
        (source.in_use() / MIB, source.backend.cached().bytes / MIB)
    });
    assert_eq!(kept.collect::<Vec<_>>(), [(300, 100), (250, 150), (100, 150), (0, 150)]);
}

/// A step of a program that takes blocks of 20 MiB, and frees them; how many came fresh from the system, and how many
/// MiB are kept afterwards.
fn step(source: &Source, count: usize) -> (usize, usize) {
    let blocks: Vec<_> = (0..count).map(|_| source.backend.map_block(layout(20 * MIB, 8)).unwrap()).collect();
    for &(block, _) in &blocks {
        assert!(source.backend.unmap_block(block));
        source.assert_balance();
    }
    (blocks.iter().filter(|(_, is_zero)| *is_zero).count(), source.backend.cached().bytes / MIB)
}

#[test]
fn what_had_to_be_fetched_again_is_kept_from_then_on_as_long_as_that_is_not_long_ago() {
    let source = Source::new();
    assert_eq!(step(&source, 8), (8, 80), "as much as was in use when half of them were free");
    // Twice four of them have to come again.
    assert_eq!([step(&source, 8), step(&source, 8)], [(4, 80), (4, 160)]);
    assert_eq!([step(&source, 8), step(&source, 8)], [(0, 160), (0, 160)]);
    assert_eq!(source.backend.counters.peak(), source.backend.counters.committed());
    // Each delay halves it, though what is kept is not old enough to go.
    source.backend.drop_unused(0, 1);
    assert_eq!(source.backend.cached().bytes / MIB, 160, "what is kept stays for its time");
    assert_eq!(step(&source, 8), (0, 80));
    source.backend.drop_unused(0, 1);
    source.backend.drop_unused(1, 2);
    assert_eq!(source.backend.cached().bytes, 0, "it is old now");
    assert_eq!(step(&source, 8), (8, 80));
}

#[test]
fn a_purge_ends_what_may_be_kept_beyond_the_usual() {
    let source = Source::new();
    (0..4).for_each(|_| _ = step(&source, 8));
    assert_eq!(source.backend.cached().bytes / MIB, 160);
    source.backend.drop_unused(u64::MAX, 0);
    assert_eq!(step(&source, 4), (4, 64));
}

#[test]
fn what_is_kept_beyond_the_usual_makes_way_before_there_is_more_memory_than_ever() {
    let source = Source::new();
    (0..4).for_each(|_| _ = step(&source, 8));
    let peak = source.backend.counters.peak();
    let block = source.block(90 * MIB);
    assert_eq!(source.backend.cached().bytes / MIB, 69, "some 90 of 160 have made way");
    assert!(source.backend.counters.committed() <= peak);
    let other = source.block(90 * MIB);
    assert_eq!(source.backend.cached().bytes / MIB, 69, "no more than is in use");
    assert!(source.backend.unmap_block(block) && source.backend.unmap_block(other));
    source.assert_balance();
}

#[test]
fn whole_pages_are_kept_and_given_back_whatever_was_fetched_again() {
    let source = Source::new();
    let mut random = Random::new(5);
    for round in 0..200 {
        let page = source.mock.page_size();
        let sizes: Vec<_> = (0..random.within(1..13)).map(|_| 2 * MIB + random.within(0..4000) * page).collect();
        let blocks: Vec<_> = sizes.iter().map(|&size| source.backend.map_block(layout(size, 8)).unwrap().0).collect();
        for (block, size) in blocks.into_iter().zip(sizes) {
            // SAFETY: the first and the last byte of a block of the test's own.
            unsafe { (block.write(1), block.add(size - 1).write(1)) };
            assert!(source.backend.unmap_block(block));
        }
        let (mappings, count) = source.backend.cache.mappings();
        assert!(mappings[..count].iter().all(|range| range.len.is_multiple_of(page)), "in round {round}");
        source.assert_balance();
        if random.once_in(3) {
            source.backend.drop_unused(0, 1);
        }
    }
}

#[test]
fn as_many_as_64_mappings_are_kept_of_those_that_were_fetched_again() {
    let source = Source::new();
    let mut kept = Vec::new();
    for _ in 0..4 {
        let blocks: Vec<_> = (0..50).map(|_| source.backend.map_block(layout(4 * MIB, 8)).unwrap().0).collect();
        assert!(blocks.into_iter().all(|block| source.backend.unmap_block(block)));
        kept.push(source.backend.cached().mappings);
    }
    assert_eq!(kept, [25, 25, 50, 50]);
}

#[test]
fn a_block_of_a_shorter_mapping_has_its_memory_and_more_where_it_stands_and_where_it_moves() {
    for moves in [false, true] {
        let source = Source::new();
        if moves {
            source.mock.fail_from(Some(Call::Resize), 1);
        }
        let freed = source.block(6 * MIB);
        mark(freed, 6 * MIB);
        assert!(source.backend.unmap_block(freed));
        let block = source.block_of_kept(9 * MIB).unwrap();
        assert!(source.is_block(block) && source.in_use() == 9 * MIB);
        assert!(is_in_place_of(block, freed) || !source.is_block(freed));
        assert!(!moves || source.mock.calls(Some(Call::Relocate)) == 1);
        let shift = freed.addr().get() % GRANULE - block.addr().get() % GRANULE;
        // SAFETY: inside the block: where the one before it had started, and where its mapping had ended.
        let (old, new) = unsafe { (block.add(shift), block.add(shift + 6 * MIB)) };
        assert_marked(old, 6 * MIB, 6 * MIB);
        assert_zero(new, 3 * MIB - shift);
        mark(block, 9 * MIB);
        source.assert_balance();
        assert!(source.backend.unmap_block(block));
        assert_eq!(source.backend.cached().bytes, 9 * MIB);
        source.backend.relieve(usize::MAX);
        assert_eq!((source.backend.counters.reserved(), source.mock.mapped()), (0, crate::segment::OWNER_MAP));
    }
}

#[test]
fn what_doubles_is_not_made_of_what_it_leaves() {
    let source = Source::new();
    assert!(source.backend.unmap_block(source.block(4 * MIB)));
    assert_eq!(source.block_of_kept(8 * MIB), None);
    assert!(source.block_of_kept(6 * MIB).is_some());
}

#[test]
fn a_kept_mapping_that_cannot_be_made_longer_is_kept() {
    for call in [Call::Map, Call::Relocate] {
        let source = Source::new();
        assert!(source.backend.unmap_block(source.block(6 * MIB)));
        source.mock.fail_from(Some(Call::Resize), 1);
        source.mock.fail_from(Some(call), 1);
        assert_eq!(source.block_of_kept(8 * MIB), None);
        assert_eq!((source.backend.cached().mappings, source.backend.cached().bytes), (1, 6 * MIB));
        source.mock.succeed();
        source.assert_balance();
        let block = source.block_of_kept(8 * MIB).unwrap();
        mark(block, 8 * MIB);
        source.assert_balance();
    }
}

#[test]
fn an_alignment_of_more_than_a_slot_is_not_served_of_what_is_kept() {
    let source = Source::new();
    assert!(source.backend.unmap_block(source.block(6 * MIB)));
    assert_eq!(source.backend.map_block_of_kept(layout(5 * MIB, 2 * MIB)), None);
    assert_eq!(source.backend.cached().bytes, 6 * MIB);
}

#[test]
fn a_block_that_is_to_read_as_zero_has_memory_that_is_resident_only_where_the_last_one_was_filled() {
    for is_filled in [true, false] {
        let source = Source::new();
        let freed = source.block(6 * MIB);
        mark(freed, if is_filled { 6 * MIB } else { 2 * MIB });
        assert!(source.backend.unmap_block(freed));
        for _ in 0..3 {
            let purges = source.mock.calls(Some(Call::Purge));
            let (block, is_zero) = source.backend.map_zeroed_block_of_kept(layout(5 * MIB, 8)).unwrap();
            assert!(is_in_place_of(block, freed) && source.is_block(block));
            assert_eq!(is_zero, !is_filled);
            assert_eq!(source.mock.calls(Some(Call::Purge)) - purges, usize::from(is_zero));
            if is_zero {
                assert_zero(block, 2 * MIB);
            }
            mark(block, 2 * MIB);
            assert!(source.backend.unmap_block(block));
            source.assert_balance();
        }
    }
}

#[test]
fn a_block_that_begins_to_be_filled_is_found_to_be_whatever_else_its_mapping_has() {
    for size in [5 * MIB, 6 * MIB] {
        let source = Source::new();
        assert!(source.backend.unmap_block(source.block(6 * MIB)));
        let zeroed = || source.backend.map_zeroed_block_of_kept(layout(size, 8)).unwrap();
        let (block, is_zero) = zeroed();
        assert!(is_zero && source.in_use() == 6 * MIB);
        mark(block, size);
        assert!(source.backend.unmap_block(block));
        assert!(!zeroed().1);
    }
}

#[test]
fn a_block_that_grew_and_was_not_filled_to_its_end_is_found_not_to_be() {
    for touched in [3 * MIB, 6 * MIB] {
        let source = Source::new();
        let block = source.block(3 * MIB);
        mark(block, 3 * MIB);
        let block = source.remap(block, layout(6 * MIB, 8)).unwrap();
        mark(block, touched);
        assert!(source.backend.unmap_block(block));
        let (_, is_zero) = source.backend.map_zeroed_block_of_kept(layout(6 * MIB, 8)).unwrap();
        assert_eq!(is_zero, touched == 3 * MIB);
    }
}

#[test]
fn memory_that_the_system_does_not_take_back_does_not_read_as_zero() {
    let source = Source::new();
    assert!(source.backend.unmap_block(source.block(6 * MIB)));
    source.mock.fail_nth(Some(Call::Purge), 1);
    let (block, is_zero) = source.backend.map_zeroed_block_of_kept(layout(6 * MIB, 8)).unwrap();
    assert!(!is_zero && source.is_block(block));
    source.assert_balance();
}

#[test]
fn steps_that_follow_each_other_within_a_delay_have_what_they_had_to_fetch_again() {
    let source = Source::new();
    let mut fresh = Vec::new();
    for now in (100..=12_000).step_by(100) {
        source.mock.set_now(now);
        // As often as somebody looks whether anything is old.
        if now % 500 == 0 {
            source.backend.drop_unused(now.saturating_sub(1000), now);
        }
        if now % 800 == 0 {
            fresh.push(step(&source, 8).0);
        }
    }
    assert!(fresh.contains(&0), "{fresh:?}");
}

#[test]
fn what_was_given_back_is_forgotten_after_a_delay_and_what_is_proven_is_halved_once_in_each() {
    let source = Source::new();
    let demand = &source.backend.demand;
    demand.gave_back(64 * MIB, 1000);
    demand.fade(500, 1500);
    demand.fetched(16 * MIB, usize::MAX);
    assert_eq!(demand.proven(), 16 * MIB);
    for (now, proven) in [(1999, 16), (2499, 16), (2500, 8), (3000, 8), (3499, 8), (3500, 4)] {
        demand.fade(now - 1000, now);
        assert_eq!(demand.proven(), proven * MIB, "at {now}");
    }
    demand.fetched(16 * MIB, usize::MAX);
    assert_eq!(demand.proven(), 4 * MIB, "that was long ago");
}

#[test]
fn what_is_kept_beyond_the_usual_makes_way_however_memory_is_mapped() {
    let larger = |source: &Source| {
        let block = source.block(20 * MIB);
        mark(block, 20 * MIB);
        source.remap(block, layout(70 * MIB, 8)).unwrap();
    };
    let longer = |source: &Source| assert!(source.block_of_kept(30 * MIB).is_some());
    let moved = |source: &Source| {
        source.mock.fail_from(Some(Call::Resize), 1);
        assert!(source.block_of_kept(30 * MIB).is_some());
    };
    for map in [&larger as &dyn Fn(&Source), &longer, &moved] {
        let source = Source::new();
        (0..4).for_each(|_| _ = step(&source, 8));
        assert_eq!(source.backend.cached().bytes / MIB, 160);
        let peak = source.backend.counters.peak();
        map(&source);
        source.assert_balance();
        assert!(source.backend.counters.committed() <= peak);
    }
}

#[test]
fn what_is_kept_beyond_the_usual_makes_way_for_segments() {
    let source = Source::new();
    let size = MIB + MIB / 2;
    for _ in 0..6 {
        let blocks: Vec<_> = (0..60).map(|_| source.block(size)).collect();
        assert!(blocks.into_iter().all(|block| source.backend.unmap_block(block)));
    }
    assert_eq!(source.backend.cached().bytes, 60 * size);
    let peak = source.backend.counters.peak();
    assert!(source.backend.take_segment(Owner(1), true).is_some());
    assert!(source.backend.counters.committed() <= peak);
}

#[test]
fn what_is_kept_gets_no_younger_by_what_was_tried_with_it_in_vain() {
    let source = Source::new();
    let (older, younger) = (source.block(6 * MIB), source.block(2 * MIB));
    assert!(source.backend.unmap_block(older));
    source.backend.purge_unused(0, 1000);
    assert!(source.backend.unmap_block(younger));
    for call in [Call::Resize, Call::MapExactly, Call::Map] {
        source.mock.fail_from(Some(call), 1);
    }
    assert_eq!(source.block_of_kept(9 * MIB), None);
    source.mock.succeed();
    source.backend.purge_unused(1500, 2500);
    assert!(!source.is_kept(older) && source.is_kept(younger));
}
