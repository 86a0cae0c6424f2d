//! Registry: lends heaps to threads and takes them back.
//!
//! Heaps are named by small numbers and never given back, so who is parked is a set of bits: lending is clearing one. There is no list,
//! and so neither ABA nor a lock for a fork to find held.

mod parked;

use crate::heap::Heap;
use crate::os;
use crate::segment::{Backend, Owner};
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, array_of, constructor};

use core::ptr;
use parked::Parked;

/// Most heaps of a process, and so most threads that have one to themselves. Further threads share one.
pub(crate) const MAX_HEAPS: usize = 4096;

const WORDS: usize = MAX_HEAPS / 64;

/// Times that a thread looks for a shared heap that another is making, which takes a system call: it gives the processor away in between.
const LOOKS: usize = 100_000;

/// The heaps of a process, and one more that threads without a heap share.
pub(crate) struct Registry {
    /// Heap n has id n + 1. Never changes back to null.
    heaps: [AtomicPtr<Heap>; MAX_HEAPS],
    /// Ids that were given out.
    created: AtomicUsize,
    parked: Parked<WORDS>,
    /// The heap of threads without a heap; null until there is one.
    shared: AtomicPtr<Heap>,
    /// The heap of sampled blocks; null until there is one.
    #[cfg(feature = "profile")]
    sampled: AtomicPtr<Heap>,
}

impl Registry {
    constructor! {
        /// A registry without heaps.
        pub(crate) fn new() -> Self {
            Self {
                heaps: array_of!(AtomicPtr::new(ptr::null_mut()); MAX_HEAPS),
                created: AtomicUsize::new(0),
                parked: Parked::new(),
                shared: AtomicPtr::new(ptr::null_mut()),
                #[cfg(feature = "profile")]
                sampled: AtomicPtr::new(ptr::null_mut()),
            }
        }
    }

    /// A heap for the calling thread alone: a parked one, or a new one. `None` where ids or memory are used up.
    pub(crate) fn borrow(&self, backend: &'static Backend) -> Option<&'static Heap> {
        match self.parked.lend() {
            Some(index) => self.heap(index),
            // The last id is kept for the shared heap.
            None => self.create(backend, MAX_HEAPS - 1),
        }
    }

    /// Takes back a heap whose magazines are empty.
    pub(crate) fn park(&self, heap: &Heap) {
        self.parked.park(index_of(heap));
    }

    /// The heap that threads without one share.
    pub(crate) fn shared(&self, backend: &'static Backend) -> Option<&'static Heap> {
        // Acquire: pairs with the Release below, for the heap's contents.
        let known = self.shared.load(Ordering::Acquire);
        // SAFETY: heaps are never given back.
        if let Some(heap) = unsafe { known.as_ref() } {
            return Some(heap);
        }
        let Some(heap) = self.create(backend, MAX_HEAPS) else { return self.await_shared() };
        let mine = ptr::from_ref(heap).cast_mut();
        // Release: publishes the heap. Pairs with the Acquire above.
        match self.shared.compare_exchange(ptr::null_mut(), mine, Ordering::Release, Ordering::Acquire) {
            Ok(_) => Some(heap),
            Err(first) => {
                self.park(heap);
                // SAFETY: as above.
                unsafe { first.as_ref() }
            }
        }
    }

    /// The heap of sampled blocks: nobody borrows it, so that a free of one of them leaves every thread's fast path. `None` where there is no memory for it.
    #[cfg(feature = "profile")]
    pub(crate) fn sampled(&self, backend: &'static Backend) -> Option<&'static Heap> {
        if let Some(heap) = self.known_sampled() {
            return Some(heap);
        }
        let heap = self.create(backend, MAX_HEAPS - 1)?;
        let mine = ptr::from_ref(heap).cast_mut();
        // Release: publishes the heap. Pairs with the Acquire in `known_sampled`.
        if self.sampled.compare_exchange(ptr::null_mut(), mine, Ordering::Release, Ordering::Relaxed).is_err() {
            self.park(heap);
        }
        self.known_sampled()
    }

    /// The heap of sampled blocks, if there is one.
    #[cfg(feature = "profile")]
    #[inline]
    pub(crate) fn known_sampled(&self) -> Option<&'static Heap> {
        // Acquire: pairs with the Release in `sampled`, for the heap's contents.
        let known = self.sampled.load(Ordering::Acquire);
        // SAFETY: heaps are never given back.
        unsafe { known.as_ref() }
    }

    /// True for a heap that nobody may borrow.
    fn is_lent_to_none(&self, heap: &Heap) -> bool {
        #[cfg(feature = "profile")]
        if ptr::eq(self.sampled.load(Ordering::Relaxed), heap) {
            return true;
        }
        self.is_shared(heap)
    }

    /// The shared heap, which another thread may be making with the last id. `None` where none is, as far as can be told: there is no memory for it, or in a forked
    /// child the thread that was making it does not exist.
    #[cold]
    fn await_shared(&self) -> Option<&'static Heap> {
        for _ in 0..LOOKS {
            // Acquire: pairs with the Release in `shared`.
            let known = self.shared.load(Ordering::Acquire);
            // SAFETY: heaps are never given back.
            if let Some(heap) = unsafe { known.as_ref() } {
                return Some(heap);
            }
            if self.created.load(Ordering::Relaxed) < MAX_HEAPS {
                return None;
            }
            os::yield_now();
        }
        None
    }

    /// True for the heap that threads without one share.
    pub(crate) fn is_shared(&self, heap: &Heap) -> bool {
        ptr::eq(self.shared.load(Ordering::Relaxed), heap)
    }

    fn heap(&self, index: usize) -> Option<&'static Heap> {
        // Acquire: pairs with the Release in `create`, for the heap's contents.
        let heap = self.heaps.get(index)?.load(Ordering::Acquire);
        // SAFETY: heaps are never given back.
        unsafe { heap.as_ref() }
    }

