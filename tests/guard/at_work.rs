//! Guarded blocks in a program that does nothing wrong.

use crate::GLOBAL;
use crate::sites::{allocates, frees, is_guarded};
use crate::support::block::{Block, layout};
use crate::support::memory::MIB;
use crate::support::process::{alone, end_after};
use crate::support::random::{Random, seed};
use std::alloc::Layout;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tenure::{Stats, Tag, guard, profile, tagged};

fn arm(one_in: u64) {
    guard::arm(one_in).unwrap();
    // The thread learns of it in a slow path.
    profile::unsampled(|| ());
}

fn stats() -> Stats {
    let stats = GLOBAL.stats();
    assert!(stats.is_balanced(), "{stats}");
    stats
}

#[test]
fn one_in_so_many_allocations_is_guarded() {
    alone(120, || {
        for (one_in, allocations) in [(2, 100_000), (100, 2_000_000)] {
            arm(one_in);
            let before = guard::totals();
            for nth in 0..allocations {
                let layout = layout(1 + nth % 1000, 8);
                frees(allocates(layout), layout);
            }
            guard::disarm();
            let after = guard::totals();
            assert_eq!(after.passed_over, before.passed_over);
            // The standard deviation of n chances of one in m is about the root of n / m: 0.7 % of the number here, or
            // less.
            let (guarded, expected) = ((after.guarded - before.guarded) as f64, allocations as f64 / one_in as f64);
            assert!((guarded / expected - 1.0).abs() < 0.04, "one in {one_in}: {guarded} of {allocations}");
        }
    });
}

#[test]
fn blocks_are_aligned_of_exact_size_and_zero_where_that_is_asked_for() {
    alone(60, || {
        arm(1);
        let mut random = Random::new(seed());
        for _ in 0..20_000 {
            let align = 1 << random.below(13);
            let layout = layout(random.log_uniform(1, 4096), align);
            let block = if random.one_in(2) { Block::zeroed(layout) } else { Block::new(layout) }.unwrap();
            assert!(is_guarded(block.as_ptr(), layout.size()), "{layout:?}");
            block.free();
        }
        let untyped: Vec<_> = (0..200).map(|size| (GLOBAL.alloc_untyped(size), size)).collect();
        for (block, size) in untyped {
            // SAFETY: a block in use.
            assert_eq!(unsafe { GLOBAL.usable_size(block) }, size.max(1));
            assert!(block.addr() % if size <= 8 { 8 } else { 16 } == 0);
            // SAFETY: a block in use, which is not used afterwards.
            unsafe { GLOBAL.free_untyped(block) };
        }
    });
}

#[test]
fn where_all_places_are_in_use_blocks_are_served_as_others_are() {
    alone(60, || {
        arm(1);
        let mut blocks: Vec<_> = (0..3 * guard::SLOTS).map(|_| Block::of(100)).collect();
        let guarded = blocks.iter().filter(|block| is_guarded(block.as_ptr(), 100)).count();
        assert!((guard::SLOTS / 2..=guard::SLOTS).contains(&guarded), "{guarded}");
        assert!(guard::totals().passed_over >= 2 * guard::SLOTS as u64);
        stats();
        blocks.drain(..).for_each(Block::free);
        assert!((0..10).any(|_| {
            let block = Block::of(100);
            let is_guarded = is_guarded(block.as_ptr(), 100);
            block.free();
            is_guarded
        }));
    });
}

#[test]
fn blocks_keep_their_contents_through_every_resize() {
    alone(60, || {
        arm(1);
        let mut random = Random::new(seed());
        for _ in 0..2000 {
            let mut block = Block::new(layout(1 + random.below(100), 1 << random.below(8))).unwrap();
            for _ in 0..8 {
                assert!(block.resize(random.log_uniform(1, 8192)));
            }
            block.free();
            let mut size = 1 + random.below(100);
            let mut block = GLOBAL.alloc_untyped(size);
            for _ in 0..8 {
                // SAFETY: a block in use, of at least this size.
                unsafe { block.write_bytes(size as u8, size) };
                let (old, new) = (size, random.log_uniform(1, 8192));
                // SAFETY: a block in use.
                block = unsafe { GLOBAL.realloc_untyped(block, new) };
                // SAFETY: as large as both.
                assert!((0..old.min(new)).all(|at| unsafe { block.add(at).read() } == old as u8));
                size = new;
            }
            // SAFETY: a block in use, which is not used afterwards.
            unsafe { GLOBAL.free_untyped(block) };
        }
        assert!(guard::totals().guarded > 10_000);
    });
}

