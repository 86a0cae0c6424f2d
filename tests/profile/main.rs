//! The heap profile's figures, held against exact ones that the tests keep themselves.
#![cfg(all(feature = "profile", not(loom)))]

#[path = "../support/mod.rs"]
mod support;

mod estimates;
mod sites;

use sites::{SITES, arm, estimates, everything};
use std::alloc::{Layout, alloc_zeroed, dealloc, realloc};
use std::array;
use std::collections::HashMap;
use std::hint::black_box;
use std::thread;
use support::extent::extent;
use support::memory::{KIB, MIB};
use support::process::alone;
use support::random::{Random, seed};
use tenure::profile;

#[global_allocator]
static GLOBAL: tenure::Tenure = tenure::Tenure::new();

/// At a rate of one byte every allocation is a sample, so the figures are exact.
#[test]
fn blocks_of_every_kind_are_counted_when_they_come_and_go() {
    alone(60, || {
        arm(1, seed());
        let sizes = [1, 8, 100, 1000, 32 * KIB, 40 * KIB, 64 * KIB, 300 * KIB, MIB, 3 * MIB];
        let aligns = [8, 64, 4096, 64 * KIB, MIB];
        for &align in &aligns {
            for size in sizes {
                let layout = Layout::from_size_align(size, align).unwrap();
                let before = estimates()[3];
                let block = SITES[3](layout);
                let during = estimates()[3];
                // SAFETY: allocated above.
                unsafe { dealloc(block, layout) };
                let after = estimates()[3];
                assert_eq!(during.bytes - before.bytes, size as f64, "{layout:?}");
                assert_eq!(during.live_bytes - before.live_bytes, size as f64, "{layout:?}");
                assert_eq!(after.bytes, during.bytes, "{layout:?}");
                assert_eq!(after.live_bytes, before.live_bytes, "{layout:?}");
            }
        }
        assert_eq!(profile::totals().dropped, 0);
    });
}

#[test]
fn a_block_that_is_resized_is_one_that_went_and_one_that_came() {
    alone(60, || {
        arm(1, seed());
        let sizes = [100, 5000, 40 * KIB, 200 * KIB, 600 * KIB, 2 * MIB, 5 * MIB, 1536 * KIB, 500 * KIB, 70 * KIB, 90];
        let layout = |size| Layout::from_size_align(size, 16).unwrap();
        // SAFETY: the size is not zero.
        let mut block = unsafe { alloc_zeroed(layout(sizes[0])) };
        let live = everything().live_bytes;
        for pair in sizes.windows(2) {
            let before = everything();
            // SAFETY: allocated with this layout, and the new size is not zero.
            block = unsafe { realloc(block, layout(pair[0]), pair[1]) };
            let now = everything();
            assert_eq!(now.live_bytes, live - sizes[0] as f64 + pair[1] as f64, "{pair:?}");
            assert_eq!(now.bytes - before.bytes, pair[1] as f64, "{pair:?}");
        }
        // SAFETY: allocated with this layout.
        unsafe { dealloc(block, layout(sizes[sizes.len() - 1])) };
    });
}

#[test]
fn statistics_balance_while_a_profile_is_armed() {
    alone(60, || {
        arm(4 * KIB, 3);
        let mut random = Random::new(seed());
        let mut blocks: Vec<Vec<u8>> = (0..1000).map(|_| Vec::new()).collect();
        for _ in 0..200_000 {
            let place = random.below(blocks.len());
            blocks[place] = Vec::with_capacity(1 + random.below(3000));
        }
        let stats = GLOBAL.stats();
        assert!(stats.is_balanced(), "{stats:?}");
        let before = stats.live_blocks();
        drop(blocks);
        assert_eq!(before - GLOBAL.stats().live_blocks(), 1001);
    });
}

#[test]
fn a_profile_that_is_disarmed_leaves_the_thread_as_it_was() {
    alone(60, || {
        for round in 0..3 {
            arm(KIB, round);
            let words: Vec<String> = (0..10_000).map(|nth| nth.to_string()).collect();
            assert_eq!(profile::rate(), Some(KIB));
            let samples = profile::totals().samples;
            assert!(samples > 0);
            profile::disarm();
            drop(words);
            let words: Vec<String> = (0..10_000).map(|nth| nth.to_string()).collect();
            drop(words);
            assert!(!profile::is_armed());
            assert!(profile::totals().samples - samples <= 1);
        }
    });
}

#[test]
fn a_profile_that_was_disarmed_says_how_far_apart_its_samples_are() {
    alone(60, || {
        assert_eq!(profile::last_rate(), None);
        arm(4 * KIB, 1);
        assert_eq!((profile::rate(), profile::last_rate()), (Some(4096), Some(4096)));
        profile::disarm();
        assert_eq!((profile::rate(), profile::last_rate()), (None, Some(4096)));
        let text = profile::Text.to_string();
        assert!(text.contains(" dropped, one in 4096 bytes\n"), "{text}");
    });
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "what is freed in a hardened build is kept from use for a while")]
fn a_sampled_block_is_served_from_memory_that_is_kept() {
    alone(60, || {
        arm(1, 6);
        drop(black_box(vec![1_u8; 64 * MIB]));
        let before = GLOBAL.stats().committed;
        for size in [16 * MIB, 48 * MIB, 5 * MIB] {
            let block = black_box(Vec::<u8>::with_capacity(size));
            assert!(GLOBAL.stats().committed.abs_diff(before) < MIB, "{size} bytes");
            drop(block);
            let block = black_box(vec![0_u8; size]);
            assert!(block.iter().all(|&byte| byte == 0));
            drop(block);
        }
    });
}

