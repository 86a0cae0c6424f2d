//! Budgets: assertions of how much a piece of code allocates, side by side on many threads.
#![cfg(all(not(loom), feature = "std"))]

mod support;

use std::any::Any;
use std::hint::black_box;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use support::process::alone;
use tenure::{Region, Tenure, assert_allocs, assert_no_alloc};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// What a panic has said.
fn text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().unwrap().to_string(),
    }
}

/// What `work` panics with.
fn message_of<R>(work: impl FnOnce() -> R) -> String {
    text(catch_unwind(AssertUnwindSafe(work)).err().expect("the budget is not kept"))
}

fn allocate(size: usize) -> Vec<u8> {
    black_box(vec![1; size])
}

#[test]
fn code_that_keeps_its_budget_returns_what_it_returns() {
    assert_eq!(assert_no_alloc(|| 7), 7);
    let kept = assert_allocs(..=2, ..=300, || (allocate(100), allocate(200)));
    assert_eq!((kept.0.len(), kept.1.len()), (100, 200));
    // Frees are not asked about.
    assert_no_alloc(|| drop(kept));
    assert_allocs(1..3, 100..=100, || drop(allocate(100)));
    assert_allocs(.., .., || drop(allocate(100)));
}

#[test]
fn code_that_allocates_too_often_or_too_much_or_too_little_is_told() {
    let message = message_of(|| assert_no_alloc(|| allocate(100)));
    assert!(
        message.starts_with(
            "no allocations and any number of bytes were allowed here; there was 1 allocation of 100 bytes"
        ),
        "{message}"
    );
    let message = message_of(|| assert_allocs(..=1, ..=1000, || (allocate(100), allocate(100))));
    assert!(
        message.starts_with(
            "at most 1 allocation and at most 1000 bytes were allowed here; there were 2 allocations of 200 bytes"
        ),
        "{message}"
    );
    let message = message_of(|| assert_allocs(..5, ..100, || allocate(100)));
    assert!(message.starts_with("at most 4 allocations and at most 99 bytes were"), "{message}");
    let message = message_of(|| assert_allocs(2.., .., || allocate(100)));
    assert!(message.starts_with("at least 2 allocations and any number of bytes were"), "{message}");
    assert!(!message.contains("beyond"), "too few have no place: {message}");
}

#[test]
fn what_there_is_one_of_is_said_as_such() {
    let message = message_of(|| assert_allocs(2.., 1..=1, || allocate(1)));
    assert_eq!(message, "at least 2 allocations and just 1 byte were allowed here; there was 1 allocation of 1 byte");
    let message = message_of(|| assert_allocs(1.., 2..=3, || ()));
    assert_eq!(
        message,
        "at least 1 allocation and 2 to 3 bytes were allowed here; there were 0 allocations of 0 bytes"
    );
}

#[test]
fn a_range_that_holds_nothing_is_called_empty() {
    let empty = [
        ((Bound::Unbounded, Bound::Excluded(0)), "..0"),
        ((Bound::Included(3), Bound::Included(1)), "3..=1"),
        ((Bound::Included(2), Bound::Excluded(2)), "2..2"),
        ((Bound::Included(0), Bound::Excluded(0)), "0..0"),
        ((Bound::Excluded(4), Bound::Excluded(5)), "(Excluded(4), Excluded(5))"),
        ((Bound::Excluded(4), Bound::Included(4)), "(Excluded(4), Included(4))"),
        ((Bound::Excluded(usize::MAX), Bound::Unbounded), "(Excluded(18446744073709551615), Unbounded)"),
    ];
    for (range, shown) in empty {
        let made = "were allowed here; there were 0 allocations of 0 bytes";
        let none = |what| format!("no number of {what} (the range {shown} is empty)");
        let message = message_of(|| assert_allocs(range, .., || ()));
        assert_eq!(message, format!("{} and any number of bytes {made}", none("allocations")));
        let message = message_of(|| assert_allocs(..=0, range, || ()));
        assert_eq!(message, format!("no allocations and {} {made}", none("bytes")));
    }
}

#[test]
fn bounds_at_the_ends_of_numbers_are_told_as_any() {
    let message = message_of(|| assert_allocs(usize::MAX.., ..=usize::MAX, || ()));
    assert!(message.starts_with("just 18446744073709551615 allocations and any number of bytes were"), "{message}");
    let message = message_of(|| assert_allocs((Bound::Excluded(usize::MAX - 1), Bound::Unbounded), .., || ()));
    assert!(message.starts_with("just 18446744073709551615 allocations and"), "{message}");
    let message = message_of(|| assert_allocs((Bound::Excluded(0), Bound::Excluded(usize::MAX)), .., || ()));
    assert!(message.starts_with("1 to 18446744073709551614 allocations and"), "{message}");
}

