//! Queue: which slots are free, and in which order they are used again: whoever has waited longest comes first, but for
//! some chance.
//!
//! Each slot's word says where it is in the order. To take one is to look at all of them, of which there are few, and
//! there is no list that a fork could catch half linked.

use crate::sampling::mix;
use crate::sync::{AtomicU64, Ordering};

/// A slot that somebody is at.
const BUSY: u64 = 0;

/// A slot with a block in use.
const USED: u64 = 1;

/// The least number that a free slot has.
const FIRST: u64 = 2;

/// Numbers between two that are given one after the other.
const STEP: u64 = 16;

/// The queue.
pub(super) struct Queue<'a> {
    places: &'a [AtomicU64],
    /// The number that the next slot gets, but for some chance.
    next: &'a AtomicU64,
    seed: u64,
}

/// A slot that was taken, and is handed out or put back.
pub(super) struct Taken {
    pub(super) slot: usize,
    number: u64,
}

impl<'a> Queue<'a> {
    pub(super) fn new(places: &'a [AtomicU64], next: &'a AtomicU64, seed: u64) -> Self {
        Self { places, next, seed }
    }

    /// Makes all slots free, in an order by chance. Nobody is at one yet.
    pub(super) fn fill(&self) {
        let all = self.places.len() as u64 * STEP;
        for (slot, place) in self.places.iter().enumerate() {
            place.store(FIRST + mix(self.seed ^ slot as u64) % all, Ordering::Relaxed);
        }
        self.next.store(FIRST + all, Ordering::Relaxed);
    }

    /// Takes the free slot with the lowest number; `None` where none is free. The slot is the caller's.
    pub(super) fn take(&self) -> Option<Taken> {
        // As often as there are others who take what was seen.
        for _ in 0..self.places.len() {
            let numbers = self.places.iter().map(|place| place.load(Ordering::Relaxed)).enumerate();
            let (slot, number) = numbers.filter(|&(_, number)| number >= FIRST).min_by_key(|&(_, number)| number)?;
            // Acquire: pairs with the Release in `put_back`, for the slot's record and page.
            if self.places[slot].compare_exchange(number, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return Some(Taken { slot, number });
            }
        }
        None
    }

    /// The slot that was taken has a block in use.
    pub(super) fn hand_out(&self, taken: Taken) {
        // Release: the record is written. Pairs with the Acquire in `claim`, where whoever frees has not been given the
        // block but a wrong address.
        self.places[taken.slot].store(USED, Ordering::Release);
    }

    /// Puts a slot back where it was taken from.
    pub(super) fn refuse(&self, taken: Taken) {
        self.places[taken.slot].store(taken.number, Ordering::Release);
    }

