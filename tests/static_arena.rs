//! `StaticArena` from outside: values, many threads, and the arena as an allocator.
#![cfg(not(loom))]

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::panic::{catch_unwind, set_hook, take_hook};
use std::sync::Barrier;
use std::{ptr, slice, thread};
use support::block::layout;
use support::random::Random;
use tenure::{StaticArena, Tenure};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

#[test]
fn values_slices_and_strings_hold_what_was_placed_and_can_be_changed() {
    static ARENA: StaticArena<1024> = StaticArena::new();
    let number = ARENA.alloc(7_u64);
    let made = ARENA.alloc_with(|| [1_u16; 5]);
    let copied = ARENA.alloc_slice_copy(&[1.5_f64, 2.5]);
    let cloned = ARENA.alloc_slice_clone(&[String::from("a"), String::from("b")]);
    let filled = ARENA.alloc_slice_fill_with(4, |index| index as u8 * 3);
    let text = ARENA.alloc_str("grüße");
    *number += 1;
    made[4] = 9;
    copied[0] = 0.0;
    cloned[1].push('c');
    filled[0] = 255;
    text.make_ascii_uppercase();
    assert_eq!((*number, *made, &*copied), (8, [1, 1, 1, 1, 9], &[0.0, 2.5][..]));
    assert_eq!((&*cloned, &*filled), (&["a".to_string(), "bc".to_string()][..], &[255, 3, 6, 9][..]));
    assert_eq!(text, "GRüßE");
    assert_eq!(ARENA.blocks(), 6);
    assert_eq!(ARENA.stats().live(), 8 + 10 + 16 + 2 * size_of::<String>() + 4 + 7);
}

#[test]
fn an_arena_that_is_too_full_for_one_request_still_serves_a_smaller_one() {
    static ARENA: StaticArena<100> = StaticArena::new();
    ARENA.alloc([0_u8; 90]);
    let full = ARENA.try_alloc([0_u64; 2]).unwrap_err();
    assert_eq!((full.size(), full.align(), full.left()), (16, 8, 10));
    assert!(ARENA.try_alloc_with(|| -> [u8; 11] { panic!("made without a place") }).is_err());
    assert!(ARENA.try_alloc_slice_copy(&[0_u8; 11]).is_err());
    assert!(ARENA.try_alloc_slice_clone(&[0_u8; 11]).is_err());
    assert!(ARENA.try_alloc_str("hello world").is_err());
    assert!(ARENA.try_alloc_layout(layout(11, 1)).is_err());
    assert_eq!((ARENA.used(), ARENA.blocks(), ARENA.dead_bytes()), (90, 1, 0));
    assert_eq!(ARENA.alloc_str("hello worl"), "hello worl");
    assert_eq!(ARENA.remaining(), 0);
}

#[test]
fn a_slice_larger_than_the_address_space_is_an_error() {
    static ARENA: StaticArena<100> = StaticArena::new();
    let full = ARENA.try_alloc_slice_fill_with(usize::MAX / 2, |_| 0_u64).unwrap_err();
    assert_eq!((full.size(), full.align(), full.left()), (usize::MAX, 8, 100));
}

#[test]
fn the_infallible_forms_panic_with_what_was_asked_and_what_was_left() {
    static ARENA: StaticArena<100> = StaticArena::new();
    let panic = catch_unwind(|| ARENA.alloc([0_u32; 50])).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert_eq!(message, "arena is full: 200 bytes aligned to 4 requested, 100 bytes left");
}

#[test]
fn a_panic_names_the_line_that_asked_for_too_much() {
    static ARENA: StaticArena<0> = StaticArena::new();
    thread_local!(static LINE: Cell<u32> = const { Cell::new(0) });
    let hook = take_hook();
    set_hook(Box::new(move |info| {
        LINE.set(info.location().filter(|at| at.file() == file!()).map_or(0, |at| at.line()));
        hook(info);
    }));
    assert!(catch_unwind(|| ARENA.alloc(1_u8)).is_err());
    assert_eq!(LINE.get(), line!() - 1);
}

