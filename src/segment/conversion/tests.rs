//! Conversion: segments that are made of kept mappings.

use super::super::tests::pool::ATTEMPTS;
use super::super::tests::{MIB, Source, assert_marked, is_in_place_of, mark};
use super::*;
use crate::os::mock::Call;
use crate::segment::{Owner, Warmth};
use core::alloc::Layout;
use std::vec::Vec;

impl Source {
    /// Frees a block of so many bytes that was touched throughout, which is kept.
    fn keep_block(&self, size: usize) -> NonNull<u8> {
        let block = self.block(size);
        mark(block, size);
        assert!(self.backend.unmap_block(block));
        block
    }

    /// Panics unless every byte is counted once.
    fn assert_balanced(&self, segments: usize) {
        let counters = &self.backend.counters;
        assert_eq!(counters.mapped(), self.backend.cached().bytes);
        assert_eq!(counters.mappings(), self.backend.cached().mappings);
        let in_segments = segments * USABLE_BYTES;
        assert_eq!(counters.committed(), counters.metadata() + counters.mapped() + in_segments);
        let heads = counters.mappings() * SLOT_SIZE;
        assert_eq!(counters.reserved(), counters.mapped() + heads + segments * SEGMENT_SIZE);
    }
}

#[test]
fn a_kept_mapping_becomes_segments_from_its_end_on_without_new_memory() {
    for size in [2 * MIB, 3 * MIB, 8 * MIB - SLOT_SIZE, 20 * MIB + 5] {
        let source = Source::new();
        let block = source.keep_block(size);
        let mapped = source.mock.mapped();
        let range = block.addr().get() - SLOT_SIZE..block.addr().get() + size;
        let count = (size + SLOT_SIZE) / SEGMENT_SIZE;
        let mut segments = Vec::new();
        for nth in 1..=count {
            let segment = source.take_segment();
            assert!(range.contains(&segment.address()));
            assert!(segment.is_unused() && segment.touched_slots() == USABLE);
            source.assert_balanced(nth);
            segments.push(segment);
        }
        assert!(source.mock.mapped() <= mapped && source.backend.cached().mappings == 0);
        for segment in segments {
            let (span, is_zero) = segment.carve_span(16, 1, Warmth::Any, &source.backend.counters).unwrap();
            assert!(!is_zero);
            mark(span, 16 * SLOT_SIZE);
            assert!(segment.slots().skip(16).all(|slab| slab.kind() == crate::slab::SlotKind::Free));
            assert_eq!(source.backend.owners.look_up(segment.address()), Owner(1));
        }
        let maps = source.mock.calls(Some(Call::Map));
        source.take_segment();
        assert!(source.mock.calls(Some(Call::Map)) > maps, "there is no more");
    }
}

#[test]
fn a_mapping_that_is_smaller_than_a_segment_stays_kept() {
    let source = Source::new();
    let block = source.keep_block(2 * MIB - 2 * SLOT_SIZE);
    source.take_segment();
    assert_eq!(source.backend.cached().mappings, 1);
    assert!(is_in_place_of(source.block(2 * MIB - 2 * SLOT_SIZE), block));
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build cuts nothing")]
fn a_piece_of_memory_that_was_filled_becomes_segments() {
    let source = Source::new();
    source.keep_block(20 * MIB);
    let block = source.backend.map_block_of_kept(Layout::from_size_align(5 * MIB, 8).unwrap()).unwrap();
    mark(block, 5 * MIB);
    assert_eq!(source.backend.cached().mappings, 1, "the rest is a piece");
    let segments: Vec<_> = (0..7).map(|_| source.take_segment()).collect();
    assert_eq!(source.backend.cached().mappings, 0);
    for segment in segments {
        assert!(segment.is_unused() && segment.address() > block.addr().get());
        let (span, _) = segment.carve_span(31, 1, Warmth::Any, &source.backend.counters).unwrap();
        mark(span, 31 * SLOT_SIZE);
    }
    assert_marked(block, 5 * MIB, 5 * MIB);
    assert!(source.backend.unmap_block(block));
    source.assert_balanced(7);
}

#[test]
fn what_is_left_of_a_kept_mapping_serves_as_a_mapping() {
    let source = Source::new();
    let block = source.keep_block(9 * MIB);
    source.take_segment();
    assert_eq!(source.backend.cached().bytes, 6 * MIB - SLOT_SIZE);
    let again = source.block(6 * MIB - SLOT_SIZE);
    assert!(is_in_place_of(again, block));
    mark(again, 6 * MIB - SLOT_SIZE);
}

#[test]
fn while_a_segment_can_be_mapped_again_no_mapping_becomes_one() {
    let is_through = (0..ATTEMPTS).any(|_| {
        let source = Source::new();
        let released = source.take_segment();
        source.backend.give_segment(released);
        assert!(source.backend.relieve(1));
        source.keep_block(4 * MIB);
        let next = source.take_segment();
        assert_eq!(source.backend.cached().bytes, 4 * MIB);
        if !std::ptr::eq(next, released) {
            return false;
        }
        source.take_segment();
        assert_eq!(source.backend.cached().bytes, 2 * MIB - SLOT_SIZE);
        true
    });
    assert!(is_through, "the released segment could never be mapped again");
}

#[test]
fn what_had_huge_pages_has_none_any_more_once_a_part_of_the_segment_is_given_back() {
    for grows in [true, false] {
        let source = Source::new();
        let mut block = source.block(if grows { 20 * MIB } else { 24 * MIB });
        if grows {
            mark(block, 20 * MIB);
            block = source.remap(block, Layout::from_size_align(24 * MIB, 8).unwrap()).unwrap();
        }
        assert_eq!(source.mock.huge_pages() > 0, grows);
        mark(block, 24 * MIB);
        assert!(source.backend.unmap_block(block));
        let segment = source.take_segment();
        assert_eq!(segment.may_be_joined(), !grows && cfg!(not(feature = "hardened")));
        let refused = source.mock.refused();
        assert!(source.backend.purge(segment.slot_start(1), SLOT_SIZE));
        assert_eq!(source.mock.refused() - refused, if grows { SEGMENT_SIZE } else { 0 });
    }
}
