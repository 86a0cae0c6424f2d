//! A block that is freed twice, and whose memory may be another's by then: the second free may be one of a block in
//! use.

use super::SIZES;
use super::case::{Case, HARMED_BY_DEFAULT, STOPPED};
use super::program::{Block, allocate, free, go_on, layout, misuse};
use crate::support::memory::MIB;

/// After `count` more allocations of the size.
fn after(kind: &'static str, size: usize, count: usize) -> Case {
    let run = Box::new(move || {
        let layout = layout(size);
        let block = allocate(layout);
        free(block, layout);
        let owners: Vec<Block> = (0..count).map(|_| (allocate(layout), layout)).collect();
        misuse(block, layout);
        go_on(&[size], &owners);
    });
    Case { kind, size, says: "free", expected: STOPPED, run }
}

/// Once somebody has the block.
fn once_it_is_reused(size: usize) -> Case {
    let run = Box::new(move || {
        let layout = layout(size);
        let block = allocate(layout);
        free(block, layout);
        let mut owners: Vec<Block> = Vec::new();
        while owners.len() < 2000 && owners.last().is_none_or(|&(owner, _)| owner != block) {
            owners.push((allocate(layout), layout));
        }
        misuse(block, layout);
        go_on(&[size], &owners);
    });
    Case { kind: "stale free: once the address is in use again", size, says: "free", expected: HARMED_BY_DEFAULT, run }
}

pub fn cases() -> Vec<Case> {
    let first = SIZES.map(|size| after("stale free: after an allocation of the size", size, 1));
    let later = SIZES.map(|size| after("stale free: after 8 allocations of the size", size, 8));
    let reused = [64, 4096, MIB].map(once_it_is_reused);
    first.into_iter().chain(later).chain(reused).collect()
}
