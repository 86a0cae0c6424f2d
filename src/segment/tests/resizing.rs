//! Resizing: blocks of mappings that grow and shrink.

use super::super::*;
use super::{KIB, MIB, Source, assert_marked, assert_zero, is_in_place_of, layout, mark};
use crate::os::mock::{Call, Mock};

#[test]
fn a_block_that_grows_keeps_its_contents_where_it_stands_and_where_it_moves() {
    for page_size in [4 * KIB, 64 * KIB] {
        for align in [8, 128 * KIB, 2 * MIB, 8 * MIB] {
            for moves in [false, true] {
                let source = Source::on(Mock::with_page_size(page_size));
                if moves {
                    source.mock.fail_from(Some(Call::Resize), 1);
                }
                let mut size = MIB + 3;
                let mut block = source.backend.map_block(layout(size, align)).unwrap().0;
                mark(block, size);
                for _ in 0..4 {
                    let (old, old_size) = (block, size);
                    size *= 2;
                    block = source.remap(block, layout(size, align)).unwrap();
                    assert!(block.addr().get().is_multiple_of(align));
                    assert!(source.is_block(block) && source.in_use() >= size);
                    if block != old {
                        assert_eq!(source.backend.owners.look_up(old.addr().get()), Owner::NONE);
                    }
                    assert_marked(block, old_size, old_size);
                    // SAFETY: inside the test's own block.
                    assert_zero(unsafe { block.add(size - old_size / 2) }, old_size / 2);
                    mark(block, size);
                }
                assert!(!moves || source.mock.calls(Some(Call::Relocate)) == 4);
                assert!(source.backend.unmap_block(block));
                source.backend.relieve(usize::MAX);
                assert_eq!((source.backend.counters.reserved(), source.mock.mapped()), (0, crate::segment::OWNER_MAP));
            }
        }
    }
}

#[test]
fn a_block_that_shrinks_leaves_what_it_does_not_need_behind_unless_that_is_little() {
    for page_size in [4 * KIB, 64 * KIB] {
        let source = Source::on(Mock::with_page_size(page_size));
        let counters = &source.backend.counters;
        let block = source.block(8 * MIB);
        mark(block, 8 * MIB);
        assert_eq!(source.remap(block, layout(7 * MIB + 512 * KIB, 8)), Some(block));
        assert_eq!((source.in_use(), source.mock.calls(Some(Call::Resize))), (8 * MIB, 0));
        let (returned, reserved) = (counters.returned(), counters.reserved());
        for size in [5 * MIB, 2 * MIB] {
            assert_eq!(source.remap(block, layout(size - 1, 8)), Some(block));
            assert_eq!(counters.mapped() - source.backend.cached().bytes, size);
            assert_eq!(source.backend.cached().bytes, 8 * MIB - size);
            assert_marked(block, size, 8 * MIB);
        }
        assert_eq!((counters.returned(), counters.reserved()), (returned, reserved));
        // What is left behind is kept no longer than a freed mapping.
        source.backend.relieve(usize::MAX);
        assert_eq!((counters.returned() - returned, reserved - counters.reserved()), (6 * MIB, 6 * MIB));
        assert_marked(block, 2 * MIB, 8 * MIB);
        assert_eq!(source.mock.mapped(), counters.reserved() + crate::segment::OWNER_MAP);
    }
}

#[test]
fn a_block_that_cannot_grow_is_left_as_it_was() {
    for call in [Call::Map, Call::Relocate] {
        let source = Source::new();
        let block = source.block(3 * MIB);
        mark(block, 3 * MIB);
        let counters = &source.backend.counters;
        let before = (counters.reserved(), counters.committed(), counters.mapped(), source.mock.mapped());
        source.mock.fail_from(Some(Call::Resize), 1);
        source.mock.fail_from(Some(call), 1);
        assert_eq!(source.remap(block, layout(30 * MIB, 8)), None);
        assert_eq!((counters.reserved(), counters.committed(), counters.mapped(), source.mock.mapped()), before);
        assert!(source.is_block(block));
        assert_marked(block, 3 * MIB, 3 * MIB);
        source.mock.succeed();
        let block = source.remap(block, layout(30 * MIB, 8)).unwrap();
        assert_marked(block, 3 * MIB, 3 * MIB);
    }
}

