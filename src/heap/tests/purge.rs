//! Purging: which slots and pages of a heap go back to the system, and when.

use super::*;
use crate::os::mock::Call;
use std::vec::Vec;

fn purges(sample: &Sample) -> usize {
    sample.mock.calls(Some(Call::Purge))
}

/// As a thread does that has looked at the clock.
fn look(sample: &Sample, now: u64) {
    sample.heap.purge(now.saturating_sub(1000), now, false);
    sample.backend.purge_unused(now.saturating_sub(1000), now);
}

#[test]
fn free_slots_are_purged_once_they_were_found_and_found_again_after_the_delay() {
    let sample = Sample::new();
    let span = sample.span(3);
    sample.span(1);
    sample.free_span(span);
    let returned = sample.backend.counters.returned();
    for now in [5000, 5500, 5999] {
        look(&sample, now);
        assert_eq!(purges(&sample), 0, "found first at 5000");
    }
    look(&sample, 6000);
    assert_eq!((purges(&sample), sample.backend.counters.returned() - returned), (1, 3 * SLOT_SIZE));
    look(&sample, 9000);
    assert_eq!(purges(&sample), 1, "there is nothing left");
}

#[test]
fn a_slot_that_is_freed_meanwhile_ages_by_itself_and_keeps_no_other_from_ageing() {
    let sample = Sample::new();
    let spans: [_; 4] = std::array::from_fn(|_| sample.span(1));
    sample.free_span(spans[0]);
    look(&sample, 5000);
    sample.free_span(spans[2]);
    look(&sample, 5500);
    let returned = sample.backend.counters.returned();
    for (now, calls) in [(6000, 1), (6500, 1), (6999, 1), (7000, 2)] {
        look(&sample, now);
        assert_eq!(purges(&sample), calls, "at {now}");
    }
    assert_eq!(sample.backend.counters.returned() - returned, 2 * SLOT_SIZE);
}

#[test]
fn a_slot_that_was_used_meanwhile_is_young_again() {
    let sample = Sample::new();
    let spans: [_; 2] = std::array::from_fn(|_| sample.span(1));
    sample.free_span(spans[0]);
    look(&sample, 5000);
    assert_eq!(sample.span(1), spans[0]);
    sample.free_span(spans[0]);
    for now in [6000, 6999] {
        look(&sample, now);
        assert_eq!(purges(&sample), 0, "seen first at 6000");
    }
    look(&sample, 7000);
    assert_eq!(purges(&sample), 1);
}

#[test]
fn nothing_in_use_is_purged() {
    let sample = Sample::new();
    let class = class_of(1000);
    let span = sample.span(4);
    let block = sample.alloc(class);
    for (at, len) in [(span, 4 * SLOT_SIZE), (block, class.size())] {
        // SAFETY: the test's own blocks.
        unsafe { at.write_bytes(0x5a, len) };
    }
    let gone = sample.span(2);
    sample.free_span(gone);
    sample.heap.purge(u64::MAX, 0, true);
    assert_eq!(purges(&sample), 2, "the free slots, and the free pages of the block's slab");
    for (at, len) in [(span, 4 * SLOT_SIZE), (block, class.size())] {
        // SAFETY: the test's own blocks.
        assert!(unsafe { std::slice::from_raw_parts(at.as_ptr(), len) }.iter().all(|&byte| byte == 0x5a));
    }
}

#[test]
fn what_was_purged_reads_as_zero_and_what_could_not_be_is_not_said_to() {
    for is_refused in [false, true] {
        let sample = Sample::new();
        let span = sample.span(2);
        // SAFETY: the test's own block.
        unsafe { span.write_bytes(0x77, 2 * SLOT_SIZE) };
        sample.free_span(span);
        if is_refused {
            sample.mock.fail_from(Some(Call::Purge), 1);
        }
        sample.heap.purge(u64::MAX, 0, true);
        let (again, is_zero) = sample.heap.take_span(span_layout(2)).unwrap();
        assert_eq!((again, is_zero), (span, !is_refused));
        // SAFETY: the test's own block.
        assert_eq!(unsafe { again.read() }, if is_refused { 0x77 } else { 0 });
    }
}

