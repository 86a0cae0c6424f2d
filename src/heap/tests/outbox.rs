//! The outbox: blocks of other heaps wait, and are sent home.

use super::*;
use crate::segment;
use std::vec::Vec;

/// Most blocks that wait, as far as these tests need to know.
const PLENTY: usize = 1000;

fn put(sample: &Sample, class: SizeClass, block: NonNull<u8>) {
    // SAFETY: the test's own heap, and a block of another one.
    unsafe { sample.heap.put_in_outbox(class, block) };
}

/// Number of blocks that were returned and not collected, of all slabs of the blocks.
fn pending(blocks: &[NonNull<u8>]) -> usize {
    let mut starts: Vec<_> = blocks.iter().map(|block| block.addr().get() / SLOT_SIZE * SLOT_SIZE).collect();
    starts.sort();
    starts.dedup();
    let waiting = |start| {
        // SAFETY: the slots are slabs of the test's own.
        let (slab, segment) = unsafe { (segment::slab_of(start), &*segment::segment_of(start)) };
        segment.waiting_remote(slab)
    };
    starts.into_iter().map(waiting).sum()
}

#[test]
fn blocks_of_another_heap_wait_and_are_sent_home_together() {
    let (mine, class) = (Sample::new(), class_of(64));
    let other = mine.neighbour(2);
    let blocks: Vec<_> = (0..PLENTY).map(|_| mine.alloc(class)).collect();
    let mut sent = 0;
    for (nth, &block) in blocks.iter().enumerate() {
        put(&other, class, block);
        let waiting = other.heap.outbox().waiting().count();
        assert_eq!(pending(&blocks) + waiting, nth + 1, "none is lost on the way");
        if waiting == 0 {
            sent += 1;
        }
    }
    assert!(sent > 0 && sent <= PLENTY / 32, "sent {sent} times");
    assert!(!mine.heap.pending.is_empty());
    other.empty_magazines();
    assert_eq!((pending(&blocks), other.heap.outbox().waiting().count()), (PLENTY, 0));
    mine.heap.purge(0, 0, true);
    assert!(mine.heap.pending.is_empty() && pending(&blocks) == 0);
    mine.empty_magazines();
    mine.heap.purge(u64::MAX, 0, true);
    assert_eq!(mine.backend.counters.committed(), mine.backend.counters.metadata());
}

#[test]
fn blocks_arrive_whatever_their_order_and_however_many_slabs_they_are_of() {
    let mine = Sample::new();
    let other = mine.neighbour(2);
    let classes = [class_of(8), class_of(48), class_of(4096), class_of(640)];
    let mut blocks: Vec<_> = (0..400).map(|nth| (classes[nth % 4], mine.alloc(classes[nth % 4]))).collect();
    // Far apart: every 37th, round and round.
    for nth in 0..400 {
        let (class, block) = blocks[nth * 37 % 400];
        put(&other, class, block);
    }
    other.empty_magazines();
    blocks.sort_by_key(|&(_, block)| block);
    assert_eq!(pending(&blocks.iter().map(|&(_, block)| block).collect::<Vec<_>>()), 400);
    mine.empty_magazines();
    mine.heap.purge(u64::MAX, 0, true);
    assert_eq!(mine.backend.counters.committed(), mine.backend.counters.metadata());
}

#[test]
fn a_large_block_does_not_wait() {
    let mine = Sample::new();
    let other = mine.neighbour(2);
    for size in [5 * 1024, 32 * 1024] {
        let class = class_of(size);
        let block = mine.alloc(class);
        put(&other, class, block);
        assert_eq!((other.heap.outbox().waiting().count(), pending(&[block])), (0, 1));
    }
}

#[test]
fn a_block_that_came_back_is_handed_out_again_before_a_new_slab_is_made() {
    let mine = Sample::new();
    let other = mine.neighbour(2);
    let class = class_of(32 * 1024);
    // Both blocks of a slab, and so it is in no list.
    let blocks = [mine.heap.take_one(class).unwrap().0, mine.heap.take_one(class).unwrap().0];
    put(&other, class, blocks[1]);
    assert_eq!(mine.heap.take_one(class).unwrap().0, blocks[1]);
    put(&other, class, blocks[0]);
    put(&other, class, blocks[1]);
    assert_eq!(
        mine.heap.take_one(class).unwrap().0,
        blocks[0],
        "the whole slab was returned, and its slot is used again"
    );
}

#[test]
fn a_span_that_another_thread_frees_is_free_once_it_is_collected() {
    let mine = Sample::new();
    let span = mine.span(5);
    // SAFETY: a span of the test's own.
    assert!(unsafe { return_span_remotely(span, &mine.backend.counters) });
    // SAFETY: as above.
    assert!(!unsafe { return_span_remotely(span, &mine.backend.counters) }, "it was returned already");
    assert_eq!(mine.span(5), span);
    // SAFETY: the second slot of a span of the test's own.
    assert!(!unsafe { return_span_remotely(span.add(SLOT_SIZE), &mine.backend.counters) }, "no span starts there");
    // SAFETY: inside a span of the test's own.
    assert!(!unsafe { return_span_remotely(span.add(8), &mine.backend.counters) }, "nor there");
    // SAFETY: as above.
    let layout = span_layout(2);
    // SAFETY: inside a span of the test's own.
    assert!(!unsafe { mine.heap.put_span(span.add(SLOT_SIZE), layout) });
    // SAFETY: as above.
    assert!(!unsafe { mine.heap.put_span(span.add(8), layout) });
}
