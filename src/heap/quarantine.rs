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

/// Most places for blocks that are larger than a slab's.
const LARGE_PLACES: usize = 16;

/// Bytes of these that are held, at most, unless that is less than `FEWEST` blocks.
const MAX_LARGE_BYTES: usize = 1024 * 1024;

/// In the note on a large block: it is a mapping's. The other bits are its bytes, which are whole pages.
const MAPPED: usize = 1;

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
        let len = self.len.load(Ordering::Relaxed);
        let nth = if len < capacity { len } else { dice.below(capacity as u32) };
        let leaves = if len < capacity { ptr::null_mut() } else { self.places[nth].load(Ordering::Relaxed) };
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
    /// Of each large block its bytes, and whether it is a mapping's. Kept here, since the mapping may be gone when
    /// somebody else reads it.
    notes: [AtomicUsize; LARGE_PLACES],
    /// The sum of the large blocks' bytes.
    large_bytes: AtomicUsize,
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

    /// A large block that has to leave before another of `len` bytes is taken in, if one has to: any of them.
    pub(crate) fn make_room(&self, len: usize) -> Option<NonNull<u8>> {
        let count = self.large.len.load(Ordering::Relaxed);
        let bytes = self.large_bytes.load(Ordering::Relaxed) + len;
        let has_room = count < FEWEST || count < LARGE_PLACES && bytes <= MAX_LARGE_BYTES;
        if has_room { None } else { self.take_large(self.dice.below(count as u32)) }
    }

    /// Takes a span or a mapping's block of `len` bytes in; false where there is no place for it.
    pub(crate) fn put_large(&self, block: NonNull<u8>, len: usize, is_mapping: bool) -> bool {
        let nth = self.large.len.load(Ordering::Relaxed);
        let (Some(place), Some(note)) = (self.large.places.get(nth), self.notes.get(nth)) else { return false };
        note.store(len | if is_mapping { MAPPED } else { 0 }, Ordering::Relaxed);
        place.store(block.as_ptr(), Ordering::Relaxed);
        self.large_bytes.store(self.large_bytes.load(Ordering::Relaxed) + len, Ordering::Relaxed);
        self.large.len.store(nth + 1, Ordering::Relaxed);
        true
    }

    /// The large block at place `nth`, which the last one takes.
    fn take_large(&self, nth: usize) -> Option<NonNull<u8>> {
        let last = self.large.len.load(Ordering::Relaxed).checked_sub(1)?;
        let (block, note) = (load(&self.large.places[nth]), self.notes[nth].load(Ordering::Relaxed));
        self.notes[nth].store(self.notes[last].load(Ordering::Relaxed), Ordering::Relaxed);
        self.large.places[nth].store(load(&self.large.places[last]), Ordering::Relaxed);
        self.large_bytes.store(self.large_bytes.load(Ordering::Relaxed) - (note & !MAPPED), Ordering::Relaxed);
        self.large.len.store(last, Ordering::Relaxed);
        NonNull::new(block)
    }

    /// Any block of `class` that is held, which is not any more.
    pub(crate) fn pop(&self, class: SizeClass) -> Option<NonNull<u8>> {
        self.classes[class.index()].pop()
    }

    /// Any span or mapping's block that is held, which is not any more.
    pub(crate) fn pop_large(&self) -> Option<NonNull<u8>> {
        self.take_large(self.large.len.load(Ordering::Relaxed).checked_sub(1)?)
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
        let mapped = |note: &AtomicUsize| match note.load(Ordering::Relaxed) {
            note if note & MAPPED != 0 => note & !MAPPED,
            _ => 0,
        };
        self.large.places[..len].iter().map(load).zip(self.notes.iter().map(mapped))
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
    fn large_blocks_leave_once_and_not_before_there_are_many_or_they_are_large() {
        for (len, most) in [(64 * 1024, 16), (128 * 1024, 8), (192 * 1024, 5), (1024 * 1024, 4), (9 << 20, 4)] {
            let (quarantine, is_mapping) = (quarantine(), len > 1024 * 1024);
            let mut left = Vec::new();
            for number in 1..=1000 {
                let leaves = quarantine.make_room(len);
                assert_eq!(leaves.is_some(), number > most, "{number} of {len} bytes");
                left.extend(leaves);
                assert_eq!(quarantine.make_room(len), None, "one is enough, where all are alike");
                assert!(quarantine.put_large(block(number), len, is_mapping));
            }
            assert!(quarantine.held_large().all(|(_, mapped)| mapped == if is_mapping { len } else { 0 }));
            assert_eq!(quarantine.held_large().count(), most);
            left.extend(core::iter::from_fn(|| quarantine.pop_large()));
            left.sort();
            assert_eq!(left, (1..=1000).map(block).collect::<Vec<_>>());
            assert_eq!(quarantine.large_bytes.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn a_very_large_block_takes_the_place_of_many_and_there_are_never_too_many() {
        let quarantine = quarantine();
        (1..=16).for_each(|number| assert!(quarantine.put_large(block(number), 64 * 1024, false)));
        assert!(!quarantine.put_large(block(17), 64 * 1024, false));
        assert_eq!(core::iter::from_fn(|| quarantine.make_room(2 << 20)).count(), 13);
        assert!(quarantine.put_large(block(17), 2 << 20, true));
        assert_eq!(quarantine.held_large().map(|(_, mapped)| mapped).collect::<Vec<_>>(), [0, 0, 0, 2 << 20]);
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
