//! Numbers: who is given which, from 0 on, so that each has one of its own.

use super::parked::Parked;
use crate::sync::{AtomicUsize, Ordering, constructor};

/// Numbers below `64 * N`.
pub(super) struct Numbers<const N: usize> {
    /// Those below this one were given out.
    end: AtomicUsize,
    /// Of these, the ones that came back: there was no memory for what was to have them.
    returned: Parked<N>,
}

impl<const N: usize> Numbers<N> {
    constructor! {
        pub(super) fn new() -> Self {
            Self { end: AtomicUsize::new(0), returned: Parked::new() }
        }
    }

    /// A number below `limit` that nobody has; `None` where there is none.
    pub(super) fn take(&self, limit: usize) -> Option<usize> {
        match self.returned.lend() {
            Some(number) if number < limit => return Some(number),
            Some(number) => self.returned.park(number),
            None => {}
        }
        let one_more = |end| (end < limit).then_some(end + 1);
        self.end.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()
    }

    /// Takes back a number that nobody has come to know.
    pub(super) fn give_back(&self, number: usize) {
        self.returned.park(number);
    }

    /// True where no number below `limit` is left.
    pub(super) fn are_taken(&self, limit: usize) -> bool {
        self.end() >= limit && self.returned.is_empty()
    }

    /// All numbers that were given out are below this one.
    pub(super) fn end(&self) -> usize {
        self.end.load(Ordering::Relaxed)
    }
}
