//! Faults: which of a mock's calls are to fail.

use std::vec::Vec;

/// A memory call of the platform.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub(crate) enum Call {
    Map,
    MapExactly,
    Reserve,
    Commit,
    Unmap,
    Purge,
    Protect,
    Resize,
    Relocate,
    #[cfg(feature = "profile")]
    Forbid,
    #[cfg(feature = "profile")]
    Permit,
}

impl Call {
    /// Number of kinds.
    const COUNT: usize = Self::ALL.len() + 2;

    /// Every kind of call that heaps make.
    pub(crate) const ALL: [Call; 9] = [
        Call::Map,
        Call::MapExactly,
        Call::Reserve,
        Call::Commit,
        Call::Unmap,
        Call::Purge,
        Call::Protect,
        Call::Resize,
        Call::Relocate,
    ];
}

/// An order to fail.
struct Fault {
    /// The kind of call that is meant; all kinds where there is none.
    call: Option<Call>,
    /// Number of such calls since the order was given.
    seen: usize,
    first: usize,
    last: usize,
}

/// The orders, and how many calls there were.
#[derive(Default)]
pub(super) struct Faults {
    orders: Vec<Fault>,
    calls: [usize; Call::COUNT],
    failures: usize,
}

impl Faults {
    /// Makes the `first` to the `last` call from now on fail, counted from 1, of those of the kind `call` or of all.
    pub(super) fn add(&mut self, call: Option<Call>, first: usize, last: usize) {
        self.orders.push(Fault { call, seen: 0, first, last });
    }

    /// Forgets all orders.
    pub(super) fn clear(&mut self) {
        self.orders.clear();
    }

    /// Counts a call; true where it is to fail.
    pub(super) fn count(&mut self, call: Call) -> bool {
        self.calls[call as usize] += 1;
        let mut fails = false;
        for order in self.orders.iter_mut().filter(|order| order.call.is_none_or(|wanted| wanted == call)) {
            order.seen += 1;
            fails |= (order.first..=order.last).contains(&order.seen);
        }
        self.failures += usize::from(fails);
        fails
    }

    /// Number of calls that were made to fail.
    pub(super) fn failures(&self) -> usize {
        self.failures
    }

    /// Number of calls of the kind `call`, or of all kinds.
    pub(super) fn calls(&self, call: Option<Call>) -> usize {
        match call {
            Some(call) => self.calls[call as usize],
            None => self.calls.iter().sum(),
        }
    }
}
