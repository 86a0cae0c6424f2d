//! An arena and its scopes as a program sees them, small enough for Miri, which looks at every reference.

use super::{Arena, Scope};
use crate::arena::Place;
use crate::sync::Cell;
use core::alloc::{GlobalAlloc, Layout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::String;
use std::vec::Vec;

/// Used bytes, dead bytes and blocks.
fn figures(arena: &Arena) -> (usize, usize, usize) {
    let stats = arena.stats();
    (stats.used, stats.dead, stats.blocks)
}

#[test]
fn values_of_every_kind_hold_what_was_placed_and_can_be_changed_all_at_once() {
    let arena = Arena::new();
    let number = arena.alloc(7_u64);
    let made = arena.alloc_with(|| [1_u16; 5]);
    let copied = arena.alloc_slice_copy(&[1.5_f64, 2.5]);
    let cloned = arena.alloc_slice_clone(&["a", "b"]);
    let filled = arena.alloc_slice_fill_with(4, |index| index as u8 * 3);
    let text = arena.alloc_str("grüße");
    *number += 1;
    made[4] = 9;
    copied[0] = 0.0;
    cloned[1] = "bc";
    filled[0] = 255;
    text.make_ascii_uppercase();
    assert_eq!((*number, *made, &*copied), (8, [1, 1, 1, 1, 9], &[0.0, 2.5][..]));
    assert_eq!((&*cloned, &*filled, &*text), (&["a", "bc"][..], &[255, 3, 6, 9][..], "GRüßE"));
    assert_eq!(figures(&arena), (8 + 16 + 16 + 32 + 8 + 8, 0, 6));
}

#[test]
fn values_stay_as_they_are_while_chunk_after_chunk_is_filled() {
    let arena = Arena::new();
    let placed: Vec<_> = (0..3000_u64).map(|number| arena.alloc([number; 3])).collect();
    assert!(arena.stats().chunks > 4);
    for (number, value) in placed.into_iter().enumerate() {
        assert_eq!(*value, [number as u64; 3]);
        value[1] = 0;
    }
}

#[test]
fn what_lies_before_the_current_chunk_and_is_not_used_is_slack() {
    let arena = Arena::new();
    arena.alloc([0_u8; 4000]);
    arena.alloc([0_u8; 4000]);
    let stats = arena.stats();
    assert_eq!((stats.chunks, stats.capacity), (2, 4096 + 8192 - 32));
    assert_eq!((stats.used, stats.slack, stats.remaining()), (8000, 80, 8192 - 16 - 4000));
}

#[test]
fn zero_sized_values_need_no_memory() {
    #[repr(align(128))]
    struct Aligned;
    let arena = Arena::with_limit(0);
    assert_eq!((&raw const *arena.alloc(Aligned)).addr() % 128, 0);
    assert_eq!(arena.alloc_slice_fill_with(1000, |_| ()).len(), 1000);
    assert!(arena.alloc_slice_copy::<u64>(&[]).is_empty());
    assert_eq!(arena.alloc_str(""), "");
    assert_eq!(arena.alloc_layout(Layout::from_size_align(0, 4096).unwrap()).addr().get() % 4096, 0);
    assert!(catch_unwind(|| arena.alloc_with(|| -> () { panic!() })).is_err());
    assert_eq!((figures(&arena), arena.stats().chunks, arena.stats().fallbacks), ((0, 0, 0), 0, 0));
}

#[test]
fn a_reset_keeps_the_chunks_and_the_same_memory_serves_again() {
    let mut arena = Arena::new();
    let place = |arena: &Arena| {
        let places: Vec<_> = (0..1000).map(|number| (&raw const *arena.alloc([number; 10])).addr()).collect();
        places
    };
    let (first, before) = (place(&arena), arena.stats());
    arena.reset();
    assert_eq!((figures(&arena), arena.retained()), ((0, 0, 0), before.capacity));
    assert_eq!((place(&arena), arena.stats()), (first, before));
    arena.reset();
    arena.release_retained();
    let after = arena.stats();
    assert_eq!((after.capacity, after.chunks, after.high_water), (0, 0, before.used));
    assert_eq!(*arena.alloc(5), 5);
}

#[test]
fn the_high_water_mark_knows_what_was_given_back() {
    let mut arena = Arena::new();
    let layout = Layout::from_size_align(1000, 8).unwrap();
    // SAFETY: the block is given back once, with its layout.
    unsafe {
        let block = GlobalAlloc::alloc(&arena, layout);
        arena.dealloc(block, layout);
    }
    assert_eq!((arena.stats().used, arena.stats().high_water), (0, 1000));
    arena.scoped(|scope| scope.alloc_slice_fill_with(2000, |_| 0_u8).len());
    assert_eq!((arena.stats().used, arena.stats().high_water), (0, 2000));
    arena.alloc(1);
    arena.reset();
    assert_eq!(arena.stats().high_water, 2000);
}

#[test]
fn a_scope_takes_back_all_that_was_placed_in_it_over_several_chunks() {
    let mut arena = Arena::new();
    arena.alloc([1_u8; 100]);
    let before = figures(&arena);
    arena.scoped(|scope| {
        let values: Vec<_> = (0..2000).map(|number| scope.alloc([number; 4])).collect();
        assert!(values.iter().enumerate().all(|(number, value)| **value == [number; 4]));
        assert!(scope.stats().chunks > 3);
    });
    assert_eq!((figures(&arena), arena.stats().slack), (before, 0));
    assert!(arena.retained() > 60_000);
    let chunks = arena.stats().chunks;
    arena.scoped(|scope| (0..2000).for_each(|number| *scope.alloc([number; 4]) = [0; 4]));
    assert_eq!(arena.stats().chunks, chunks, "the second scope had the first one's chunks");
}

#[test]
fn a_scope_of_an_arena_without_memory_ends_where_it_began() {
    let mut arena = Arena::new();
    arena.scoped(|scope| assert_eq!(*scope.alloc(1), 1));
    assert_eq!((figures(&arena), arena.retained()), ((0, 0, 0), arena.stats().capacity));
    arena.scoped(|scope| scope.scoped(|_| ()));
    assert_eq!((figures(&arena), arena.stats().chunks), ((0, 0, 0), 1));
}

#[test]
fn values_of_an_outer_scope_are_there_and_may_be_changed_in_the_inner_one_and_afterwards() {
    fn sum_down(scope: &mut Scope<'_, '_>, depth: u64, above: Option<&u64>) -> u64 {
        let own = scope.alloc(depth + above.map_or(0, |above| *above));
        let before = scope.stats().used;
        if depth == 0 {
            return *own;
        }
        let kept = &*own;
        let below = scope.scoped(|inner| {
            // A value of the inner scope may hold one of the outer.
            let pair = inner.alloc((kept, 1));
            let sum = sum_down(inner, depth - 1, Some(pair.0));
            sum + pair.1
        });
        assert_eq!(scope.stats().used, before);
        assert_eq!(*scope.alloc_slice_copy(&[1_u8; 3000]), [1; 3000]);
        below + *kept
    }
    let mut arena = Arena::new();
    let one = 1;
    // 11, 11 + 9, 20 + 8, and so on; and 1 for each of ten inner scopes.
    assert_eq!(arena.scoped(|scope| sum_down(scope, 10, Some(&one))), 451 + 10);
    assert_eq!(figures(&arena), (0, 0, 0));
}

#[test]
fn a_panic_ends_the_scopes_that_it_passes_and_no_other() {
    let mut arena = Arena::new();
    arena.scoped(|outer| {
        let kept = outer.alloc(String::from("kept").len());
        let caught = catch_unwind(AssertUnwindSafe(|| {
            outer.scoped(|middle| {
                middle.alloc([0; 500]);
                middle.scoped(|inner| {
                    inner.alloc([0; 5000]);
                    panic!()
                })
            })
        }));
        assert!(caught.is_err());
        assert_eq!((*kept, outer.stats().used, outer.stats().blocks), (4, 8, 1));
        assert_eq!(*outer.alloc(5), 5);
    });
    assert_eq!(figures(&arena), (0, 0, 0));
}

#[test]
fn a_value_may_be_made_of_others_that_are_placed_meanwhile() {
    struct List<'a>(u32, Option<&'a List<'a>>);
    let mut arena = Arena::new();
    let sum = |list: &List| list.0 + list.1.map_or(0, |next| next.0);
    let list = arena.alloc_with(|| List(1, Some(arena.alloc_with(|| List(2, None)))));
    assert_eq!(sum(list), 3);
    let rows = arena.alloc_slice_fill_with(40, |row| arena.alloc_slice_fill_with(row, |_| row));
    assert!(rows.iter().enumerate().all(|(row, cells)| **cells == std::vec![row; row]));
    arena.scoped(|scope| {
        let list = scope.alloc_with(|| List(3, Some(scope.alloc_with(|| List(4, None)))));
        assert_eq!(sum(list), 7);
    });
}

#[test]
fn a_panic_while_a_value_is_made_gives_its_bytes_back_unless_others_lie_behind_them() {
    let arena = Arena::new();
    assert!(catch_unwind(|| arena.alloc_with(|| -> [u32; 4] { panic!() })).is_err());
    assert_eq!(figures(&arena), (0, 0, 0));
    let mut kept = None;
    let made = catch_unwind(AssertUnwindSafe(|| {
        arena.alloc_with(|| -> [u32; 4] {
            kept = Some(arena.alloc(7));
            panic!()
        })
    }));
    assert_eq!((made.is_err(), kept.as_deref()), (true, Some(&7)));
    assert_eq!(figures(&arena), (24, 16, 1));
    let made = catch_unwind(AssertUnwindSafe(|| {
        arena.alloc_with(|| -> [u32; 4] {
            // In another chunk, which begins anew.
            kept = Some(arena.alloc_slice_fill_with(2000, |_| 8).first_mut().unwrap());
            panic!()
        })
    }));
    assert_eq!((made.is_err(), kept.as_deref()), (true, Some(&8)));
    assert_eq!(figures(&arena), (24 + 16 + 8000, 32, 2));
    assert_eq!(*arena.alloc(5_u32), 5);
}

#[test]
fn a_slice_whose_third_value_panics_is_lost_as_a_whole() {
    struct Fragile(bool);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(!self.0);
            Self(self.0)
        }
    }
    let arena = Arena::new();
    let source = [Fragile(false), Fragile(false), Fragile(true)];
    assert!(catch_unwind(AssertUnwindSafe(|| arena.alloc_slice_clone(&source).len())).is_err());
    assert_eq!(figures(&arena), (0, 0, 0));
    assert_eq!(arena.alloc_slice_clone(&source[..2]).len(), 2);
}

