//! What Tenure costs: per thread, per heap, in large blocks, and after memory was freed. Each test prints its figures.
#![cfg(not(loom))]

mod support;

use std::alloc::GlobalAlloc;
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use support::block::{Block, layout};
use support::memory::{KIB, MIB, peak_resident, resident};
use support::process::alone;
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Sizes in the proportions of a program that has a few large blocks: slabs, spans, mappings.
const SIZES: [usize; 8] = [24, 64, 200, 1000, 6 * KIB, 20 * KIB, 150 * KIB, 2 * MIB];

/// Blocks of these sizes, filled, of so many bytes in all.
fn blocks_of(sizes: &[usize], bytes: usize) -> Vec<Block> {
    let share = bytes / sizes.len();
    sizes.iter().flat_map(|&size| (0..share / size).map(move |_| Block::of(size))).collect()
}

fn free_all(blocks: Vec<Block>) {
    blocks.into_iter().for_each(Block::free);
}

#[test]
fn a_thread_that_has_allocated_one_block_costs_at_most_64_kib() {
    const THREADS: usize = 200;
    /// How many threads are there, and how many have allocated.
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    static DONE: AtomicUsize = AtomicUsize::new(0);
    /// 0: wait; 1: allocate; 2: end.
    static ORDER: AtomicUsize = AtomicUsize::new(0);

    fn await_order(order: usize) {
        while ORDER.load(Ordering::Acquire) < order {
            // No sleep of the standard library's, which might allocate.
            // SAFETY: no preconditions.
            unsafe { libc::usleep(1000) };
        }
    }

    extern "C" fn park(_: *mut c_void) -> *mut c_void {
        STARTED.fetch_add(1, Ordering::Release);
        await_order(1);
        let block = Block::of(64);
        DONE.fetch_add(1, Ordering::Release);
        await_order(2);
        block.free();
        ptr::null_mut()
    }

    fn await_all(count: &AtomicUsize) {
        while count.load(Ordering::Acquire) < THREADS {
            thread::sleep(Duration::from_millis(1));
        }
    }

    alone(60, || {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let mut thread = 0;
                // SAFETY: a valid place for the thread, and a function that may run on any. A thread of the standard
                // library would have allocated before it does anything.
                assert_eq!(unsafe { libc::pthread_create(&mut thread, ptr::null(), park, ptr::null_mut()) }, 0);
                thread
            })
            .collect();
        await_all(&STARTED);
        let (without, heaps) = (resident(), GLOBAL.stats().heaps);
        ORDER.store(1, Ordering::Release);
        await_all(&DONE);
        let per_thread = (resident() - without) / THREADS;
        assert_eq!(GLOBAL.stats().heaps, heaps + THREADS);
        ORDER.store(2, Ordering::Release);
        for thread in threads {
            // SAFETY: a thread from above, joined once.
            assert_eq!(unsafe { libc::pthread_join(thread, ptr::null_mut()) }, 0);
        }
        println!("resident memory per thread with one block: {:.1} KiB", per_thread as f64 / KIB as f64);
        assert!(per_thread <= 64 * KIB);
    });
}

#[test]
fn metadata_is_at_most_3_percent_of_a_heap_of_small_blocks() {
    alone(60, || {
        // Each block holds the address of the one before, so that nothing else is allocated.
        let mut last: *mut Link = ptr::null_mut();
        for _ in 0..64 * MIB / size_of::<Link>() {
            last = Box::into_raw(Box::new(Link { before: last, _rest: [0; 7] }));
        }
        let stats = GLOBAL.stats();
        let share = stats.balance.metadata as f64 / stats.committed as f64 * 100.0;
        println!("metadata: {} of {} KiB, {share:.2} %", stats.balance.metadata / KIB, stats.committed / KIB);
        // A heap that grows has up to one segment too much. A hardened build has 8 bytes more for each block.
        let bytes = if cfg!(feature = "hardened") { 64 * MIB / 64 * 72 } else { 64 * MIB };
        assert!(stats.committed < bytes + 6 * MIB && share <= 3.0, "{stats}");
        while !last.is_null() {
            // SAFETY: boxes from above, each given up once.
            last = unsafe { Box::from_raw(last) }.before;
        }
    });
}

/// A block of 64 bytes.
struct Link {
    before: *mut Link,
    _rest: [u64; 7],
}

#[test]
fn zeroed_memory_fresh_from_the_system_is_not_touched() {
    alone(60, || {
        for size in [MIB, 32 * MIB] {
            let before = resident();
            // SAFETY: the size is not zero.
            let block = black_box(unsafe { GLOBAL.alloc_zeroed(layout(size, 8)) });
            assert!(!block.is_null());
            let cost = resident() - before;
            println!("{} MiB of zeros: {} KiB resident", size / MIB, cost / KIB);
            assert!(cost <= 128 * KIB);
            // SAFETY: allocated above, with this layout.
            unsafe { GLOBAL.dealloc(block, layout(size, 8)) };
        }
    });
}

