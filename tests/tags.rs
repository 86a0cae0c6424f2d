//! Tags: what is in use under each, wherever it is freed. Each test has a process of its own, in which nothing else allocates.
#![cfg(not(loom))]

mod support;

use std::alloc::GlobalAlloc;
use std::collections::HashMap;
use std::future::Future;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use support::block::{Block, layout};
use support::extent::extent;
use support::process::alone;
use support::random::{Random, seed};
use tenure::{Region, StaticScope, Tag, TaggedFuture, Tenure, dynamic_scope, static_scope, tagged};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn tag(name: &'static str) -> Tag {
    Tag::named(name).unwrap()
}

/// Blocks and bytes in use under `tag`.
fn under(tag: Tag) -> (usize, usize) {
    let stats = GLOBAL.stats();
    assert!(stats.is_balanced(), "{stats}");
    let figures = stats.tags().find(|figures| figures.tag == tag).unwrap();
    (figures.blocks, figures.bytes)
}

#[test]
fn a_block_of_any_kind_counts_under_its_tag_until_it_is_freed() {
    alone(60, || {
        let tag = tag("kinds");
        // Sizes that are asked for, and bytes that they take: of slabs, spans and mappings.
        let (least, hundred, guard) = if cfg!(feature = "hardened") { (16, 112, 4 * KIB) } else { (8, 104, 0) };
        let sizes = [
            (1, least),
            (100, hundred),
            (20_000, 20 * KIB),
            (40 * KIB, 64 * KIB),
            (900 * KIB, 960 * KIB),
            (3 * MIB, 3 * MIB + guard),
        ];
        for (size, extent) in sizes {
            for is_zeroed in [false, true] {
                let layout = layout(size, 1);
                // SAFETY: a layout of a size that is not zero.
                let block = tagged(tag, || unsafe {
                    if is_zeroed { GLOBAL.alloc_zeroed(layout) } else { GLOBAL.alloc(layout) }
                });
                assert_eq!(under(tag), (1, extent), "{size}");
                // SAFETY: allocated above.
                unsafe { GLOBAL.dealloc(block, layout) };
                assert_eq!(under(tag), (0, 0), "{size}");
            }
            let block = tagged(tag, || GLOBAL.alloc_untyped(size));
            assert_eq!(under(tag).0, 1);
            // SAFETY: allocated above.
            tagged(tag, || unsafe { GLOBAL.free_untyped(block) });
            assert_eq!(under(tag), (0, 0));
        }
        for align in [64 * KIB, 512 * KIB, 4 * MIB] {
            let block = tagged(tag, || Block::new(layout(100, align)).unwrap());
            assert_eq!(under(tag).0, 1);
            block.free();
            assert_eq!(under(tag), (0, 0));
        }
    });
}

#[test]
fn what_is_allocated_outside_or_by_another_thread_is_not_counted() {
    alone(60, || {
        let tag = tag("inside");
        let before = vec![1_u8; 100];
        let (sender, receiver) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            receiver.recv().unwrap();
            vec![1_u8; 5000]
        });
        let (inside, theirs) = tagged(tag, || {
            let inside = vec![1_u8; 1000];
            sender.send(()).unwrap();
            let theirs = other.join().unwrap();
            // Neither counts when it is freed here.
            drop(before);
            (inside, theirs)
        });
        let after = vec![1_u8; 100];
        drop(theirs);
        assert_eq!(under(tag), (1, 1024));
        drop((inside, after));
        assert_eq!(under(tag), (0, 0));
    });
}

#[test]
fn a_block_freed_on_another_thread_is_counted_off_its_own_tag() {
    alone(60, || {
        let (one, two) = (tag("one"), tag("two"));
        let blocks: Vec<_> = tagged(one, || (0..1000).map(|n| vec![1_u8; 1 + n]).collect());
        assert_eq!(under(one).0, 1001);
        let kept = thread::spawn(move || {
            tagged(two, || {
                let kept = vec![1_u8; 64];
                drop(blocks);
                kept
            })
        });
        let kept = kept.join().unwrap();
        assert_eq!((under(one), under(two)), ((0, 0), (1, extent(64))));
        drop(kept);
        assert_eq!(under(two), (0, 0));
    });
}

