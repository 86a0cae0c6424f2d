//! Tags: what is in use under each, wherever it is freed. Each test has a process of its own, in which nothing else
//! allocates.
#![cfg(not(loom))]

#[path = "../support/mod.rs"]
mod support;

mod heaps;
mod model;

use std::alloc::GlobalAlloc;
use std::future::Future;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Barrier, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use support::block::{Block, layout};
use support::extent::extent;
use support::process::alone;
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
#[cfg_attr(feature = "hardened", ignore = "what is freed in a hardened build is kept from use for a while")]
fn a_block_of_the_threads_own_that_is_freed_under_a_tag_is_the_threads_own_next() {
    alone(60, || {
        let tag = tag("elsewhere");
        // The thread knows the size: its frees are looked at no longer.
        let known: Vec<_> = (0..1000).map(|_| Block::of(100)).collect();
        known.into_iter().for_each(Block::free);
        for _ in 0..3 {
            let (mine, of_tag) = (Block::of(100), tagged(tag, || Block::of(100)));
            let (my_place, its_place) = (mine.address(), of_tag.address());
            tagged(tag, || mine.free());
            of_tag.free();
            assert_eq!(under(tag), (0, 0));
            let again = Block::of(100);
            assert_eq!(again.address(), my_place);
            // Another heap's block went home from here, and none of the tag's comes to those who are under none.
            assert_ne!(Block::of(100).address(), its_place);
            again.free();
        }
    });
}
