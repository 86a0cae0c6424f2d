//! Bytes of a `StaticArena` that threads have set aside: packing, figures, and what becomes of them.
#![cfg(all(not(loom), feature = "std"))]

mod support;

use std::alloc::GlobalAlloc;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::{ptr, slice, thread};
use support::block::layout;
use support::random::Random;
use tenure::{ArenaStats, StaticArena, Tenure};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Places so much that the calling thread has set bytes aside.
fn warm_up<const N: usize>(arena: &'static StaticArena<N>) {
    for value in 0..2000_u64 {
        arena.alloc(value);
    }
}

#[test]
fn a_thread_alone_packs_as_if_nothing_was_set_aside() {
    static ARENA: StaticArena<{ 1 << 20 }> = StaticArena::new();
    let start = ARENA.alloc_layout(layout(1, 1)).addr().get();
    let (mut random, mut end, mut live, mut blocks) = (Random::new(1), start + 1, 1, 1);
    loop {
        let large = if random.below(100) == 0 { 30_000 } else { 200 };
        let wanted = layout(1 + random.below(large), 1 << random.below(8));
        let expected = end.next_multiple_of(wanted.align());
        match ARENA.try_alloc_layout(wanted) {
            Ok(block) => {
                assert_eq!(block.addr().get(), expected);
                (end, live, blocks) = (expected + wanted.size(), live + wanted.size(), blocks + 1);
            }
            Err(full) => {
                assert!(expected + wanted.size() > start + ARENA.capacity(), "{full}");
                assert_eq!(full.left(), start + ARENA.capacity() - end);
                break;
            }
        }
        let stats = ARENA.stats();
        assert_eq!((stats.used, stats.live(), stats.blocks), (end - start, live, blocks));
        assert_eq!((stats.high_water, ARENA.remaining()), (stats.used, stats.capacity - stats.used));
    }
    assert!(blocks > 1000);
    // The very last byte, too.
    while ARENA.try_alloc(7_u8).is_ok() {}
    assert_eq!((ARENA.remaining(), ARENA.used()), (0, 1 << 20));
}

#[test]
fn alignments_up_to_4_mib_and_zero_sizes_are_exact_where_bytes_are_set_aside() {
    static ARENA: StaticArena<{ 32 << 20 }> = StaticArena::new();
    warm_up(&ARENA);
    for shift in (0..=22).chain((0..22).rev()) {
        let (before, blocks) = (ARENA.used(), ARENA.blocks());
        let block = ARENA.alloc_layout(layout(3, 1 << shift));
        assert_eq!(block.addr().get() % (1 << shift), 0);
        assert!(ARENA.used() - before < (1 << shift) + 3 && ARENA.blocks() == blocks + 1);
        let used = ARENA.used();
        assert_eq!(ARENA.alloc_layout(layout(0, 1 << shift)).addr().get(), 1 << shift);
        assert_eq!((ARENA.used(), ARENA.blocks()), (used, blocks + 1));
    }
    assert_eq!(ARENA.stats().live(), 16_000 + 45 * 3);
}

/// Fills the arena from several threads at once with values that `size` gives the bytes of; returns its figures when
/// they have ended.
fn fill<const N: usize>(arena: &'static StaticArena<N>, threads: u64, size: fn(&mut Random) -> usize) -> ArenaStats {
    let placed: Vec<_> = (1..=threads)
        .map(|seed| {
            thread::spawn(move || {
                let mut random = Random::new(seed * 0x9e37_79b9);
                let mut placed: Vec<&'static mut [u8]> = Vec::new();
                while let Ok(slice) = arena.try_alloc_slice_fill_with(size(&mut random), |_| seed as u8) {
                    placed.push(slice);
                }
                (seed as u8, placed)
            })
        })
        .collect();
    let placed: Vec<_> = placed.into_iter().map(|thread| thread.join().unwrap()).collect();
    let (mut blocks, mut live) = (0, 0);
    for (seed, slices) in &placed {
        blocks += slices.len();
        live += slices.iter().map(|slice| slice.len()).sum::<usize>();
        assert!(slices.iter().all(|slice| slice.iter().all(|byte| byte == seed)));
    }
    let stats = arena.stats();
    assert_eq!((stats.blocks, stats.live(), stats.fallbacks), (blocks, live, threads as usize));
    stats
}

