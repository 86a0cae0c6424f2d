//! Magazines, stacks and tops without a heap.

use super::*;
use crate::size_class::SLOT_SIZE;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use std::boxed::Box;
use std::vec::Vec;

fn fresh() -> Box<Magazine> {
    // SAFETY: a magazine is valid as zeros, as in memory fresh from the system.
    Box::new(unsafe { MaybeUninit::<Magazine>::zeroed().assume_init() })
}

fn block(nth: usize) -> *mut u8 {
    ptr::without_provenance_mut(nth * 16)
}

/// Tops that the test's thread alone has, so it may pop and push.
struct Mine(Tops);

impl Mine {
    fn pop(&self, class: SizeClass) -> Option<*mut u8> {
        // SAFETY: nobody else has these tops.
        unsafe { self.0.pop(class) }.map(NonNull::as_ptr)
    }

    fn push(&self, class: SizeClass, block: *mut u8) -> bool {
        // SAFETY: nobody else has these tops.
        unsafe { self.0.push(class, block) }
    }
}

#[test]
fn a_magazine_holds_127_blocks_or_so_many_kib_of_them_or_one_span() {
    for class in SizeClass::all() {
        let kib = match class.size() {
            ..8192 => 64,
            8192..=32_768 => 128,
            _ => 256,
        };
        let expected = (kib * 1024 / class.size()).clamp(1, 127);
        assert_eq!(capacity(class), expected, "{} bytes", class.size());
        assert!(class.is_span() == (class.size() >= SLOT_SIZE));
    }
}

#[test]
fn a_thread_without_magazines_can_neither_take_nor_keep_a_block_of_any_class() {
    let tops = Mine(Tops::nowhere());
    for class in SizeClass::all() {
        for _ in 0..3 {
            assert!(tops.0.get(class).is_none());
            assert_eq!(tops.pop(class), None);
            assert!(!tops.push(class, block(1)));
        }
    }
    assert!(NO_MAGAZINE._places.iter().all(|&place| place == 0), "nobody has written there");
}

