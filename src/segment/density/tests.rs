//! Density: which mappings are expected to be filled.

use crate::segment::tests::{MIB, Source, is_in_place_of, mark};

/// A mapping of 2 MiB that was never used before, of which every `step`th page was written to; freed.
fn use_up(source: &Source, step: usize) {
    // Nothing that was used is kept.
    source.backend.purge_unused(u64::MAX, 0);
    let size = 2 * MIB;
    let block = source.block(size);
    for at in (0..size).step_by(step * 4096) {
        // SAFETY: inside the test's own block.
        unsafe { block.add(at).write(1) };
    }
    assert!(source.backend.unmap_block(block));
}

fn is_expected(source: &Source) -> bool {
    source.backend.density.is_expected()
}

#[test]
fn after_two_dense_blocks_the_next_is_expected_to_be_dense_and_after_a_sparse_one_it_is_not() {
    let source = Source::new();
    assert!(!is_expected(&source));
    use_up(&source, 1);
    assert!(!is_expected(&source));
    use_up(&source, 1);
    assert!(is_expected(&source));
    use_up(&source, 1);
    use_up(&source, 100);
    assert!(!is_expected(&source));
    use_up(&source, 1);
    assert!(!is_expected(&source), "two in a row");
}

#[test]
fn what_is_used_again_tells_nothing() {
    let source = Source::new();
    let mut block = source.block(2 * MIB);
    mark(block, 2 * MIB);
    for _ in 0..3 {
        assert!(source.backend.unmap_block(block));
        let again = source.block(2 * MIB);
        assert!(is_in_place_of(again, block));
        block = again;
    }
    assert!(!is_expected(&source));
}

#[test]
fn huge_pages_are_asked_for_where_density_is_expected_and_memory_is_not_limited() {
    let source = Source::new();
    let ask = || {
        source.backend.purge_unused(u64::MAX, 0);
        let block = source.block(3 * MIB);
        // SAFETY: a new mapping's block.
        unsafe { source.backend.expect_density(block) };
        assert!(source.backend.unmap_block(block));
        source.mock.huge_pages()
    };
    assert_eq!(ask(), 0);
    use_up(&source, 1);
    use_up(&source, 1);
    assert!(ask() > 3 * MIB);
    use_up(&source, 1);
    use_up(&source, 1);
    let before = source.mock.huge_pages();
    source.backend.counters.limits.set(usize::MAX, 1 << 40, 0);
    assert_eq!(ask(), before);
}
