//! Seat: where a heap's borrower keeps the tops of its magazines, for those who only want to count.
//!
//! The tops lie in the borrower's thread-local storage, which ends with the thread. So readers announce themselves first, and a
//! borrower that leaves waits until those who may have seen its tops are done: each of the two writes before it reads, and one of them sees the other.

use crate::magazine::Tops;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, constructor};
use core::ptr;

/// The place of a heap's borrower.
pub(crate) struct Seat {
    /// The borrower's tops, or null.
    tops: AtomicPtr<Tops>,
    /// Number of threads that may be reading through `tops`.
    readers: AtomicUsize,
}

impl Seat {
    constructor! {
        /// An empty seat.
        pub(crate) fn new() -> Self {
            Self { tops: AtomicPtr::new(ptr::null_mut()), readers: AtomicUsize::new(0) }
        }
    }

    /// The borrower shows its tops.
    pub(crate) fn take(&self, tops: &Tops) {
        // Release: the tops are initialised. Pairs with the SeqCst load in `read`.
        self.tops.store(ptr::from_ref(tops).cast_mut(), Ordering::Release);
    }

    /// The borrower leaves. Afterwards nobody reads its tops any more. Waits, by `relax`, for readers at work.
    pub(crate) fn leave(&self, relax: impl Fn()) {
        // SeqCst, with the load below: before the readers are counted. Pairs with `read`, which does the same the other way round.
        self.tops.store(ptr::null_mut(), Ordering::SeqCst);
        while self.readers.load(Ordering::SeqCst) != 0 {
            relax();
        }
    }

    /// Passes the borrower's tops to `count`, if there is a borrower.
    pub(crate) fn read<R>(&self, count: impl FnOnce(&Tops) -> R) -> Option<R> {
        // SeqCst: announced before the tops are looked for. Pairs with `leave`.
        self.readers.fetch_add(1, Ordering::SeqCst);
        let tops = self.tops.load(Ordering::SeqCst);
        // SAFETY: a borrower that leaves waits for this reader, which it sees or which sees null.
        let result = unsafe { tops.as_ref() }.map(count);
        // Release: the reading is over. Pairs with the SeqCst load in `leave`.
        self.readers.fetch_sub(1, Ordering::Release);
        result
    }

    /// Empties the seat in a forked child, where the borrower and all readers are gone.
    pub(crate) fn clear(&self) {
        self.tops.store(ptr::null_mut(), Ordering::Relaxed);
        self.readers.store(0, Ordering::Relaxed);
    }
}