#[test]
fn threads_at_work_at_once_waste_less_than_an_eighth() {
    static SMALL: StaticArena<{ 4 << 20 }> = StaticArena::new();
    static MIXED: StaticArena<{ 4 << 20 }> = StaticArena::new();
    static LARGE: StaticArena<{ 4 << 20 }> = StaticArena::new();
    let all = [
        fill(&SMALL, 4, |random| 1 + random.below(40)),
        fill(&MIXED, 4, |random| {
            let most = 1 + random.below(4000);
            1 + random.below(most)
        }),
        fill(&LARGE, 4, |random| 5000 + random.below(6000)),
    ];
    for stats in all {
        assert!(stats.dead < stats.used / 8, "{stats}");
        assert!(stats.used > stats.capacity / 10 * 9, "{stats}");
    }
}

#[test]
fn a_thread_that_ends_gives_back_what_it_has_not_filled() {
    static ARENA: StaticArena<{ 1 << 20 }> = StaticArena::new();
    thread::spawn(|| warm_up(&ARENA)).join().unwrap();
    assert_eq!((ARENA.used(), ARENA.blocks(), ARENA.dead_bytes(), ARENA.high_water()), (16_000, 2000, 0, 16_000));
    // Not even as bytes that must be cleared.
    warm_up(&ARENA);
    assert_eq!((ARENA.used(), ARENA.blocks(), ARENA.dead_bytes()), (32_000, 4000, 0));
}

#[test]
fn to_other_threads_what_is_set_aside_is_used_and_at_most_an_eighth() {
    static ARENA: StaticArena<{ 8 << 20 }> = StaticArena::new();
    let mut used = 0;
    for values in [600, 3000, 20_000, 300_000] {
        for value in used / 8..values {
            ARENA.alloc(value as u64);
        }
        used = ARENA.used();
        assert_eq!(used, values * 8);
        let seen = thread::spawn(|| ARENA.stats()).join().unwrap();
        assert!(used <= seen.used && seen.used - used <= (used / 8).min(64 << 10), "{used}: {seen}");
        assert!(seen.blocks < values && ARENA.blocks() == values);
    }
}

#[test]
fn two_arenas_by_turns_are_each_packed_exactly() {
    static ONE: StaticArena<{ 1 << 20 }> = StaticArena::new();
    static OTHER: StaticArena<{ 1 << 20 }> = StaticArena::new();
    for step in 1..=10_000 {
        ONE.alloc(step as u64);
        OTHER.alloc([step as u8; 5]);
        OTHER.alloc_str("x");
        assert_eq!((ONE.used(), ONE.blocks(), ONE.dead_bytes()), (step * 8, step, 0));
        assert_eq!((OTHER.used(), OTHER.blocks(), OTHER.dead_bytes()), (step * 6, step * 2, 0));
    }
}

#[test]
fn a_thread_that_turns_to_another_arena_leaves_the_first_as_it_was_filled() {
    static ONE: StaticArena<{ 1 << 20 }> = StaticArena::new();
    static OTHER: StaticArena<{ 1 << 20 }> = StaticArena::new();
    let figures = |arena: &StaticArena<{ 1 << 20 }>| (arena.used(), arena.blocks(), arena.dead_bytes());
    warm_up(&ONE);
    warm_up(&OTHER);
    let others = || thread::spawn(move || (figures(&ONE), figures(&OTHER).0)).join().unwrap();
    let (one, other) = others();
    assert_eq!(one, (16_000, 2000, 0));
    assert!(other > 16_000, "the thread has not turned to the other arena");
    ONE.alloc(1_u8);
    assert_eq!((figures(&ONE), figures(&OTHER)), ((16_001, 2001, 0), (16_000, 2000, 0)));
}

#[test]
fn a_panic_while_a_value_is_made_counts_its_bytes_dead_wherever_they_lie() {
    static ARENA: StaticArena<{ 1 << 20 }> = StaticArena::new();
    warm_up(&ARENA);
    for nth in 1..=100 {
        assert!(catch_unwind(|| ARENA.alloc_with(|| -> [u8; 10] { panic!() })).is_err());
        let stats = ARENA.stats();
        assert_eq!((stats.blocks, stats.dead, stats.used), (2000, nth * 10, 16_000 + nth * 10));
    }
    // What other threads see stays a number, too: more blocks were lost than the cursor counts.
    let seen = thread::spawn(|| ARENA.stats()).join().unwrap();
    assert!(seen.blocks < 2000 && seen.dead == 1000, "{seen}");
}

