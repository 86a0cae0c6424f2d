//! Account: what a mock has mapped and not unmapped yet. No range in it overlaps another.

use core::ptr::NonNull;
use std::collections::BTreeMap;
use std::vec::Vec;

/// What a range was made by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    /// `map` or `map_exactly`.
    Mapping,
    /// `reserve`.
    Reservation,
}

#[derive(Clone, Copy)]
struct Range {
    start: NonNull<u8>,
    len: usize,
    made_for: Use,
}

// SAFETY: an entry of a ledger, through which nobody reads or writes.
unsafe impl Send for Range {}

/// The ranges, by their start.
#[derive(Default)]
pub(super) struct Account {
    ranges: BTreeMap<usize, Range>,
    /// Bytes whose unmapping was made to fail.
    pub(super) forsaken: usize,
}

impl Account {
    /// The range in which `address` lies.
    fn find(&self, address: usize) -> Option<Range> {
        let (&start, &range) = self.ranges.range(..=address).next_back()?;
        (address - start < range.len).then_some(range)
    }

    /// Adds a range that was just mapped.
    pub(super) fn add(&mut self, start: NonNull<u8>, len: usize, made_for: Use) {
        let first = start.addr().get();
        let before = self.ranges.range(..first + len).next_back();
        assert!(
            before.is_none_or(|(&other, range)| other + range.len <= first),
            "{len:#x} bytes at {start:p} were mapped over others"
        );
        self.ranges.insert(first, Range { start, len, made_for });
    }

    /// Panics unless the bytes are mapped, by one call, and for `made_for` where that is given.
    pub(super) fn assert_holds(&self, start: NonNull<u8>, len: usize, made_for: Option<Use>) {
        let Some(range) = self.find(start.addr().get()) else { panic!("nothing is mapped at {start:p}") };
        let left = range.len - (start.addr().get() - range.start.addr().get());
        assert!(len <= left, "{len:#x} bytes at {start:p} leave their mapping, of which {left:#x} are left");
        assert!(
            made_for.is_none_or(|wanted| wanted == range.made_for),
            "{start:p} is for a {:?}, not a {made_for:?}",
            range.made_for
        );
    }

    /// Takes bytes out that [`Account::assert_holds`]. What the range holds before and behind them stays.
    pub(super) fn remove(&mut self, start: NonNull<u8>, len: usize) {
        let first = start.addr().get();
        let Some(range) = self.find(first) else { panic!("nothing is mapped at {start:p}") };
        self.ranges.remove(&range.start.addr().get());
        let before = first - range.start.addr().get();
        let after = range.len - before - len;
        if before > 0 {
            self.add(range.start, before, range.made_for);
        }
        if let Some(end) = NonNull::new(start.as_ptr().wrapping_add(len)).filter(|_| after > 0) {
            self.add(end, after, range.made_for);
        }
    }

    /// Bytes of all ranges.
    pub(super) fn bytes(&self) -> usize {
        self.ranges.values().map(|range| range.len).sum()
    }

    /// Empties the account, and tells what was in it.
    pub(super) fn take_all(&mut self) -> Vec<(NonNull<u8>, usize)> {
        core::mem::take(&mut self.ranges).into_values().map(|range| (range.start, range.len)).collect()
    }
}