#[test]
fn one_unused_segment_stays_and_others_are_pooled() {
    let sample = Sample::new();
    let spans: [_; 6] = std::array::from_fn(|_| sample.span(16));
    assert_eq!((sample.segments(), sample.pooled()), (6, 0));
    for (nth, span) in spans.into_iter().enumerate() {
        sample.free_span(span);
        assert_eq!(sample.pooled(), nth);
    }
    for _ in 0..20 {
        let span = sample.span(16);
        assert_eq!(sample.pooled(), 5, "the one that stayed serves again");
        sample.free_span(span);
    }
    let calls = sample.mock.calls(None);
    let spans: [_; 6] = std::array::from_fn(|_| sample.span(16));
    assert_eq!((sample.segments(), sample.pooled(), sample.mock.calls(None)), (6, 0, calls));
    spans.into_iter().for_each(|span| sample.free_span(span));
}

#[test]
fn a_heap_at_work_is_left_alone_by_those_who_do_not_wait() {
    let sample = Sample::new();
    let span = sample.span(1);
    sample.span(16);
    sample.free_span(span);
    let heap = sample.heap;
    sample.mock.during_next(Call::Map, move || {
        assert!(heap.is_locked());
        heap.purge(u64::MAX, 0, false);
        // Nor does a heap keep anybody waiting that is lost.
        heap.lose();
        heap.purge(u64::MAX, 0, true);
    });
    sample.span(16);
    assert!(!heap.is_locked() && heap.is_lost());
    assert_eq!(purges(&sample), 0);
}

#[test]
fn whoever_purges_collects_as_well() {
    let sample = Sample::new();
    let class = class_of(100);
    let block = sample.alloc(class);
    sample.empty_magazines();
    // SAFETY: a block of the heap.
    unsafe { return_remotely(class, block, &sample.backend.counters) };
    assert!(!sample.heap.pending.is_empty());
    sample.heap.purge(u64::MAX, 0, false);
    assert!(sample.heap.pending.is_empty());
    assert_eq!(sample.backend.counters.committed(), sample.backend.counters.metadata());
}

/// Blocks of a class that fill so many slabs, in the order of their addresses.
fn slabs_of(sample: &Sample, class: SizeClass, slabs: usize) -> Vec<NonNull<u8>> {
    let mut blocks: Vec<_> = (0..slabs * crate::slab::capacity(class)).map(|_| sample.alloc(class)).collect();
    blocks.sort();
    for &block in &blocks {
        // SAFETY: the test's own block.
        unsafe { block.write_bytes(0x5a, class.size()) };
    }
    blocks
}

fn free_all(sample: &Sample, class: SizeClass, blocks: &[NonNull<u8>]) {
    blocks.iter().for_each(|&block| sample.free(class, block));
    sample.empty_magazines();
}

fn reads(block: NonNull<u8>, class: SizeClass, byte: u8) -> bool {
    // SAFETY: a block of the test's own, of memory that was mapped.
    unsafe { std::slice::from_raw_parts(block.as_ptr(), class.size()) }.iter().all(|&found| found == byte)
}

#[test]
fn free_pages_of_a_slab_in_use_go_back_and_its_other_blocks_stay() {
    let sample = Sample::new();
    let class = class_of(512);
    let blocks = slabs_of(&sample, class, 3);
    let committed = sample.backend.counters.committed();
    // Of each 128 blocks, which are 16 pages, the first and the last stay.
    let stays = |nth: &usize| matches!(nth % 128, 0 | 127);
    let gone: Vec<_> = (0..blocks.len()).filter(|nth| !stays(nth)).map(|nth| blocks[nth]).collect();
    free_all(&sample, class, &gone);
    sample.heap.purge(u64::MAX, 0, true);
    assert_eq!(purges(&sample), 3, "a run in each slab");
    assert_eq!(committed - sample.backend.counters.committed(), 3 * 14 * 4096);
    assert!((0..blocks.len()).filter(stays).all(|nth| reads(blocks[nth], class, 0x5a)));
    sample.heap.purge(u64::MAX, 0, true);
    assert_eq!(purges(&sample), 3, "nothing is given back twice");
    // The pages come back with the blocks, and only theirs.
    let again: Vec<_> = (0..gone.len()).map(|_| sample.alloc(class)).collect();
    assert_eq!(sample.backend.counters.committed(), committed);
    assert!(again.iter().all(|block| gone.contains(block)), "no new slab");
    assert!(again.iter().any(|&block| reads(block, class, 0)));
}

