//! Cutting: kept mappings that serve several blocks, and are joined again.

use super::*;
use crate::os::mock::{Call, Mock};
use crate::segment::SEGMENT_SIZE;
use crate::segment::owner::GRANULE;
use crate::segment::tests::{KIB, MIB, Source, assert_marked, is_in_place_of, layout, mark};
use std::vec::Vec;

/// A block that takes so many granules, with its head.
const fn granules(count: usize) -> usize {
    count * GRANULE - cache::OFFSET
}

impl Source {
    /// Mappings that are kept, and megabytes.
    fn kept(&self) -> (usize, usize) {
        let kept = self.backend.cached();
        assert_eq!(kept.bytes % (64 * KIB), 0);
        (kept.mappings, kept.bytes / MIB)
    }

    fn free(&self, block: NonNull<u8>) {
        assert!(self.backend.unmap_block(block));
        self.assert_balance();
    }

    /// Keeps two mappings of so many granules that lie side by side, as if each had been mapped for itself. Where the
    /// lower one starts.
    fn keep_neighbours(&self, counts: [usize; 2]) -> NonNull<u8> {
        let block = self.block(granules(counts[0] + counts[1]));
        mark(block, granules(counts[0] + counts[1]));
        self.free(block);
        let range = self.backend.cache.take_at_least(GRANULE).unwrap();
        let (lower, piece) = self.backend.cut(range, range.start + counts[0] * GRANULE).unwrap();
        // SAFETY: taken from the cache, and cut off just now.
        let (front, behind) = unsafe { (Mapping::at(lower.start), Mapping::at(piece.start)) };
        front.shorten(lower.len);
        behind.is_piece.set(false);
        self.backend.put_back(front.range());
        self.backend.put_back(behind.range());
        self.assert_balance();
        block
    }
}

#[test]
fn a_kept_mapping_serves_several_blocks_and_is_whole_again_when_they_are_free_in_any_order() {
    for page_size in [4 * KIB, 64 * KIB] {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let source = Source::on(Mock::with_page_size(page_size));
            let freed = source.block(20 * MIB);
            // SAFETY: the test's own block.
            unsafe { freed.write_bytes(0xff, 20 * MIB) };
            source.free(freed);
            let calls = source.mock.calls(None);
            let blocks = [5 * MIB, 7 * MIB, 2 * MIB].map(|size| {
                let block = source.block_of_kept(size).unwrap();
                mark(block, size);
                source.assert_balance();
                block
            });
            assert!(is_in_place_of(blocks[0], freed) && blocks.is_sorted());
            assert_eq!(source.backend.cached().mappings, 1);
            for (block, size) in blocks.into_iter().zip([5 * MIB, 7 * MIB, 2 * MIB]) {
                assert_marked(block, size, size);
            }
            for nth in order {
                source.free(blocks[nth]);
            }
            assert_eq!(source.kept(), (1, 20));
            assert_eq!((source.mock.calls(None), source.backend.counters.mappings()), (calls, 1));
            source.backend.relieve(usize::MAX);
            assert_eq!((source.backend.counters.reserved(), source.mock.mapped()), (0, crate::segment::OWNER_MAP));
        }
    }
}

#[test]
fn what_lies_between_a_block_and_the_next_granule_is_the_blocks_where_it_is_little() {
    let source = Source::new();
    source.free(source.block(granules(10)));
    let snug = source.block_of_kept(5 * MIB).unwrap();
    assert_eq!((source.in_use(), source.backend.cache.leftovers()), (granules(3), 0));
    let loose = source.block_of_kept(4 * MIB).unwrap();
    assert_eq!((source.in_use(), source.backend.cache.leftovers()), (granules(3) + 4 * MIB, 1));
    source.free(loose);
    assert_eq!(source.backend.cache.leftovers(), 0);
    source.free(snug);
    assert_eq!(source.backend.cached().bytes, granules(10));
}

#[test]
fn what_is_left_of_a_mapping_is_left_over_behind_its_block_where_it_is_too_short_for_a_piece() {
    let source = Source::new();
    source.free(source.block(6 * MIB + 512 * KIB));
    let block = source.block_of_kept(5 * MIB).unwrap();
    assert_eq!((source.in_use(), source.kept(), source.backend.cache.leftovers()), (5 * MIB, (0, 1), 1));
    source.free(block);
    assert_eq!(source.kept(), (1, 6));
}

#[test]
fn at_most_16_ranges_are_left_over() {
    let source = Source::new();
    let blocks: Vec<_> = (0..12).map(|_| source.block(granules(2))).collect();
    for &block in &blocks {
        source.free(block);
    }
    let parts: Vec<_> = (0..18).map_while(|_| source.block_of_kept(MIB + MIB / 2)).collect();
    assert_eq!((parts.len(), source.backend.cache.leftovers()), (16, 16));
    for block in parts {
        source.free(block);
    }
    assert_eq!((source.backend.cached().mappings, source.backend.cached().bytes), (12, 12 * granules(2)));
}

