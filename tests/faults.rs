//! Faults of the process's surroundings that no other test brings about: signals at any moment, forbidden system calls, and very many mappings.
#![cfg(all(not(loom), target_os = "linux"))]

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::thread;
use support::block::{Block, layout};
use support::memory::{KIB, MIB};
use support::process::alone;
use support::random::{Random, seed};
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Allocates, checks, resizes and frees blocks of all kinds, so many times.
fn work(seed: u64, times: usize) {
    let mut random = Random::new(seed);
    let mut blocks: Vec<Block> = Vec::with_capacity(300);
    for _ in 0..times {
        match random.below(10) {
            0..5 => blocks.push(Block::of(random.log_uniform(1, 3 * MIB / 2))),
            5 if !blocks.is_empty() => {
                let nth = random.below(blocks.len());
                assert!(blocks[nth].resize(random.log_uniform(1, 100 * KIB)));
            }
            _ if !blocks.is_empty() => blocks.swap_remove(random.below(blocks.len())).free(),
            _ => {}
        }
        if blocks.len() == 300 {
            blocks.drain(..).for_each(Block::free);
        }
    }
    blocks.into_iter().for_each(Block::free);
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handle(_: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn thousands_of_signals_while_threads_allocate_change_nothing() {
    alone(120, || {
        let seed = seed();
        // SAFETY: a handler that does nothing but count; interrupted calls are not started again, so that those of the allocator's see it, too.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
        }
        let is_over = AtomicBool::new(false);
        let threads = [const { AtomicI32::new(0) }; 3];
        thread::scope(|scope| {
            let (is_over, threads) = (&is_over, &threads);
            let workers: Vec<_> = (0..3)
                .map(|nth| {
                    scope.spawn(move || {
                        // SAFETY: no preconditions.
                        threads[nth as usize].store(unsafe { libc::gettid() }, Ordering::Relaxed);
                        let mut round = 0;
                        while !is_over.load(Ordering::Relaxed) {
                            work(seed + nth * 1000 + round, 500);
                            round += 1;
                        }
                        round
                    })
                })
                .collect();
            while HANDLED.load(Ordering::Relaxed) < 20_000 {
                for thread in threads.iter().map(|thread| thread.load(Ordering::Relaxed)).filter(|&thread| thread != 0)
                {
                    // SAFETY: a thread of this process, which runs until it is told that it is over.
                    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGUSR1) };
                }
                for _ in 0..200 {
                    std::hint::spin_loop();
                }
            }
            is_over.store(true, Ordering::Relaxed);
            let rounds: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
            println!("{} signals in {rounds:?} rounds of 500 steps", HANDLED.load(Ordering::Relaxed));
            assert!(rounds.iter().all(|&rounds| rounds > 0));
        });
        assert!(GLOBAL.stats().is_balanced());
    });
}

/// From now on these calls fail in this thread and in those that it starts, with `EPERM`.
fn forbid(calls: &[libc::c_long]) {
    let statement = |code: u32, jt: usize, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: jt as u8, jf, k };
    // The number of the call is the first word of what the filter sees.
    let mut filter = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for (nth, &call) in calls.iter().enumerate() {
        filter.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, calls.len() - nth, 0, call as u32));
    }
    filter.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    filter.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: a valid filter, for this process alone.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}

#[test]
fn a_process_that_may_give_no_memory_back_and_has_no_random_numbers_allocates_and_frees() {
    alone(120, || {
        // What goes on without the calls must not have been made ready with them.
        forbid(&[libc::SYS_madvise, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_getrandom]);
        work(seed(), 3000);
        // What could not be given back is not said to read as zero.
        for size in [2000, 30_000, 70_000, 3 * MIB] {
            let mut block = Block::of(size);
            block.check();
            assert!(block.resize(size + 1));
            block.free();
            GLOBAL.purge();
            Block::zeroed(layout(size, 8)).expect("there is memory").free();
        }
        assert!(GLOBAL.stats().is_balanced());

        work(seed() + 1, 3000);
    });
}

#[test]
fn a_process_that_may_not_map_gets_null_and_goes_on_with_what_it_has() {
    alone(60, || {
        let blocks: Vec<_> = (0..1000).map(|_| Block::of(1000)).collect();
        forbid(&[libc::SYS_mmap, libc::SYS_mremap]);
        assert!(Block::new(layout(100 * MIB, 8)).is_none());
        blocks.into_iter().for_each(Block::free);
        for _ in 0..1000 {
            Block::of(1000).free();
        }
    });
}

#[test]
fn a_program_may_have_more_large_blocks_than_the_system_allows_mappings() {
    alone(120, || {
        let most: usize = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
        if most > 70_000 {
            println!("the system allows {most} mappings, too many to be used up here");
            return;
        }
        let mut blocks = Vec::with_capacity(most + 1000);
        // Of memory that nobody touches.
        let layout = layout(1100 * KIB, 8);
        for nth in 0..most + 1000 {
            // SAFETY: the size is not zero.
            let block = unsafe { std::alloc::alloc(layout) };
            assert!(!block.is_null(), "no memory for block {nth}");
            blocks.push(block);
        }
        let mappings = fs::read_to_string("/proc/self/maps").unwrap().lines().count();
        println!("{} blocks are {mappings} mappings", blocks.len());
        assert!(mappings < 20_000);
        assert!(fs::read_to_string("/proc/self/status").is_ok(), "others can map as well");
        for block in blocks {
            // SAFETY: allocated with this layout.
            unsafe { std::alloc::dealloc(block, layout) };
        }
    });
}
