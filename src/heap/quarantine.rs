//! Quarantine: what the borrower has freed stays out of use for a while, so that whoever still has the address meets
//! nobody else's block there.
//!
//! Each class has some places. A free puts its block into one of them at random, once all are taken, and what was there
//! leaves. Blocks leave by nothing else but when the magazines are emptied too: once in each purge delay, when memory
//! is short, and when the thread ends.

use crate::secret::Dice;
use crate::size_class::{self, SizeClass};
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};
use ::core::ptr::{self, NonNull};

/// Most places of a class.
const PLACES: usize = 32;

/// Bytes of blocks of a class that are held, at most, unless that is less than `FEWEST` blocks.
const MAX_BYTES: usize = 16 * 1024;

/// Places of the classes of the largest blocks.
const FEWEST: usize = 4;

/// Blocks that may change places with each other before they are handed out.
const WINDOW: usize = 8;

const _: () = assert!(WINDOW.is_power_of_two() && WINDOW.ilog2() as usize * WINDOW <= u32::BITS as usize);

/// Places for blocks that are larger than a slab's.
const LARGE_PLACES: usize = 4;

/// For each class, its number of places.
static CAPACITY: [u8; size_class::SLABS] = {
    let mut capacity = [0; size_class::SLABS];
    let mut index = 0;
    while index < capacity.len() {
        let fitting = MAX_BYTES / size_class::size_of(index);
        capacity[index] = if fitting > PLACES {
            PLACES as u8
        } else if fitting < FEWEST {
            FEWEST as u8
        } else {
            fitting as u8
        };
        index += 1;
    }
    capacity
};

/// The blocks of one class.
struct Held<const COUNT: usize> {
    len: AtomicUsize,
    places: [AtomicPtr<u8>; COUNT],
}

impl<const COUNT: usize> Held<COUNT> {
    /// Takes `block` in, and gives out the one that leaves for it, if one does.
    #[inline(always)]
    fn exchange(&self, block: NonNull<u8>, capacity: usize, dice: &Dice) -> Option<NonNull<u8>> {
        self.exchange_noted(block, capacity, dice, |_| {})
    }

    /// As [`Held::exchange`]; `note` is told of the place before the block is there.
    #[inline(always)]
    fn exchange_noted(
        &self,
        block: NonNull<u8>,
        capacity: usize,
        dice: &Dice,
        note: impl FnOnce(usize),
    ) -> Option<NonNull<u8>> {
        let len = self.len.load(Ordering::Relaxed);
        let nth = if len < capacity { len } else { dice.below(capacity as u32) };
        let leaves = if len < capacity { ptr::null_mut() } else { self.places[nth].load(Ordering::Relaxed) };
        note(nth);
        self.places[nth].store(block.as_ptr(), Ordering::Relaxed);
        if len < capacity {
            self.len.store(len + 1, Ordering::Relaxed);
        }
        NonNull::new(leaves)
    }

    /// Any block that is held.
    fn pop(&self) -> Option<NonNull<u8>> {
        let last = self.len.load(Ordering::Relaxed).checked_sub(1)?;
        self.len.store(last, Ordering::Relaxed);
        NonNull::new(self.places[last].load(Ordering::Relaxed))
    }
}

/// The blocks that a heap's borrower has freed and that are held, its own heap's and others'. Borrower-only, but for
/// statistics. Zeros, as in fresh memory, are an empty one.
pub(crate) struct Quarantine {
    classes: [Held<PLACES>; size_class::SLABS],
    large: Held<LARGE_PLACES>,
    /// Of each large block that is a mapping's, its bytes; 0 of a span. Kept here, since the mapping may be gone when
    /// somebody else reads it.
    mapped: [AtomicUsize; LARGE_PLACES],
    dice: Dice,
}

impl Quarantine {
    /// Makes zeros a quarantine of the heap at `heap`.
    ///
    /// # Safety
    /// - `place` is that heap's, and nobody else knows of it.
    pub(super) unsafe fn begin(place: *mut Quarantine, heap: usize) {
        // SAFETY: passed on.
        unsafe { (&raw mut (*place).dice).write(Dice::of(heap)) };
    }

    /// Takes a block of a slab in, and gives out the one that leaves for it, if one does.
    #[inline(always)]
    pub(crate) fn exchange(&self, class: SizeClass, block: NonNull<u8>) -> Option<NonNull<u8>> {
        let index = class.index();
        self.classes[index].exchange(block, usize::from(CAPACITY[index]), &self.dice)
    }

    /// As [`Quarantine::exchange`], of a span, for which `mapped` is 0, or of a mapping's block, which has so many
    /// bytes.
    pub(crate) fn exchange_large(&self, block: NonNull<u8>, mapped: usize) -> Option<NonNull<u8>> {
        let note = |nth: usize| self.mapped[nth].store(mapped, Ordering::Relaxed);
        self.large.exchange_noted(block, LARGE_PLACES, &self.dice, note)
    }