#[test]
fn the_thread_that_arms_a_profile_is_seen_at_once() {
    alone(60, || {
        // So many that the size has a magazine, with blocks in it.
        for _ in 0..2000 {
            drop(black_box(vec![1_u8; 100]));
        }
        arm(1, 7);
        let blocks: [Vec<u8>; 10] = array::from_fn(|_| black_box(Vec::with_capacity(100)));
        assert_eq!(profile::totals().samples, 10);
        drop(blocks);
    });
}

#[test]
fn what_is_unsampled_is_in_no_stack() {
    alone(60, || {
        arm(1, 5);
        let before = everything();
        let table = profile::unsampled(|| (0..1000).map(|nth| (nth, nth.to_string())).collect::<HashMap<_, _>>());
        assert_eq!(everything(), before);
        drop(table);
        drop(black_box(vec![1_u8; 100]));
        assert_eq!(everything().bytes - before.bytes, 100.0);
    });
}

#[test]
fn what_cannot_be_is_refused() {
    alone(60, || {
        assert_eq!(profile::arm(0), Err(profile::CannotArm::WrongRate));
        assert_eq!(profile::arm(profile::MAX_RATE + 1), Err(profile::CannotArm::WrongRate));
        assert!(!profile::is_armed());
    });
}

/// Blocks of every kind, some of which are freed by another thread.
fn churn(random: &mut Random, kept: &mut Vec<Vec<u8>>) {
    for _ in 0..200 {
        let size = random.log_uniform(8, 4 * MIB);
        let block = if random.one_in(2) { vec![0; size] } else { Vec::with_capacity(size) };
        if kept.len() < 64 {
            kept.push(block);
        } else {
            let place = random.below(kept.len());
            kept[place] = block;
            kept[place].reserve(random.below(2 * size));
        }
    }
}

#[test]
fn what_is_sampled_under_a_tag_is_counted_under_it() {
    alone(60, || {
        let tag = tenure::Tag::named("sampled").unwrap();
        let under = || {
            let stats = GLOBAL.stats();
            assert!(stats.is_balanced(), "{stats}");
            stats.tags().find(|figures| figures.tag == tag).map(|figures| (figures.blocks, figures.bytes)).unwrap()
        };
        for rate in [1, 4 * KIB, 512 * KIB] {
            arm(rate, 9);
            let sizes = [100, 104, 4000, 100 * KIB, MIB, 2 * MIB];
            let blocks = tenure::tagged(tag, || sizes.map(Vec::<u8>::with_capacity));
            let expected = match cfg!(feature = "hardened") {
                true => sizes.map(extent).iter().sum(),
                false => 104 + 104 + 4096 + 128 * KIB + MIB + 2 * MIB,
            };
            assert_eq!(under(), (sizes.len(), expected), "one in {rate} bytes");
            thread::spawn(move || drop(blocks)).join().unwrap();
            assert_eq!(under(), (0, 0), "one in {rate} bytes");
        }
    });
}

#[test]
fn nothing_is_left_of_what_threads_have_allocated_and_freed_while_a_profile_came_and_went() {
    alone(120, || {
        let seed = seed();
        arm(16 * KIB, seed);
        let live = everything().live_bytes;
        thread::scope(|scope| {
            let threads = [0, 1, 2, 3].map(|nth| {
                scope.spawn(move || {
                    let mut random = Random::new(seed + nth);
                    let mut kept = Vec::with_capacity(64);
                    for _ in 0..20 {
                        churn(&mut random, &mut kept);
                        // Every other thread's blocks are freed by a third.
                        let others = std::mem::take(&mut kept);
                        thread::spawn(move || drop(others)).join().unwrap();
                    }
                })
            });
            for round in 0..50 {
                arm(1 + (round as usize % 3) * 5000, round);
                thread::yield_now();
                profile::disarm();
                thread::yield_now();
            }
            // Joined, a thread has ended; a scope waits only until its work is done.
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        profile::disarm();
        assert_eq!(profile::totals().dropped, 0);
        let now = everything().live_bytes;
        // The handles of threads that the library keeps, and nothing else.
        assert!(now < live + (16 * KIB) as f64, "{now} bytes are left, {live} before");
        assert!(GLOBAL.stats().is_balanced());
    });
}

#[test]
fn the_child_of_a_fork_has_the_samples_of_its_parent_and_takes_its_own() {
    alone(60, || {
        arm(1, 2);
        let layout = Layout::from_size_align(1000, 8).unwrap();
        let block = SITES[5](layout);
        // SAFETY: there is one thread at work, and the child uses the C library no more than a child may.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // SAFETY: allocated above; the child has a copy.
            unsafe { dealloc(block, layout) };
            let is_freed = estimates()[5].live_blocks == 0.0;
            SITES[5](layout);
            let figures = estimates()[5];
            let is_well = is_freed && figures.blocks == 2.0 && figures.live_bytes == 1000.0;
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if is_well { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: the child from above, and a valid place for its status.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        assert_eq!(estimates()[5].live_bytes, 1000.0);
        // SAFETY: allocated above.
        unsafe { dealloc(block, layout) };
    });
}
