//! Probation: when it ends, and what is noticed until then.

use super::*;
use crate::size_class;
use std::vec::Vec;

/// A class of many blocks to a slab.
const SIZE: usize = 64;

/// Allocations, and frees, that a class takes before it has a magazine; and frees in each delay after that.
const ALLOCATIONS: usize = 1024;
const FREES: usize = 256;
const FREES_AGAIN: usize = 64;

fn on_probation() -> Sample {
    let sample = Sample::new();
    sample.heap.begin_probation();
    sample
}

fn alloc_many(sample: &Sample, class: SizeClass, count: usize) -> Vec<NonNull<u8>> {
    (0..count).map(|_| sample.alloc(class)).collect()
}

fn free_in_slab(block: NonNull<u8>) -> usize {
    // SAFETY: a block of a slab of the test's own.
    unsafe { crate::segment::slab_of(block.addr().get()) }.free()
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn a_new_class_has_no_magazine_for_1024_allocations() {
    let sample = on_probation();
    let class = class_of(SIZE);
    for nth in 0..ALLOCATIONS {
        sample.alloc(class);
        assert_eq!(sample.held(class), 0, "after {nth} blocks");
    }
    sample.alloc(class);
    assert!(sample.held(class) > 0);
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn a_new_class_has_no_magazine_for_256_frees() {
    let sample = on_probation();
    let class = class_of(SIZE);
    let blocks = alloc_many(&sample, class, FREES + 1);
    // The allocations have taken steps, too: a class that goes on for as long as it may is another heap's.
    let other = sample.neighbour(2);
    other.heap.begin_probation();
    let kept: Vec<_> = (0..8).map(|_| other.alloc(class)).collect();
    assert_eq!(other.held(class), 0);
    let mut frees = 0;
    for block in blocks {
        sample.free(class, block);
        if sample.held(class) > 0 {
            break;
        }
        frees += 1;
    }
    assert_eq!(frees, (4 * FREES - (FREES + 1)).div_ceil(4), "four steps each, of those that were left");
    kept.into_iter().for_each(|block| other.free(class, block));
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn a_class_of_which_blocks_are_resized_1024_times_has_a_magazine_an_empty_one() {
    let sample = on_probation();
    let class = class_of(SIZE);
    let block = sample.alloc(class);
    // SAFETY: the test's own heap and tops.
    let resize = || unsafe { sample.heap.note_resized(sample.tops(), class) };
    for _ in 1..ALLOCATIONS {
        resize();
        assert!(sample.tops().get(class).is_none());
    }
    resize();
    assert!(sample.tops().get(class).is_some());
    assert_eq!(sample.held(class), 0);
    // It takes what is freed, and serves what is allocated.
    sample.free(class, block);
    assert_eq!((sample.held(class), sample.alloc(class)), (1, block));
    alloc_many(&sample, class, 100);
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn each_class_is_on_probation_by_itself_and_those_of_spans_are_too() {
    let sample = on_probation();
    let much = class_of(SIZE);
    alloc_many(&sample, much, ALLOCATIONS + 1);
    assert!(sample.held(much) > 0);
    let little: Vec<_> = SizeClass::slabs().filter(|class| *class != much).collect();
    assert_eq!(little.len(), size_class::SLABS - 1);
    for class in little {
        let block = sample.alloc(class);
        sample.free(class, block);
        assert_eq!(sample.held(class), 0, "{} bytes", class.size());
    }
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn after_each_delay_a_class_is_on_probation_for_64_frees() {
    let sample = on_probation();
    let class = class_of(SIZE);
    let blocks = alloc_many(&sample, class, ALLOCATIONS + 1);
    for round in 0..3 {
        sample.rest();
        let (first, last) = (round * (FREES_AGAIN + 1), (round + 1) * (FREES_AGAIN + 1) - 1);
        for &block in &blocks[first..last] {
            sample.free(class, block);
            assert_eq!(sample.held(class), 0);
        }
        sample.free(class, blocks[last]);
        assert_eq!(sample.held(class), 1);
    }
}

#[test]
fn a_delay_takes_no_steps_from_a_class_that_has_more() {
    let sample = on_probation();
    let class = class_of(SIZE);
    sample.rest();
    alloc_many(&sample, class, ALLOCATIONS);
    assert_eq!(sample.held(class), 0);
}

#[test]
fn probation_begins_once_however_often_the_heap_is_lent() {
    let sample = on_probation();
    let class = class_of(SIZE);
    alloc_many(&sample, class, ALLOCATIONS + 1);
    sample.empty_magazines();
    sample.heap.begin_probation();
    sample.alloc(class);
    assert!(sample.held(class) > 0, "the class has its magazine at once");
}

/// Has `sample` fill this many magazines of a class whose probation is over.
fn fill_magazines(sample: &Sample, count: usize) {
    let class = class_of(2 * SIZE);
    alloc_many(sample, class, ALLOCATIONS);
    for _ in 0..count {
        alloc_many(sample, class, 1);
        alloc_many(sample, class, sample.held(class));
    }
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn a_block_is_held_back_as_long_as_its_heap_is_little_used() {
    let sample = on_probation();
    let class = class_of(SIZE);
    let block = sample.alloc(class);
    let free = free_in_slab(block);
    sample.free(class, block);
    assert_eq!(free_in_slab(block), free, "its slab has not got it");
    assert_eq!(sample.heap.counts_of(class).read().in_depot, 1);
    assert!(!alloc_many(&sample, class, 1000).contains(&block));
    let free = free_in_slab(block);
    fill_magazines(&sample, 31);
    assert_eq!(free_in_slab(block), free);
    fill_magazines(&sample.neighbour(2), 31);
    assert_eq!(free_in_slab(block), free, "another heap's magazines are not counted");
    fill_magazines(&sample, 1);
    assert_eq!(free_in_slab(block), free + 1);
    assert_eq!(sample.heap.counts_of(class).read().in_depot, 0);
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn a_heap_holds_64_kib_back_and_no_more() {
    let sample = on_probation();
    let class = class_of(16 * 1024);
    let held_back = || sample.heap.counts_of(class).read().in_depot;
    let blocks = alloc_many(&sample, class, 12);
    for (nth, &block) in blocks.iter().enumerate() {
        sample.free(class, block);
        assert_eq!(held_back(), (nth + 1).min(4) as u64);
    }
    // The oldest have left. The last ones are handed out when there are no others, but for one, which stays where there
    // can be a new slab.
    let mut again = alloc_many(&sample, class, 4);
    assert!(blocks[8..].iter().all(|block| !again.contains(block)));
    again.extend(alloc_many(&sample, class, 8));
    assert!(blocks[..11].iter().all(|block| again.contains(block)));
    assert!(!again.contains(&blocks[11]));
    assert_eq!(held_back(), 1);
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn a_block_that_is_held_back_is_handed_out_before_there_is_a_new_segment() {
    let sample = on_probation();
    let class = class_of(16 * 1024);
    let block = sample.alloc(class);
    sample.free(class, block);
    let segments = sample.segments();
    let others = alloc_many(&sample, class, 4 * (crate::segment::END - 1) - 1);
    assert!(!others.contains(&block));
    assert_eq!((sample.alloc(class), sample.segments()), (block, segments));
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn what_is_held_back_goes_to_its_slab_when_memory_is_short_and_at_a_purge() {
    let sample = on_probation();
    let class = class_of(SIZE);
    let held_back = || sample.heap.counts_of(class).read().in_depot;
    for give_back in [Heap::reclaim, |heap: &Heap| heap.purge(u64::MAX, 0, true)] {
        let block = sample.alloc(class);
        sample.free(class, block);
        assert_eq!(held_back(), 1);
        give_back(sample.heap);
        assert_eq!(held_back(), 0);
        assert_eq!(sample.alloc(class), block);
    }
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn a_block_that_another_thread_frees_is_held_back_unless_its_heap_is_at_work() {
    let sample = on_probation();
    let class = class_of(SIZE);
    let block = sample.alloc(class);
    {
        let _at_work = sample.heap.core.lock();
        // SAFETY: a block of the heap.
        assert!(!unsafe { sample.heap.put_back_from_elsewhere(class, block) });
    }
    // SAFETY: as above.
    assert!(unsafe { sample.heap.put_back_from_elsewhere(class, block) });
    assert_eq!(sample.heap.counts_of(class).read().in_depot, 1);
    assert!(!alloc_many(&sample, class, 1000).contains(&block));
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn a_new_slab_is_taken_rather_than_a_small_block_that_is_held_back() {
    let sample = on_probation();
    let class = class_of(1024);
    let block = sample.alloc(class);
    sample.free(class, block);
    assert!(!alloc_many(&sample, class, 100).contains(&block));
}

#[test]
fn a_block_in_use_is_found_to_be_whoever_asks() {
    let sample = on_probation();
    let class = class_of(SIZE);
    let blocks = alloc_many(&sample, class, 100);
    for &block in &blocks {
        // Ends the process otherwise.
        // SAFETY: a block of the heap.
        unsafe { sample.heap.check_in_use(class, block, Misuse::DoubleFree) };
    }
    let span = sample.span(3);
    // SAFETY: as above.
    unsafe { sample.heap.check_in_use(SizeClass::of_slots(3).unwrap(), span, Misuse::UseAfterFree) };
}

/// The words of a block that is held back which are not as its owner left them.
fn poisoned(block: NonNull<u8>, size: usize, left: u8) -> Vec<usize> {
    // SAFETY: a block of this size of the test's own, which nobody else uses.
    let contents = unsafe { std::slice::from_raw_parts(block.as_ptr(), size) };
    contents.chunks(8).enumerate().filter(|(_, word)| **word != [left; 8]).map(|(nth, _)| nth).collect()
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn a_block_is_poisoned_at_both_ends_and_nowhere_else() {
    let sample = on_probation();
    for class in SizeClass::slabs() {
        let (size, block) = (class.size(), sample.alloc(class));
        // SAFETY: the test's own block.
        unsafe { block.write_bytes(0x11, size) };
        sample.free(class, block);
        let last = size / 8 - 1;
        let mut expected: Vec<_> = [0, 1, last].into_iter().filter(|&nth| nth <= last).collect();
        expected.dedup();
        assert_eq!(poisoned(block, size, 0x11), expected, "{size} bytes");
    }
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "a hardened build has no probation")]
fn blocks_that_were_used_and_freed_many_times_are_never_taken_for_written_to() {
    let sample = on_probation();
    let mut live = Vec::new();
    for nth in 0..200_000_usize {
        let class = class_of([16, 24, 40, 64, 500, 3000, 16_000][nth % 7]);
        if nth % 997 == 0 {
            sample.rest();
        }
        if live.len() < 60 {
            let block = sample.alloc(class);
            // SAFETY: the test's own block.
            unsafe { block.write_bytes(nth as u8, class.size()) };
            live.push((class, block));
        } else {
            let (class, block) = live.swap_remove(nth * 31 % 60);
            sample.free(class, block);
        }
    }
}
