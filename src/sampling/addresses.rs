//! Addresses: a set of the blocks that are samples, in which each has a place for its details.
//!
//! An address has two short buckets in each level where it may be, and is looked for in all their slots. So one that
//! goes leaves no trace to be kept, and nobody waits for anybody.

use super::levels::levels;
use super::mix::mix;
use crate::sync::{AtomicUsize, Ordering};

/// Slots of a bucket, where nobody says otherwise: a cache line of them.
pub(super) const BUCKET: usize = 8;

/// A slot that holds no address.
const FREE: usize = 0;

/// A slot whose details are being written or read.
const BUSY: usize = 1;

/// The set. Whoever has a block enters and removes its address, so there is one of them at a time for each address.
pub(super) struct Addresses<'a, const WIDTH: usize = BUCKET> {
    /// As many as a power of two of buckets has.
    slots: &'a [AtomicUsize],
    /// Nothing was ever entered from here on.
    end: AtomicUsize,
}

impl<'a, const WIDTH: usize> Addresses<'a, WIDTH> {
    pub(super) fn new(slots: &'a [AtomicUsize]) -> Self {
        Self { slots, end: AtomicUsize::new(0) }
    }

    /// The slots in which `address` may be, and where their levels end.
    fn places(&self, address: usize) -> impl Iterator<Item = (usize, usize)> + use<WIDTH> {
        let hash = mix(address as u64);
        levels(self.slots.len(), WIDTH).flat_map(move |level| {
            let buckets = (level.len() / WIDTH) as u64;
            let [first, second] = [hash, hash >> 32].map(|hash| level.start + (hash & (buckets - 1)) as usize * WIDTH);
            (first..first + WIDTH).chain(second..second + WIDTH).map(move |index| (index, level.end))
        })
    }

    /// Enters `address`, which is not in the set; `fill` writes the details that belong to the slot of this index.
    /// False where there is no room.
    pub(super) fn insert(&self, address: usize, fill: impl FnOnce(usize)) -> bool {
        for (index, end) in self.places(address) {
            let slot = &self.slots[index];
            // Acquire: pairs with the Release in `remove`, for the details.
            if slot.load(Ordering::Relaxed) == FREE
                && slot.compare_exchange(FREE, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                fill(index);
                self.end.fetch_max(end, Ordering::Relaxed);
                // Relaxed: whoever removes the address has been given the block since.
                slot.store(address, Ordering::Relaxed);
                return true;
            }
        }
        false
    }

    /// Removes `address`, and passes on what `read` finds in the details that belong to its slot; `None` where it is
    /// not in the set.
    pub(super) fn remove<R>(&self, address: usize, read: impl FnOnce(usize) -> R) -> Option<R> {
        // Relaxed: whoever has the block has it from who has entered it.
        let end = self.end.load(Ordering::Relaxed);
        let is_there = |&index: &usize| {
            let slot = &self.slots[index];
            // Of two threads that free the same block, one finds it gone.
            slot.load(Ordering::Relaxed) == address
                && slot.compare_exchange(address, BUSY, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        let entered = self.places(address).take_while(|&(_, level_end)| level_end <= end);
        let index = entered.map(|(index, _)| index).find(is_there)?;
        let found = read(index);
        // Release: the details have been read. Pairs with the Acquire in `insert`.
        self.slots[index].store(FREE, Ordering::Release);
        Some(found)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::vec::Vec;

    #[test]
    fn what_is_entered_is_found_once_and_its_details_with_it() {
        let slots: Vec<_> = (0..1024).map(|_| AtomicUsize::new(FREE)).collect();
        let set = Addresses::<BUCKET>::new(&slots);
        let mut details = HashMap::new();
        let address = |nth: usize| (nth + 1) * 48;
        for round in 0..100 {
            // Half full.
            for nth in 0..512 {
                assert!(set.insert(address(nth + round), |index| assert!(details.insert(index, nth).is_none())));
            }
            for nth in (0..512).rev() {
                assert_eq!(set.remove(address(nth + round), |index| details.remove(&index)), Some(Some(nth)));
                assert_eq!(set.remove(address(nth + round), |_| ()), None);
            }
        }
    }

    #[test]
    fn a_full_set_refuses_and_goes_on() {
        let slots: Vec<_> = (0..2 * BUCKET).map(|_| AtomicUsize::new(FREE)).collect();
        let set = Addresses::<BUCKET>::new(&slots);
        let entered: Vec<_> = (1..1000).map(|nth| nth * 16).filter(|&address| set.insert(address, |_| ())).collect();
        assert_eq!(entered.len(), 2 * BUCKET);
        assert!(entered.iter().all(|&address| set.remove(address, |_| ()).is_some()));
        assert!(set.insert(16, |_| ()));
    }
}

#[cfg(all(loom, test))]
mod loom_tests {
    //! A slot that changes hands. Its details are watched by loom: it fails the model when one thread is at them that
    //! has not heard that the other is done. Red with `Relaxed` in place of the Acquire in `insert`, and of the Release
    //! in `remove`.

    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;
    use std::boxed::Box;

    const FIRST: usize = 16;
    const SECOND: usize = 32;

    struct Table {
        set: Addresses<'static, 1>,
        details: UnsafeCell<usize>,
    }

    impl Table {
        fn new() -> Self {
            let slots = Box::leak(Box::new([AtomicUsize::new(FREE)]));
            Self { set: Addresses::new(slots), details: UnsafeCell::new(0) }
        }

        fn insert(&self, address: usize) -> bool {
            // SAFETY: the slot is the caller's; loom fails the model if another thread is at it.
            self.set.insert(address, |_| self.details.with_mut(|details| unsafe { *details = address }))
        }

        fn remove(&self, address: usize) -> Option<usize> {
            // SAFETY: as above.
            self.set.remove(address, |_| self.details.with(|details| unsafe { *details }))
        }
    }

    #[test]
    fn loom_a_slot_is_filled_after_it_was_read() {
        loom::model(|| {
            let table = Arc::new(Table::new());
            assert!(table.insert(FIRST));
            let other = Arc::clone(&table);
            let inserter = thread::spawn(move || other.insert(SECOND));
            assert_eq!(table.remove(FIRST), Some(FIRST));
            let has_entered = inserter.join().unwrap();
            assert_eq!(table.remove(SECOND), has_entered.then_some(SECOND));
        });
    }
}
