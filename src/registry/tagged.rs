//! The heaps of a tag. Made when a thread enters the tag and no heap of it is parked, so there are as many as threads
//! have been inside at once, up to a bound.
//!
//! A heap stays its tag's for good. It is parked with its magazines full, so that a thread that comes back finds blocks
//! at hand.

use super::numbers::Numbers;
use super::parked::Parked;
use crate::heap::Heap;
use crate::sync::{AtomicPtr, Ordering, array_of, constructor};
use core::ptr;

/// Most heaps of a tag. With 64 tags they are half of all heaps, so that threads still find their own.
const HEAPS: usize = 32;

/// The heaps of one tag. Of another type only in models.
pub(super) struct Tagged<T: 'static = Heap> {
    /// Never changes back to null.
    heaps: [AtomicPtr<T>; HEAPS],
    numbers: Numbers<1>,
    parked: Parked<1>,
}

impl<T> Tagged<T> {
    constructor! {
        pub(super) fn new() -> Self {
            Self {
                heaps: array_of!(AtomicPtr::new(ptr::null_mut()); HEAPS),
                numbers: Numbers::new(),
                parked: Parked::new(),
            }
        }
    }

    fn heap(&self, number: usize) -> Option<&'static T> {
        // Acquire: pairs with the Release in `lend`, for the heap's contents.
        let heap = self.heaps[number].load(Ordering::Acquire);
        // SAFETY: heaps are never given back.
        unsafe { heap.as_ref() }
    }

    /// A parked heap, or one that `create` makes under the number it is given.
    pub(super) fn lend(&self, create: impl FnOnce(u8) -> Option<&'static T>) -> Option<&'static T> {
        if let Some(number) = self.parked.lend() {
            return self.heap(number);
        }
        let number = self.numbers.take(HEAPS)?;
        let Some(heap) = create(number as u8) else {
            self.numbers.give_back(number);
            return None;
        };
        // Release: publishes the heap. Pairs with the Acquire in `heap`.
        self.heaps[number].store(ptr::from_ref(heap).cast_mut(), Ordering::Release);
        Some(heap)
    }

    pub(super) fn park(&self, number: usize) {
        self.parked.park(number);
    }

    /// In a forked child: takes a heap out of use.
    pub(super) fn withdraw(&self, number: usize) {
        self.parked.withdraw(number);
    }

    pub(super) fn is_parked(&self, number: usize) -> bool {
        self.parked.contains(number)
    }

    /// One of the heaps that passes `is_usable`, whoever has it, for a thread that comes with the number `seed`.
    pub(super) fn any(&self, seed: usize, is_usable: impl Fn(&T) -> bool) -> Option<&'static T> {
        let count = self.numbers.end().max(1);
        (0..count).filter_map(|step| self.heap((seed + step) % count)).find(|heap| is_usable(heap))
    }

    /// Borrows each heap that is parked for as long as `act` runs on it.
    pub(super) fn with_parked(&self, act: impl Fn(&'static T)) {
        for number in 0..self.numbers.end() {
            if self.parked.lend_this(number)
                && let Some(heap) = self.heap(number)
            {
                act(heap);
                self.park(number);
            }
        }
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
