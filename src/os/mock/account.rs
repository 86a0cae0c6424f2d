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

    /// The ranges that have some of the bytes, which must all be mapped.
    fn parts(&self, start: NonNull<u8>, len: usize) -> Vec<Range> {
        let (mut at, end) = (start.addr().get(), start.addr().get() + len);
        let mut parts = Vec::new();
        while at < end {
            let Some(range) = self.find(at) else {
                panic!("of {len:#x} bytes at {start:p} nothing is mapped at {at:#x}")
            };
            at = range.start.addr().get() + range.len;
            parts.push(range);
        }
        parts
    }

    /// Panics unless the bytes are mapped, and for `made_for` where that is given.
    pub(super) fn assert_holds(&self, start: NonNull<u8>, len: usize, made_for: Option<Use>) {
        for range in self.parts(start, len) {
            assert!(
                made_for.is_none_or(|wanted| wanted == range.made_for),
                "{:p} is for a {:?}, not a {made_for:?}",
                range.start,
                range.made_for
            );
        }
    }

    /// Makes ranges of their own of bytes of which the system was told something.
    pub(super) fn part(&mut self, start: NonNull<u8>, len: usize) {
        let (first, end) = (start.addr().get(), start.addr().get() + len);
        for Range { start, len, made_for } in self.parts(start, len) {
            let skipped = first.saturating_sub(start.addr().get());
            let len = (start.addr().get() + len).min(end) - start.addr().get() - skipped;
            // SAFETY: nothing is accessed; inside the range.
            let start = unsafe { start.add(skipped) };
            self.remove(start, len);
            self.add(start, len, made_for);
        }
    }

    /// True where the bytes are one range.
    pub(super) fn is_one(&self, start: NonNull<u8>, len: usize) -> bool {
        self.parts(start, len).len() == 1
    }

    /// Takes bytes out that [`Account::assert_holds`]. What the ranges hold before and behind them stays.
    pub(super) fn remove(&mut self, start: NonNull<u8>, len: usize) {
        let (first, end) = (start.addr().get(), start.addr().get() + len);
        for range in self.parts(start, len) {
            let range_start = range.start.addr().get();
            self.ranges.remove(&range_start);
            if range_start < first {
                self.add(range.start, first - range_start, range.made_for);
            }
            if range_start + range.len > end {
                // SAFETY: nothing is accessed; inside the range.
                let behind = unsafe { range.start.add(end - range_start) };
                self.add(behind, range_start + range.len - end, range.made_for);
            }
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
