//! Borrower: what a thread knows of the heap it has borrowed. The fast paths touch this and a magazine, and nothing
//! else.

use super::Heap;
#[cfg(feature = "profile")]
use super::Sampling;
use crate::magazine::{Stack, Tops};
use crate::segment::{self, Owner, OwnerView};
use crate::size_class::SizeClass;
use crate::sync::{Cell, constructor};
use core::ptr::NonNull;

/// A thread's side of the loan. Touched by its own thread alone, but for the tops, which others may read.
///
/// Without a heap, `owner` matches nothing and the tops stand nowhere, so every allocation and free takes the slow
/// path. With one, `owner` is its id, unless the thread's allocations are sampled.
///
/// The tops come first: where the record is found at run time, an instruction can name it and a class, and nothing
/// else.
#[repr(C)]
pub(crate) struct Borrower {
    /// The magazine for each class, from which the thread allocates and to which its frees go.
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
    /// When the magazines were emptied last because it was time, in milliseconds of the platform's clock; 0 until the
    /// clock is looked at.
    pub(crate) emptied_at: Cell<u64>,
    /// How often the clock was looked at, modulo 256.
    pub(crate) looks: Cell<u8>,
    /// The heap that the thread allocates from.
    pub(crate) heap: Cell<Option<&'static Heap>>,
    /// The heap that is the thread's own, for as long as it lives.
    pub(crate) home: Cell<Option<&'static Heap>>,
    /// What the heap has for a profile, while the thread's allocations are sampled. `owner` matches nothing then, so
    /// that no free reaches the tops without being counted.
    #[cfg(feature = "profile")]
    pub(crate) sampling: Cell<Option<&'static Sampling>>,
    /// The same, but only while nobody else is to be told of the thread's frees.
    #[cfg(feature = "profile")]
    pub(crate) returns: Cell<Option<&'static Sampling>>,
    /// True while the thread wants none of its allocations to be sampled.
    #[cfg(feature = "profile")]
    pub(crate) is_unsampled: Cell<bool>,
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
            emptied_at: Cell::new(0),
            looks: Cell::new(0),
            heap: Cell::new(None),
            home: Cell::new(None),
            #[cfg(feature = "profile")]
            sampling: Cell::new(None),
            #[cfg(feature = "profile")]
            returns: Cell::new(None),
            #[cfg(feature = "profile")]
            is_unsampled: Cell::new(false),
        }
    }
    }

    /// A thread that does without a heap.
    #[cfg(not(feature = "std"))]
    pub(crate) const fn heapless() -> Self {
        Self { is_fresh: Cell::new(false), ..Self::fresh() }
    }

    /// What the thread has at hand of the class of the block at `address`, or of none where no block can be.
    ///
    /// # Safety
    /// - This is the calling thread's record, and its heap owns granule `granule`, which is that of `address` but for
    ///   address bits that no program can have.
    #[inline(always)]
    pub(crate) unsafe fn stack_at(&self, granule: usize, address: usize) -> &Stack {
        // SAFETY: passed on: what a heap owns are segments. The codes are those of classes.
        #[cfg(feature = "std")]
        unsafe {
            self.tops.under(segment::class_code_at(granule, address))
        }
        // SAFETY: as above. A record whose thread has a heap is that heap's, at its start.
        #[cfg(not(feature = "std"))]
        unsafe {
            &*segment::at_class_code(granule, address, self.tops.first())
        }
    }

    /// True where `owner` is the heap that the thread allocates from, whether its allocations are sampled or not.
    #[inline(always)]
    pub(crate) fn allocates_from(&self, owner: Owner) -> bool {
        #[cfg(feature = "profile")]
        let sampled = self.returns.get().is_some_and(|sampling| sampling.owner() == owner);
        #[cfg(not(feature = "profile"))]
        let sampled = false;
        owner == self.owner.get() || sampled
    }

    /// Keeps a free block of `owner`, the heap that the thread allocates from, in the magazine of `class`; false where
    /// that has no room for it, or is to have none.
    ///
    /// # Safety
    /// - This is the calling thread's record, and the thread [allocates from](Borrower::allocates_from) `owner`.
    #[inline(always)]
    #[cfg_attr(not(feature = "profile"), expect(unused_variables, reason = "a sampled thread's owner matches nothing"))]
    pub(crate) unsafe fn keep(&self, class: SizeClass, block: NonNull<u8>, owner: Owner) -> bool {
        #[cfg(feature = "profile")]
        if owner != self.owner.get() {
            // SAFETY: passed on.
            return unsafe { self.keep_sampled(class.code(), block.as_ptr(), owner) };
        }
        // SAFETY: passed on.
        unsafe { self.tops.push(class, block.as_ptr()) }
    }

    /// As [`Borrower::keep`], of any owner's block, by the code of its class or 0, where the thread's allocations are
    /// sampled; false where they are not, or the block is not of the heap that the thread allocates from.
    ///
    /// # Safety
    /// - This is the calling thread's record.
    #[cfg(feature = "profile")]
    #[inline(always)]
    pub(crate) unsafe fn keep_sampled(&self, code: usize, block: *mut u8, owner: Owner) -> bool {
        // SAFETY: passed on. The tops are not set aside while the thread has returns.
        self.returns.get().is_some_and(|sampling| unsafe { sampling.keep(&self.tops, code, block, owner) })
    }

    /// Keeps a block of `owner`'s that [`Borrower::keep_sampled`] has not kept, where the thread's allocations are
    /// sampled and the next sample is near; false otherwise.
    ///
    /// # Safety
    /// - This is the calling thread's record.
    #[cfg(feature = "profile")]
    #[inline(always)]
    pub(crate) unsafe fn keep_for_later(&self, class: SizeClass, block: NonNull<u8>, owner: Owner) -> bool {
        // SAFETY: passed on.
        let keep = |sampling: &Sampling| unsafe { sampling.keep_for_later(&self.tops, class, block.as_ptr(), owner) };
        self.returns.get().is_some_and(keep)
    }

    /// True while the thread's allocations are sampled, so that how many blocks its magazines hold says when the next
    /// sample is due.
    pub(crate) fn is_sampled(&self) -> bool {
        #[cfg(feature = "profile")]
        return self.sampling.get().is_some();
        #[cfg(not(feature = "profile"))]
        false
    }

    /// Takes the loan of `heap`, which is the thread's own from now on.
    pub(crate) fn take(&self, heap: &'static Heap) {
        self.tops.reset();
        self.is_busy.set(false);
        self.is_fresh.set(false);
        #[cfg(feature = "profile")]
        self.is_unsampled.set(false);
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
        #[cfg(feature = "profile")]
        self.sample_as(heap.sampling().filter(|sampling| sampling.is_on()));
        heap.seat().take(&self.tops);
    }

    /// Allocations from the heap, which the thread has, are sampled with `sampling` from now on, or are not.
    #[cfg(feature = "profile")]
    pub(crate) fn sample_as(&self, sampling: Option<&'static Sampling>) {
        let owner = self.heap.get().filter(|_| sampling.is_none()).map_or(Owner::UNMATCHED, Heap::owner);
        self.owner.set(owner);
        self.sampling.set(sampling);
        self.returns.set(None);
    }

    /// Ends the loan: the thread has no heap. Its magazines are given up as they are.
    pub(crate) fn leave(&self) {
        self.is_fresh.set(false);
        self.owner.set(Owner::UNMATCHED);
        self.heap.set(None);
        self.home.set(None);
        #[cfg(feature = "profile")]
        {
            self.sampling.set(None);
            self.returns.set(None);
        }
        self.tops.reset();
    }
}
