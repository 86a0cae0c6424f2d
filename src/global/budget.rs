//! Budgets: assertions, for tests, of how much a piece of code allocates.
//!
//! The allocation that exceeds a budget is served as any; where it was made is noted, as return addresses, and told
//! after the code has run. So nothing panics inside the allocator, and no symbol is looked up there.

mod message;

use super::region::{Count, ThreadDelta};
use crate::heap::{Budget, Ledger};
use core::hint::black_box;
use core::ops::{Bound, RangeBounds};
use message::Excess;
use std::alloc::Layout;

/// Runs `work`, and panics afterwards if the calling thread has allocated in it; else returns what `work` has returned.
///
/// The same as [`assert_allocs`] with a budget of no allocation.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
///
/// let mut numbers = Vec::with_capacity(10);
/// tenure::assert_no_alloc(|| numbers.extend(0..10));
/// assert_eq!(numbers.len(), 10);
/// ```
///
/// ```should_panic
/// #[global_allocator]
/// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
///
/// tenure::assert_no_alloc(|| "text".to_string());
/// ```
///
/// # Panics
///
/// Where the thread has allocated. The message has the place of the call, and the call stack of the first allocation.
#[track_caller]
pub fn assert_no_alloc<R>(work: impl FnOnce() -> R) -> R {
    assert_allocs(..=0, .., work)
}

/// Runs `work`, and panics afterwards unless the number of allocations that the calling thread has made in it, and the
/// number of bytes that it has asked for, are in these ranges; else returns what `work` has returned.
///
/// A reallocation counts as an allocation, whether the block moves or not, unless the block stays in its size class:
/// that takes no memory and is not seen. Its bytes are all bytes of the new block if it moves, and otherwise those by
/// which it grows. Frees do not count, and give nothing back. What other threads do is not seen, so tests that run side
/// by side do not disturb each other. Budgets may lie inside one another, 32 at most.
///
/// If `work` panics, that panic is passed on, and nothing is asserted.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
///
/// let names = tenure::assert_allocs(..=3, ..=100, || vec!["one".to_string(), "two".to_string()]);
/// assert_eq!(names.len(), 2);
/// ```
///
/// # Panics
///
/// - Where a figure is not in its range. The message has the place of the call, and the call stack of the first
///   allocation beyond the upper end: with the feature `backtrace` as functions and lines, otherwise as addresses, for
///   `addr2line`.
/// - Where nothing would be seen, so that the assertion could not fail: the program's allocator is not
///   [`Tenure`](crate::Tenure), or the thread has no heap of its own.
#[track_caller]
pub fn assert_allocs<R>(
    allocations: impl RangeBounds<usize>,
    bytes: impl RangeBounds<usize>,
    work: impl FnOnce() -> R,
) -> R {
    let count = Count::start();
    let Some((ledger, account)) = count.ledger() else {
        panic!("this thread has no heap of its own, so its allocations cannot be counted")
    };
    assert!(
        sees_allocations(ledger),
        "no allocation was seen: this program's allocator is not `tenure::Tenure`, so the assertion would hold whatever the code does. \
         Add `#[global_allocator] static GLOBAL: tenure::Tenure = tenure::Tenure::new();` to the test"
    );
    let budget = Budget::new(*account, most(&allocations), most(&bytes));
    let watched = Watched::new(ledger, &budget);
    let result = work();
    drop(watched);
    let delta = count.delta();
    drop(count);
    let made = Made::of(delta);
    if !allocations.contains(&made.allocations) || !bytes.contains(&made.bytes) {
        let limits = [range(&allocations), range(&bytes)];
        // The call stack is the budget's, which exists only where an upper end was exceeded.
        panic!("{}", Excess { made, limits, stack: budget.is_exceeded().then(|| budget.stack.get()) });
    }
    result
}

/// What is compared with a budget.
#[derive(Clone, Copy)]
struct Made {
    allocations: usize,
    bytes: usize,
}

impl Made {
    fn of(delta: ThreadDelta) -> Self {
        Self { allocations: (delta.allocations + delta.reallocations) as usize, bytes: delta.requested_bytes as usize }
    }
}

/// A budget that is watched over until this is dropped.
struct Watched<'a> {
    ledger: &'a Ledger,
    budget: &'a Budget,
}

impl<'a> Watched<'a> {
    fn new(ledger: &'a Ledger, budget: &'a Budget) -> Self {
        // SAFETY: the budget is borrowed for as long as this lives, and this is dropped in the function that has made
        // it, in whatever way that ends.
        unsafe { ledger.add_budget(budget) };
        Self { ledger, budget }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.ledger.drop_budget(self.budget);
    }
}

/// True where what the program allocates on the calling thread, which is counted, arrives here.
fn sees_allocations(ledger: &Ledger) -> bool {
    ledger.sees(|| {
        let layout = Layout::new::<u64>();
        // SAFETY: a layout of a size that is not zero.
        let block = black_box(unsafe { std::alloc::alloc(layout) });
        if !block.is_null() {
            // SAFETY: allocated just now with this layout.
            unsafe { std::alloc::dealloc(block, layout) };
        }
    })
}

/// The most that a range allows.
fn most(range: &impl RangeBounds<usize>) -> u64 {
    match range.end_bound() {
        Bound::Included(&end) => end as u64,
        Bound::Excluded(&end) => (end as u64).saturating_sub(1),
        Bound::Unbounded => u64::MAX,
    }
}

/// A range as its two ends.
fn range(range: &impl RangeBounds<usize>) -> (Bound<usize>, Bound<usize>) {
    (range.start_bound().cloned(), range.end_bound().cloned())
}
