//! A thread that does nothing but free what others have allocated. Alone in its file: it looks at what the process has.

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::thread;
use support::extent::extent;
use tenure::Tenure;

static TENURE: Tenure = Tenure::new();

struct Blocks(Vec<*mut u8>);

// SAFETY: blocks may be freed on any thread.
unsafe impl Send for Blocks {}

#[test]
fn a_thread_that_only_frees_has_an_outbox_after_some_frees_and_not_for_the_first() {
    let layout = Layout::new::<[u64; 8]>();
    // SAFETY: the layout has a size.
    let mut blocks = Blocks((0..1000).map(|_| unsafe { TENURE.alloc(layout) }).collect());
    let heaps = TENURE.stats().heaps;
    let waiting = thread::spawn(move || {
        let first = {
            let blocks = &mut blocks;
            let has_no_say = |block: &*mut u8| !(block.addr() / extent(layout.size())).is_multiple_of(16);
            let at = blocks.0.iter().position(has_no_say).unwrap();
            blocks.0.swap_remove(at)
        };
        // SAFETY: the test's own block.
        unsafe { TENURE.dealloc(first, layout) };
        assert_eq!(TENURE.stats().heaps, heaps, "one free is no reason for a heap");
        // Of a class on probation, frees do not wait.
        for block in blocks.0 {
            // SAFETY: as above.
            unsafe { TENURE.dealloc(block, layout) };
        }
        assert_eq!(TENURE.stats().heaps, heaps + 1);
        TENURE.stats().balance.in_outboxes
    });
    let waiting = waiting.join().unwrap();
    assert!(cfg!(feature = "hardened") || waiting > 0);
    assert_eq!(TENURE.stats().parked_heaps, 1, "the thread's end has sent all blocks home");
    assert_eq!(TENURE.stats().balance.in_outboxes, 0);
}
