//! System calls that are forbidden, by a filter (seccomp), from some point on: what has to be done without them, and
//! what is null.
#![cfg(all(not(loom), target_os = "linux"))]

mod support;

use std::fs;
use std::thread;
use std::time::Duration;
use support::block::{Block, layout};
use support::errno::keeping_errno;
use support::hoard::Hoard;
use support::memory::{KIB, MIB};
use support::process::alone;
use support::random::{Random, seed};
use support::seccomp::forbid;
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Sizes of every kind: two of slabs, a span, a mapping.
const KINDS: [usize; 4] = [64, 5000, 100 * KIB, 3 * MIB];

/// Allocates, checks, resizes and frees blocks of all kinds, so many times.
fn work(seed: u64, times: usize) {
    let mut random = Random::new(seed);
    let mut blocks: Vec<Block> = Vec::with_capacity(300);
    for _ in 0..times {
        match random.below(10) {
            0..5 => blocks.push(keeping_errno(|| Block::of(random.log_uniform(1, 3 * MIB / 2)))),
            5 if !blocks.is_empty() => {
                let nth = random.below(blocks.len());
                assert!(keeping_errno(|| blocks[nth].resize(random.log_uniform(1, 100 * KIB))));
            }
            _ if !blocks.is_empty() => {
                let block = blocks.swap_remove(random.below(blocks.len()));
                keeping_errno(|| block.free());
            }
            _ => {}
        }
        if blocks.len() == 300 {
            blocks.drain(..).for_each(Block::free);
        }
    }
    blocks.into_iter().for_each(Block::free);
}

#[test]
fn a_process_that_may_give_no_memory_back_and_has_no_random_numbers_allocates_and_frees() {
    alone(120, || {
        // What goes on without the calls must not have been made ready with them.
        forbid(&[libc::SYS_madvise, libc::SYS_mincore, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_getrandom]);
        work(seed(), 3000);
        // What could not be given back is not said to read as zero.
        for size in [2000, 30_000, 70_000, 3 * MIB] {
            let mut block = Block::of(size);
            block.check();
            assert!(block.resize(size + 1));
            block.free();
            keeping_errno(|| GLOBAL.purge());
            Block::zeroed(layout(size, 8)).expect("there is memory").free();
        }
        assert!(GLOBAL.stats().is_balanced());

        work(seed() + 1, 3000);
    });
}

#[test]
fn each_call_but_that_for_new_memory_can_be_done_without() {
    let calls = [
        libc::SYS_madvise,
        libc::SYS_mincore,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_getrandom,
        libc::SYS_sched_yield,
    ];
    alone(300, || {
        for (nth, call) in calls.into_iter().enumerate() {
            // A filter holds for the thread that sets it, and for those that it starts.
            thread::spawn(move || {
                work(seed() + nth as u64, 300);
                forbid(&[call]);
                work(seed() + 100 + nth as u64, 1000);
                keeping_errno(|| GLOBAL.purge());
            })
            .join()
            .unwrap();
            let stats = GLOBAL.stats();
            assert!(stats.is_balanced(), "without call {call}: {stats}");
        }
    });
}

#[test]
fn a_block_that_cannot_be_moved_by_the_system_is_copied() {
    alone(60, || {
        forbid(&[libc::SYS_mremap]);
        let mut block = Block::of(3 * MIB);
        // In the way of those that grow.
        let others: Vec<_> = (0..4).map(|_| Block::of(3 * MIB)).collect();
        for size in [5 * MIB, 40 * MIB, 200 * MIB, 2 * MIB, 100] {
            assert!(keeping_errno(|| block.resize(size)), "{size} bytes");
        }
        block.free();
        others.into_iter().for_each(Block::free);
    });
}

#[test]
fn from_whatever_point_on_no_memory_can_be_mapped_requests_are_null_and_what_was_freed_serves_again() {
    alone(300, || {
        for size in KINDS {
            for before in [0, 1, 7, 64, 500] {
                thread::spawn(move || {
                    let kept: Vec<_> = (0..before.min(64 * MIB / size)).map(|_| Block::of(size)).collect();
                    forbid(&[libc::SYS_mmap, libc::SYS_mremap]);
                    let hoard = Hoard::of_all_memory(size);
                    let more = hoard.blocks;
                    // Null again, at once, and everything that was there is.
                    assert!(keeping_errno(|| Block::new(layout(200 * MIB, 8))).is_none());
                    kept.iter().for_each(Block::check);
                    kept.into_iter().for_each(|block| keeping_errno(|| block.free()));
                    hoard.free_all();
                    let again = Hoard::of_all_memory(size);
                    assert!(again.blocks >= more, "{more} blocks of {size} bytes at first, then {}", again.blocks);
                    again.free_all();
                })
                .join()
                .unwrap();
                // A thread that may map gets what it asks for.
                KINDS.into_iter().for_each(|size| Block::of(size).free());
            }
        }
        assert!(GLOBAL.stats().is_balanced());
        (0..20).map(|_| Block::of(3 * MIB)).collect::<Vec<_>>().into_iter().for_each(Block::free);
    });
}

#[test]
fn a_purger_that_may_not_wait_ends_and_threads_purge_on_their_way_again() {
    alone(60, || {
        GLOBAL.set_purge_delay(Duration::from_millis(10));
        let threads_before = fs::read_dir("/proc/self/task").unwrap().count();
        let thread = thread::spawn(|| {
            // The purger that this thread starts inherits the filter.
            forbid(&[libc::SYS_futex]);
            assert!(GLOBAL.start_purger());
        });
        // A lock that the C library takes at a thread's end could not be passed on by this one: so it is to be gone.
        while !thread.is_finished() || fs::read_dir("/proc/self/task").unwrap().count() > threads_before {
            thread::sleep(Duration::from_millis(1));
        }
        thread.join().unwrap();
        let has_purger = || {
            let tasks = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path().join("comm"));
            tasks.filter_map(|file| fs::read_to_string(file).ok()).any(|name| name.trim() == "tenure-purger")
        };
        while has_purger() {
            thread::sleep(Duration::from_millis(1));
        }
        // Threads look at the clock now and then, on their slow paths.
        Block::of(300 * KIB).free();
        let purged = GLOBAL.stats().purged;
        while GLOBAL.stats().purged == purged {
            (0..100).map(|_| Block::of(3000)).collect::<Vec<_>>().into_iter().for_each(Block::free);
            thread::sleep(Duration::from_millis(1));
        }
    });
}
