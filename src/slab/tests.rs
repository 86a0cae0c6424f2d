use super::*;
use crate::os::mock::random::Random;
use core::mem::MaybeUninit;
use std::boxed::Box;
use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

/// Where the slabs of these tests seem to be. Nobody touches a block.
const START: usize = 7 * SLOT_SIZE;

/// A slab with a bitmap of its own.
struct Sample {
    slab: Box<Slab>,
    bits: Box<[Cell<u64>]>,
    blocks: Blocks,
    capacity: usize,
}

impl Sample {
    fn carved(class: SizeClass, is_zero: bool) -> Self {
        let bits = vec![Cell::new(0); LINES * LINE_STRIDE / size_of::<u64>()].into_boxed_slice();
        // SAFETY: zeros are a valid slab, as in memory fresh from the system.
        let slab = Box::new(unsafe { MaybeUninit::<Slab>::zeroed().assume_init() });
        let sample = Self { slab, bits, blocks: Blocks::of(class), capacity: capacity(class) };
        sample.carve(class, is_zero);
        sample
    }

    fn carve(&self, class: SizeClass, is_zero: bool) {
        self.slab.carve(class, ptr::without_provenance_mut(START), self.bits.as_ptr(), is_zero);
    }

    fn address(&self, index: usize) -> *mut u8 {
        ptr::without_provenance_mut(START + index * self.blocks.size())
    }

    /// Takes up to `count` blocks: their indices, lowest place first.
    fn take(&self, count: usize) -> Vec<usize> {
        let mut places = vec![ptr::null_mut(); count];
        let taken = self.slab.take(self.blocks, &mut places);
        assert!(places[..count - taken].iter().all(|place| place.is_null()), "places are filled from their end");
        places[count - taken..].iter().map(|place| (place.addr() - START) / self.blocks.size()).collect()
    }

    /// What the owner makes of an address that is freed as one of `blocks`.
    fn locate(&self, blocks: Blocks, block: *mut u8) -> Option<usize> {
        blocks.locate(block).filter(|_| self.slab.is_of(blocks))
    }

    fn put_back(&self, index: usize) -> Result<Freed, usize> {
        assert_eq!(self.locate(self.blocks, self.address(index)), Some(index));
        self.slab.put_back_one(index)
    }

    /// Number of bits that are set in the whole bitmap, all lines included.
    fn bits_set(&self) -> usize {
        self.bits.iter().map(|word| word.get().count_ones() as usize).sum()
    }

    /// Panics unless the summaries say what the bits say.
    fn assert_sound(&self) {
        assert_eq!(self.bits_set(), self.slab.free());
        for index in 0..MAX_BLOCKS / 64 {
            assert_eq!(self.slab.nonempty.get() >> index & 1 == 1, self.slab.word(index).get() != 0, "word {index}");
        }
    }
}

#[test]
fn a_block_is_found_at_every_multiple_of_its_size_and_nowhere_else() {
    for class in SizeClass::slabs() {
        let (blocks, size, count) = (Blocks::of(class), class.size(), capacity(class));
        for offset in 0..SLOT_SIZE {
            let expected = (offset.is_multiple_of(size) && offset / size < count).then_some(offset / size);
            let found = blocks.locate(ptr::without_provenance_mut(START + offset));
            assert_eq!(found, expected, "offset {offset} of blocks of {size}");
        }
    }
}

#[test]
fn a_slab_holds_as_many_blocks_as_fit_or_as_can_be_named() {
    for class in SizeClass::slabs() {
        let (count, size) = (capacity(class), class.size());
        assert!(count * size <= SLOT_SIZE && (2..=MAX_BLOCKS).contains(&count));
        assert!(count == MAX_BLOCKS || (count + 1) * size > SLOT_SIZE, "{size} bytes: room for more than {count}");
        let sample = Sample::carved(class, true);
        assert_eq!((sample.slab.free(), sample.slab.extent()), (count, count));
        assert_eq!(sample.slab.kind(), SlotKind::Slab(class));
        sample.assert_sound();
    }
}

#[test]
fn blocks_are_taken_in_address_order_from_the_end_of_the_places() {
    for class in SizeClass::slabs() {
        let sample = Sample::carved(class, true);
        let mut expected = 0;
        for count in [1, 2, 62, 63, 64, 65, 200].into_iter().cycle() {
            let taken = sample.take(count);
            assert!(
                taken.iter().rev().copied().eq(expected..expected + taken.len()),
                "{} bytes: {taken:?}",
                class.size()
            );
            expected += taken.len();
            sample.assert_sound();
            if taken.len() < count {
                break;
            }
        }
        assert_eq!(expected, sample.capacity);
        assert!(sample.take(1).is_empty());
    }
}

