//! Borrower: what a thread knows of the heap it has borrowed. The fast paths touch this and a magazine, and nothing else.

use super::Heap;
use crate::magazine::Tops;
use crate::segment::{Owner, OwnerView};
use crate::sync::{Cell, constructor};

/// A thread's side of the loan. Touched by its own thread alone, but for the tops, which others may read.
///
/// A thread has a heap exactly when `owner` is that heap's id; otherwise its tops stand nowhere, and every allocation
/// and free takes the slow path.
pub(crate) struct Borrower {
    pub(crate) tops: Tops,
    /// Id of the heap, to compare with the owner map.
    pub(crate) owner: Cell<Owner>,
    /// The owner map, for blocks of which it is not known that they are Tenure's.
    pub(crate) owners: Cell<OwnerView>,
    /// True until the thread has asked for a heap for the first time.
    pub(crate) is_fresh: Cell<bool>,
    /// True while the thread is inside a slow path, which a signal handler may have interrupted.
    pub(crate) is_busy: Cell<bool>,
    /// Slow paths left until the clock is looked at.
    pub(crate) patience: Cell<u16>,
    /// The heap that the thread allocates from.
    pub(crate) heap: Cell<Option<&'static Heap>>,
    /// The heap that is the thread's own, for as long as it lives.
    pub(crate) home: Cell<Option<&'static Heap>>,
}

impl Borrower {
    constructor! {
        /// A thread that has not asked for a heap yet.
        pub(crate) fn fresh() -> Self {
        Self {
            tops: Tops::nowhere(),
            owner: Cell::new(Owner::UNMATCHED),
            owners: Cell::new(OwnerView::NOTHING),
            is_fresh: Cell::new(true),
            is_busy: Cell::new(false),
            patience: Cell::new(0),
            heap: Cell::new(None),
            home: Cell::new(None),
        }
    }
    }

    /// A thread that does without a heap.
    #[cfg(not(feature = "std"))]
    pub(crate) const fn heapless() -> Self {
        Self { is_fresh: Cell::new(false), ..Self::fresh() }
    }

    /// Takes the loan of `heap`, which is the thread's own from now on.
    pub(crate) fn take(&self, heap: &'static Heap) {
        self.tops.reset();
        self.is_busy.set(false);
        self.is_fresh.set(false);
        self.heap.set(Some(heap));
        self.home.set(Some(heap));
        self.owner.set(heap.owner());
        self.owners.set(heap.owners());
        heap.seat().take(&self.tops);
    }

    /// The thread, whose own heap is `home` and which is inside a slow path, allocates from `heap` from now on.
    pub(crate) fn switch(&self, heap: &'static Heap, home: &'static Heap) {
        self.is_busy.set(true);
        self.is_fresh.set(false);
        self.heap.set(Some(heap));
        self.home.set(Some(home));
        self.owner.set(heap.owner());
        self.owners.set(heap.owners());
        heap.seat().take(&self.tops);
    }

    /// Ends the loan: the thread has no heap. Its magazines are given up as they are.
    pub(crate) fn leave(&self) {
        self.is_fresh.set(false);
        self.owner.set(Owner::UNMATCHED);
        self.heap.set(None);
        self.home.set(None);
        self.tops.reset();
    }
}