#[test]
fn tags_nest_and_the_inner_one_counts() {
    alone(60, || {
        let (outer, inner) = (tag("outer"), tag("inner"));
        let kept = tagged(outer, || {
            let first = vec![1_u8; 64];
            let second = tagged(inner, || {
                (vec![1_u8; 128], tagged(inner, || vec![1_u8; 128]), tagged(outer, || vec![1_u8; 64]))
            });
            (first, second, vec![1_u8; 64])
        });
        assert_eq!((under(outer), under(inner)), ((3, 3 * extent(64)), (2, 2 * extent(128))));
        drop(kept);
        assert_eq!((under(outer), under(inner)), ((0, 0), (0, 0)));
    });
}

#[test]
fn a_tag_ends_on_panic() {
    alone(60, || {
        let tag = tag("panics");
        for _ in 0..100 {
            assert!(catch_unwind(AssertUnwindSafe(|| tagged(tag, || panic!("on purpose")))).is_err());
        }
        let before = under(tag);
        let _outside = black_box(vec![1_u8; 1000]);
        assert_eq!(under(tag), before);
    });
}

#[test]
fn a_block_that_is_reallocated_keeps_its_tag_in_place_and_takes_the_threads_when_it_moves() {
    alone(60, || {
        let tag = tag("grows");
        let mut text = tagged(tag, || vec![1_u8; 4 * MIB]);
        text.reserve_exact(4 * MIB);
        text.shrink_to(5 * MIB);
        let (blocks, bytes) = under(tag);
        assert_eq!((blocks, bytes / MIB), (1, 5));
        drop(text);
        assert_eq!(under(tag), (0, 0));
        let mut text = tagged(tag, || vec![1_u8; 100]);
        text.reserve_exact(1000);
        assert_eq!(under(tag), (0, 0), "moved outside of the tag");
        tagged(tag, || text.reserve_exact(5000));
        assert_eq!(under(tag).0, 1, "moved inside");
    });
}

#[test]
fn static_memory_has_no_tag_and_scopes_and_tags_nest_in_any_order() {
    alone(60, || {
        let tag = tag("scopes");
        let first = tagged(tag, || static_scope(|| vec![1_u8; 100]));
        let second = static_scope(|| tagged(tag, || vec![1_u8; 100]));
        assert_eq!((under(tag), GLOBAL.stats().scopes.blocks), ((0, 0), 2));
        let third = static_scope(|| tagged(tag, || dynamic_scope(|| vec![1_u8; 104])));
        assert_eq!(under(tag), (1, extent(104)));
        // A scope that outlives the tag in which it was entered.
        let (scope, fourth) = tagged(tag, || (StaticScope::enter(), vec![1_u8; 100]));
        let fifth = vec![1_u8; 100];
        assert_eq!((under(tag), GLOBAL.stats().scopes.blocks), ((1, extent(104)), 4));
        drop(scope);
        let sixth = vec![1_u8; 104];
        assert_eq!((under(tag), GLOBAL.stats().scopes.blocks), ((1, extent(104)), 4));
        drop((first, second, third, fourth, fifth, sixth));
        assert_eq!(under(tag), (0, 0));
    });
}

#[test]
fn regions_count_through_tags_and_end_outside_of_those_in_which_they_began() {
    alone(60, || {
        let tag = tag("regions");
        let region = Region::thread();
        let first = tagged(tag, || vec![1_u8; 64]);
        assert_eq!((region.delta().blocks, under(tag)), (1, (1, extent(64))));
        let inner = tagged(tag, Region::thread);
        drop(region);
        let second = vec![1_u8; 64];
        assert_eq!((inner.delta().blocks, under(tag)), (1, (1, extent(64))));
        tagged(tag, || drop(inner));
        drop((first, second));
        assert_eq!(under(tag), (0, 0));
    });
}