#[test]
fn the_last_block_of_the_allocator_comes_back_beside_what_is_set_aside() {
    static ARENA: StaticArena<{ 1 << 20 }> = StaticArena::new();
    warm_up(&ARENA);
    let rest = thread::spawn(|| ARENA.used()).join().unwrap() - ARENA.used();
    assert!(rest > 8, "nothing is set aside");
    // SAFETY: each block is used within its size and given up once, with the layout it has by then.
    unsafe {
        let first = GlobalAlloc::alloc(&ARENA, layout(100, 1));
        first.write_bytes(1, 100);
        let value = ARENA.alloc(7_u64);
        assert!(ptr::from_ref(value).addr() < first.addr(), "the value did not go where bytes are set aside");
        let before = ARENA.used();
        let second = GlobalAlloc::alloc(&ARENA, layout(50, 1));
        assert_eq!(second, first.add(100));
        assert_eq!(ARENA.realloc(second, layout(50, 1), 5000), second);
        ARENA.dealloc(second, layout(5000, 1));
        assert_eq!(ARENA.used(), before);
        assert_eq!(GlobalAlloc::alloc(&ARENA, layout(60, 1)), second);
        assert_eq!(slice::from_raw_parts(first, 100), [1; 100]);
        assert_eq!((*value, ARENA.blocks(), ARENA.dead_bytes()), (7, 2003, 0));
    }
    // Blocks now lie behind what is set aside, so another piece begins behind them, and the rest of the first is dead.
    warm_up(&ARENA);
    let stats = ARENA.stats();
    assert_eq!((stats.blocks, stats.live()), (4003, 32_168));
    assert!(stats.dead < 8 + 8, "{stats}");
}

#[test]
fn what_a_destructor_of_the_thread_places_late_is_placed() {
    static ARENA: StaticArena<{ 1 << 20 }> = StaticArena::new();
    struct Late(Cell<u32>);
    impl Drop for Late {
        fn drop(&mut self) {
            warm_up(&ARENA);
        }
    }
    thread_local!(static EARLY: Late = const { Late(Cell::new(0)) });
    thread_local!(static LATE: Late = const { Late(Cell::new(0)) });
    thread::spawn(|| {
        // One destructor is registered before the arena's own, and one after.
        EARLY.with(|early| early.0.set(1));
        warm_up(&ARENA);
        LATE.with(|late| late.0.set(1));
    })
    .join()
    .unwrap();
    assert_eq!((ARENA.used(), ARENA.blocks(), ARENA.dead_bytes()), (48_000, 6000, 0));
}

#[test]
fn after_a_seal_other_threads_fill_at_most_what_they_have_set_aside() {
    static ARENA: StaticArena<{ 1 << 20 }> = StaticArena::new();
    let (has_warmed_up, wait_for_warm) = channel();
    let (has_sealed, wait_for_seal) = channel::<()>();
    let other = thread::spawn(move || {
        warm_up(&ARENA);
        has_warmed_up.send(ARENA.used()).unwrap();
        wait_for_seal.recv().unwrap();
        let left = ARENA.remaining();
        let late = (0..).take_while(|&value| ARENA.try_alloc(value as u64).is_ok()).count();
        assert!(ARENA.try_alloc(1_u8).is_err());
        (left, late)
    });
    let used = wait_for_warm.recv().unwrap();
    warm_up(&ARENA);
    ARENA.seal();
    assert!(ARENA.try_alloc(1_u8).is_err());
    let sealed = ARENA.stats();
    assert_eq!((sealed.remaining(), sealed.slack), (0, sealed.capacity - sealed.used));
    has_sealed.send(()).unwrap();
    let (left, late) = other.join().unwrap();
    assert!(0 < late && late * 8 <= left && left <= used / 8, "{late} values in {left} of {used} bytes");
    let stats = ARENA.stats();
    assert_eq!((stats.blocks, stats.live()), (4000 + late, (4000 + late) * 8));
    assert_eq!((stats.used, stats.slack), (sealed.used, sealed.slack));
    assert_eq!(stats.fallbacks, 3);
}

#[test]
fn values_made_within_each_other_while_a_piece_is_changed_stay_apart() {
    static ARENA: StaticArena<{ 1 << 20 }> = StaticArena::new();
    warm_up(&ARENA);
    let outer = ARENA.alloc_slice_fill_with(100, |nth| {
        let inner = ARENA.alloc_slice_fill_with(nth * 3, |_| nth as u8);
        let _ = catch_unwind(AssertUnwindSafe(|| ARENA.alloc_with(|| -> [u8; 100] { panic!() })));
        inner
    });
    assert!(outer.iter().enumerate().all(|(nth, inner)| **inner == vec![nth as u8; nth * 3]));
    assert_eq!((ARENA.blocks(), ARENA.dead_bytes() / 100), (2000 + 1 + 99, 100));
}
