//! How many blocks were allocated and freed, against an allocator in front that counts each call.
#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use tenure::Tenure;

/// Counts what goes through. Resizing is an allocation, a copy and a free here.
struct Counting {
    tenure: Tenure,
    allocations: AtomicU64,
    frees: AtomicU64,
}

#[global_allocator]
static GLOBAL: Counting = Counting { tenure: Tenure::new(), allocations: AtomicU64::new(0), frees: AtomicU64::new(0) };

// SAFETY: Tenure does all the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { self.tenure.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { self.tenure.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.frees.fetch_add(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { self.tenure.dealloc(block, layout) }
    }
}

/// What Tenure says beyond what was counted: nothing, but for what was before `main`.
fn beyond() -> (i64, i64) {
    let stats = GLOBAL.tenure.stats();
    let counted = (GLOBAL.allocations.load(Ordering::Relaxed), GLOBAL.frees.load(Ordering::Relaxed));
    (stats.allocations as i64 - counted.0 as i64, stats.frees() as i64 - counted.1 as i64)
}

fn work(seed: usize) -> Vec<String> {
    let mut words = HashMap::new();
    for nth in 0..20_000 {
        let word = format!("{}", nth * seed % 5003);
        *words.entry(word).or_insert(0_usize) += nth;
    }
    drop(vec![0_u8; 200_000 * seed]);
    drop(vec![1_u64; 2_000_000]);
    words.into_keys().collect()
}

#[test]
fn every_allocation_and_every_free_of_all_threads_and_sizes_is_counted_once() {
    let before = beyond();
    for round in 0..3 {
        let (send, receive) = mpsc::channel();
        let threads: Vec<_> = (1..5)
            .map(|seed| {
                let send = send.clone();
                thread::spawn(move || {
                    send.send(work(seed)).unwrap();
                    let _in_static_memory = tenure::static_scope(|| seed);
                    tenure::dynamic_scope(|| drop(work(seed + 1)));
                })
            })
            .collect();
        drop(send);
        // Blocks of other threads, freed here.
        assert_eq!(receive.iter().flatten().count(), 4 * 5003);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(beyond(), before, "round {round}");
    }
}
