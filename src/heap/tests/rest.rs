//! Magazines of classes that are at rest or scattered, which give up what they hold.

use super::*;
use std::collections::BTreeSet;
use std::vec::Vec;

fn give_up_idle(sample: &Sample) {
    // SAFETY: the test's own heap and tops.
    unsafe { sample.heap.give_up_idle_magazines(sample.tops()) };
}

fn committed(sample: &Sample) -> usize {
    sample.backend.counters.committed() - sample.backend.counters.metadata()
}

#[test]
fn blocks_of_a_class_from_which_nothing_is_taken_go_back_to_their_slabs() {
    let sample = Sample::new();
    let (idle, used) = (class_of(1024), class_of(2048));
    let blocks = |class| (0..60).map(|_| sample.alloc(class)).collect::<Vec<_>>();
    let (idles, useds) = (blocks(idle), blocks(used));
    give_up_idle(&sample);
    idles[..40].iter().for_each(|&block| sample.free(idle, block));
    useds[..10].iter().for_each(|&block| sample.free(used, block));
    let again = sample.alloc(used);
    let (idle_held, used_held) = (sample.held(idle), sample.held(used));
    assert!(idle_held >= 30 && used_held >= 9, "{idle_held}, {used_held}");
    give_up_idle(&sample);
    assert_eq!((sample.held(idle), sample.held(used)), (0, used_held), "one was taken from the other");
    let before = committed(&sample);
    sample.heap.purge(u64::MAX, 0, true);
    // A hardened build spreads blocks over all pages.
    let whole_pages = if cfg!(feature = "hardened") { 0 } else { 30 * 1024 };
    assert!(committed(&sample) <= before - whole_pages, "whole pages of it go back");
    // Nothing was taken since from the other either.
    give_up_idle(&sample);
    assert_eq!(sample.held(used), 0);
    // Each block is there once.
    let mut all: BTreeSet<_> = idles[40..].iter().chain(&useds[10..]).copied().chain([again]).collect();
    let count = all.len();
    all.extend((0..100).flat_map(|_| [sample.alloc(idle), sample.alloc(used)]));
    assert_eq!(all.len(), count + 200);
}

#[test]
fn a_class_that_was_given_up_keeps_what_is_freed_again() {
    let sample = Sample::new();
    let class = class_of(64);
    let blocks: Vec<_> = (0..20).map(|_| sample.alloc(class)).collect();
    give_up_idle(&sample);
    blocks[..10].iter().for_each(|&block| sample.free(class, block));
    give_up_idle(&sample);
    assert_eq!(sample.held(class), 0);
    blocks[10..].iter().for_each(|&block| sample.free(class, block));
    assert_eq!(sample.held(class), 10);
}

#[test]
fn the_magazines_of_a_class_with_several_sparse_slabs_are_passed_by_for_a_while() {
    let sample = Sample::new();
    let class = class_of(1024);
    let mut blocks: Vec<_> = (0..64 * 6).map(|_| sample.alloc(class)).collect();
    sample.empty_magazines();
    blocks.sort();
    // One slab stays full but for some, and of five others a few blocks stay.
    let (full, rest) = blocks.split_at(64);
    let stays: Vec<_> = rest.iter().copied().step_by(8).collect();
    rest.iter().filter(|block| !stays.contains(block)).for_each(|&block| sample.free(class, block));
    full[..32].iter().for_each(|&block| sample.free(class, block));
    sample.rest();
    // What comes and goes leaves the sparse ones.
    for &block in &stays[..24] {
        sample.free(class, block);
        let moved = sample.alloc(class);
        assert!(full.contains(&moved), "{moved:p} is not in the slab that is well used");
        assert_eq!(sample.held(class), 0);
    }
    sample.heap.purge(u64::MAX, 0, true);
    let left = committed(&sample);
    assert!(left <= 64 * 1024 + (stays.len() - 24) * 4096, "{left} bytes");
}

#[test]
fn blocks_of_a_scattered_class_gather_when_each_was_freed_and_another_taken() {
    let sample = Sample::new();
    let class = class_of(64);
    let slabs = 8;
    let all: Vec<_> = (0..slabs * crate::slab::capacity(class)).map(|_| sample.alloc(class)).collect();
    // One of 16 stays, in each slab.
    let (mut kept, mut gone) = (Vec::new(), Vec::new());
    all.into_iter().enumerate().for_each(|(nth, block)| if nth % 16 == 0 { &mut kept } else { &mut gone }.push(block));
    gone.into_iter().for_each(|block| sample.free(class, block));
    let slabs_of = |blocks: &[NonNull<u8>]| {
        let slots: BTreeSet<_> = blocks.iter().map(|block| block.addr().get() / SLOT_SIZE).collect();
        slots.len()
    };
    let turn_over = |blocks: &mut [NonNull<u8>]| {
        for block in blocks {
            sample.free(class, *block);
            *block = sample.alloc(class);
        }
    };
    sample.empty_magazines();
    turn_over(&mut kept);
    assert_eq!(slabs_of(&kept), slabs, "a block goes to and fro through the magazine");
    sample.rest();
    turn_over(&mut kept);
    assert!(slabs_of(&kept) <= 2, "{} slabs have {} blocks", slabs_of(&kept), kept.len());
}
