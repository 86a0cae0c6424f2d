//! Seat: where a heap's borrower keeps the tops of its magazines, for those who only want to count.
//!
//! The tops lie in the borrower's thread-local storage, which ends with the thread. So readers announce themselves
//! first, and a borrower that leaves waits until those who may have seen its tops are done: each of the two writes
//! before it reads, with a fence in between, and so one of them sees the other.

use crate::magazine::Tops;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, constructor, fence};
use core::ptr;

/// The place of a heap's borrower.
pub(crate) struct Seat<T = Tops> {
    /// The borrower's tops, or null.
    tops: AtomicPtr<T>,
    /// Number of threads that may be reading through `tops`.
    readers: AtomicUsize,
}

impl<T> Seat<T> {
    constructor! {
        /// An empty seat.
        pub(crate) fn new() -> Self {
            Self { tops: AtomicPtr::new(ptr::null_mut()), readers: AtomicUsize::new(0) }
        }
    }

    /// The borrower shows its tops.
    pub(crate) fn take(&self, tops: &T) {
        // Release: the tops are initialised. Pairs with the Acquire load in `read`.
        self.tops.store(ptr::from_ref(tops).cast_mut(), Ordering::Release);
    }

    /// The borrower leaves. Afterwards nobody reads its tops any more. Waits, by `relax`, for readers at work.
    pub(crate) fn leave(&self, relax: impl Fn()) {
        self.tops.store(ptr::null_mut(), Ordering::Relaxed);
        // SeqCst: gone before the readers are counted. Pairs with the fence in `read`.
        fence(Ordering::SeqCst);
        // Acquire: pairs with the Release in `read`.
        while self.readers.load(Ordering::Acquire) != 0 {
            relax();
        }
    }

    /// Passes the borrower's tops to `count`, if there is a borrower.
    pub(crate) fn read<R>(&self, count: impl FnOnce(&T) -> R) -> Option<R> {
        self.readers.fetch_add(1, Ordering::Relaxed);
        // SeqCst: announced before the tops are looked for. Pairs with the fence in `leave`.
        fence(Ordering::SeqCst);
        // Acquire: pairs with the Release in `take`.
        let tops = self.tops.load(Ordering::Acquire);
        // SAFETY: a borrower that leaves waits for this reader, which it sees or which sees null.
        let result = unsafe { tops.as_ref() }.map(count);
        // Release: the reading is over. Pairs with the Acquire in `leave`.
        self.readers.fetch_sub(1, Ordering::Release);
        result
    }

    /// A reader comes, of which the process is forked before it has looked.
    #[cfg(test)]
    pub(crate) fn announce(&self) {
        self.readers.fetch_add(1, Ordering::Relaxed);
    }

    /// Empties the seat in a forked child, where the borrower and all readers are gone.
    pub(crate) fn clear(&self) {
        self.tops.store(ptr::null_mut(), Ordering::Relaxed);
        self.readers.store(0, Ordering::Relaxed);
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