#[test]
fn nothing_is_dropped_but_a_value_that_found_no_place() {
    struct Counted<'a>(&'a Cell<u32>);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let drops = Cell::new(0);
    let mut arena = Arena::with_limit(64);
    arena.alloc(Counted(&drops));
    arena.scoped(|scope| scope.alloc(Counted(&drops)).0.get());
    assert_eq!(drops.get(), 0);
    arena.alloc([0_u8; 40]);
    assert!(arena.try_alloc(Counted(&drops)).is_err());
    assert_eq!(drops.get(), 1);
    arena.reset();
    drop(arena);
    assert_eq!(drops.get(), 1);
}

#[test]
fn what_does_not_fit_is_an_error_that_is_counted_and_the_arena_goes_on() {
    let arena = Arena::with_limit(1000);
    arena.alloc([0_u8; 900]);
    let full = arena.try_alloc([0_u64; 20]).unwrap_err();
    assert_eq!((full.size(), full.align(), full.left()), (160, 8, 1000 - 16 - 904));
    assert!(arena.try_alloc_with(|| -> [u8; 100] { unreachable!("it has no place") }).is_err());
    assert!(arena.try_alloc_slice_copy(&[0_u8; 100]).is_err());
    assert!(arena.try_alloc_slice_clone(&[0_u8; 100]).is_err());
    assert!(arena.try_alloc_str(&"a".repeat(100)).is_err());
    assert!(arena.try_alloc_layout(Layout::from_size_align(1, 2048).unwrap()).is_err());
    let full = arena.try_alloc_slice_fill_with(usize::MAX / 2, |_| 0_u64).unwrap_err();
    assert_eq!((full.size(), full.left()), (usize::MAX, 80));
    assert_eq!((figures(&arena), arena.stats().fallbacks), ((904, 0, 1), 7));
    arena.alloc([0_u64; 10]);
    assert_eq!(arena.stats().used, 984);
}

