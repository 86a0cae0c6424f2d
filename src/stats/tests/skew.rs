//! What the figures of a snapshot may be off by while other threads go on.

use super::world::{Live, World};
use crate::size_class::SizeClass;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const THREADS: usize = 3;
const SNAPSHOTS: usize = 3000;

/// Bursts of all threads in which no snapshot has seen anything move: then none ever will.
const PATIENCE: usize = 1_000_000;

/// Blocks that each thread has at least, and how many more from time to time: all of them in one slab.
const BASE: usize = 500;
const BURST: usize = 300;
const MAGAZINE: usize = 63;

/// Ends a test's threads when it is dropped, also where the test fails: it would wait for them for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn traffic_of_blocks_does_not_skew_the_balance_and_live_blocks_by_a_magazine_for_each_heap_at_most() {
    let world = World::new();
    let (is_over, ready, bursts) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let thread = world.thread().unwrap();
                let mut live = Live::default();
                (0..BASE).for_each(|_| assert!(live.alloc(&thread, 64, 8, false)));
                // The clock of readiness: segments and slabs are there.
                ready.fetch_add(1, Ordering::SeqCst);
                while !is_over.load(Ordering::SeqCst) {
                    (0..BURST).for_each(|_| assert!(live.alloc(&thread, 64, 8, false)));
                    (0..BURST).for_each(|_| live.free(&thread, live.len() - 1));
                    bursts.fetch_add(1, Ordering::Relaxed);
                }
                live.free_all(&thread);
                thread.end();
            });
        }
        let over = Over(&is_over);
        while ready.load(Ordering::SeqCst) < THREADS {
            thread::yield_now();
        }
        let class = SizeClass::of_size(64).unwrap().index();
        let (mut least, mut most, mut snapshots) = (usize::MAX, 0, 0);
        // Where other programs keep the processors, all snapshots may fit into a time in which none of the threads
        // runs.
        while snapshots < SNAPSHOTS || least >= most && bursts.load(Ordering::Relaxed) < PATIENCE {
            snapshots += 1;
            let stats = world.stats();
            assert!(stats.is_balanced(), "{} of {}\n{stats}", stats.balance.total(), stats.committed);
            least = least.min(stats.classes[class].live);
            most = most.max(stats.classes[class].live);
            if snapshots % 100 == 0 {
                thread::yield_now();
            }
        }
        drop(over);
        assert!(least >= THREADS * (BASE - MAGAZINE), "{least} live blocks");
        assert!(most <= THREADS * (BASE + BURST + MAGAZINE), "{most} live blocks");
        assert!(least < most, "{snapshots} snapshots, and nothing moved: {least} live blocks");
    });
}

#[test]
fn the_balance_is_off_by_no_more_than_what_is_mapped_and_unmapped_meanwhile() {
    const SIZE: usize = 3 << 20;
    let world = World::new();
    let (ready, begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let thread = world.thread().unwrap();
                let mut live = Live::default();
                ready.fetch_add(1, Ordering::SeqCst);
                while !is_over.load(Ordering::SeqCst) {
                    begun.fetch_add(1, Ordering::SeqCst);
                    assert!(live.alloc(&thread, SIZE, 8, false));
                    live.free(&thread, 0);
                    world.purge(u64::MAX, 0);
                    ended.fetch_add(1, Ordering::SeqCst);
                }
                thread.end();
            });
        }
        let over = Over(&is_over);
        // What a thread's heap takes when it is made is no block's.
        while ready.load(Ordering::SeqCst) < THREADS {
            thread::yield_now();
        }
        let (mut skewed, mut still) = (0, 0);
        for _ in 0..SNAPSHOTS {
            let before = ended.load(Ordering::SeqCst);
            let stats = world.stats();
            let meanwhile = begun.load(Ordering::SeqCst) - before;
            // Each of them maps a block and unmaps what is kept; a page of head goes with each block.
            let bound = 2 * meanwhile * (SIZE + 2 * 4096);
            let off = stats.balance.total().abs_diff(stats.committed);
            assert!(off <= bound, "{off} bytes off, while {meanwhile} blocks came and went\n{stats}");
            skewed += usize::from(off > 0);
            still += usize::from(meanwhile == 0);
        }
        drop(over);
        std::println!("{skewed} of {SNAPSHOTS} snapshots were off, and {still} were undisturbed");
    });
    world.assert_balanced();
}
