//! Stacks: where samples come from, each kept once, with sums over its samples.
//!
//! A stack is known by a hash of 64 bits: of a full table, two stacks have the same with a likelihood of one in 30
//! thousand millions, and are then taken for one.

use super::levels::levels;
use super::mix::mix;
use super::weight::{UNITS, Weight};
use crate::sync::{AtomicU64, AtomicUsize, Ordering};

/// Most return addresses that are kept of a stack, the innermost ones.
pub(crate) const MAX_FRAMES: usize = 128;

/// Slots of each level that are looked through for a stack, and of the last one.
const REACH: usize = 4;
const LAST_REACH: usize = 64;

/// Sums over samples, as estimates of sums over all allocations.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Figures {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
}

/// A stack, or a free slot.
#[repr(C)]
pub(super) struct Slot {
    /// The stack's hash; 0 while the slot is free.
    hash: AtomicU64,
    /// Where its addresses are, and how many: see [`Place`]. 0 while they are not there.
    place: AtomicU64,
    /// In units of [`Weight`].
    blocks: AtomicU64,
    bytes: AtomicU64,
    freed_blocks: AtomicU64,
    freed_bytes: AtomicU64,
}

/// Where the addresses of a stack begin, and how many there are.
struct Place {
    start: usize,
    len: usize,
}

const _: () = assert!(MAX_FRAMES < 1 << 8);

impl Place {
    fn pack(self) -> u64 {
        (self.start as u64 + 1) << 8 | self.len as u64
    }

    fn unpack(word: u64) -> Option<Self> {
        Some(Self { start: (word >> 8).checked_sub(1)? as usize, len: (word & 0xff) as usize })
    }
}

/// The table.
pub(super) struct Stacks<'a> {
    /// As many as a power of two.
    slots: &'a [Slot],
    /// The addresses of all stacks, one after the other.
    frames: &'a [AtomicUsize],
    /// How many of them are taken, or more.
    taken: AtomicUsize,
}

impl<'a> Stacks<'a> {
    pub(super) fn new(slots: &'a [Slot], frames: &'a [AtomicUsize]) -> Self {
        Self { slots, frames, taken: AtomicUsize::new(0) }
    }

    /// The number of the stack with these addresses, of which there are at most [`MAX_FRAMES`]. `None` where there is
    /// no room.
    pub(super) fn intern(&self, stack: &[usize]) -> Option<usize> {
        let hash = stack.iter().fold(stack.len() as u64, |hash, &frame| mix(hash.rotate_left(5) ^ frame as u64)).max(1);
        // In the same order for everybody, and none is ever free again: so a stack is not entered twice.
        for index in self.places(hash) {
            match self.slots[index].hash.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    self.keep_frames(index, stack);
                    return Some(index);
                }
                Err(known) if known == hash => return Some(index),
                Err(_) => {}
            }
        }
        None
    }

    /// The slots in which a stack of this hash may be.
    fn places(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let slots = self.slots.len();
        levels(slots, REACH).flat_map(move |level| {
            let reach = if level.end == slots { LAST_REACH } else { REACH };
            let mask = level.len() - 1;
            (0..reach.min(level.len())).map(move |nth| level.start + ((hash as usize).wrapping_add(nth) & mask))
        })
    }

    /// Keeps the addresses of a stack that is new. Where there is no room it stays without, and is counted all the
    /// same.
    fn keep_frames(&self, index: usize, stack: &[usize]) {
        let start = self.taken.fetch_add(stack.len(), Ordering::Relaxed);
        let Some(places) = self.frames.get(start..).and_then(|free| free.get(..stack.len())) else { return };
        for (place, &frame) in places.iter().zip(stack) {
            place.store(frame, Ordering::Relaxed);
        }
        // Release: the addresses are there. Pairs with the Acquire in `frames`.
        self.slots[index].place.store(Place { start, len: stack.len() }.pack(), Ordering::Release);
    }

    /// A block of `size` bytes from this stack is a sample.
    pub(super) fn add(&self, index: usize, size: usize, weight: Weight) {
        let slot = &self.slots[index];
        slot.blocks.fetch_add(weight.units(), Ordering::Relaxed);
        slot.bytes.fetch_add(weight.bytes(size), Ordering::Relaxed);
    }

    /// It has been freed.
    pub(super) fn subtract(&self, index: usize, size: usize, weight: Weight) {
        let slot = &self.slots[index];
        slot.freed_blocks.fetch_add(weight.units(), Ordering::Relaxed);
        slot.freed_bytes.fetch_add(weight.bytes(size), Ordering::Relaxed);
    }

    /// Every stack: what its samples amount to, and its addresses, written to the start of `frames`. A snapshot of a
    /// changing table.
    pub(super) fn each(&self, mut visit: impl FnMut(&Figures, &[usize])) {
        let mut frames = [0; MAX_FRAMES];
        for slot in self.slots.iter().filter(|slot| slot.hash.load(Ordering::Relaxed) != 0) {
            let len = self.frames(slot, &mut frames);
            visit(&slot.figures(), &frames[..len]);
        }
    }

    /// Writes the addresses of the stack of this number to the start of `into`; how many there are.
    pub(super) fn frames_of(&self, index: usize, into: &mut [usize; MAX_FRAMES]) -> usize {
        self.slots.get(index).map_or(0, |slot| self.frames(slot, into))
    }

    fn frames(&self, slot: &Slot, into: &mut [usize; MAX_FRAMES]) -> usize {
        // Acquire: pairs with the Release in `keep_frames`.
        let Some(place) = Place::unpack(slot.place.load(Ordering::Acquire)) else { return 0 };
        let known = &self.frames[place.start..place.start + place.len];
        for (into, frame) in into.iter_mut().zip(known) {
            *into = frame.load(Ordering::Relaxed);
        }
        place.len
    }
}

