//! Seat: where a heap's borrower keeps its side of the loan, for those who want to count, or to have it come to a slow path.
//!
//! That lies in the borrower's thread-local storage, which ends with the thread. So readers announce themselves first, and a
//! borrower that leaves waits until those who may have seen it are done: each of the two writes before it reads, with a fence in between,
//! and so one of them sees the other.

use super::Borrower;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, constructor, fence};
use core::ptr;

/// The place of a heap's borrower.
pub(crate) struct Seat<T = Borrower> {
    /// The borrower's side, or null.
    borrower: AtomicPtr<T>,
    /// Number of threads that may be reading through `borrower`.
    readers: AtomicUsize,
}

impl<T> Seat<T> {
    constructor! {
        /// An empty seat.
        pub(crate) fn new() -> Self {
            Self { borrower: AtomicPtr::new(ptr::null_mut()), readers: AtomicUsize::new(0) }
        }
    }

    /// The borrower shows its side.
    pub(crate) fn take(&self, borrower: &T) {
        // Release: it is initialised. Pairs with the Acquire load in `read`.
        self.borrower.store(ptr::from_ref(borrower).cast_mut(), Ordering::Release);
    }

    /// The borrower leaves. Afterwards nobody reads it any more. Waits, by `relax`, for readers at work.
    pub(crate) fn leave(&self, relax: impl Fn()) {
        self.borrower.store(ptr::null_mut(), Ordering::Relaxed);
        // SeqCst: gone before the readers are counted. Pairs with the fence in `read`.
        fence(Ordering::SeqCst);
        // Acquire: pairs with the Release in `read`.
        while self.readers.load(Ordering::Acquire) != 0 {
            relax();
        }
    }

    /// Passes the borrower's side to `visit`, which touches only what others may, if there is a borrower.
    pub(crate) fn read<R>(&self, visit: impl FnOnce(&T) -> R) -> Option<R> {
        self.readers.fetch_add(1, Ordering::Relaxed);
        // SeqCst: announced before the borrower is looked for. Pairs with the fence in `leave`.
        fence(Ordering::SeqCst);
        // Acquire: pairs with the Release in `take`.
        let borrower = self.borrower.load(Ordering::Acquire);
        // SAFETY: a borrower that leaves waits for this reader, which it sees or which sees null.
        let result = unsafe { borrower.as_ref() }.map(visit);
        // Release: the reading is over. Pairs with the Acquire in `leave`.
        self.readers.fetch_sub(1, Ordering::Release);
        result
    }

    /// Empties the seat in a forked child, where the borrower and all readers are gone.
    pub(crate) fn clear(&self) {
        self.borrower.store(ptr::null_mut(), Ordering::Relaxed);
        self.readers.store(0, Ordering::Relaxed);
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
