//! A block that is freed twice, and that nobody has got in between.

use super::case::{Case, Expected, HARMED_BY_DEFAULT, STOPPED};
use super::program::{Block, allocate, free, free_elsewhere, go_on, layout, misuse, misuse_elsewhere, use_much};
use super::{GLOBAL, MUCH_USED, SIZES};
use crate::support::memory::KIB;

/// What happens between the allocation of a block and its second free, that one included.
type Timing = fn(Block);

fn again((block, layout): Block) {
    free(block, layout);
    misuse(block, layout);
}

/// After frees of `count` other blocks of the size.
fn after_others((block, layout): Block, count: usize) {
    let others: Vec<_> = (0..count).map(|_| allocate(layout)).collect();
    free(block, layout);
    others.into_iter().for_each(|other| free(other, layout));
    misuse(block, layout);
}

fn after_a_flush((block, layout): Block) {
    let _neighbour = allocate(layout);
    free(block, layout);
    GLOBAL.purge();
    misuse(block, layout);
}

/// After everything of the size was freed and given back to the system.
fn after_its_slab_was_purged((block, layout): Block) {
    let others: Vec<_> = (0..8).map(|_| allocate(layout)).collect();
    free(block, layout);
    others.into_iter().for_each(|other| free(other, layout));
    GLOBAL.purge();
    misuse(block, layout);
}

fn on_another_thread((block, layout): Block) {
    free(block, layout);
    misuse_elsewhere(block, layout);
}

fn after_another_thread((block, layout): Block) {
    free_elsewhere(block, layout);
    misuse(block, layout);
}

fn by_two_other_threads((block, layout): Block) {
    free_elsewhere(block, layout);
    misuse_elsewhere(block, layout);
}

fn case(kind: &'static str, size: usize, expected: Expected, timing: Timing, prepare: fn(usize)) -> Case {
    let run = Box::new(move || {
        prepare(size);
        timing((allocate(layout(size)), layout(size)));
        go_on(&[size], &[]);
    });
    // Where nothing is left of the block, it is told that nobody's memory is freed.
    Case { kind, size, says: "free", expected, run }
}

pub fn cases() -> Vec<Case> {
    let little: [(&str, Timing); 9] = [
        ("double free: at once", again),
        ("double free: after another free", |block| after_others(block, 1)),
        ("double free: after 20 other frees", |block| after_others(block, 20)),
        ("double free: after a flush", after_a_flush),
        ("double free: after its memory was purged", after_its_slab_was_purged),
        ("double free: the second on another thread", on_another_thread),
        ("double free: the first on another thread", after_another_thread),
        ("double free: on two other threads", by_two_other_threads),
        ("double free: after 60 other frees", |block| after_others(block, 60)),
    ];
    let much: [(&str, Timing, Expected); 5] = [
        ("double free, size much used: at once", again, HARMED_BY_DEFAULT),
        ("double free, size much used: after 20 other frees", |block| after_others(block, 20), HARMED_BY_DEFAULT),
        ("double free, size much used: after 200 other frees", |block| after_others(block, 200), HARMED_BY_DEFAULT),
        ("double free, size much used: after a flush", after_a_flush, HARMED_BY_DEFAULT),
        ("double free, size much used: the second on another thread", on_another_thread, HARMED_BY_DEFAULT),
    ];
    let little =
        little.into_iter().flat_map(|(kind, timing)| SIZES.map(|size| case(kind, size, STOPPED, timing, |_| {})));
    let prepare = |size| std::mem::forget(use_much(size));
    let much = much
        .into_iter()
        .flat_map(|(kind, timing, expected)| MUCH_USED.map(|size| case(kind, size, expected, timing, prepare)));
    let spans = [
        ("double free, span of a size much used: at once", again as Timing),
        ("double free, span of a size much used: the first on another thread", after_another_thread),
        ("double free, span of a size much used: the second on another thread", on_another_thread),
    ];
    let spans = spans
        .into_iter()
        .flat_map(|(kind, timing)| [64 * KIB, 128 * KIB].map(|size| case(kind, size, STOPPED, timing, prepare)));
    little.chain(much).chain(spans).collect()
}