#[cfg(feature = "profile")]
#[test]
fn the_block_that_waits_longest_makes_way_for_another() {
    for class in [SizeClass::of_size(8), SizeClass::of_size(20_000), SizeClass::of_untyped_span(100_000)] {
        let class = class.unwrap();
        let (magazine, tops) = (fresh(), Mine(Tops::nowhere()));
        assert!(tops.0.lowest(class).is_none());
        for count in 1..=capacity(class) {
            tops.0.set(class, magazine.low(class));
            assert!(tops.0.lowest(class).is_none());
            assert!((1..=count).all(|nth| tops.push(class, block(nth))));
            for nth in 1..=2 * count {
                let lowest = tops.0.lowest(class).unwrap();
                // SAFETY: a place of this magazine, in which a block waits.
                assert_eq!(unsafe { lowest.read() }, block(nth));
                // SAFETY: as above.
                unsafe { tops.0.replace_lowest(class, lowest, block(count + nth)) };
            }
            let rest: Vec<_> = core::iter::from_fn(|| tops.pop(class)).collect();
            assert_eq!(rest, (2 * count + 1..=3 * count).rev().map(block).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_top_that_is_nowhere_is_full_and_empty_at_once() {
    assert!(NOWHERE.addr().is_multiple_of(ALIGN));
    // SAFETY: the last place of a static magazine.
    assert!(unsafe { *NOWHERE.wrapping_sub(1) }.is_null());
}

#[test]
fn what_waits_is_found_in_the_magazine_and_nothing_else() {
    for class in SizeClass::all() {
        let (magazine, tops) = (fresh(), Mine(Tops::nowhere()));
        let holds = |nth| tops.0.holds(class, NonNull::new(block(nth)).unwrap());
        assert!(!holds(1));
        tops.0.set(class, magazine.low(class));
        assert!(!holds(1));
        for nth in 1..=capacity(class) {
            assert!(tops.push(class, block(nth)));
            assert!((1..=nth).all(holds) && !holds(nth + 1));
        }
        tops.pop(class);
        assert!(!holds(capacity(class)), "what was taken is in the place above the top still");
    }
}

#[test]
fn a_magazine_takes_its_capacity_and_gives_it_back_last_first() {
    for class in SizeClass::all() {
        let (magazine, tops) = (fresh(), Mine(Tops::nowhere()));
        tops.0.set(class, magazine.low(class));
        assert!(tops.0.get(class).is_some());
        for round in 1..4 {
            assert_eq!(tops.pop(class), None, "it is empty");
            for nth in 1..=capacity(class) {
                assert!(tops.push(class, block(nth * round)), "block {nth} of {} bytes", class.size());
            }
            assert!(!tops.push(class, block(1000)), "it is full");
            assert_eq!(tops.0.get(class), Some(magazine.low(class).wrapping_add(capacity(class))));
            for nth in (1..=capacity(class)).rev() {
                assert_eq!(tops.pop(class), Some(block(nth * round)));
            }
            assert_eq!(tops.0.get(class), Some(magazine.low(class)));
        }
    }
}

#[test]
fn the_place_below_an_empty_magazine_is_null_for_every_class() {
    for class in SizeClass::all() {
        let magazine = fresh();
        let low = magazine.low(class);
        assert!(low.addr() > ptr::from_ref(&*magazine).addr(), "there is a place below");
        assert!(low.wrapping_add(capacity(class)).addr() == ptr::from_ref(&*magazine).addr() + ALIGN);
        // SAFETY: inside the magazine.
        assert!(unsafe { low.wrapping_sub(1).read() }.is_null());
    }
}

#[test]
fn a_magazine_works_from_any_top_that_a_refill_or_a_flush_leaves() {
    let class = SizeClass::of_size(64).unwrap();
    let (magazine, tops) = (fresh(), Mine(Tops::nowhere()));
    for held in 0..=capacity(class) {
        for nth in 0..held {
            // SAFETY: inside the magazine.
            unsafe { magazine.low(class).add(nth).write(block(nth + 1)) };
        }
        tops.0.set(class, magazine.low(class).wrapping_add(held));
        let taken: Vec<_> = core::iter::from_fn(|| tops.pop(class)).collect();
        assert!(taken.into_iter().rev().eq((1..=held).map(block)), "{held} blocks");
    }
}

#[test]
fn classes_do_not_share_a_top_and_all_are_given_up_at_once() {
    let tops = Mine(Tops::nowhere());
    let magazines: Vec<_> = SizeClass::all().map(|_| fresh()).collect();
    for class in SizeClass::all() {
        tops.0.set(class, magazines[class.index()].low(class));
        assert!(tops.push(class, block(class.index() + 1)));
    }
    for class in SizeClass::all().filter(|class| class.index() % 2 == 0) {
        assert_eq!(tops.pop(class), Some(block(class.index() + 1)));
    }
    for class in SizeClass::all() {
        let held =
            (tops.0.get(class).unwrap().addr() - magazines[class.index()].low(class).addr()) / size_of::<Place>();
        assert_eq!(held, class.index() % 2);
    }
    tops.0.reset();
    assert!(SizeClass::all().all(|class| tops.0.get(class).is_none() && tops.pop(class).is_none()));
}

#[test]
fn each_way_to_a_stack_leads_to_the_same() {
    let tops = Tops::nowhere();
    for class in SizeClass::all() {
        // SAFETY: a class's code.
        let [under, at] = unsafe { [tops.under(class.code()), tops.at(class.code())] };
        assert!(ptr::eq(under, at), "{} bytes", class.size());
        let top = fresh().low(class);
        tops.set(class, top);
        assert!(under.top() == top, "{} bytes", class.size());
        tops.give_up(class);
    }
    for size in 0..=size_class::MAX_SIZE {
        let class = SizeClass::of_untyped(size).unwrap();
        // SAFETY: as above.
        assert!(ptr::eq(tops.for_untyped(size).unwrap(), unsafe { tops.under(class.code()) }), "{size}");
    }
    assert!(tops.for_untyped(size_class::MAX_SIZE + 1).is_none() && tops.for_untyped(usize::MAX).is_none());
}

#[test]
fn what_is_taken_is_counted_for_all_classes_and_counted_anew_afterwards() {
    let tops = Mine(Tops::nowhere());
    let magazines: Vec<_> = SizeClass::all().map(|_| fresh()).collect();
    for class in SizeClass::all() {
        tops.0.set(class, magazines[class.index()].low(class));
        for _ in 0..=class.index() {
            assert!(tops.push(class, block(1)));
            assert!(tops.pop(class).is_some());
        }
        assert_eq!(tops.pop(class), None);
    }
    let all = (1..=size_class::COUNT as u64).sum();
    assert_eq!((tops.0.taken(), tops.0.take_count()), (all, all));
    tops.0.count(SizeClass::of_size(8).unwrap(), 5);
    assert_eq!((tops.0.take_count(), tops.0.taken()), (5, 0));
}