#[test]
fn a_future_is_under_its_tag_while_it_is_polled_and_not_between() {
    alone(60, || {
        /// Is ready when it is polled for the second time.
        struct Later(bool);
        impl Future for Later {
            type Output = ();
            fn poll(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
                let is_ready = std::mem::replace(&mut self.0, true);
                if is_ready { Poll::Ready(()) } else { Poll::Pending }
            }
        }
        let tag = tag("future");
        let mut future = pin!(TaggedFuture::new(tag, async {
            let first = vec![1_u8; 64];
            Later(false).await;
            (first, vec![1_u8; 64])
        }));
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert_eq!(under(tag), (1, extent(64)));
        let between = vec![1_u8; 64];
        assert_eq!(under(tag), (1, extent(64)));
        // On another thread, with another heap of the tag.
        let Poll::Ready(kept) = thread::scope(|scope| {
            scope.spawn(|| future.as_mut().poll(&mut Context::from_waker(Waker::noop()))).join().unwrap()
        }) else {
            panic!("polled twice")
        };
        assert_eq!(under(tag), (2, 2 * extent(64)));
        drop((kept, between));
        assert_eq!(under(tag), (0, 0));
    });
}

#[test]
fn there_are_64_tags_and_a_name_has_one_number() {
    alone(60, || {
        let names: Vec<&'static str> = (0..65).map(|n| &*format!("tag {n}").leak()).collect();
        let barrier = Barrier::new(4);
        let found: Vec<Vec<_>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        names[..64].iter().map(|name| Tag::named(name).unwrap()).collect()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(found.iter().all(|tags: &Vec<Tag>| *tags == found[0]));
        assert!(found[0].iter().zip(&names).all(|(tag, name)| tag.name() == *name));
        assert_eq!(Tag::named(names[64]), None);
        assert_eq!(Tag::named("x".repeat(70_000).leak()), None);
        assert_eq!(GLOBAL.stats().tags().count(), 64);
        let kept: Vec<_> = found[0].iter().map(|&tag| tagged(tag, || Box::new(1_u64))).collect();
        let each = (1, extent(8));
        assert!(GLOBAL.stats().tags().all(|figures| (figures.blocks, figures.bytes) == each));
        drop(kept);
    });
}

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
        let before = support::memory::resident();
        let kept: Vec<_> = tags.iter().map(|&tag| tagged(tag, || vec![1_u8; 64])).collect();
        let each = (support::memory::resident() - before) / 64;
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

/// What a random run knows of the blocks that are in use.
#[derive(Default)]
struct Model {
    blocks: HashMap<Option<Tag>, (usize, usize)>,
}

impl Model {
    fn count(&mut self, tag: Option<Tag>, extent: usize) {
        let entry = self.blocks.entry(tag).or_default();
        *entry = (entry.0 + 1, entry.1 + extent);
    }
}

/// Bytes of a block that may be used: all that it takes, but for what a hardened build has behind it.
fn usable(block: &Block) -> usize {
    // SAFETY: in use.
    unsafe { GLOBAL.usable_size(block.as_ptr()) }
}

