//! How many blocks were allocated, as counted while threads come and go.
#![cfg(not(loom))]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tenure::{Tag, Tenure, tagged};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

#[test]
fn the_number_of_allocations_never_falls_while_threads_end_and_leave_tags() {
    let tag = Tag::named("counted").unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let ends = thread::spawn(move || {
                        (0..1000).for_each(|_| drop(black_box(Box::new(1_u64))));
                        tagged(tag, || drop(black_box(Box::new(2_u64))));
                    });
                    ends.join().unwrap();
                }
            });
        }
        let counts: Vec<_> = (0..3000).map(|_| GLOBAL.stats().allocations).collect();
        is_over.store(true, Ordering::Relaxed);
        let falls: Vec<_> = counts.windows(2).filter(|pair| pair[1] < pair[0]).collect();
        assert!(falls.is_empty(), "{falls:?}");
    });
}
