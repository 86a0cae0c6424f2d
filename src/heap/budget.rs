//! Budget: how much a thread may allocate while it is counted, and where it has allocated more.
//!
//! Budgets lie on the stack of those who set them, one inside the other, and the ledger knows the innermost.

use super::ledger::{Account, Ledger, Totals};
use crate::sync::Cell;
use core::ptr;

/// Most return addresses that are kept of the allocation that exceeds a budget.
pub(crate) const FRAMES: usize = 48;

/// How much a thread may allocate, and where it has allocated more.
pub(crate) struct Budget {
    account: Account,
    allocations: u64,
    bytes: u64,
    is_exceeded: Cell<bool>,
    /// Return addresses of the allocation that exceeded it, innermost first; 0 behind the last.
    pub(crate) stack: Cell<[usize; FRAMES]>,
    outer: Cell<*const Budget>,
}

impl Budget {
    /// At most so many allocations, and so many bytes asked for.
    pub(crate) fn new(account: Account, allocations: u64, bytes: u64) -> Self {
        Self {
            account,
            allocations,
            bytes,
            is_exceeded: Cell::new(false),
            stack: Cell::new([0; FRAMES]),
            outer: Cell::new(ptr::null()),
        }
    }

    fn is_exceeded_by(&self, done: Totals) -> bool {
        done.allocations + done.resizes > self.allocations || done.requested > self.bytes
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.is_exceeded.get()
    }
}

impl Ledger {
    /// Watches over `budget` too, from now on.
    ///
    /// # Safety
    /// - `budget` stays where it is until [`Ledger::drop_budget`] has been called for it, or the ledger was cleared.
    pub(crate) unsafe fn add_budget(&self, budget: &Budget) {
        budget.outer.set(self.budget.replace(budget));
    }

    /// Ends the innermost budget.
    pub(crate) fn drop_budget(&self, budget: &Budget) {
        debug_assert!(ptr::eq(self.budget.get(), budget));
        self.budget.set(budget.outer.get());
    }

    /// Passes each budget to `exceeded` that the last allocation has exceeded for the first time.
    pub(crate) fn check_budgets(&self, exceeded: impl Fn(&Budget)) {
        let mut next = self.budget.get();
        // SAFETY: whoever added a budget keeps it where it is until it is dropped.
        while let Some(budget) = unsafe { next.as_ref() } {
            if !budget.is_exceeded.get() && budget.is_exceeded_by(self.since_start(&budget.account)) {
                budget.is_exceeded.set(true);
                exceeded(budget);
            }
            next = budget.outer.get();
        }
    }
}
