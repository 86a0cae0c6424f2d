//! Ledger: what a thread allocates and frees while somebody counts it.
//!
//! A ledger lies in the heap that is the thread's own, and its cells are **borrower-only**. It is valid as zeros, and a
//! heap whose borrower never counts does not touch it.
//!
//! Several count at once, one inside the other: each remembers the totals it began with. Only the peak is written for
//! each, and only for the innermost: a peak that is reached while an inner one counts is an outer one's as well, and is
//! handed down when the inner one ends.

use super::budget::Budget;
use crate::sync::Cell;
use core::ptr;

/// Sums since the ledger's memory came from the system; they wrap round.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Totals {
    /// Blocks that were allocated.
    pub(crate) allocations: u64,
    /// Blocks that were freed.
    pub(crate) frees: u64,
    /// Blocks that became another size without a copy.
    pub(crate) resizes: u64,
    /// Bytes that blocks took when they were allocated, and by which they have grown.
    pub(crate) allocated: u64,
    /// Bytes that blocks took when they were freed, and by which they have shrunk.
    pub(crate) freed: u64,
    /// Bytes that were asked for, with what resized blocks were asked to grow by.
    pub(crate) requested: u64,
}

impl Totals {
    /// What has been added since it was `start`.
    pub(crate) fn since(self, start: Totals) -> Totals {
        Totals {
            allocations: self.allocations.wrapping_sub(start.allocations),
            frees: self.frees.wrapping_sub(start.frees),
            resizes: self.resizes.wrapping_sub(start.resizes),
            allocated: self.allocated.wrapping_sub(start.allocated),
            freed: self.freed.wrapping_sub(start.freed),
            requested: self.requested.wrapping_sub(start.requested),
        }
    }

    /// Bytes that the thread has gained.
    pub(crate) fn gained(self) -> i64 {
        self.allocated.wrapping_sub(self.freed) as i64
    }
}

/// Most that count at once on a thread.
pub(crate) const MAX_OPEN: usize = 32;

/// What a thread has allocated and freed.
pub(crate) struct Ledger {
    totals: Cell<Totals>,
    /// How many accounts are open.
    open: Cell<usize>,
    /// The numbers of the open accounts, in the order in which they were opened.
    numbers: [Cell<u8>; MAX_OPEN],
    /// For each of them in that order, the most that was gained while it was the innermost.
    peaks: [Cell<i64>; MAX_OPEN],
    /// What becomes of what is counted.
    mode: Cell<Mode>,
    /// The innermost budget, or null.
    pub(super) budget: Cell<*const Budget>,
}

/// What becomes of what is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    /// It is added to the totals.
    Count,
    /// Nothing: it is only looked whether anything arrives here.
    Probe,
    /// Something has arrived.
    Seen,
}

/// An account of a ledger: from where it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    number: u8,
    start: Totals,
}

impl Ledger {
    /// True while somebody counts.
    pub(crate) fn is_in_use(&self) -> bool {
        self.open.get() > 0
    }

    /// The numbers of the open accounts, the outermost first.
    fn numbers(&self) -> &[Cell<u8>] {
        &self.numbers[..self.open.get()]
    }

    /// Where an open account stands among them.
    fn position(&self, number: u8) -> Option<usize> {
        self.numbers().iter().position(|open| open.get() == number)
    }

    /// Opens an account inside those that are open; `None` where there are too many.
    pub(crate) fn open(&self) -> Option<Account> {
        let (place, start) = (self.open.get(), self.totals.get());
        let number = (0..MAX_OPEN as u8).find(|&number| self.position(number).is_none())?;
        self.numbers[place].set(number);
        self.peaks[place].set(start.gained());
        self.open.set(place + 1);
        Some(Account { number, start })
    }

    /// Closes an account, in whatever order.
    pub(crate) fn close(&self, account: &Account) {
        let Some(place) = self.position(account.number) else { return };
        if let Some(outer) = place.checked_sub(1) {
            self.peaks[outer].set(self.peaks[outer].get().max(self.peaks[place].get()));
        }
        for inner in place + 1..self.open.get() {
            self.numbers[inner - 1].set(self.numbers[inner].get());
            self.peaks[inner - 1].set(self.peaks[inner].get());
        }
        self.open.set(self.open.get() - 1);
    }

    /// What was counted since the account was opened.
    pub(crate) fn since_start(&self, account: &Account) -> Totals {
        self.totals.get().since(account.start)
    }

    /// The most bytes that were gained at once since the account was opened.
    pub(crate) fn peak(&self, account: &Account) -> usize {
        let Some(place) = self.position(account.number) else { return 0 };
        let reached = self.peaks[place..self.open.get()].iter().map(Cell::get).max().unwrap_or_default();
        reached.wrapping_sub(account.start.gained()).max(0) as usize
    }

    fn count(&self, count: impl FnOnce(&mut Totals)) {
        if self.mode.get() != Mode::Count {
            return self.mode.set(Mode::Seen);
        }
        let mut totals = self.totals.get();
        count(&mut totals);
        self.totals.set(totals);
        if let Some(innermost) = self.open.get().checked_sub(1) {
            let peak = &self.peaks[innermost];
            peak.set(peak.get().max(totals.gained()));
        }
    }

    /// A block that takes `extent` bytes was allocated, for which `size` were asked.
    pub(crate) fn allocated(&self, extent: usize, size: usize) {
        self.count(|totals| {
            totals.allocations = totals.allocations.wrapping_add(1);
            totals.allocated = totals.allocated.wrapping_add(extent as u64);
            totals.requested = totals.requested.wrapping_add(size as u64);
        });
    }

    /// A block that takes `extent` bytes is freed.
    pub(crate) fn freed(&self, extent: usize) {
        self.count(|totals| {
            totals.frees = totals.frees.wrapping_add(1);
            totals.freed = totals.freed.wrapping_add(extent as u64);
        });
    }

    /// A block has become another size: bytes that it took and takes, and that were and are asked for.
    pub(crate) fn resized(&self, extents: [usize; 2], sizes: [usize; 2]) {
        self.count(|totals| {
            totals.resizes = totals.resizes.wrapping_add(1);
            totals.allocated = totals.allocated.wrapping_add(extents[1].saturating_sub(extents[0]) as u64);
            totals.freed = totals.freed.wrapping_add(extents[0].saturating_sub(extents[1]) as u64);
            totals.requested = totals.requested.wrapping_add(sizes[1].saturating_sub(sizes[0]) as u64);
        });
    }

    /// True where something arrives here while `act` runs, which is not counted. The thread is counted already.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "without the standard library nobody sets budgets"))]
    pub(crate) fn sees(&self, act: impl FnOnce()) -> bool {
        self.mode.set(Mode::Probe);
        act();
        self.mode.replace(Mode::Count) == Mode::Seen
    }

    /// Forgets who counts: the borrower is gone.
    pub(crate) fn clear(&self) {
        if self.is_in_use() {
            self.open.set(0);
            self.budget.set(ptr::null());
        }
    }
}
