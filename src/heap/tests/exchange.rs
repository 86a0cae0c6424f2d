//! Refill and flush: how much each takes and gives.

use super::*;
use std::vec::Vec;

/// Takes blocks until the magazine is empty; returns how many.
fn run_out(sample: &Sample, class: SizeClass) -> Vec<NonNull<u8>> {
    // SAFETY: the test's own tops.
    std::iter::from_fn(|| unsafe { sample.tops().pop(class) }).collect()
}

#[test]
fn refills_grow_until_they_fill_the_magazine() {
    let sample = Sample::new();
    let class = class_of(64);
    let mut batches = Vec::new();
    for _ in 0..7 {
        sample.alloc(class);
        batches.push(run_out(&sample, class).len() + 1);
    }
    assert_eq!(batches, [8, 16, 32, 64, 127, 127, 127]);
}

#[test]
fn a_magazine_that_overflows_gives_half_away_and_then_all() {
    let sample = Sample::new();
    let class = class_of(64);
    let blocks: Vec<_> = (0..1000).map(|_| sample.alloc(class)).collect();
    let mut blocks = blocks.into_iter();
    run_out(&sample, class);
    let mut held = Vec::new();
    for block in blocks.by_ref().take(127 + 64 + 127) {
        let before = sample.held(class);
        sample.free(class, block);
        if sample.held(class) <= before {
            held.push(sample.held(class));
        }
    }
    assert_eq!(held, [127 - 64 + 1, 1], "63 stay the first time, none the second time, and the block that did not fit");
    // After it has run out, half is enough again.
    run_out(&sample, class);
    sample.alloc(class);
    run_out(&sample, class);
    for block in blocks.by_ref().take(128) {
        sample.free(class, block);
    }
    assert_eq!(sample.held(class), 64);
}

#[test]
fn a_class_that_goes_to_and_fro_is_refilled_no_more_than_before() {
    let sample = Sample::new();
    let class = class_of(64);
    for _ in 0..5 {
        sample.alloc(class);
        let mut blocks: Vec<_> = run_out(&sample, class);
        blocks.extend((0..70).map(|_| sample.alloc(class)));
        run_out(&sample, class);
        for block in blocks {
            sample.free(class, block);
        }
        assert!(sample.held(class) <= magazine::capacity(class));
    }
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "hardened heaps hand blocks out in random order")]
fn a_refill_hands_out_the_lowest_blocks_in_address_order() {
    for class in SizeClass::slabs() {
        let sample = Sample::new();
        let blocks: Vec<_> = (0..200).map(|_| sample.alloc(class).addr().get()).collect();
        let slab = |address: usize| address / SLOT_SIZE;
        for pair in blocks.windows(2).filter(|pair| slab(pair[0]) == slab(pair[1])) {
            assert_eq!(pair[1] - pair[0], class.size());
        }
    }
}

#[test]
fn blocks_that_were_given_back_are_used_before_a_new_slab() {
    let sample = Sample::new();
    let class = class_of(1024);
    let blocks: Vec<_> = (0..128).map(|_| sample.alloc(class)).collect();
    run_out(&sample, class);
    let committed = sample.backend.counters.committed();
    for _ in 0..10 {
        for &block in &blocks {
            sample.free(class, block);
        }
        let mut again: Vec<_> = (0..128).map(|_| sample.alloc(class)).collect();
        again.sort();
        again.dedup();
        assert_eq!(again.len(), 128);
    }
    assert!(sample.backend.counters.committed() <= committed + SLOT_SIZE);
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "of a hardened heap every block does")]
fn a_block_that_is_to_read_as_zero_does_so_while_its_slab_is_fresh() {
    for class in SizeClass::slabs().filter(|class| class.size() >= 1024) {
        let sample = Sample::new();
        for _ in 0..3 {
            // SAFETY: the test's own heap and tops.
            let (block, is_zero) = unsafe { sample.heap.refill_zeroed(sample.tops(), class, NONE) }.unwrap();
            assert!(is_zero);
            // SAFETY: the test's own block.
            unsafe { block.write_bytes(0xaa, class.size()) };
            assert_eq!(sample.held(class), 0, "one block alone");
        }
    }
}

