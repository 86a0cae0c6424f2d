//! Registry: lends heaps to threads and takes them back.
//!
//! Heaps are named by small numbers and never given back, so who is parked is a set of bits: lending is clearing one.
//! There is no list, and so neither ABA nor a lock for a fork to find held.

mod allocations;
mod numbers;
mod parked;
mod tagged;

#[cfg(feature = "profile")]
use crate::heap::FOR_SAMPLES;
use crate::heap::Heap;
use crate::magazine::Place;
use crate::os;
use crate::segment::{Backend, Owner};
use crate::size_class::SizeClass;
use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, array_of, constructor};
use crate::tag::TAGS;

use core::ptr;
use numbers::Numbers;
use parked::Parked;
use tagged::Tagged;

/// Most heaps of a process, and so most threads that have one to themselves. Further threads share one.
const MAX_HEAPS: usize = 4096;

const WORDS: usize = MAX_HEAPS / 64;

/// Of a heap that is no tag's.
const UNTAGGED: [u8; 2] = [0; 2];

/// Times that a thread looks for a shared heap that another is making, which takes a system call: it gives the
/// processor away in between.
const LOOKS: usize = 100_000;

/// Heaps that are asked for blocks before one grows, at most.
const ASKED: usize = 8;

/// The heaps of a process, and one more that threads without a heap share.
pub(crate) struct Registry {
    /// Heap n has id n + 1. Never changes back to null.
    heaps: [AtomicPtr<Heap>; MAX_HEAPS],
    numbers: Numbers<WORDS>,
    parked: Parked<WORDS>,
    /// The heap of threads without a heap; null until there is one.
    shared: AtomicPtr<Heap>,
    /// The heap of sampled blocks under each tag, and under none; null until there is one.
    #[cfg(feature = "profile")]
    sampled: [AtomicPtr<Heap>; TAGS + 1],
    /// The heaps of tag n + 1.
    tagged: [Tagged; TAGS],
    /// Index of the heap from which blocks were stolen last; a hint.
    stolen_from: AtomicUsize,
    /// The most allocations that were added up.
    allocations: AtomicU64,
}

impl Registry {
    constructor! {
        /// A registry without heaps.
        pub(crate) fn new() -> Self {
            Self {
                heaps: array_of!(AtomicPtr::new(ptr::null_mut()); MAX_HEAPS),
                numbers: Numbers::new(),
                parked: Parked::new(),
                shared: AtomicPtr::new(ptr::null_mut()),
                #[cfg(feature = "profile")]
                sampled: array_of!(AtomicPtr::new(ptr::null_mut()); TAGS + 1),
                tagged: array_of!(Tagged::new(); TAGS),
                stolen_from: AtomicUsize::new(0),
                allocations: AtomicU64::new(0),
            }
        }
    }