#[test]
fn the_statistics_have_each_guarded_block_and_its_page() {
    alone(60, || {
        arm(1);
        Block::of(100).free();
        let before = stats();
        let blocks: Vec<_> = (0..50).map(|_| Block::of(100)).collect();
        let guarded = blocks.iter().filter(|block| is_guarded(block.as_ptr(), 100)).count();
        let after = stats();
        assert_eq!(guarded, 50);
        // The list of blocks itself, too.
        assert_eq!(after.mappings - before.mappings, 51);
        assert_eq!(after.balance.live_mappings - before.balance.live_mappings, 51 * 4096);
        assert_eq!(after.live_blocks() - before.live_blocks(), 51);
        assert_eq!(after.allocations - before.allocations, 51);
        blocks.into_iter().for_each(Block::free);
        let last = stats();
        assert_eq!((last.mappings, last.balance.live_mappings), (before.mappings, before.balance.live_mappings));
        assert_eq!((last.live_blocks(), last.committed), (before.live_blocks(), before.committed));
    });
}

#[test]
fn guarded_blocks_count_under_their_tag() {
    alone(60, || {
        let tag = Tag::named("guarded").unwrap();
        arm(1);
        let count =
            || stats().tags().find(|figures| figures.tag == tag).map_or((0, 0), |found| (found.blocks, found.bytes));
        assert_eq!(count(), (0, 0));
        let block = tagged(tag, || Block::of(100));
        assert!(is_guarded(block.as_ptr(), 100));
        assert_eq!(count(), (1, 4096));
        block.free();
        assert_eq!(count(), (0, 0));
    });
}

#[test]
fn threads_hand_guarded_blocks_to_each_other_and_no_byte_is_lost() {
    alone(300, || {
        let seed = seed();
        let slots: Vec<Mutex<Option<Block>>> = (0..64).map(|_| Mutex::new(None)).collect();
        arm(3);
        let work = |seed| {
            let mut random = Random::new(seed);
            for _ in 0..60_000 {
                let mine = Block::new(Layout::from_size_align(1 + random.below(3000), 1 << random.below(7)).unwrap());
                let slot = random.below(slots.len());
                if let Some(mut theirs) = std::mem::replace(&mut *slots[slot].lock().unwrap(), mine) {
                    if random.one_in(4) {
                        assert!(theirs.resize(1 + random.below(5000)));
                    }
                    theirs.free();
                }
            }
        };
        for round in 0..4 {
            thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|nth| scope.spawn(move || work(seed + round * 4 + nth))).collect();
                // Joined, a thread has ended; a scope waits only until its work is done.
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            });
            stats();
        }
        slots.iter().filter_map(|slot| slot.lock().unwrap().take()).for_each(Block::free);
        assert!(guard::totals().guarded > 100_000, "{:?}", guard::totals());
        stats();
    });
}

#[test]
fn a_forked_child_frees_what_its_parent_has_and_goes_on_guarding() {
    alone(120, || {
        arm(2);
        let blocks: Vec<_> = (0..100).map(|_| Block::of(77)).collect();
        let is_over = &AtomicBool::new(false);
        thread::scope(|scope| {
            // Others are in the midst of it.
            let others = [(); 2].map(|()| {
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        Block::of(50).free();
                    }
                })
            });
            for _ in 0..50 {
                // SAFETY: the child calls nothing that another thread may have locked.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    end_after(60);
                    let before = guard::totals().guarded;
                    blocks.iter().for_each(Block::check);
                    for _ in 0..500 {
                        Block::of(77).free();
                    }
                    let has_guarded = guard::totals().guarded > before;
                    // SAFETY: no preconditions.
                    unsafe { libc::_exit(if has_guarded { 0 } else { 1 }) };
                }
                let mut status = 0;
                // SAFETY: the child's number, and a place for its status.
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                assert_eq!(status, 0);
            }
            is_over.store(true, Ordering::Relaxed);
            others.into_iter().for_each(|thread| thread.join().unwrap());
        });
        blocks.into_iter().for_each(Block::free);
        stats();
    });
}

#[test]
fn a_guarded_block_may_be_a_sample_too() {
    alone(60, || {
        profile::arm(1).unwrap();
        arm(1);
        let live = || {
            let mut live = 0;
            profile::each_stack(|stack| live += stack.live_blocks);
            live
        };
        let before = live();
        let block = Block::of(77);
        assert!(is_guarded(block.as_ptr(), 77));
        assert_eq!(live(), before + 1);
        block.free();
        assert_eq!(live(), before);
    });
}

#[test]
fn a_hard_limit_on_memory_holds_for_guarded_blocks() {
    alone(60, || {
        arm(1);
        let room = stats().committed + 8 * 4096;
        GLOBAL.set_limit(tenure::Limit::hard(room));
        let blocks: [Option<Block>; 64] = std::array::from_fn(|_| Block::new(layout(100, 8)));
        assert!(GLOBAL.stats().committed <= room);
        GLOBAL.set_limit(tenure::Limit::hard(64 * MIB));
        blocks.into_iter().flatten().for_each(Block::free);
    });
}

#[test]
fn a_wrong_number_is_refused() {
    for wrong in [0, guard::MAX_ONE_IN + 1] {
        assert_eq!(guard::arm(wrong), Err(guard::CannotArm::WrongNumber));
    }
}