#[test]
fn the_forms_that_panic_say_what_was_asked_and_what_was_left() {
    let mut arena = Arena::with_limit(1000);
    let panic = catch_unwind(|| arena.alloc([0_u32; 500]).len()).unwrap_err();
    let message = "arena is full: 2000 bytes aligned to 4 requested, 0 bytes left";
    assert_eq!(panic.downcast_ref::<String>().unwrap(), message);
    let panic = catch_unwind(AssertUnwindSafe(|| arena.scoped(|scope| scope.alloc_slice_copy(&[0_u16; 600]).len())));
    let message = "arena is full: 1200 bytes aligned to 2 requested, 0 bytes left";
    assert_eq!(panic.unwrap_err().downcast_ref::<String>().unwrap(), message);
}

#[test]
fn an_arena_with_a_capacity_has_it_in_one_chunk() {
    for capacity in [0, 1, 100, 4096, 100_000] {
        let arena = Arena::with_capacity(capacity);
        let chunks = arena.stats().chunks;
        arena.alloc_slice_fill_with(capacity, |index| index as u8);
        assert_eq!((arena.stats().chunks, chunks), (usize::from(capacity > 0), chunks));
    }
    assert_eq!(Arena::try_with_capacity(usize::MAX).unwrap_err().size(), usize::MAX);
    assert_eq!(Arena::try_with_capacity(isize::MAX as usize).unwrap_err().align(), 1);
}