    /// A heap for the calling thread alone: a parked one, or a new one. `None` where ids or memory are used up.
    pub(crate) fn borrow(&self, backend: &'static Backend) -> Option<&'static Heap> {
        match self.parked.lend() {
            Some(index) => self.heap(index),
            // The last id is kept for the shared heap.
            None => self.create(backend, MAX_HEAPS - 1, UNTAGGED),
        }
    }

    /// A heap of `tag` for the calling thread alone, whose magazines are as another thread has left them, in the heap.
    /// `None` where the tag has no more, or memory is used up.
    pub(crate) fn borrow_under(&self, backend: &'static Backend, tag: u8) -> Option<&'static Heap> {
        self.tagged(tag)?.lend(|number| self.create(backend, MAX_HEAPS - 1, [tag, number]))
    }

    /// A heap of `tag` that other threads have; `None` where there is none.
    pub(crate) fn shared_under(&self, tag: u8, seed: usize) -> Option<&'static Heap> {
        self.tagged(tag)?.any(seed, |heap| !heap.is_lost())
    }

    /// Borrows each parked heap of a tag for as long as `act` runs on it.
    pub(crate) fn with_parked_under_tags(&self, act: impl Fn(&'static Heap)) {
        self.tagged.iter().for_each(|tagged| tagged.with_parked(&act));
    }

    /// The heaps of `tag`, if that is one.
    fn tagged(&self, tag: u8) -> Option<&Tagged> {
        self.tagged.get(usize::from(tag).checked_sub(1)?)
    }

    /// Takes back a heap whose magazines are empty or, if it is a tag's, in the heap.
    pub(crate) fn park(&self, heap: &Heap) {
        match self.tagged(heap.tag()) {
            Some(tagged) => tagged.park(heap.number_of_tag()),
            None => self.parked.park(index_of(heap)),
        }
    }

    /// The heap that threads without one share.
    pub(crate) fn shared(&self, backend: &'static Backend) -> Option<&'static Heap> {
        // Acquire: pairs with the Release below, for the heap's contents.
        let known = self.shared.load(Ordering::Acquire);
        // SAFETY: heaps are never given back.
        if let Some(heap) = unsafe { known.as_ref() } {
            return Some(heap);
        }
        let Some(heap) = self.create(backend, MAX_HEAPS, UNTAGGED) else { return self.await_shared() };
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

    /// The heap of sampled blocks under `tag`, or under none where that is 0: nobody borrows it, so that a free of one
    /// of them leaves every thread's fast path. `None` where there is no memory for it.
    #[cfg(feature = "profile")]
    pub(crate) fn sampled(&self, backend: &'static Backend, tag: u8) -> Option<&'static Heap> {
        let place = self.sampled.get(usize::from(tag))?;
        // Acquire: pairs with the Release below, for the heap's contents.
        let known = place.load(Ordering::Acquire);
        // SAFETY: heaps are never given back.
        if let Some(heap) = unsafe { known.as_ref() } {
            return Some(heap);
        }
        let heap = self.create(backend, MAX_HEAPS - 1, [tag, FOR_SAMPLES])?;
        let mine = ptr::from_ref(heap).cast_mut();
        // Release: publishes the heap. Pairs with the Acquire above. Where another thread was first, this heap serves
        // this block alone.
        let _ = place.compare_exchange(ptr::null_mut(), mine, Ordering::Release, Ordering::Relaxed);
        Some(heap)
    }

    /// True where the heap whose id is `owner` is one of sampled blocks.
    #[cfg(feature = "profile")]
    pub(crate) fn is_for_samples(&self, owner: Owner) -> bool {
        self.owner(owner).is_some_and(Heap::is_for_samples)
    }

    /// In a forked child: true for a heap of sampled blocks, which stays as it is unless it was locked.
    #[cfg(feature = "profile")]
    fn keep_sampled(&self, heap: &Heap) -> bool {
        if !heap.is_for_samples() {
            return false;
        }
        if heap.is_locked() {
            heap.lose();
            let place = &self.sampled[usize::from(heap.tag())];
            // Not where it serves but the block for which another thread was first.
            let _ = place.compare_exchange(
                ptr::from_ref(heap).cast_mut(),
                ptr::null_mut(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        true
    }

    /// The shared heap, which another thread may be making with the last id. `None` where none is, as far as can be
    /// told: there is no memory for it, or in a forked child the thread that was making it does not exist.
    #[cold]
    fn await_shared(&self) -> Option<&'static Heap> {
        for _ in 0..LOOKS {
            // Acquire: pairs with the Release in `shared`.
            let known = self.shared.load(Ordering::Acquire);
            // SAFETY: heaps are never given back.
            if let Some(heap) = unsafe { known.as_ref() } {
                return Some(heap);
            }
            if !self.numbers.are_taken(MAX_HEAPS) {
                return None;
            }
            os::yield_now();
        }
        None
    }

    /// True for the heap that threads without one share.
    fn is_shared(&self, heap: &Heap) -> bool {
        ptr::eq(self.shared.load(Ordering::Relaxed), heap)
    }

    /// The heap whose id is `owner`, if there is one.
    pub(crate) fn owner(&self, owner: Owner) -> Option<&'static Heap> {
        self.heap(usize::from(owner.0).checked_sub(1)?)
    }

    fn heap(&self, index: usize) -> Option<&'static Heap> {
        // Acquire: pairs with the Release in `create`, for the heap's contents.
        let heap = self.heaps.get(index)?.load(Ordering::Acquire);
        // SAFETY: heaps are never given back.
        unsafe { heap.as_ref() }
    }

    /// A new heap, as long as there are fewer than `limit`.
    fn create(&self, backend: &'static Backend, limit: usize, tag: [u8; 2]) -> Option<&'static Heap> {
        let index = self.numbers.take(limit)?;
        let Some(heap) = Heap::create(backend, Owner(index as u16 + 1), tag) else {
            self.numbers.give_back(index);
            return None;
        };
        // Release: publishes the heap. Pairs with the Acquire in `heap`.
        self.heaps[index].store(heap.as_ptr(), Ordering::Release);
        // SAFETY: heaps are never given back.
        Some(unsafe { heap.as_ref() })
    }

    /// Fills `places` from their end with free blocks of `class` that a borrower other than `mine`'s has no use for;
    /// returns how many.
    pub(crate) fn steal(&self, mine: &Heap, class: SizeClass, places: &mut [Place]) -> usize {
        let heaps = self.numbers.end().max(1);
        let first = self.stolen_from.load(Ordering::Relaxed);
        for nth in 0..heaps.min(ASKED) {
            let index = (first + nth) % heaps;
            let Some(heap) = self.heap(index).filter(|heap| !ptr::eq(*heap, mine)) else { continue };
            let stolen = heap.give_unclaimed(class, places);
            if stolen > 0 {
                self.stolen_from.store(index, Ordering::Relaxed);
                return stolen;
            }
        }
        // Others have their turn the next time.
        self.stolen_from.store((first + ASKED) % heaps, Ordering::Relaxed);
        0
    }

    /// Every heap there is.
    pub(crate) fn heaps(&self) -> impl Iterator<Item = &'static Heap> {
        (0..self.numbers.end()).filter_map(|index| self.heap(index))
    }

    /// True where no thread has the heap.
    pub(crate) fn is_parked(&self, heap: &Heap) -> bool {
        #[cfg(feature = "profile")]
        if heap.is_for_samples() {
            return false;
        }
        match self.tagged(heap.tag()) {
            Some(tagged) => tagged.is_parked(heap.number_of_tag()),
            None => self.parked.contains(index_of(heap)),
        }
    }

    /// In a forked child: parks the heaps of threads that do not exist here, which are all but those that `is_mine`. A
    /// heap that was locked at the moment of the fork may be half changed, and is taken out of use.
    pub(crate) fn repair_after_fork(&self, is_mine: impl Fn(&Heap) -> bool) {
        for heap in self.heaps() {
            if !heap.is_locked() {
                heap.keep_pages_shared();
            }
            if is_mine(heap) || heap.is_lost() {
                continue;
            }
            #[cfg(feature = "profile")]
            if self.keep_sampled(heap) {
                continue;
            }
            if heap.tag() == 0 || !self.is_parked(heap) {
                heap.forget_borrower();
            } else {
                // Nobody had a tag's heap that was parked, so its magazines are whole. But somebody may have counted.
                heap.seat().clear();
            }
            if heap.is_locked() {
                heap.lose();
                match self.tagged(heap.tag()) {
                    Some(tagged) => tagged.withdraw(heap.number_of_tag()),
                    None => self.parked.withdraw(index_of(heap)),
                }
                if self.is_shared(heap) {
                    self.shared.store(ptr::null_mut(), Ordering::Relaxed);
                }
            } else if !self.is_shared(heap) {
                self.park(heap);
            }
        }
    }
}

fn index_of(heap: &Heap) -> usize {
    heap.owner().0 as usize - 1
}

// Heaps' ids and the owner map's other values are apart.
const _: () = assert!(MAX_HEAPS < Owner::GUARDED.0 as usize);

#[cfg(all(test, not(loom)))]
mod tests;
