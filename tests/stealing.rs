//! One thread allocates, and others replace what it has: they live on what they free. Alone in its file: it looks at
//! what the process has.
#![cfg(not(feature = "hardened"))]

mod support;

use std::thread;
use support::block::Block;
use support::memory::MIB;
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

const COUNT: usize = 64 * 1024;

/// A block of 128 to 512 bytes.
fn block(nth: usize) -> Block {
    Block::of(128 * (1 + nth % 4))
}

/// One in so many blocks stays where it is, and keeps its segment in use.
const STAYS: usize = 512;

/// Replaces each block but for those that stay. To free one is to look whether it is as it was left.
fn replace(shelf: &mut [Block]) {
    for (nth, place) in shelf.iter_mut().enumerate().filter(|(nth, _)| !nth.is_multiple_of(STAYS)) {
        std::mem::replace(place, block(nth)).free();
    }
}

#[test]
fn threads_that_replace_what_another_has_made_need_no_memory_of_their_own() {
    let mut shelf: Vec<_> = (0..COUNT).map(block).collect();
    let before = GLOBAL.stats().committed;
    for _ in 0..4 {
        shelf = thread::spawn(move || {
            replace(&mut shelf);
            shelf
        })
        .join()
        .unwrap();
    }
    let most = GLOBAL.stats().peak_committed;
    assert!(most < before + 8 * MIB, "{before} bytes at first, {most} at most, of which 20 MiB in use");
    shelf.into_iter().for_each(Block::free);
    assert!(GLOBAL.stats().is_balanced());
}
