//! A thread that works gives up the magazines of sizes that it does not use. Alone in its file: it looks at what the
//! process has.

use std::alloc::{GlobalAlloc, Layout};
use std::time::Duration;
use tenure::Tenure;

static TENURE: Tenure = Tenure::new();

fn allocate(size: usize, count: usize) -> Vec<*mut u8> {
    let layout = Layout::from_size_align(size, 8).unwrap();
    // SAFETY: the layout has a size.
    (0..count).map(|_| unsafe { TENURE.alloc(layout) }).collect()
}

fn free(size: usize, blocks: &[*mut u8]) {
    let layout = Layout::from_size_align(size, 8).unwrap();
    // SAFETY: blocks of the test's own.
    blocks.iter().for_each(|&block| unsafe { TENURE.dealloc(block, layout) });
}

/// Number of free blocks of `size` bytes at the thread's hand.
fn waiting(size: usize) -> usize {
    TENURE.stats().used_classes().find(|class| class.block_size == size).map_or(0, |class| class.in_magazines)
}

#[test]
fn what_a_thread_has_freed_of_a_size_that_it_does_not_use_any_more_does_not_wait_at_its_hand() {
    // So that no delay ends in the test.
    TENURE.set_purge_delay(Duration::from_secs(3600));
    // Past their probation, in which blocks do not wait.
    for size in [1024, 64] {
        let blocks = allocate(size, 2000);
        free(size, &blocks);
    }
    TENURE.purge();
    // Until no more wait: none of those that are freed then has to make room for another.
    let mut idle = allocate(1024, 100);
    while waiting(1024) > 0 {
        idle.extend(allocate(1024, 1));
    }
    free(1024, &idle.split_off(idle.len() - 30));
    // A hardened build has other places for them.
    assert!(cfg!(feature = "hardened") || waiting(1024) == 30);
    // Sixty-four blocks or fewer in each visit to the slabs, and a look at the clock after 65 of these.
    for _ in 0..100 {
        let blocks = allocate(64, 2000);
        free(64, &blocks);
    }
    assert_eq!(waiting(1024), 0);
    free(1024, &idle);
}