#[test]
fn every_alignment_up_to_4_mib_is_exact() {
    static ARENA: StaticArena<{ 16 << 20 }> = StaticArena::new();
    for shift in (0..=22).rev() {
        let block = ARENA.alloc_layout(layout(3, 1 << shift));
        assert_eq!(block.addr().get() % (1 << shift), 0);
    }
    #[repr(align(65536))]
    struct Page(u8);
    let page = ARENA.alloc(Page(1));
    assert_eq!((ptr::from_ref(page).addr() % 65536, page.0), (0, 1));
    let stats = ARENA.stats();
    assert_eq!((stats.live(), stats.blocks), (23 * 3 + 65536, 24));
}

#[test]
fn zero_sized_values_use_no_bytes_even_of_a_full_arena() {
    static ARENA: StaticArena<0> = StaticArena::new();
    #[repr(align(128))]
    struct Aligned;
    assert_eq!(ptr::from_ref(ARENA.alloc(Aligned)).addr() % 128, 0);
    assert_eq!(ARENA.alloc_slice_fill_with(1000, |_| ()).len(), 1000);
    assert!(ARENA.alloc_slice_copy::<u64>(&[]).is_empty());
    assert_eq!(ARENA.alloc_str(""), "");
    assert_eq!(ARENA.alloc_layout(layout(0, 4096)).addr().get() % 4096, 0);
    assert!(ARENA.try_alloc(0_u8).is_err());
    assert_eq!((ARENA.used(), ARENA.blocks()), (0, 0));
    assert!(catch_unwind(|| ARENA.alloc_with(|| -> () { panic!() })).is_err());
    assert_eq!((ARENA.dead_bytes(), ARENA.blocks()), (0, 0));
}

#[test]
fn a_panic_while_a_value_is_made_leaves_its_bytes_dead_and_the_arena_usable() {
    static ARENA: StaticArena<200> = StaticArena::new();
    struct Fragile(u32, bool);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(!self.1);
            Self(self.0, self.1)
        }
    }
    assert!(catch_unwind(|| ARENA.alloc_with(|| -> [u32; 4] { panic!() })).is_err());
    assert_eq!((ARENA.dead_bytes(), ARENA.blocks()), (16, 0));
    assert!(catch_unwind(|| ARENA.alloc_slice_clone(&[Fragile(1, false), Fragile(2, true)])).is_err());
    assert_eq!((ARENA.dead_bytes(), ARENA.blocks()), (32, 0));
    let fill = |index| if index == 3 { panic!() } else { index as u32 };
    assert!(catch_unwind(|| ARENA.alloc_slice_fill_with(4, fill)).is_err());
    assert_eq!((ARENA.dead_bytes(), ARENA.blocks(), ARENA.used()), (48, 0, 48));
    assert_eq!(*ARENA.alloc(5_u32), 5);
}