    /// Any block of `class` that is held, which is not any more.
    pub(crate) fn pop(&self, class: SizeClass) -> Option<NonNull<u8>> {
        self.classes[class.index()].pop()
    }

    /// Any span or mapping's block that is held, which is not any more.
    pub(crate) fn pop_large(&self) -> Option<NonNull<u8>> {
        self.large.pop()
    }

    /// The blocks of slabs that are held; a snapshot, in which a block may appear that has left.
    pub(crate) fn held(&self) -> impl Iterator<Item = *mut u8> {
        self.classes
            .iter()
            .flat_map(|held| held.places[..held.len.load(Ordering::Relaxed).min(PLACES)].iter())
            .map(load)
    }

    /// The spans and mappings' blocks that are held, and of the latter their bytes; a snapshot, as above, in which the
    /// bytes may be another block's.
    pub(crate) fn held_large(&self) -> impl Iterator<Item = (*mut u8, usize)> {
        let len = self.large.len.load(Ordering::Relaxed).min(LARGE_PLACES);
        self.large.places[..len].iter().map(load).zip(self.mapped.iter().map(|mapped| mapped.load(Ordering::Relaxed)))
    }

    /// Puts blocks that are about to be handed out into another order, in which each stays near those beside it: a
    /// program's next block is one of a few, but they share lines of the processor's cache.
    pub(super) fn shuffle(&self, blocks: &mut [*mut u8]) {
        let mut windows = blocks.chunks_exact_mut(WINDOW);
        for window in &mut windows {
            // Not all orders are equally likely, but one throw is enough for them all.
            let mut throw = self.dice.throw() as usize;
            for nth in 0..WINDOW {
                window.swap(nth, throw % WINDOW);
                throw /= WINDOW;
            }
        }
        let rest = windows.into_remainder();
        for end in (2..=rest.len()).rev() {
            rest.swap(end - 1, self.dice.below(end as u32));
        }
    }
}

fn load(place: &AtomicPtr<u8>) -> *mut u8 {
    place.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    fn quarantine() -> Box<Quarantine> {
        crate::secret::ensure();
        // SAFETY: zeros are an empty one.
        let mut quarantine: Box<Quarantine> = unsafe { Box::new_zeroed().assume_init() };
        // SAFETY: nobody else knows of it.
        unsafe { Quarantine::begin(&raw mut *quarantine, 4096) };
        quarantine
    }

    #[test]
    fn a_shuffle_loses_no_block_and_moves_each_within_its_window_alone() {
        let quarantine = quarantine();
        for len in 0..=127 {
            let before: Vec<_> = (1..=len).map(|number| block(number).as_ptr()).collect();
            let mut after = before.clone();
            quarantine.shuffle(&mut after);
            for (before, after) in before.chunks(WINDOW).zip(after.chunks_mut(WINDOW)) {
                after.sort();
                assert_eq!(before, after);
            }
        }
    }

    #[test]
    fn a_block_may_be_handed_out_at_each_place_of_its_window() {
        let quarantine = quarantine();
        let mut seen = [[0; WINDOW]; WINDOW];
        for _ in 0..4000 {
            let mut blocks: Vec<_> = (1..=WINDOW).map(|number| block(number).as_ptr()).collect();
            quarantine.shuffle(&mut blocks);
            for (place, found) in blocks.iter().enumerate() {
                seen[found.addr() / 64 - 1][place] += 1;
            }
        }
        assert!(seen.iter().flatten().all(|count| (200..1000).contains(count)), "{seen:?}");
    }

    fn block(number: usize) -> NonNull<u8> {
        NonNull::new(ptr::without_provenance_mut(number * 64)).unwrap()
    }

    #[test]
    fn every_block_leaves_once_and_not_before_the_places_are_taken() {
        for class in SizeClass::slabs() {
            let quarantine = quarantine();
            let capacity = usize::from(CAPACITY[class.index()]);
            assert!(capacity <= PLACES && (capacity == FEWEST || capacity * class.size() <= MAX_BYTES));
            let mut left: Vec<_> = (1..=1000).filter_map(|number| quarantine.exchange(class, block(number))).collect();
            assert_eq!(left.len(), 1000 - capacity);
            assert_eq!(quarantine.held().count(), capacity);
            left.extend(core::iter::from_fn(|| quarantine.pop(class)));
            left.sort();
            assert_eq!(left, (1..=1000).map(block).collect::<Vec<_>>());
        }
    }

    #[test]
    fn blocks_stay_for_a_while_and_not_for_good() {
        let quarantine = quarantine();
        let class = SizeClass::of_size(64).unwrap();
        let stays = |number| {
            let block = block(number);
            assert_ne!(quarantine.exchange(class, block), Some(block));
            (number + 1..).take_while(|&next| quarantine.exchange(class, self::block(next)) != Some(block)).count()
        };
        let stays: Vec<_> = (1..200).map(|nth| stays(nth * 1_000_000)).collect();
        assert!(stays.iter().sum::<usize>() / stays.len() > 15, "{stays:?}");
        assert!(stays.iter().any(|&count| count != stays[0]));
    }
}