    /// A new heap, as long as there are fewer than `limit`.
    fn create(&self, backend: &'static Backend, limit: usize) -> Option<&'static Heap> {
        let index = self
            .created
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < limit).then_some(count + 1))
            .ok()?;
        let Some(heap) = Heap::create(backend, Owner(index as u16 + 1)) else {
            // The id is not lost when it was the last.
            let _ = self.created.compare_exchange(index + 1, index, Ordering::Relaxed, Ordering::Relaxed);
            return None;
        };
        // Release: publishes the heap. Pairs with the Acquire in `heap`.
        self.heaps[index].store(heap.as_ptr(), Ordering::Release);
        // SAFETY: heaps are never given back.
        Some(unsafe { heap.as_ref() })
    }

    /// Every heap there is.
    pub(crate) fn heaps(&self) -> impl Iterator<Item = &'static Heap> {
        (0..self.created.load(Ordering::Relaxed)).filter_map(|index| self.heap(index))
    }

    /// True where no thread has the heap.
    pub(crate) fn is_parked(&self, heap: &Heap) -> bool {
        self.parked.contains(index_of(heap))
    }

    /// In a forked child: parks the heaps of threads that do not exist here, which are all but `mine`. A heap that was locked at the moment of the
    /// fork may be half changed, and is taken out of use.
    pub(crate) fn repair_after_fork(&self, mine: Option<&Heap>) {
        for heap in self.heaps() {
            if mine.is_some_and(|mine| ptr::eq(mine, heap)) || heap.is_lost() {
                continue;
            }
            heap.forget_borrower();
            if heap.is_locked() {
                heap.lose();
                self.parked.withdraw(index_of(heap));
                if self.is_shared(heap) {
                    self.shared.store(ptr::null_mut(), Ordering::Relaxed);
                }
                #[cfg(feature = "profile")]
                if ptr::eq(self.sampled.load(Ordering::Relaxed), heap) {
                    self.sampled.store(ptr::null_mut(), Ordering::Relaxed);
                }
            } else if !self.is_lent_to_none(heap) {
                self.park(heap);
            }
        }
    }
}

fn index_of(heap: &Heap) -> usize {
    heap.owner().0 as usize - 1
}

// Heaps' ids and the owner map's other values are apart.
const _: () = assert!(MAX_HEAPS < Owner::STATIC.0 as usize);

#[cfg(all(test, not(loom)))]
mod tests;