#[test]
fn a_growing_block_takes_a_part_of_a_freed_mapping_and_grows_into_the_rest_without_a_call() {
    for page_size in [4 * KIB, 64 * KIB] {
        let source = Source::on(Mock::with_page_size(page_size));
        let freed = source.block(8 * MIB);
        mark(freed, 8 * MIB);
        assert!(source.backend.unmap_block(freed));
        let calls = source.mock.calls(None);
        assert_eq!(source.backend.map_growing_block(layout(5 * MIB, 8)), None, "no room to grow");
        let block = source.backend.map_growing_block(layout(MIB, 8)).unwrap();
        assert!(is_in_place_of(block, freed));
        mark(block, MIB);
        let mut size = MIB;
        while size < 8 * MIB {
            assert!(source.in_use() >= size && source.in_use() < size + page_size);
            let kept = source.backend.cached();
            assert_eq!((kept.mappings, kept.bytes), (0, 8 * MIB - source.in_use()));
            assert_eq!(source.remap(block, layout(size + MIB / 2, 8)), Some(block));
            assert_marked(block, size, size);
            size += MIB / 2;
            mark(block, size);
        }
        assert_eq!(source.mock.calls(None), calls);
        assert_eq!((source.backend.cached().bytes, source.in_use()), (0, 8 * MIB));
        assert!(source.backend.unmap_block(block));
        assert!(source.backend.relieve(usize::MAX));
        assert_eq!((source.backend.counters.reserved(), source.mock.mapped()), (0, crate::segment::OWNER_MAP));
    }
}

#[test]
fn what_a_block_left_behind_comes_back_to_it_when_it_is_freed() {
    let source = Source::new();
    let freed = source.block(8 * MIB);
    assert!(source.backend.unmap_block(freed));
    let block = source.backend.map_growing_block(layout(2 * MIB, 8)).unwrap();
    assert_eq!(source.backend.cached().bytes, 6 * MIB);
    assert!(source.backend.unmap_block(block));
    let kept = source.backend.cached();
    assert_eq!((kept.mappings, kept.bytes), (1, 8 * MIB));
    assert!(is_in_place_of(source.block(8 * MIB), freed), "it is whole again");
}

#[test]
fn a_leftover_is_given_back_alone_and_its_block_stays() {
    let source = Source::new();
    let counters = &source.backend.counters;
    assert!(source.backend.unmap_block(source.block(8 * MIB)));
    let block = source.backend.map_growing_block(layout(2 * MIB, 8)).unwrap();
    mark(block, 2 * MIB);
    source.backend.purge_unused(0, 1000);
    source.backend.purge_unused(1000, 2000);
    assert_eq!((source.backend.cached().bytes, counters.mapped()), (0, 2 * MIB));
    assert_eq!(source.mock.mapped(), counters.reserved() + crate::segment::OWNER_MAP);
    assert_marked(block, 2 * MIB, 2 * MIB);
    let block = source.remap(block, layout(20 * MIB, 8)).unwrap();
    assert_marked(block, 2 * MIB, 2 * MIB);
    assert_eq!(source.mock.mapped(), counters.reserved() + crate::segment::OWNER_MAP);
}

#[test]
fn a_block_with_a_leftover_that_shrinks_and_grows_again_keeps_its_contents() {
    let source = Source::new();
    assert!(source.backend.unmap_block(source.block(16 * MIB)));
    let mut block = source.backend.map_growing_block(layout(6 * MIB, 8)).unwrap();
    mark(block, 6 * MIB);
    for (size, marked) in [(3 * MIB, 6 * MIB), (12 * MIB, 3 * MIB), (5 * MIB, 12 * MIB), (40 * MIB, 5 * MIB)] {
        block = source.remap(block, layout(size, 8)).unwrap();
        assert_marked(block, size.min(marked), marked);
        mark(block, size);
        let counters = &source.backend.counters;
        assert_eq!(source.mock.mapped(), counters.reserved() + crate::segment::OWNER_MAP);
        assert_eq!(counters.committed(), counters.mapped() + counters.metadata());
    }
    assert!(source.backend.unmap_block(block));
    source.backend.relieve(usize::MAX);
    assert_eq!(source.mock.mapped(), crate::segment::OWNER_MAP);
}
