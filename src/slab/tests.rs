//! A slab without a segment: its blocks, and the pages that may go back.

use super::pages::Pages;
use super::*;
use crate::os::mock::random::Random;
use crate::size_class::SLOT_SIZE;
use core::mem::MaybeUninit;
use core::ops::Range;
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
        self.slab.put_back_one(index).ok_or(index)
    }

    /// What is to become of a slab that is not sparse yet, with `free` blocks free, when `count` more come back.
    fn expected(&self, free: usize, count: usize) -> Freed {
        match free + count {
            all if all == self.capacity => Freed::Empty,
            most if free == 0 || most >= self.capacity - self.capacity / 4 => Freed::Movable,
            _ => Freed::Kept,
        }
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
#[cfg_attr(feature = "hardened", ignore = "hardened slabs begin at a random word")]
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
#[cfg_attr(feature = "hardened", ignore = "hardened slabs begin at a random word")]
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
                    assert_eq!(sample.put_back(index), Ok(sample.expected(free.len(), 1)));
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
    assert_eq!(sample.slab.put_back_word(3, u64::MAX), Ok(Freed::Movable));
    assert_eq!(sample.slab.put_back_word(5, 0xff00), Ok(Freed::Kept));
    sample.assert_sound();
    assert_eq!(sample.slab.free(), 72);
    for word in 0..sample.capacity / 64 {
        let missing = !sample.slab.word(word).get();
        if missing != 0 {
            let expected = sample.expected(sample.slab.free(), missing.count_ones() as usize);
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
#[cfg_attr(feature = "hardened", ignore = "hardened slabs begin at a random word")]
fn a_run_of_neighbours_comes_back_in_one_step() {
    for class in SizeClass::slabs() {
        for count in [2, 63, 64, 65, 130].map(|count: usize| count.min(capacity(class))) {
            let sample = Sample::carved(class, true);
            sample.take(sample.capacity);
            let first = (sample.capacity - count) / 2;
            assert_eq!(sample.slab.put_back(first, count), Ok(sample.expected(0, count)));
            sample.assert_sound();
            assert_eq!(sample.slab.put_back_one(first + count - 1), None);
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
#[cfg_attr(feature = "hardened", ignore = "hardened slabs do not know which of their blocks were never handed out")]
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

/// The pages of a slab in which no block is handed out, one block at a time.
fn free_pages_slowly(sample: &Sample, is_out: &BTreeSet<usize>, page_size: usize) -> Vec<usize> {
    let size = sample.blocks.size();
    let holds =
        |page: usize, block: usize| block * size < (page + 1) * page_size && (block + 1) * size > page * page_size;
    (0..SLOT_SIZE / page_size).filter(|&page| !is_out.iter().any(|&block| holds(page, block))).collect()
}

fn runs_to_pages(mut pages: Pages) -> Vec<usize> {
    let mut found = Vec::new();
    while let Some((first, count)) = pages.take_run() {
        found.extend(first..first + count);
    }
    found
}

#[test]
fn the_free_pages_are_those_that_no_block_touches_which_was_handed_out() {
    let mut random = Random::new(11);
    for class in SizeClass::slabs() {
        for page_size in [4096, 16384, 65536] {
            let sample = Sample::carved(class, false);
            let mut is_out: BTreeSet<usize> = sample.take(sample.capacity).into_iter().collect();
            while !is_out.is_empty() {
                let found = runs_to_pages(sample.slab.purgeable(sample.blocks, page_size));
                assert_eq!(found, free_pages_slowly(&sample, &is_out, page_size), "{} bytes", class.size());
                for _ in 0..sample.capacity.div_ceil(8) {
                    let Some(&block) = is_out.iter().nth(random.within(0..is_out.len().max(1))) else { break };
                    is_out.remove(&block);
                    sample.put_back(block).unwrap();
                }
            }
            assert_eq!(runs_to_pages(sample.slab.purgeable(sample.blocks, page_size)).len(), SLOT_SIZE / page_size);
        }
    }
}

#[test]
fn a_page_that_was_given_back_is_needed_again_with_the_first_block_that_touches_it() {
    let page_size = 4096;
    for class in SizeClass::slabs() {
        let sample = Sample::carved(class, false);
        let all = sample.take(sample.capacity);
        let mut is_out: BTreeSet<usize> =
            all.iter().copied().filter(|block| block % 3 == 0 && *block > sample.capacity / 2).collect();
        all.iter().filter(|block| !is_out.contains(block)).for_each(|&block| {
            sample.put_back(block).unwrap();
        });
        let mut pages = sample.slab.purgeable(sample.blocks, page_size);
        let purged = pages.count();
        while let Some((first, count)) = pages.take_run() {
            sample.slab.note_purged(sample.blocks, page_size, first, count);
        }
        let rest = (0..SLOT_SIZE / page_size).filter(|page| page * page_size >= sample.capacity * class.size()).count();
        assert_eq!(sample.slab.purged().count(), purged);
        assert_eq!(sample.slab.purgeable(sample.blocks, page_size).count(), 0, "nothing is given back twice");
        let (mut needed, mut count) = (0, 1);
        while sample.slab.free() > 0 {
            let most = sample.slab.may_need(sample.blocks, page_size, count.min(sample.slab.free()));
            is_out.extend(sample.take(count));
            let now = sample.slab.note_needed(sample.blocks, page_size);
            assert!(now <= most && (count > 1 || now == most), "{now} pages of {most}");
            needed += now;
            let left = runs_to_pages(sample.slab.purged());
            let free = free_pages_slowly(&sample, &is_out, page_size);
            assert!(left.iter().all(|page| free.contains(page)), "{} bytes", class.size());
            count = count % 5 + 1;
        }
        // Where a slab's end has bytes left over, no block ever needs its last pages.
        assert!(!sample.slab.has_purged(), "{} bytes", class.size());
        assert_eq!(sample.slab.lacks_pages(), rest > 0);
        assert_eq!((needed, sample.slab.forget_purged()), (purged - rest, rest));
        assert!(!sample.slab.lacks_pages());
    }
}

fn put_back_all(sample: &Sample, blocks: Range<usize>) {
    for block in blocks {
        sample.put_back(block).unwrap();
    }
}

/// The pages of 4 KiB that have been free for a second at `now`.
fn idle(sample: &Sample, now: u64) -> Vec<usize> {
    runs_to_pages(sample.slab.idle_pages(sample.blocks, 4096, now - 1000, now))
}

#[test]
fn a_page_is_idle_once_it_was_found_free_twice_with_the_delay_between() {
    let sample = Sample::carved(SizeClass::of_size(1024).unwrap(), false);
    sample.take(33);
    assert_eq!(runs_to_pages(sample.slab.idle_pages(sample.blocks, 4096, u64::MAX, 0)), Vec::from_iter(9..16));
    for (now, pages) in [(5000, vec![]), (5999, vec![]), (6000, Vec::from_iter(9..16))] {
        assert_eq!(idle(&sample, now), pages, "at {now}");
    }
    // Nobody has given them back.
    assert_eq!(idle(&sample, 6500), Vec::<usize>::new());
    assert_eq!(idle(&sample, 7000), Vec::from_iter(9..16));
}

#[test]
fn pages_behind_all_that_was_taken_are_idle_whatever_the_other_blocks_do() {
    let sample = Sample::carved(SizeClass::of_size(1024).unwrap(), false);
    sample.take(64);
    put_back_all(&sample, 4..64);
    assert_eq!(idle(&sample, 5000), Vec::<usize>::new());
    // Into the third page, and back: of the pages in front nobody can tell.
    assert_eq!(sample.take(6).len(), 6);
    put_back_all(&sample, 4..10);
    put_back_all(&sample, 1..4);
    assert_eq!(idle(&sample, 6000), Vec::from_iter(3..16));
    // What was freed since is noted now.
    assert_eq!(idle(&sample, 7000), Vec::from_iter(1..16));
    sample.take(1);
    assert_eq!(idle(&sample, 8000), Vec::from_iter(1..16), "the first page was in use before");
    sample.take(63);
    assert_eq!(idle(&sample, 9000), []);
    put_back_all(&sample, 0..64);
    assert_eq!(idle(&sample, 9500), []);
    sample.carve(SizeClass::of_size(1024).unwrap(), false);
    assert_eq!(idle(&sample, 11_000), [], "a new slab has not been looked at");
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "hardened slabs begin at a random word")]
fn a_slab_is_sparse_from_three_quarters_free_until_half_is_in_use() {
    let sample = Sample::carved(SizeClass::of_size(64).unwrap(), false);
    let slab = &sample.slab;
    sample.take(sample.capacity);
    assert_eq!(slab.put_back(0, 767), Ok(Freed::Movable));
    assert!(!slab.is_to_be_sparse());
    assert_eq!(slab.put_back(767, 1), Ok(Freed::Movable));
    assert!(slab.is_to_be_sparse());
    slab.set_sparse(true);
    assert_eq!(slab.put_back(768, 100), Ok(Freed::Kept), "it is where it belongs");
    sample.take(356);
    assert!((slab.free(), slab.is_to_be_sparse()) == (512, true));
    sample.take(1);
    assert!(!slab.is_to_be_sparse());
    assert_eq!(slab.put_back(0, 357), Ok(Freed::Kept));
    assert_eq!(slab.put_back(868, 156), Ok(Freed::Empty));
}
