//! One thread allocates, and others replace what it has: they live on what they free. Alone in its file: it looks at what the process has.
#![cfg(not(feature = "hardened"))]

use std::alloc::{GlobalAlloc, Layout};
use std::thread;
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

const MIB: usize = 1024 * 1024;
const COUNT: usize = 64 * 1024;

/// Blocks of 128 to 512 bytes, each of which says in its first word who it is.
struct Shelf(Vec<*mut u64>);

// SAFETY: blocks may be used and freed on any thread.
unsafe impl Send for Shelf {}

fn layout(nth: usize) -> Layout {
    Layout::from_size_align(128 * (1 + nth % 4), 8).unwrap()
}

fn block(nth: usize, mark: u64) -> *mut u64 {
    // SAFETY: the size is not zero.
    let block = unsafe { GLOBAL.alloc(layout(nth)) }.cast::<u64>();
    assert!(!block.is_null());
    // SAFETY: the block's own words.
    unsafe {
        block.write(mark);
        block.add(layout(nth).size() / 8 - 1).write(mark);
    }
    block
}

impl Shelf {
    /// Replaces each block, and looks whether it was as it had been left.
    fn replace(&mut self, was: u64, mark: u64) {
        for (nth, place) in self.0.iter_mut().enumerate() {
            let old = std::mem::replace(place, block(nth, mark));
            // SAFETY: a block of this layout, which nobody else has.
            unsafe {
                assert_eq!((old.read(), old.add(layout(nth).size() / 8 - 1).read()), (was, was));
                GLOBAL.dealloc(old.cast(), layout(nth));
            }
        }
    }
}

#[test]
fn threads_that_replace_what_another_has_made_need_no_memory_of_their_own() {
    let mut shelf = Shelf((0..COUNT).map(|nth| block(nth, 0)).collect());
    let before = GLOBAL.stats().committed;
    for round in 0..4 {
        shelf = thread::spawn(move || {
            shelf.replace(round, round + 1);
            shelf
        })
        .join()
        .unwrap();
    }
    let most = GLOBAL.stats().peak_committed;
    assert!(most < before + 8 * MIB, "{before} bytes at first, {most} at most, of which 20 MiB in use");
    for (nth, block) in shelf.0.into_iter().enumerate() {
        // SAFETY: as above.
        unsafe { GLOBAL.dealloc(block.cast(), layout(nth)) };
    }
    assert!(GLOBAL.stats().is_balanced());
}