#[test]
fn a_random_run_of_takes_and_returns_agrees_with_a_set_of_numbers() {
    let mut random = Random::new(1);
    for class in SizeClass::slabs() {
        let sample = Sample::carved(class, false);
        let mut free: BTreeSet<usize> = (0..sample.capacity).collect();
        let mut out: Vec<usize> = Vec::new();
        for _ in 0..300 {
            if random.once_in(2) {
                let taken = sample.take(random.within(0..130));
                for &index in taken.iter().rev() {
                    assert_eq!(free.pop_first(), Some(index));
                }
                out.extend(taken);
            } else if !out.is_empty() {
                for _ in 0..random.within(1..out.len() + 1).min(100) {
                    let index = out.swap_remove(random.within(0..out.len()));
                    let expected = match (free.len(), free.len() + 1 == sample.capacity) {
                        (_, true) => Freed::Empty,
                        (0, false) => Freed::Reusable,
                        _ => Freed::Kept,
                    };
                    assert_eq!(sample.put_back(index), Ok(expected));
                    free.insert(index);
                }
            }
            sample.assert_sound();
            assert_eq!(sample.slab.free(), free.len());
        }
    }
}

#[test]
fn a_word_of_blocks_comes_back_in_one_step() {
    let class = SizeClass::of_size(64).unwrap();
    let sample = Sample::carved(class, true);
    sample.take(sample.capacity);
    assert_eq!(sample.slab.put_back_word(3, u64::MAX), Ok(Freed::Reusable));
    assert_eq!(sample.slab.put_back_word(5, 0xff00), Ok(Freed::Kept));
    sample.assert_sound();
    assert_eq!(sample.slab.free(), 72);
    for word in 0..sample.capacity / 64 {
        let missing = !sample.slab.word(word).get();
        if missing != 0 {
            let is_last = sample.slab.free() + missing.count_ones() as usize == sample.capacity;
            let expected = if is_last { Freed::Empty } else { Freed::Kept };
            assert_eq!(sample.slab.put_back_word(word, missing), Ok(expected));
        }
    }
    assert_eq!(sample.slab.free(), sample.capacity);
}

#[test]
fn neighbours_are_found_in_both_directions_and_in_one_slab_alone() {
    for class in SizeClass::slabs() {
        let sample = Sample::carved(class, true);
        let found = |indices: &[usize]| {
            let places: Vec<_> = indices.iter().map(|&index| sample.address(index)).collect();
            sample.blocks.run(indices[0], places[0], &places[1..])
        };
        let last = sample.capacity - 1;
        assert_eq!(found(&[0]), (0, 0));
        assert_eq!(found(&[0, 1, 0]), (1, 0));
        assert_eq!(found(&[last, last - 1]), (1, last - 1));
        assert_eq!(found(&[1, 1, 2]), (0, 1));
        // Where a slab is full to the brim, the next one's first block is just behind its last.
        assert_eq!(found(&[last, last + 1]), (0, last));
        let before = sample.address(0).wrapping_sub(class.size());
        assert_eq!(sample.blocks.run(0, sample.address(0), &[before]), (0, 0));
        if last >= 6 {
            assert_eq!(found(&[3, 4, 5, 6, 5, 4]), (3, 3));
            assert_eq!(found(&[3, 2, 1, 0, 0]), (3, 0));
            assert_eq!(found(&[3, 4, 2]), (1, 3));
        }
    }
}

#[test]
fn a_run_of_neighbours_comes_back_in_one_step() {
    for class in SizeClass::slabs() {
        for count in [2, 63, 64, 65, 130].map(|count: usize| count.min(capacity(class))) {
            let sample = Sample::carved(class, true);
            sample.take(sample.capacity);
            let first = (sample.capacity - count) / 2;
            let expected = if count == sample.capacity { Freed::Empty } else { Freed::Reusable };
            assert_eq!(sample.slab.put_back(first, count), Ok(expected));
            sample.assert_sound();
            assert_eq!(sample.slab.put_back_one(first + count - 1), Err(first + count - 1));
            let taken = sample.take(sample.capacity);
            assert!(taken.iter().rev().copied().eq(first..first + count), "{} bytes: {taken:?}", class.size());
        }
    }
}