#[test]
fn a_block_that_was_used_is_not_said_to_be_zero() {
    let sample = Sample::new();
    let class = class_of(4096);
    let block = sample.alloc(class);
    // SAFETY: the test's own block.
    unsafe { block.write_bytes(0xaa, class.size()) };
    sample.free(class, block);
    sample.empty_magazines();
    for _ in 0..3 * SLOT_SIZE / 4096 {
        // SAFETY: the test's own heap and tops.
        let (block, is_zero) = unsafe { sample.heap.refill_zeroed(sample.tops(), class, NONE) }.unwrap();
        // SAFETY: the test's own block, in memory that is mapped and so is initialised.
        let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), class.size()) };
        assert!(!is_zero || bytes.iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_refill_without_memory_gives_nothing_and_the_next_one_works() {
    for class in SizeClass::all() {
        let sample = Sample::new();
        sample.mock.fail_from(None, 1);
        for _ in 0..4 {
            // SAFETY: the test's own heap and tops.
            assert!(unsafe { sample.heap.refill(sample.tops(), class, NONE) }.is_none());
            // SAFETY: as above.
            assert!(unsafe { sample.heap.refill_zeroed(sample.tops(), class, NONE) }.is_none());
            assert_eq!(sample.held(class), 0);
        }
        sample.mock.succeed();
        let block = sample.alloc(class);
        sample.free(class, block);
        assert_eq!(sample.alloc(class), block);
    }
}

#[test]
fn a_heap_without_memory_is_not_made() {
    let mock = Mock::new();
    let backend: &'static Backend = Box::leak(Box::new(Backend::new(mock)));
    mock.fail_nth(None, 1);
    assert!(Heap::create(backend, Owner(1), [0; 2]).is_none());
    assert_eq!((backend.counters.committed(), mock.mapped()), (0, 0));
    drop(Sample::of(mock, backend, Owner(1)));
}

#[test]
fn emptied_magazines_leave_every_slab_and_span_free() {
    let sample = Sample::new();
    for class in SizeClass::all() {
        let blocks: Vec<_> = (0..10).map(|_| sample.alloc(class)).collect();
        for block in blocks {
            sample.free(class, block);
        }
    }
    assert!(SizeClass::all().any(|class| sample.held(class) > 0));
    sample.empty_magazines();
    assert!(SizeClass::all().all(|class| sample.tops().get(class).is_none()));
    sample.heap.purge(u64::MAX, 0, true);
    sample.backend.purge_unused(u64::MAX, 0);
    assert_eq!(sample.backend.counters.committed(), sample.backend.counters.metadata());
    assert_eq!(sample.pooled(), sample.segments() - 1, "one unused segment stays with the heap");
}

#[test]
fn no_refill_exceeds_the_magazine_whatever_came_before_it() {
    for class in SizeClass::all() {
        let sample = Sample::new();
        // Blocks that came past the magazine, and so many that it overflows before it was ever refilled.
        let blocks: Vec<_> =
            (0..=2 * magazine::capacity(class)).map(|_| sample.heap.take_one(class).unwrap().0).collect();
        for block in blocks {
            sample.free(class, block);
        }
        for _ in 0..6 {
            run_out(&sample, class);
            sample.alloc(class);
            let end = sample.tops().get(class).unwrap().addr().next_multiple_of(1024);
            let held = sample.held(class);
            assert!(held < magazine::capacity(class), "{held} blocks of {} bytes are left of a refill", class.size());
            assert!(end == sample.heap.magazines[class.index()].low(class).addr().next_multiple_of(1024));
        }
    }
}

#[test]
fn what_a_thread_can_keep_from_others_is_bounded() {
    let (mut bytes, mut pages) = (0, 0);
    for class in SizeClass::slabs() {
        let (most, size) = (magazine::capacity(class), class.size());
        assert!(most * size <= 128 * 1024 && most <= 127);
        bytes += most * size;
        // A block that does not start with a page may lie on one more than it fills.
        pages += most * (size.div_ceil(4096) + usize::from(size % 4096 != 0 && 4096 % size != 0));
    }
    std::println!("{bytes} bytes of blocks, on {} bytes of pages", pages * 4096);
    assert!(bytes <= 5 * 1024 * 1024 && pages * 4096 <= 41 * 1024 * 1024);
    // And of spans as many bytes wait as the largest has, at most, whatever was freed.
    let sample = Sample::new();
    let lengths = (1..=16).chain((1..=16).rev()).chain([3, 1, 16, 1, 2, 3, 4, 2, 8, 4, 1]);
    for slots in lengths {
        let class = SizeClass::of_slots(slots).unwrap();
        for span in [(); 5].map(|()| sample.span(slots)) {
            // SAFETY: the test's own heap and tops.
            unsafe { sample.heap.make_way_for_span(sample.tops(), class) };
            sample.free(class, span);
        }
        let waiting: usize = spans().map(|class| sample.held(class) * class.size()).sum();
        assert!(sample.held(class) > 0 && waiting <= 1024 * 1024, "{waiting} bytes");
    }
}

fn spans() -> impl Iterator<Item = SizeClass> {
    SizeClass::all().filter(|class| class.is_span())
}
