//! The heaps that a tag has, and the threads that borrow them.

use crate::support::block::Block;
use crate::support::memory::resident;
use crate::support::process::alone;
use crate::{GLOBAL, KIB, MIB, tag, under};
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use tenure::{Region, Tag, tagged};

#[test]
fn more_threads_than_a_tag_has_heaps_share_them_and_the_figures_stay_exact() {
    const THREADS: usize = 80;
    alone(120, || {
        let tag = tag("crowd");
        let (all_in, all_counted) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
        let heaps = GLOBAL.stats().heaps;
        thread::scope(|scope| {
            let mut threads = Vec::with_capacity(THREADS);
            for nth in 0..THREADS {
                let (all_in, all_counted) = (&all_in, &all_counted);
                threads.push(scope.spawn(move || {
                    let kept = tagged(tag, || {
                        let inside: Vec<_> = (0..100).map(|_| Block::of(100)).collect();
                        let large = [Block::of(100 * KIB), Block::of(2 * MIB)];
                        all_in.wait();
                        all_counted.wait();
                        (inside, large)
                    });
                    if nth % 2 == 0 {
                        thread::yield_now();
                    }
                    kept.0.into_iter().for_each(Block::free);
                    kept.1.into_iter().for_each(Block::free);
                }));
            }
            all_in.wait();
            let (_, bytes) = under(tag);
            // The vectors of blocks count, too.
            let vectors = 100 * size_of::<Block>();
            assert!(bytes >= THREADS * (100 * 104 + 128 * KIB + 2 * MIB + vectors), "{bytes}");
            let of_tag = GLOBAL.stats().heaps - heaps - THREADS;
            assert_eq!(of_tag, 32, "a tag has 32 heaps at most");
            all_counted.wait();
            // Joined, a thread has ended; a scope waits only until its work is done.
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        assert_eq!(under(tag), (0, 0));
    });
}

#[test]
fn a_thread_that_comes_back_to_a_tag_finds_the_heap_that_it_left() {
    alone(60, || {
        let tag = tag("again");
        drop(tagged(tag, || Box::new([0_u8; 64])));
        let (heaps, committed) = (GLOBAL.stats().heaps, GLOBAL.stats().committed);
        for round in 0..10_000 {
            let block = tagged(tag, || Box::new([round as u8; 64]));
            if round % 2 == 0 {
                tagged(tag, || drop(block));
            }
        }
        for _ in 0..20 {
            thread::spawn(move || tagged(tag, || drop(black_box(vec![1_u8; 64])))).join().unwrap();
        }
        let stats = GLOBAL.stats();
        assert!(stats.heaps <= heaps + 1, "{} heaps, {heaps} before", stats.heaps);
        assert!(stats.committed < committed + MIB, "{stats}");
        assert_eq!(under(tag), (0, 0));
    });
}

#[test]
fn purging_empties_the_magazines_that_tags_have_parked() {
    alone(60, || {
        let tag = tag("purged");
        // A size that is little used has no magazine.
        tagged(tag, || (0..2000).for_each(|_| Block::of(1000).free()));
        let blocks: Vec<_> = tagged(tag, || (0..50).map(|_| Block::of(1000)).collect());
        tagged(tag, || blocks.into_iter().for_each(Block::free));
        let waiting = || GLOBAL.stats().classes.iter().find(|class| class.block_size == 1024).unwrap().in_magazines;
        // A hardened build counts what is in quarantine, which holds less.
        let least = if cfg!(feature = "hardened") { 16 } else { 50 };
        assert!(waiting() >= least, "{}", waiting());
        GLOBAL.purge();
        // What other threads have at hand stays.
        assert!(waiting() <= 8, "{}", waiting());
        assert_eq!(under(tag), (0, 0));
        // And inside, too.
        tagged(tag, || {
            Block::of(1000).free();
            GLOBAL.purge();
            Block::of(1000).free();
        });
        assert_eq!(under(tag), (0, 0));
    });
}

#[test]
fn a_heap_of_a_tag_touches_little() {
    alone(60, || {
        let tags: Vec<_> = (0..64).map(|n| Tag::named(format!("small {n}").leak()).unwrap()).collect();
        let before = resident();
        let kept: Vec<_> = tags.iter().map(|&tag| tagged(tag, || vec![1_u8; 64])).collect();
        let each = (resident() - before) / 64;
        println!("a heap of a tag with one block: {} KiB resident", each / KIB);
        assert!(each <= 64 * KIB, "{each}");
        drop(kept);
    });
}

#[test]
fn a_region_that_is_leaked_under_a_tag_ends_with_its_thread_and_leaves_the_heaps_in_order() {
    extern "C" fn run(_: *mut libc::c_void) -> *mut libc::c_void {
        tagged(Tag::named("ends").unwrap(), || {
            Block::of(64).free();
            std::mem::forget(Region::thread());
        });
        std::ptr::null_mut()
    }
    alone(60, || {
        for _ in 0..50 {
            let mut thread = 0;
            // SAFETY: a valid place for the thread, and a function that may run on any.
            assert_eq!(unsafe { libc::pthread_create(&mut thread, std::ptr::null(), run, std::ptr::null_mut()) }, 0);
            // SAFETY: started above, and joined once.
            assert_eq!(unsafe { libc::pthread_join(thread, std::ptr::null_mut()) }, 0);
        }
        assert_eq!(under(tag("ends")), (0, 0));
        assert!(GLOBAL.stats().heaps < 8);
    });
}

#[test]
fn the_child_of_a_fork_that_was_under_two_tags_has_the_heaps_of_both_to_itself() {
    const LAYOUT: usize = 100;
    let blocks = |count| (0..count).map(|_| Block::of(LAYOUT)).collect::<Vec<_>>();
    alone(60, || {
        let (outer, inner) = (tag("outer"), tag("inner"));
        tagged(outer, || {
            // So much that there is a magazine.
            (0..2000).for_each(|_| Block::of(LAYOUT).free());
            // SAFETY: the child allocates, starts a thread, and ends.
            let child = tagged(inner, || unsafe { libc::fork() });
            if child != 0 {
                let mut status = 0;
                // SAFETY: the child from above, and a valid place.
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                return assert_eq!(status, 0, "two blocks of the child overlap");
            }
            let mut mine = blocks(1);
            let theirs = thread::spawn(move || tagged(outer, || blocks(30))).join().unwrap();
            mine.extend(blocks(30));
            let mut starts: Vec<_> = mine.iter().chain(&theirs).map(Block::address).collect();
            starts.sort_unstable();
            let overlaps = starts.windows(2).any(|pair| pair[1] - pair[0] < LAYOUT);
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(overlaps.into()) };
        });
    });
}

#[test]
fn the_child_of_a_fork_goes_on_under_its_tag_and_keeps_what_was_parked() {
    alone(60, || {
        let (inside, parked) = (tag("inside"), tag("parked"));
        let kept = tagged(parked, || Block::of(100));
        tagged(parked, || Block::of(200).free());
        // Another thread is under the tag at that moment.
        let (entered, go_on) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                tagged(inside, || {
                    let block = Block::of(300);
                    entered.wait();
                    go_on.wait();
                    block.free();
                });
            });
            entered.wait();
            tagged(inside, || {
                let mine = Block::of(100);
                // SAFETY: the child allocates and ends.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    mine.free();
                    let blocks: Vec<_> = (0..1000).map(|n| Block::of(1 + n)).collect();
                    blocks.into_iter().for_each(Block::free);
                    let other = tagged(parked, || Block::of(200));
                    other.free();
                    // SAFETY: ends the process at once.
                    unsafe { libc::_exit(0) };
                }
                let mut status = 0;
                // SAFETY: the child from above, and a valid place.
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                assert_eq!(status, 0, "the child fails");
                mine.free();
            });
            go_on.wait();
            other.join().unwrap();
        });
        kept.free();
        assert_eq!((under(inside), under(parked)), ((0, 0), (0, 0)));
    });
}