#[test]
fn a_block_that_is_free_already_is_refused_and_nothing_changes() {
    for class in SizeClass::slabs() {
        let sample = Sample::carved(class, true);
        assert_eq!(sample.put_back(0), Err(0));
        let taken = sample.take(2);
        assert!(sample.put_back(taken[0]).is_ok());
        let (free, bits) = (sample.slab.free(), sample.bits_set());
        assert_eq!(sample.put_back(taken[0]), Err(taken[0]));
        // One of several that come back together is enough.
        let first = taken[0].min(taken[1]);
        assert_eq!(sample.slab.put_back(first, 2), Err(taken[0]));
        let both = 1 << (taken[1] % 64) | 1 << (taken[0] % 64);
        assert_eq!(sample.slab.put_back_word(first / 64, both), Err(taken[0]));
        assert_eq!((sample.slab.free(), sample.bits_set()), (free, bits));
    }
}

#[test]
fn an_address_inside_a_block_is_refused() {
    for class in SizeClass::slabs() {
        let sample = Sample::carved(class, true);
        for index in [0, 1, sample.capacity / 2, sample.capacity - 1] {
            assert_eq!(sample.locate(sample.blocks, sample.address(index)), Some(index));
            for inside in [1, 4, class.size() / 2, class.size() - 1] {
                let block = sample.address(index).wrapping_add(inside);
                assert_eq!(sample.locate(sample.blocks, block), None, "{} bytes", class.size());
            }
        }
    }
}

#[test]
fn a_block_of_another_class_is_refused() {
    let sample = Sample::carved(SizeClass::of_size(64).unwrap(), true);
    let other = Blocks::of(SizeClass::of_size(128).unwrap());
    assert_eq!(sample.locate(other, sample.address(2)), None);
    sample.slab.make_span(3);
    assert_eq!(sample.locate(sample.blocks, sample.address(0)), None);
    sample.slab.clear();
    assert_eq!(sample.locate(sample.blocks, sample.address(0)), None);
    assert_eq!(sample.slab.kind(), SlotKind::Free);
}

#[test]
fn a_block_reads_as_zero_until_it_was_handed_out_once() {
    for class in SizeClass::slabs() {
        let sample = Sample::carved(class, true);
        assert!(sample.slab.next_is_zero());
        let first = sample.take(2);
        assert_eq!(sample.slab.next_is_zero(), sample.capacity > 2);
        assert!(sample.put_back(first[0]).is_ok());
        assert!(!sample.slab.next_is_zero(), "{} bytes: the lowest block was in use before", class.size());
        sample.take(1);
        assert_eq!(sample.slab.next_is_zero(), sample.capacity > 2);
        sample.take(sample.capacity);
        assert!(!sample.slab.next_is_zero(), "no block is left");
    }
}

#[test]
fn no_block_reads_as_zero_in_a_slot_that_was_used_before() {
    for class in SizeClass::slabs() {
        let sample = Sample::carved(class, false);
        while sample.slab.free() > 0 {
            assert!(!sample.slab.next_is_zero());
            sample.take(sample.capacity.div_ceil(7));
        }
    }
}

#[test]
fn a_slot_serves_one_class_after_the_other() {
    let first = SizeClass::of_size(8).unwrap();
    let sample = Sample::carved(first, true);
    for class in SizeClass::slabs() {
        // All blocks are free, as in a slab that is retired.
        sample.carve(class, false);
        assert_eq!(sample.slab.extent(), capacity(class));
        assert!(sample.slab.start().addr().get() == START);
        let words = capacity(class).div_ceil(64);
        let set: u32 = (0..words).map(|index| sample.slab.word(index).get().count_ones()).sum();
        assert_eq!(set as usize, capacity(class));
        assert_eq!(sample.slab.nonempty.get().trailing_ones() as usize, words);
    }
}

#[test]
fn a_kind_survives_its_code() {
    let kinds = SizeClass::slabs().map(SlotKind::Slab).chain([SlotKind::Free, SlotKind::Span]);
    let codes: BTreeSet<u8> =
        kinds.map(|kind| (SlotKind::from_code(kind.code()) == kind).then_some(kind.code()).unwrap()).collect();
    assert_eq!(codes.len(), size_class::SLABS + 2);
}

#[test]
fn an_address_behind_the_last_block_is_refused() {
    for class in SizeClass::slabs() {
        let sample = Sample::carved(class, true);
        for index in sample.capacity..SLOT_SIZE.div_ceil(class.size()) {
            let found = sample.locate(sample.blocks, sample.address(index));
            assert_eq!(found, None, "block {index} of {} bytes", class.size());
        }
    }
}