#[test]
fn random_threads_agree_with_a_model_about_what_is_in_use_under_each_tag() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 20;
    alone(300, || {
        let seed = seed();
        let tags: Vec<Option<Tag>> =
            [None].into_iter().chain(["a", "b", "c", "d", "e"].map(|name| Some(tag(name)))).collect();
        let shared: Mutex<Vec<(Option<Tag>, Block)>> = Mutex::new(Vec::with_capacity(100_000));
        let barrier = Barrier::new(THREADS + 1);
        let steps = AtomicUsize::new(0);
        thread::scope(|scope| {
            let mut threads = Vec::with_capacity(THREADS);
            for nth in 0..THREADS {
                let (tags, shared, barrier, steps) = (&tags, &shared, &barrier, &steps);
                threads.push(scope.spawn(move || {
                    let mut random = Random::new(seed + nth as u64);
                    let mut mine: Vec<(Option<Tag>, Block)> = Vec::with_capacity(20_000);
                    for _ in 0..ROUNDS {
                        for _ in 0..300 {
                            let tag = random.pick(tags);
                            let work = |random: &mut Random, mine: &mut Vec<(Option<Tag>, Block)>| {
                                for _ in 0..random.below(40) {
                                    step(random, tag, mine, shared);
                                    steps.fetch_add(1, Ordering::Relaxed);
                                }
                            };
                            let _region = random.one_in(5).then(Region::thread);
                            match tag {
                                Some(tag) => tagged(tag, || work(&mut random, &mut mine)),
                                None => work(&mut random, &mut mine),
                            }
                        }
                        shared.lock().unwrap().append(&mut mine);
                        barrier.wait();
                        barrier.wait();
                    }
                }));
            }
            for _ in 0..ROUNDS {
                barrier.wait();
                let mut model = Model::default();
                for (tag, block) in shared.lock().unwrap().iter() {
                    model.count(*tag, usable(block));
                }
                for &tag in tags.iter().flatten() {
                    let (blocks, bytes) = model.blocks.get(&Some(tag)).copied().unwrap_or_default();
                    let counted = under(tag);
                    if cfg!(feature = "hardened") {
                        assert!(
                            counted.0 == blocks && counted.1 >= bytes,
                            "{tag:?}: {counted:?}, {blocks} and {bytes}"
                        );
                    } else {
                        assert_eq!(counted, (blocks, bytes), "{tag:?}");
                    }
                }
                barrier.wait();
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        for (_, block) in shared.into_inner().unwrap() {
            block.free();
        }
        for &tag in tags.iter().flatten() {
            assert_eq!(under(tag), (0, 0), "{tag:?}");
        }
        assert!(steps.into_inner() > 100_000);
    });
}

/// One thing that a thread under `tag` does to its blocks, and to those of others.
fn step(
    random: &mut Random,
    tag: Option<Tag>,
    mine: &mut Vec<(Option<Tag>, Block)>,
    shared: &Mutex<Vec<(Option<Tag>, Block)>>,
) {
    match random.below(100) {
        0..55 => {
            let size = match random.below(100) {
                0..90 => 1 + random.below(3000),
                90..98 => random.log_uniform(4 * KIB, MIB),
                _ => random.log_uniform(MIB, 4 * MIB),
            };
            let align = if random.one_in(30) { 1 << random.below(22) } else { 8 };
            let layout = layout(size, align);
            let block = if random.one_in(4) { Block::zeroed(layout) } else { Block::new(layout) };
            mine.push((tag, block.unwrap()));
        }
        55..60 if !mine.is_empty() => {
            let nth = random.below(mine.len());
            let (owner, block) = &mut mine[nth];
            let (size, before) = (1 + random.below(5000), (block.address(), block.size()));
            // Those of a hardened build may move with a copy or without one.
            if cfg!(feature = "hardened") && before.1 > 30 * KIB {
                return;
            }
            let stays = before.1 > MIB || size.div_ceil(8) == before.1.div_ceil(8);
            if !stays || random.one_in(3) {
                let size = if before.1 > MIB { before.1 + random.below(MIB) } else { size };
                assert!(block.resize(size));
                // What has moved by a copy is the thread's now; mappings move without one.
                if before.1 <= MIB && block.address() != before.0 {
                    *owner = tag;
                }
            }
        }
        60..65 if !mine.is_empty() => {
            let nth = random.below(mine.len());
            shared.lock().unwrap().push(mine.swap_remove(nth));
        }
        65..80 => {
            let taken = {
                let mut shared = shared.lock().unwrap();
                if shared.is_empty() {
                    None
                } else {
                    let nth = random.below(shared.len());
                    Some(shared.swap_remove(nth))
                }
            };
            if let Some((_, block)) = taken {
                block.free();
            }
        }
        _ if !mine.is_empty() => {
            let nth = random.below(mine.len());
            mine.swap_remove(nth).1.free();
        }
        _ => {}
    }
}
