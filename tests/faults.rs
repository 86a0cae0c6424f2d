//! Faults of the process's surroundings that no other test brings about: signals at any moment, and very many mappings.
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
        // SAFETY: a handler that does nothing but count; interrupted calls are not started again, so that those of the
        // allocator's see it, too.
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