#[test]
fn pages_under_blocks_that_wait_in_a_magazine_or_on_their_way_home_stay() {
    let sample = Sample::new();
    let class = class_of(4096);
    let blocks = slabs_of(&sample, class, 2);
    // The magazine holds 16 blocks at most, which are the last freed.
    blocks[..30].iter().for_each(|&block| sample.free(class, block));
    let held = sample.held(class);
    assert!(held > 0);
    sample.heap.purge(u64::MAX, 0, true);
    let committed = sample.backend.counters.committed() - sample.backend.counters.metadata();
    assert_eq!(committed, (2 + held) * 4096, "one page each for what is in use or waits");
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "hardened slabs begin at a random word, so that other pages stay")]
fn free_pages_go_back_after_the_delay_though_the_slab_serves_meanwhile() {
    let sample = Sample::new();
    let class = class_of(1024);
    let blocks = slabs_of(&sample, class, 2);
    free_all(&sample, class, &blocks[8..]);
    // One slab is empty and has left a slot, which is another matter.
    look(&sample, 5000);
    let calls = purges(&sample);
    let (block, _) = sample.heap.take_one(class).expect("there is memory");
    free_all(&sample, class, &[block]);
    look(&sample, 5900);
    assert_eq!(purges(&sample), calls, "not a second yet");
    look(&sample, 6000);
    assert_eq!(purges(&sample) - calls, 2);
    let committed = || sample.backend.counters.committed() - sample.backend.counters.metadata();
    assert_eq!(committed(), 3 * 4096, "the page of the block that was taken has not been free all the time");
    look(&sample, 7000);
    assert_eq!(committed(), 2 * 4096);
}

#[test]
fn pages_that_the_system_does_not_take_are_committed_still_and_tried_again() {
    let sample = Sample::new();
    let class = class_of(2048);
    let blocks = slabs_of(&sample, class, 1);
    let committed = sample.backend.counters.committed();
    free_all(&sample, class, &blocks[1..]);
    sample.mock.fail_nth(Some(Call::Purge), 1);
    for now in [1000, 2000] {
        look(&sample, now);
        assert_eq!(sample.backend.counters.committed(), committed);
    }
    look(&sample, 3000);
    assert_eq!(committed - sample.backend.counters.committed(), 15 * 4096);
}

#[test]
fn a_slab_that_ends_with_pages_given_back_leaves_a_slot_as_any_other() {
    let sample = Sample::new();
    let class = class_of(16 * 1024);
    let blocks = slabs_of(&sample, class, 2);
    let committed = sample.backend.counters.committed();
    free_all(&sample, class, &blocks[1..4]);
    sample.heap.purge(u64::MAX, 0, true);
    assert_eq!(committed - sample.backend.counters.committed(), 12 * 4096);
    // Another slab of the class has free blocks, so that this one does not stay when it is empty.
    free_all(&sample, class, &blocks[4..5]);
    free_all(&sample, class, &blocks[..1]);
    assert_eq!(sample.backend.counters.committed(), committed);
    free_all(&sample, class, &blocks[5..]);
    sample.heap.purge(u64::MAX, 0, true);
    assert_eq!(sample.backend.counters.committed(), sample.backend.counters.metadata());
}

#[test]
fn a_slab_whose_pages_are_resident_is_used_before_one_whose_pages_were_given_back() {
    let sample = Sample::new();
    let class = class_of(1024);
    let blocks = slabs_of(&sample, class, 3);
    // The first slab has free pages; the second has free blocks, on every page but none free.
    free_all(&sample, class, &blocks[1..64]);
    sample.heap.purge(u64::MAX, 0, true);
    let scattered: Vec<_> = blocks[64..128].iter().step_by(2).copied().collect();
    free_all(&sample, class, &scattered);
    let committed = sample.backend.counters.committed();
    let again: Vec<_> = (0..scattered.len() - 1).map(|_| sample.alloc(class)).collect();
    assert!(again.iter().all(|block| scattered.contains(block)));
    assert_eq!(sample.backend.counters.committed(), committed);
}

#[test]
fn however_many_slabs_there_are_all_of_their_free_pages_go_back() {
    let sample = Sample::new();
    let class = class_of(4096);
    let slabs = 400;
    let blocks = slabs_of(&sample, class, slabs);
    // What the last segment has beyond the slabs.
    sample.heap.purge(u64::MAX, 0, true);
    // Every other page: more calls than are made while the lock is held.
    let gone: Vec<_> = blocks.iter().step_by(2).copied().collect();
    free_all(&sample, class, &gone);
    let committed = sample.backend.counters.committed();
    let before = purges(&sample);
    sample.heap.purge(u64::MAX, 0, true);
    assert_eq!(purges(&sample) - before, gone.len());
    assert_eq!(committed - sample.backend.counters.committed(), gone.len() * 4096);
}