    /// Makes a slot whose block is in use the caller's; false where it is free, or somebody is at it.
    pub(super) fn claim(&self, slot: usize) -> bool {
        // Acquire: pairs with the Release in `hand_out`. Of two threads that free the same block, one finds it gone.
        self.places[slot].compare_exchange(USED, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// The block of a slot that was claimed stays in use.
    pub(super) fn leave(&self, slot: usize) {
        self.places[slot].store(USED, Ordering::Release);
    }

    /// A slot that was claimed is free, and waits.
    pub(super) fn put_back(&self, slot: usize) {
        let next = self.next.fetch_add(STEP, Ordering::Relaxed);
        // So that nobody can tell when it is used again: before or after an eighth of the others.
        let chance = mix(self.seed ^ next) % (self.places.len() as u64 / 8 * STEP).max(1);
        // Release: the record and the page are left. Pairs with the Acquire in `take`.
        self.places[slot].store(next + chance, Ordering::Release);
    }

    /// True where the slot has a block in use.
    pub(super) fn is_used(&self, slot: usize) -> bool {
        self.places[slot].load(Ordering::Relaxed) == USED
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    const SLOTS: usize = 64;

    fn places() -> Vec<AtomicU64> {
        (0..SLOTS).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn every_slot_is_taken_once_and_by_chance() {
        let (places, next) = (places(), AtomicU64::new(0));
        let order = |seed| {
            let queue = Queue::new(&places, &next, seed);
            queue.fill();
            (0..SLOTS).map(|_| queue.take().unwrap().slot).collect::<Vec<_>>()
        };
        let (one, other) = (order(1), order(2));
        assert_eq!(one.iter().collect::<BTreeSet<_>>().len(), SLOTS);
        assert_eq!(other.iter().collect::<BTreeSet<_>>().len(), SLOTS);
        assert_ne!(one, other);
        assert!(Queue::new(&places, &next, 1).take().is_none());
    }

    #[test]
    fn a_freed_slot_waits_for_most_of_the_others() {
        let (places, next) = (places(), AtomicU64::new(0));
        let queue = Queue::new(&places, &next, 3);
        queue.fill();
        let mut left_at = [None; SLOTS];
        for time in 0..100 * SLOTS {
            let taken = queue.take().unwrap();
            let slot = taken.slot;
            if let Some(left) = left_at[slot].filter(|&left| left >= SLOTS) {
                assert!(time - left >= SLOTS * 3 / 4, "slot {slot} waited for {} others", time - left);
            }
            queue.hand_out(taken);
            assert!(queue.is_used(slot) && queue.claim(slot) && !queue.claim(slot));
            queue.put_back(slot);
            assert!(!queue.is_used(slot) && !queue.claim(slot));
            left_at[slot] = Some(time);
        }
    }

    #[test]
    fn what_is_refused_is_next_again() {
        let (places, next) = (places(), AtomicU64::new(0));
        let queue = Queue::new(&places, &next, 4);
        queue.fill();
        let taken = queue.take().unwrap();
        let slot = taken.slot;
        queue.refuse(taken);
        assert_eq!(queue.take().unwrap().slot, slot);
    }
}

#[cfg(all(loom, test))]
mod loom_tests {
    //! A slot that changes hands. Its record is watched by loom: it fails the model when one thread is at it that has
    //! not heard that the other is done. Red with `Relaxed` in place of the Acquire in `take`, of that in `claim`, of
    //! the Release in `put_back`, and of that in `hand_out`.

    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;
    use std::vec;
    use std::vec::Vec;

    struct Slot {
        places: Vec<AtomicU64>,
        next: AtomicU64,
        record: UnsafeCell<usize>,
    }

    impl Slot {
        fn queue(&self) -> Queue<'_> {
            Queue::new(&self.places, &self.next, 0)
        }

        fn allocate(&self, value: usize) -> bool {
            let Some(taken) = self.queue().take() else { return false };
            // SAFETY: the slot is the caller's; loom fails the model if another thread is at it.
            self.record.with_mut(|record| unsafe { *record = value });
            self.queue().hand_out(taken);
            true
        }

        fn free(&self) -> bool {
            let is_claimed = self.queue().claim(0);
            if is_claimed {
                // SAFETY: as above.
                self.record.with_mut(|record| unsafe { *record = 0 });
                self.queue().put_back(0);
            }
            is_claimed
        }
    }

    #[test]
    fn loom_a_slot_is_one_threads_at_a_time_and_freed_once() {
        loom::model(|| {
            let slot = Arc::new(Slot {
                places: vec![AtomicU64::new(FIRST)],
                next: AtomicU64::new(FIRST + STEP),
                record: UnsafeCell::new(0),
            });
            let other = Arc::clone(&slot);
            // A free of an address that may or may not be a block's by then.
            let stranger = thread::spawn(move || usize::from(other.free()));
            let mut allocated = usize::from(slot.allocate(1));
            let mut freed = usize::from(slot.free());
            allocated += usize::from(slot.allocate(2));
            freed += stranger.join().unwrap();
            assert!(freed <= allocated && allocated >= 1);
        });
    }
}