#[test]
fn blocks_of_every_kind_count_and_so_does_what_grows() {
    for size in [1, 1000, 100_000, 3_000_000] {
        assert_allocs(1..=1, size..=size, || drop(allocate(size)));
        message_of(|| assert_no_alloc(|| allocate(size)));
        assert_allocs(1..=1, size..=size, || drop(black_box(vec![0_u8; size])));
    }
    let mut grows = allocate(4_000_000);
    assert_allocs(1..=1, 1_000_000..=1_000_000, || grows.reserve_exact(1_000_000));
    let mut moves = allocate(100);
    assert_allocs(1..=1, 1000..=1000, || moves.reserve_exact(900));
    let mut stays = allocate(100);
    assert_no_alloc(|| stays.reserve_exact(3));
}

#[test]
fn budgets_lie_inside_one_another_and_each_is_its_own() {
    assert_allocs(3..=3, 600..=600, || {
        let first = allocate(100);
        assert_allocs(1..=1, 200..=200, || drop(allocate(200)));
        assert_no_alloc(|| ());
        (first, allocate(300))
    });
    let message = message_of(|| assert_allocs(..=1, .., || assert_allocs(..=2, .., || (allocate(1), allocate(1)))));
    assert!(message.starts_with("at most 1 allocation and any number of bytes were"), "{message}");
}

#[test]
fn a_panic_inside_is_passed_on_and_everything_is_as_before() {
    let region = Region::thread();
    for _ in 0..100 {
        let message = message_of(|| {
            assert_no_alloc(|| {
                let _kept = allocate(100);
                panic!("on purpose");
            })
        });
        assert_eq!(message, "on purpose");
    }
    assert_no_alloc(|| ());
    assert_allocs(1..=1, .., || drop(allocate(10)));
    drop(region);
    // All of the 32 that may be open at once are free again.
    let regions: Vec<_> = (0..30).map(|_| Region::thread()).collect();
    assert_no_alloc(|| black_box(regions.len()));
}

#[test]
fn what_other_threads_allocate_is_not_seen() {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..2000 {
                    assert_no_alloc(|| black_box(round));
                    drop(assert_allocs(1..=1, 64..=64, || allocate(64)));
                    drop(allocate(500));
                }
            });
        }
    });
}

/// The place that a message has to name.
#[inline(never)]
fn offender() -> Vec<u8> {
    let kept = allocate(77);
    black_box(kept)
}

#[test]
fn the_message_has_the_place_of_the_first_allocation_beyond() {
    let message = message_of(|| {
        assert_allocs(..=1, .., || {
            let first = allocate(1);
            let second = offender();
            (first, second, allocate(3))
        })
    });
    let (_, stack) = message.split_once("beyond that was made at\n").unwrap_or_else(|| panic!("{message}"));
    if cfg!(feature = "backtrace") {
        let frames = stack.lines().take(4).collect::<Vec<_>>().join("\n");
        assert!(frames.contains("budgets::") && frames.contains("tests/budgets.rs:"), "{message}");
        // Inlined or not, the function stands there; and neither the allocator nor the standard library comes first.
        assert!(stack.contains("budgets::offender"), "{message}");
        assert!(!stack.contains("tenure::global::slow") && !stack.contains("assert_allocs"), "{message}");
    } else {
        let is_known = stack.lines().filter(|line| line.contains("/budgets-") && line.contains(" 0x")).count() >= 3;
        assert!(is_known, "{message}");
    }
}

#[test]
#[track_caller]
fn the_panic_is_at_the_call_of_the_assertion() {
    use std::panic;
    use std::sync::{Arc, Mutex};
    alone(60, || {
        let place = Arc::new(Mutex::new(String::new()));
        let seen = place.clone();
        panic::set_hook(Box::new(move |info| *seen.lock().unwrap() = info.location().unwrap().to_string()));
        let line = line!() + 1;
        message_of(|| assert_no_alloc(|| allocate(1)));
        let _ = panic::take_hook();
        assert!(place.lock().unwrap().starts_with(&format!("tests/budgets.rs:{line}:")), "{}", place.lock().unwrap());
    });
}

#[test]
fn a_budget_that_is_not_kept_takes_nothing_from_the_program() {
    alone(60, || {
        let live = || GLOBAL.stats().classes.iter().find(|class| class.block_size == 1024).unwrap().live;
        // Symbols that are looked up once are kept.
        drop(message_of(|| assert_no_alloc(|| allocate(1000))));
        let before = live();
        for _ in 0..10 {
            drop(message_of(|| assert_no_alloc(|| allocate(1000))));
        }
        assert!(GLOBAL.stats().is_balanced());
        assert_eq!(live(), before);
    });
}