#[test]
fn a_block_grows_into_the_piece_behind_it_without_a_system_call() {
    let source = Source::new();
    source.free(source.block(20 * MIB));
    let block = source.block_of_kept(4 * MIB).unwrap();
    assert_eq!((source.backend.cached().mappings, source.backend.cache.leftovers()), (1, 1));
    mark(block, 4 * MIB);
    let calls = source.mock.calls(None);
    assert_eq!(source.remap(block, layout(12 * MIB, 8)), Some(block));
    assert_marked(block, 4 * MIB, 4 * MIB);
    mark(block, 12 * MIB);
    source.assert_balance();
    assert_eq!((source.in_use(), source.kept()), (12 * MIB, (0, 8)));
    assert_eq!(source.mock.calls(None), calls);
    source.free(block);
    assert_eq!(source.kept(), (1, 20));
}

#[test]
fn a_piece_that_outlives_its_neighbours_is_a_mapping_like_any_other() {
    let source = Source::new();
    source.free(source.block(20 * MIB));
    let (first, second) = (source.block_of_kept(5 * MIB).unwrap(), source.block_of_kept(7 * MIB).unwrap());
    mark(second, 7 * MIB);
    source.free(first);
    source.backend.relieve(usize::MAX);
    source.assert_balance();
    let grown = source.remap(second, layout(30 * MIB, 8)).unwrap();
    assert_marked(grown, 7 * MIB, 7 * MIB);
    source.free(grown);
    source.backend.relieve(usize::MAX);
    assert_eq!((source.backend.counters.reserved(), source.mock.mapped()), (0, crate::segment::OWNER_MAP));
}

#[test]
fn kept_mappings_that_lie_in_a_row_serve_one_block() {
    let source = Source::new();
    let lower = source.keep_neighbours([3, 4]);
    assert_eq!(source.backend.cached().mappings, 2);
    let calls = source.mock.calls(None);
    let block = source.block_of_kept(granules(6)).unwrap();
    assert!(is_in_place_of(block, lower));
    assert_eq!((source.backend.cached().mappings, source.mock.calls(None)), (1, calls));
    mark(block, granules(6));
    source.assert_balance();
    source.free(block);
    assert_eq!((source.backend.cached().mappings, source.backend.cached().bytes), (1, granules(7)));
    source.backend.relieve(usize::MAX);
    assert_eq!((source.backend.counters.reserved(), source.mock.mapped()), (0, crate::segment::OWNER_MAP));
}

#[test]
fn memory_of_several_mappings_is_not_moved_as_one() {
    let source = Source::new();
    source.keep_neighbours([3, 4]);
    let block = source.block_of_kept(granules(7)).unwrap();
    mark(block, granules(7));
    let calls = source.mock.calls(None);
    assert_eq!(source.remap(block, layout(30 * MIB, 8)), None);
    assert_eq!(source.in_use(), granules(7));
    source.free(block);
    // Pieces of it neither. But first they take what is kept behind them.
    let block = source.block_of_kept(granules(3)).unwrap();
    assert_eq!(source.remap(block, layout(30 * MIB, 8)), None);
    assert_eq!((source.in_use(), source.mock.calls(None)), (granules(7), calls));
    source.free(block);
}

#[test]
fn memory_of_which_parts_are_to_have_huge_pages_and_others_not_is_not_moved_and_no_addresses_are_lost() {
    let source = Source::new();
    let block = source.block(20 * MIB);
    mark(block, 20 * MIB);
    let block = source.remap(block, layout(60 * MIB, 8)).unwrap();
    let moves = source.mock.calls(Some(Call::Relocate));
    source.free(block);
    let (front, is_zero) = source.backend.map_zeroed_block_of_kept(layout(10 * MIB, 8)).unwrap();
    assert!(is_zero && source.mock.refused() > 0);
    source.free(front);
    assert_eq!(source.kept(), (1, 60));
    let block = source.block_of_kept(60 * MIB).unwrap();
    let mapped = source.mock.mapped();
    for _ in 0..2 {
        assert_eq!(source.remap(block, layout(90 * MIB, 8)), None);
    }
    assert_eq!((source.mock.mapped(), source.mock.calls(Some(Call::Relocate))), (mapped, moves));
    source.free(block);
}

#[test]
fn what_is_missing_is_mapped_unless_it_is_much_or_the_system_refuses() {
    let source = Source::new();
    source.free(source.block(granules(5)));
    assert_eq!(source.block_of_kept(granules(9)), None, "nearly a half is missing");
    for call in [Call::Resize, Call::Map] {
        source.mock.fail_from(Some(call), 1);
    }
    assert_eq!(source.block_of_kept(granules(7)), None);
    source.mock.succeed();
    assert_eq!((source.backend.cached().mappings, source.backend.cached().bytes), (1, granules(5)));
    source.assert_balance();
    let block = source.block_of_kept(granules(7)).unwrap();
    mark(block, granules(7));
    source.assert_balance();
}