impl Slot {
    fn figures(&self) -> Figures {
        let (freed_units, freed_bytes) =
            (self.freed_blocks.load(Ordering::Relaxed), self.freed_bytes.load(Ordering::Relaxed));
        let (units, bytes) = (self.blocks.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let in_blocks = |units: u64| (units + UNITS / 2) / UNITS;
        Figures {
            blocks: in_blocks(units),
            bytes,
            // Relaxed loads may see a free before its allocation.
            live_blocks: in_blocks(units.saturating_sub(freed_units)),
            live_bytes: bytes.saturating_sub(freed_bytes),
        }
    }
}

#[cfg(test)]
impl Slot {
    fn free() -> Self {
        Self {
            hash: AtomicU64::new(0),
            place: AtomicU64::new(0),
            blocks: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            freed_blocks: AtomicU64::new(0),
            freed_bytes: AtomicU64::new(0),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn memory(slots: usize, frames: usize) -> (Vec<Slot>, Vec<AtomicUsize>) {
        ((0..slots).map(|_| Slot::free()).collect(), (0..frames).map(|_| AtomicUsize::new(0)).collect())
    }

    fn all(stacks: &Stacks<'_>) -> Vec<(Figures, Vec<usize>)> {
        let mut found = Vec::new();
        stacks.each(|figures, frames| found.push((*figures, frames.to_vec())));
        found
    }

    #[test]
    fn a_stack_is_kept_once_with_the_sums_of_its_samples() {
        let (slots, frames) = memory(16, 16);
        let stacks = Stacks::new(&slots, &frames);
        let weight = Weight::from_units(5 * UNITS / 2);
        for _ in 0..2 {
            let index = stacks.intern(&[1, 2, 3]).unwrap();
            stacks.add(index, 10, weight);
        }
        stacks.subtract(stacks.intern(&[1, 2, 3]).unwrap(), 10, weight);
        let figures = Figures { blocks: 5, bytes: 50, live_blocks: 3, live_bytes: 25 };
        assert_eq!(all(&stacks), [(figures, [1, 2, 3].to_vec())]);
    }

    #[test]
    fn stacks_are_told_apart_by_order_and_length() {
        let (slots, frames) = memory(16, 64);
        let stacks = Stacks::new(&slots, &frames);
        let different: [&[usize]; 6] = [&[], &[0], &[0, 0], &[1, 2], &[2, 1], &[1, 2, 3]];
        let indices: Vec<_> = different.iter().map(|stack| stacks.intern(stack).unwrap()).collect();
        for (nth, index) in indices.iter().enumerate() {
            assert!(!indices[..nth].contains(index));
        }
    }

    #[test]
    fn a_full_table_refuses_new_stacks_alone_and_one_without_room_for_addresses_counts() {
        let (slots, frames) = memory(8, 4);
        let stacks = Stacks::new(&slots, &frames);
        let taken = (0..100).filter(|&nth| stacks.intern(&[nth, nth, nth]).is_some()).count();
        assert_eq!(taken, 8);
        let first = stacks.intern(&[0, 0, 0]).unwrap();
        stacks.add(first, 1, Weight::from_units(UNITS));
        let found = all(&stacks);
        assert_eq!(found.iter().filter(|(_, frames)| frames.is_empty()).count(), 7);
        assert_eq!(found.iter().map(|(figures, _)| figures.blocks).sum::<u64>(), 1);
    }
}

#[cfg(all(loom, test))]
mod loom_tests {
    //! Two threads that meet the same new stack while a third looks. Red with `Relaxed` in place of the Release in
    //! `keep_frames`, and of the Acquire in `frames`: an address is missing then.

    use super::*;
    use loom::sync::Arc;
    use loom::thread;
    use std::boxed::Box;
    use std::vec::Vec;

    #[test]
    fn loom_a_stack_is_seen_with_all_its_addresses_or_with_none() {
        loom::model(|| {
            let slots: &'static [Slot] = Box::leak((0..2).map(|_| Slot::free()).collect());
            let frames: &'static [AtomicUsize] = Box::leak((0..4).map(|_| AtomicUsize::new(0)).collect());
            let stacks = Arc::new(Stacks::new(slots, frames));
            let other = Arc::clone(&stacks);
            let interner = thread::spawn(move || other.intern(&[7, 8]));
            let mut seen = Vec::new();
            stacks.each(|_, frames| seen.push(frames.to_vec()));
            assert!(seen.iter().all(|frames| frames.is_empty() || *frames == [7, 8]));
            let mine = stacks.intern(&[7, 8]);
            assert!(mine.is_some() && mine == interner.join().unwrap());
        });
    }
}