#[test]
fn a_value_may_be_made_of_others_placed_meanwhile() {
    static ARENA: StaticArena<200> = StaticArena::new();
    struct List(u32, Option<&'static List>);
    let list = ARENA.alloc_with(|| List(1, Some(ARENA.alloc_with(|| List(2, None)))));
    assert_eq!((list.0, list.1.map(|next| next.0)), (1, Some(2)));
}

#[test]
fn nothing_is_dropped_but_a_value_that_found_no_place() {
    thread_local!(static DROPS: Cell<u32> = const { Cell::new(0) });
    static ARENA: StaticArena<8> = StaticArena::new();
    struct Counted(#[expect(dead_code, reason = "takes up bytes")] u64);
    impl Drop for Counted {
        fn drop(&mut self) {
            DROPS.set(DROPS.get() + 1);
        }
    }
    ARENA.alloc(Counted(1));
    assert_eq!(DROPS.get(), 0);
    assert!(ARENA.try_alloc(Counted(2)).is_err());
    assert_eq!(DROPS.get(), 1);
}

#[test]
fn the_bytes_of_an_arena_are_not_in_the_executable() {
    static ARENA: StaticArena<{ 64 << 20 }> = StaticArena::new();
    ARENA.alloc(1_u8);
    assert!(std::env::current_exe().unwrap().metadata().unwrap().len() < 64 << 20);
}

#[test]
fn memory_given_back_last_is_taken_up_again_and_any_other_is_dead() {
    static ARENA: StaticArena<1000> = StaticArena::new();
    let (small, large) = (layout(10, 2), layout(100, 4));
    // SAFETY: each block is used within its size and given back once, with its own layout.
    unsafe {
        let first = GlobalAlloc::alloc(&ARENA, small);
        let second = GlobalAlloc::alloc(&ARENA, large);
        ARENA.dealloc(second, large);
        assert_eq!(GlobalAlloc::alloc(&ARENA, large), second);
        ARENA.dealloc(first, small);
        assert_eq!((ARENA.used(), ARENA.dead_bytes(), ARENA.blocks()), (112, 12, 1));
        assert!(GlobalAlloc::alloc(&ARENA, layout(1000, 1)).is_null());
        assert!(ARENA.alloc_zeroed(layout(1000, 1)).is_null());
        assert!(ARENA.realloc(second, large, 997).is_null());
        ARENA.dealloc(second, large);
        assert_eq!((ARENA.used(), ARENA.high_water(), ARENA.blocks()), (12, 112, 0));
    }
}

#[test]
fn the_last_block_is_resized_in_place_and_any_other_moves_to_grow() {
    static ARENA: StaticArena<1000> = StaticArena::new();
    // SAFETY: each block is used within its size and given up once, with the layout it has by then.
    unsafe {
        let block = GlobalAlloc::alloc(&ARENA, layout(10, 1));
        block.write_bytes(7, 10);
        assert_eq!(ARENA.realloc(block, layout(10, 1), 1000), block);
        assert_eq!(ARENA.realloc(block, layout(1000, 1), 20), block);
        assert_eq!((ARENA.used(), ARENA.dead_bytes()), (20, 0));
        let other = GlobalAlloc::alloc(&ARENA, layout(10, 1));
        let moved = ARENA.realloc(block, layout(20, 1), 30);
        assert_ne!(moved, block);
        assert_eq!(slice::from_raw_parts(moved, 10), [7; 10]);
        assert_eq!((ARENA.used(), ARENA.dead_bytes(), ARENA.blocks()), (60, 20, 2));
        assert_eq!(ARENA.realloc(other, layout(10, 1), 4), other);
        assert_eq!((ARENA.used(), ARENA.dead_bytes(), ARENA.blocks()), (60, 26, 2));
    }
}

#[test]
fn zeroed_memory_is_zero_whether_fresh_or_taken_up_again() {
    static ARENA: StaticArena<1000> = StaticArena::new();
    let is_zero = |block: *const u8, size| {
        // SAFETY: every caller passes a block of `size` bytes that `alloc_zeroed` just returned.
        unsafe { slice::from_raw_parts(block, size) }.iter().all(|&byte| byte == 0)
    };
    // SAFETY: each block is used within its size and given back once, with the layout it has by then.
    unsafe {
        let block = ARENA.alloc_zeroed(layout(100, 1));
        assert!(is_zero(block, 100));
        block.write_bytes(7, 100);
        ARENA.dealloc(block, layout(100, 1));
        let block = ARENA.alloc_zeroed(layout(200, 1));
        assert!(is_zero(block, 200));
        block.write_bytes(7, 200);
        ARENA.realloc(block, layout(200, 1), 50);
        let (next, last) = (ARENA.alloc_zeroed(layout(100, 1)), ARENA.alloc_zeroed(layout(700, 1)));
        assert!(is_zero(next, 100) && is_zero(last, 700));
    }
}

#[test]
fn a_sealed_arena_refuses_every_kind_of_request_and_counts_them() {
    static ARENA: StaticArena<1000> = StaticArena::new();
    let word = ARENA.intern("word");
    ARENA.seal();
    let before = ARENA.stats();
    ARENA.seal();
    assert_eq!(ARENA.stats(), before);
    assert_eq!((before.used, before.slack, before.remaining()), (28, 972, 0));
    let full = ARENA.try_alloc(1_u8).unwrap_err();
    assert_eq!((full.size(), full.align(), full.left()), (1, 1, 0));
    assert!(ARENA.try_alloc_with(|| -> u8 { panic!("made without a place") }).is_err());
    assert!(ARENA.try_alloc_slice_copy(&[1]).is_err() && ARENA.try_alloc_slice_clone(&[1]).is_err());
    assert!(ARENA.try_alloc_str("x").is_err() && ARENA.try_alloc_layout(layout(1, 1)).is_err());
    assert!(ARENA.try_intern("new").is_err());
    assert!(ptr::eq(ARENA.intern("word"), word));
    assert_eq!(ARENA.alloc_slice_fill_with(3, |_| ()).len(), 3);
    // SAFETY: the sizes are not zero.
    unsafe {
        assert!(GlobalAlloc::alloc(&ARENA, layout(1, 1)).is_null());
        assert!(ARENA.alloc_zeroed(layout(1, 1)).is_null());
    }
    let after = ARENA.stats();
    assert_eq!((after.fallbacks, after.used, after.blocks, after.slack), (9, 28, 1, 972));
    assert!(catch_unwind(|| ARENA.alloc(1_u8)).is_err());
}

#[test]
fn blocks_of_a_sealed_arena_can_be_given_back_and_shrunk_but_not_grown() {
    static ARENA: StaticArena<1000> = StaticArena::new();
    // SAFETY: each block is used within its size and given up once, with the layout it has by then.
    unsafe {
        let first = GlobalAlloc::alloc(&ARENA, layout(100, 1));
        let last = GlobalAlloc::alloc(&ARENA, layout(60, 1));
        last.write_bytes(7, 60);
        ARENA.seal();
        assert!(ARENA.realloc(last, layout(60, 1), 61).is_null());
        assert_eq!(slice::from_raw_parts(last, 60), [7; 60]);
        assert_eq!(ARENA.realloc(last, layout(60, 1), 20), last);
        assert_eq!((ARENA.used(), ARENA.dead_bytes(), ARENA.blocks()), (160, 40, 2));
        ARENA.dealloc(first, layout(100, 1));
        ARENA.dealloc(last, layout(20, 1));
    }
    let stats = ARENA.stats();
    assert_eq!((stats.used, stats.dead, stats.blocks, stats.slack), (160, 160, 0, 840));
    assert!(ARENA.try_alloc(1_u8).is_err());
    assert_eq!(ARENA.fallbacks(), 2);
}

#[test]
fn a_block_can_be_given_back_on_another_thread() {
    static ARENA: StaticArena<1000> = StaticArena::new();
    let (small, large) = (layout(10, 1), layout(100, 4));
    // SAFETY: the sizes are not zero.
    let blocks = unsafe { [GlobalAlloc::alloc(&ARENA, small), GlobalAlloc::alloc(&ARENA, large)] };
    let addresses = blocks.map(|block| block.expose_provenance());
    thread::spawn(move || {
        let [first, last] = addresses.map(ptr::with_exposed_provenance_mut);
        // SAFETY: both are given back once, with their own layouts.
        unsafe {
            ARENA.dealloc(last, large);
            ARENA.dealloc(first, small);
        }
    })
    .join()
    .unwrap();
    // The two bytes skipped for alignment are dead, and so is the first block, above which they lie.
    assert_eq!((ARENA.used(), ARENA.dead_bytes(), ARENA.blocks()), (12, 12, 0));
    // SAFETY: the size is not zero.
    assert_eq!(unsafe { GlobalAlloc::alloc(&ARENA, large) }, blocks[1]);
}

#[test]
fn alignments_larger_than_what_is_left_are_refused_and_change_nothing() {
    static ARENA: StaticArena<{ 1 << 16 }> = StaticArena::new();
    ARENA.alloc(1_u8);
    for shift in 16..isize::BITS - 1 {
        let full = ARENA.try_alloc_layout(layout((1 << 16) - 1, 1 << shift)).unwrap_err();
        assert_eq!((full.align(), full.left()), (1 << shift, (1 << 16) - 1));
    }
    let stats = ARENA.stats();
    assert_eq!((stats.blocks, stats.used, stats.dead), (1, 1, 0));
    assert_eq!(ARENA.alloc_layout(layout((1 << 16) - 1, 1)).addr().get() % 64, 1);
}

/// A block that a thread of the test below holds, filled with `pattern`.
struct Held {
    block: *mut u8,
    layout: Layout,
    pattern: u8,
}

impl Held {
    fn new(block: *mut u8, layout: Layout, pattern: u8) -> Self {
        assert_eq!(block.addr() % layout.align(), 0);
        // SAFETY: the block was just handed out for `layout`.
        unsafe { block.write_bytes(pattern, layout.size()) };
        Self { block, layout, pattern }
    }

    /// Red where anyone else wrote to the block.
    fn check(&self, size: usize) {
        // SAFETY: the block is live and was filled when it was handed out.
        let bytes = unsafe { slice::from_raw_parts(self.block, size) };
        assert!(bytes.iter().all(|&byte| byte == self.pattern), "someone else wrote to {:?}", self.block);
    }
}

/// Takes, resizes and gives back at random until the arena is full; returns the blocks still held.
fn use_at_random(arena: &'static StaticArena<{ 4 << 20 }>, seed: u64) -> Vec<Held> {
    let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut held: Vec<Held> = Vec::new();
    for step in 0..200_000 {
        let pattern = (seed as usize * 31 + step) as u8;
        let new = layout(1 + random.below(100), 1 << random.below(9));
        match (random.below(8), held.pop()) {
            (0..3, Some(old)) => {
                old.check(old.layout.size());
                // SAFETY: `held` no longer has the block, which has this layout.
                unsafe { arena.dealloc(old.block, old.layout) };
            }
            (3..5, Some(old)) => {
                let resized = layout(new.size(), old.layout.align());
                // SAFETY: `held` no longer has the block, which has this layout.
                let block = unsafe { arena.realloc(old.block, old.layout, new.size()) };
                if block.is_null() {
                    held.push(old);
                    break;
                }
                Held { block, ..old }.check(old.layout.size().min(new.size()));
                held.push(Held::new(block, resized, pattern));
            }
            (kind, old) => {
                held.extend(old);
                // SAFETY: the size is not zero.
                let block = unsafe { if kind < 7 { GlobalAlloc::alloc(arena, new) } else { arena.alloc_zeroed(new) } };
                if block.is_null() {
                    break;
                }
                if kind == 7 {
                    Held { block, layout: new, pattern: 0 }.check(new.size());
                }
                held.push(Held::new(block, new, pattern));
            }
        }
    }
    held
}

#[test]
fn blocks_used_at_random_by_many_threads_never_overlap() {
    static ARENA: StaticArena<{ 4 << 20 }> = StaticArena::new();
    let start = Barrier::new(4);
    let blocks_live = thread::scope(|scope| {
        let threads: Vec<_> = (1..=4)
            .map(|seed| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let held = use_at_random(&ARENA, seed);
                    start.wait();
                    // Every thread has done its worst to everyone's blocks.
                    held.iter().for_each(|held| held.check(held.layout.size()));
                    (held.len(), held.iter().map(|held| held.layout.size()).sum::<usize>())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("seeds are 1 to 4")).collect::<Vec<_>>()
    });
    let stats = ARENA.stats();
    assert_eq!(stats.blocks, blocks_live.iter().map(|live| live.0).sum());
    assert_eq!(stats.live(), blocks_live.iter().map(|live| live.1).sum());
    assert!(stats.used > stats.capacity / 2, "the test hardly used the arena: {stats:?}");
}

#[test]
fn values_placed_by_many_threads_stay_as_they_are() {
    static ARENA: StaticArena<{ 1 << 20 }> = StaticArena::new();
    let threads: Vec<_> = (1..=4_u64)
        .map(|seed| {
            thread::spawn(move || {
                let mut random = Random::new(seed);
                let mut placed: Vec<(&'static mut [u64], u64)> = Vec::new();
                for value in 0.. {
                    let value = value * 4 + seed;
                    match ARENA.try_alloc_slice_fill_with(random.below(20), |_| value) {
                        Ok(slice) => placed.push((slice, value)),
                        Err(_) => break,
                    }
                }
                placed
            })
        })
        .collect();
    let placed: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    for (slice, value) in &placed {
        assert!(slice.iter().all(|found| found == value));
    }
    assert_eq!(ARENA.blocks(), placed.iter().filter(|(slice, _)| !slice.is_empty()).count());
    assert_eq!(ARENA.stats().live(), placed.iter().map(|(slice, _)| size_of_val(&**slice)).sum());
}

#[test]
fn a_request_that_is_larger_than_any_layout_is_counted_as_not_served() {
    static ARENA: StaticArena<64> = StaticArena::new();
    let full = ARENA.try_alloc_slice_fill_with(usize::MAX / 2, |_| 0_u64).unwrap_err();
    assert_eq!((full.size(), full.left(), ARENA.fallbacks()), (usize::MAX, 64, 1));
}

#[test]
fn where_all_that_is_used_is_dead_the_first_line_of_the_table_reads_as_any_other() {
    static ARENA: StaticArena<64> = StaticArena::new();
    assert!(catch_unwind(|| ARENA.alloc_with(|| -> u64 { panic!("nothing comes to be") })).is_err());
    let table = ARENA.stats().to_string();
    assert_eq!(table.lines().next(), Some("8 dead bytes: 100.0 % of what is used holds nothing"));
}
