//! Misuse of blocks that are samples of a heap profile: where they came from.

use crate::GLOBAL;
use crate::report;
use crate::sites::{allocates, announce, frees};
use std::alloc::Layout;
use tenure::profile::{self, Options, Unwinder};

fn arm() {
    arm_at(1);
}

fn arm_at(rate: usize) {
    profile::arm_with(Options { rate, unwinder: Unwinder::Tables, seed: None }).unwrap();
    // The thread learns of it in a slow path.
    profile::unsampled(|| ());
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

#[test]
fn the_second_of_two_frees_of_a_sample_is_told_of_with_where_it_was_allocated() {
    let body = |&size: &usize| {
        arm();
        let block = allocates(layout(size));
        announce(block);
        frees(block, layout(size));
        frees(block, layout(size));
    };
    report::of_each(&[40, 4000, 100_000, 4 << 20], body, |size, report| {
        report.assert_says(libc::SIGABRT, &["free of "]);
        report.assert_stacks(&[(&format!("allocated, for {size} bytes"), "allocates")]);
    });
}

/// Wherever it waits: in its magazine, behind a sample, or, as a sample itself, not at all.
#[test]
fn the_second_of_two_frees_of_a_span_is_noticed_however_near_the_next_sample_is() {
    const SIZE: usize = 100_000;
    let body = |&earlier: &usize| {
        arm_at(2 * SIZE);
        for _ in 0..earlier {
            frees(allocates(layout(SIZE)), layout(SIZE));
        }
        let block = allocates(layout(SIZE));
        announce(block);
        frees(block, layout(SIZE));
        frees(block, layout(SIZE));
    };
    report::of_each(&Vec::from_iter(0..24), body, |_, report| report.assert_says(libc::SIGABRT, &["free of "]));
}

#[test]
fn a_free_of_what_lies_inside_a_sample_is_told_of_with_where_that_was_allocated() {
    let report = report::of(|| {
        arm();
        let block = allocates(layout(400));
        announce(block.wrapping_add(8));
        frees(block.wrapping_add(8), layout(392));
    });
    report.assert_says(libc::SIGABRT, &["invalid free of "]);
    report.assert_stacks(&[("allocated, for 400 bytes", "allocates")]);
}

#[test]
fn of_a_block_that_is_no_sample_nothing_more_is_said() {
    let report = report::of(|| {
        let block = allocates(layout(400));
        arm();
        announce(block);
        // SAFETY: none. The process ends at the second.
        (0..2).for_each(|_| unsafe { GLOBAL.free_untyped(block) });
    });
    report.assert_says(libc::SIGABRT, &["double free of "]);
    report.assert_stacks(&[]);
}