#[test]
fn an_arena_moves_with_its_values_to_another_thread_and_back() {
    let mut arena = Arena::new();
    let name = &raw const *arena.alloc_str("placed here");
    let arena = std::thread::spawn(move || {
        arena.scoped(|scope| scope.alloc_slice_fill_with(3000, |index| index).len());
        arena.alloc(7_u32);
        arena
    })
    .join()
    .unwrap();
    // SAFETY: the arena was not reset, so what was placed is there.
    assert_eq!(unsafe { &*name }, "placed here");
    assert_eq!(figures(&arena), (24, 0, 2));
}

#[test]
fn values_of_a_scope_may_be_used_by_threads_that_end_within_it() {
    let mut arena = Arena::new();
    let total = arena.scoped(|scope| {
        let counts = scope.alloc_slice_copy(&[0; 4]);
        std::thread::scope(|threads| {
            counts.iter_mut().for_each(|count| drop(threads.spawn(move || *count += 1)));
        });
        counts.iter().sum::<i32>()
    });
    assert_eq!(total, 4);
}

#[test]
fn after_a_reset_the_first_chunk_makes_way_for_a_larger_one_where_the_limit_asks_for_it() {
    let mut arena = Arena::with_limit(10_000);
    arena.alloc([1_u8; 1000]);
    arena.reset();
    assert_eq!((arena.stats().used, arena.stats().chunks, arena.retained()), (0, 1, arena.stats().capacity));
    let large = arena.alloc([2_u8; 8000]);
    assert_eq!((large[7999], arena.stats().chunks), (2, 1));
    arena.reset();
    assert!(arena.try_alloc_layout(Layout::new::<[u8; 10_001]>()).is_err());
    assert_eq!(*arena.alloc(3_u8), 3);
    arena.reset();
    arena.release_retained();
    assert_eq!((arena.stats().capacity, arena.stats().chunks, arena.retained()), (0, 0, 0));
    assert_eq!(*arena.alloc(4_u8), 4);
}

/// Every byte of an arena is in use, or left in the chunk from which the next block comes, or skipped, or retained.
fn assert_whole(arena: &Arena) {
    let (stats, left) = (arena.stats(), Place::left(arena));
    let retained = arena.retained() - if stats.used + stats.slack == 0 { left } else { 0 };
    assert_eq!(stats.capacity, stats.used + stats.slack + left + retained, "{stats:?}");
}

#[test]
fn the_first_chunk_makes_way_for_a_larger_one_in_a_scope_of_an_arena_in_which_nothing_is_placed() {
    for is_nested in [false, true] {
        for (limit, size, is_served) in [(10_000, 9000, true), (10_000, 20_000, false), (usize::MAX, 9000, true)] {
            let mut arena = Arena::with_limit(limit);
            arena.alloc(1_u8);
            arena.reset();
            let place = |scope: &mut Scope<'_, '_>| {
                let layout = Layout::from_size_align(size, 8).unwrap();
                assert_eq!(scope.try_alloc_layout(layout).is_ok(), is_served);
            };
            arena.scoped(|scope| {
                if is_nested {
                    scope.scoped(place);
                    assert_eq!(*scope.alloc(6_u64), 6);
                } else {
                    place(scope);
                }
            });
            assert_eq!((figures(&arena), arena.retained()), ((0, 0, 0), arena.stats().capacity));
            assert_whole(&arena);
            assert_eq!(*arena.alloc(7_u64), 7);
            assert_whole(&arena);
        }
    }
}