#[test]
fn a_large_block_that_grows_keeps_its_contents_and_is_not_copied() {
    alone(60, || {
        let layout_of = |size| layout(size, 8);
        let old = 64 * MIB;
        // SAFETY: the size is not zero.
        let mut block = unsafe { GLOBAL.alloc(layout_of(old)) };
        assert!(!block.is_null());
        // SAFETY: the block is as large.
        unsafe { block.write_bytes(0xA5, old) };
        let peak = peak_resident();
        let start = Instant::now();
        for size in [old, old * 2, old * 4].windows(2).map(|sizes| (sizes[0], sizes[1])) {
            // SAFETY: the block from above, of the first size.
            block = unsafe { GLOBAL.realloc(block, layout_of(size.0), size.1) };
            assert!(!block.is_null());
        }
        println!("64 to 256 MiB in {:?}, {} KiB more resident", start.elapsed(), (peak_resident() - peak) / KIB);
        assert!(peak_resident() - peak < 8 * MIB, "copied");
        // SAFETY: initialised above, and kept.
        let kept = unsafe { std::slice::from_raw_parts(block, old) };
        assert!(kept.iter().all(|&byte| byte == 0xA5));
        // SAFETY: the block, of its last size.
        unsafe { GLOBAL.dealloc(block, layout_of(old * 4)) };
    });
}

/// Allocates 64 MiB on another thread, which frees them, and stays. Passes resident memory before and with the blocks.
fn beside_a_thread_that_has_freed_64_mib(shuffled: bool, then: impl FnOnce(usize, usize)) {
    let before = resident();
    let (say, hear) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let idle = thread::spawn(move || {
        let mut blocks = blocks_of(&SIZES, 64 * MIB);
        if shuffled {
            let mut random = support::random::Random::new(support::random::seed());
            for nth in (1..blocks.len()).rev() {
                blocks.swap(nth, random.below(nth + 1));
            }
        }
        say.send(resident()).unwrap();
        free_all(blocks);
        say.send(resident()).unwrap();
        let _ = ended.recv();
    });
    let with = hear.recv().unwrap();
    assert!(with - before >= 60 * MIB);
    hear.recv().unwrap();
    then(before, with);
    drop(end);
    idle.join().unwrap();
}

fn assert_is_given_back(percent: usize, before: usize, with: usize) {
    let now = resident();
    let left = now.saturating_sub(before);
    println!("of {} KiB, {} KiB are still resident", (with - before) / KIB, left / KIB);
    assert!(left * 100 <= (with - before) * (100 - percent), "{}", GLOBAL.stats());
}

#[test]
fn purging_gives_back_what_another_thread_has_freed() {
    alone(60, || {
        beside_a_thread_that_has_freed_64_mib(false, |before, with| {
            GLOBAL.purge();
            assert_is_given_back(80, before, with);
        });
    });
}

#[test]
fn purging_gives_back_what_another_thread_has_freed_in_any_order() {
    alone(60, || {
        beside_a_thread_that_has_freed_64_mib(true, |before, with| {
            GLOBAL.purge();
            assert_is_given_back(80, before, with);
        });
    });
}

#[test]
fn purging_gives_back_what_this_thread_has_freed() {
    alone(60, || {
        let before = resident();
        let blocks = blocks_of(&SIZES, 64 * MIB);
        let with = resident();
        free_all(blocks);
        GLOBAL.purge();
        assert_is_given_back(95, before, with);
    });
}

/// More blocks at once than any magazine holds, as a program has them that goes on with its work.
fn work() {
    let blocks: Vec<_> = (0..100).map(|_| black_box(Vec::<u8>::with_capacity(16 * KIB))).collect();
    drop(blocks);
}

#[test]
fn what_is_unused_for_a_while_is_given_back_by_threads_that_go_on_working() {
    alone(60, || {
        beside_a_thread_that_has_freed_64_mib(false, |before, with| {
            let freed = Instant::now();
            let purged = GLOBAL.stats().purged;
            while freed.elapsed() < Duration::from_millis(300) {
                work();
                thread::sleep(Duration::from_millis(10));
            }
            assert!(
                resident() > before + 40 * MIB,
                "given back at once, and {} bytes purged",
                GLOBAL.stats().purged - purged
            );
            while freed.elapsed() < Duration::from_secs(6) && resident() > before + 10 * MIB {
                work();
                thread::sleep(Duration::from_millis(10));
            }
            println!("after {:?}:", freed.elapsed());
            assert_is_given_back(80, before, with);
        });
    });
}