#[test]
fn a_row_whose_gap_cannot_be_mapped_stays_kept() {
    let source = Source::new();
    source.keep_neighbours([3, 4]);
    // What is missing behind the second.
    for call in [Call::Resize, Call::MapExactly, Call::Map] {
        source.mock.fail_from(Some(call), 1);
    }
    assert_eq!(source.block_of_kept(granules(8)), None);
    source.mock.succeed();
    assert_eq!(source.backend.cached().bytes + source.backend.cached().mappings * cache::OFFSET, 7 * GRANULE);
    source.assert_balance();
}

#[test]
fn a_piece_is_of_the_same_memory_as_what_it_was_cut_off() {
    for [is_dense, is_huge, is_patched] in [[false, true, false], [true, false, false], [false, false, true]] {
        let source = Source::new();
        source.keep_neighbours([3, 4]);
        let range = source.backend.cache.take_at_least(4 * GRANULE).unwrap();
        // SAFETY: taken from the cache.
        let mapping = unsafe { Mapping::at(range.start) };
        let flags = |mapping: &Mapping| [mapping.is_dense.get(), mapping.is_huge.get(), mapping.is_patched.get()];
        mapping.is_dense.set(is_dense);
        mapping.is_huge.set(is_huge);
        mapping.is_patched.set(is_patched);
        let (front, piece) = source.backend.cut(range, range.start + 2 * GRANULE).unwrap();
        // SAFETY: cut off just now.
        let behind = unsafe { Mapping::at(piece.start) };
        assert_eq!(flags(behind), [is_dense, is_huge, is_patched]);
        mapping.is_dense.set(true);
        mapping.is_huge.set(false);
        mapping.is_patched.set(false);
        assert_eq!(source.backend.append(front, piece), range);
        assert_eq!(flags(mapping), [is_dense, is_huge, is_patched]);
        source.backend.put_back(range);
        source.assert_balance();
    }
}

#[test]
fn the_fullest_row_is_looked_for_and_nothing_that_is_less_than_five_eighths_full() {
    let range = |start: usize, len: usize| Range { start: start * MIB, len: len * MIB, kind: Kind::Whole };
    let kept = [range(2, 3), range(6, 2), range(8, 10), range(40, 7), range(60, 1)];
    assert_eq!(fullest_row(&kept, 10 * MIB), Some(&kept[2..3]));
    assert_eq!(fullest_row(&kept, 16 * MIB), Some(&kept[..3]), "15 of 16, of 12 and 10");
    assert_eq!(fullest_row(&kept[..2], 8 * MIB), Some(&kept[..2]));
    assert_eq!(fullest_row(&kept[..2], 9 * MIB), None);
    assert_eq!(fullest_row(&kept[3..], 11 * MIB), Some(&kept[3..4]));
    assert_eq!(fullest_row(&[], MIB), None);
}

/// Many blocks of many sizes, at random, as a program has them that works on one picture or table after the other.
#[test]
fn what_blocks_hold_stays_theirs_however_memory_is_cut_and_joined() {
    for seed in [1_u64, 2, 3] {
        std::println!("seed {seed}");
        let source = Source::new();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % below
        };
        let mut blocks: Vec<(NonNull<u8>, usize)> = Vec::new();
        let mut segments = 0;
        source.free(source.block(MIB));
        for _ in 0..600 {
            let size = MIB + random(12 * MIB);
            match random(8) {
                0 if !blocks.is_empty() => {
                    let nth = random(blocks.len());
                    let (block, old) = blocks[nth];
                    if let Some(block) = source.remap(block, layout(size, 8)) {
                        assert_marked(block, old.min(size), old);
                        mark(block, size);
                        blocks[nth] = (block, size);
                    }
                }
                1..=4 if blocks.len() < 8 => {
                    let block = source.block_of_kept(size).unwrap_or_else(|| source.block(size));
                    mark(block, size);
                    blocks.push((block, size));
                }
                5 => source.backend.purge_unused(random(1000) as u64, 1000),
                6 if source.backend.cache.mappings().0.iter().any(|range| range.len >= SEGMENT_SIZE) => {
                    source.take_segment();
                    segments += 1;
                }
                _ if !blocks.is_empty() => {
                    let (block, size) = blocks.swap_remove(random(blocks.len()));
                    assert_marked(block, size, size);
                    assert!(source.backend.unmap_block(block));
                }
                _ => {}
            }
            source.assert_balance_beside(segments);
        }
        for (block, size) in blocks {
            assert_marked(block, size, size);
            assert!(source.backend.unmap_block(block));
        }
        source.assert_balance_beside(segments);
    }
}
