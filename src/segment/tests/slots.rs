//! Slots of a segment: runs, slabs and spans.

use super::super::Warmth;
use super::super::*;
use super::Source;
use crate::os::mock::Call;
use crate::os::mock::random::Random;
use crate::segment::classes::class_code_at;
use crate::size_class::{MAX_SPAN, SLABS};
use std::vec;
use std::vec::Vec;

const MAX_SPAN_SLOTS: usize = MAX_SPAN / SLOT_SIZE;

/// What `run_of` is to find, one candidate after the other.
fn run_of_slowly(mask: u32, count: usize, align: usize) -> Option<usize> {
    let fits = |first: usize| first + count <= SLOTS && (first..first + count).all(|bit| mask >> bit & 1 == 1);
    (0..SLOTS).step_by(align).find(|&first| fits(first))
}

#[test]
fn the_lowest_run_is_found_whatever_the_mask_the_count_and_the_alignment() {
    let mut random = Random::new(2);
    let corners = [0, 1, u32::MAX, USABLE, 1 << 31, 0x8000_0001, 0xffff_0000, 0x0000_ffff, 0x7fff_fffe, 0x5555_5555];
    // Numbers with many and with few bits set.
    let any = (0..3000).map(|nth| match nth % 3 {
        0 => random.next() as u32,
        1 => (random.next() | random.next()) as u32,
        _ => (random.next() | random.next() | random.next()) as u32,
    });
    for mask in corners.into_iter().chain(any) {
        for count in 1..=MAX_SPAN_SLOTS {
            for align in [1, 2, 4, 8, 16] {
                let expected = run_of_slowly(mask, count, align);
                assert_eq!(run_of(mask, count, align), expected, "{mask:#034b}, {count} slots at {align}");
            }
        }
    }
}

#[test]
fn the_longest_run_is_as_long_as_the_longest_that_can_be_found() {
    let mut random = Random::new(3);
    let runs =
        (1..SLOTS).flat_map(|len| [(1, len), (SLOTS - len, len)]).map(|(first, len)| !0 >> (SLOTS - len) << first);
    let any = (0..20_000).map(|_| (random.next() | random.next() & random.next()) as u32 & USABLE);
    for mask in runs.chain([0, USABLE, 0x5555_5554]).chain(any) {
        let longest = (0..SLOTS).rev().find(|&len| run_of_slowly(mask, len, 1).is_some());
        assert_eq!(Some(longest_run(mask)), longest, "{mask:#034b}");
    }
}

#[test]
fn a_mask_of_a_run_has_its_bits_and_no_other() {
    for first in 0..SLOTS {
        for count in 0..=SLOTS - first {
            let bits = (first..first + count).fold(0, |mask, bit| mask | 1 << bit);
            assert_eq!(run_mask(first, count), bits);
        }
    }
}

#[test]
fn a_new_segment_is_all_free_and_untouched_but_for_its_first_slot() {
    let source = Source::new();
    let segment = source.take_segment();
    assert!(segment.address().is_multiple_of(SEGMENT_SIZE));
    assert!(segment.is_unused() && segment.longest_free_run() == END - 1);
    assert_eq!((segment.free_slots(), segment.touched_slots(), segment.retained_bytes()), (USABLE, 0, 0));
    assert!(segment.slots().all(|slab| slab.kind() == SlotKind::Free));
    assert_eq!(source.backend.counters.committed(), source.backend.counters.metadata());
    assert_eq!(source.backend.counters.reserved(), SEGMENT_SIZE);
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "hardened slabs take any slot, and no run of them")]
fn slabs_fill_a_segment_from_below_and_carving_ends_with_the_last_slot() {
    let source = Source::new();
    let (segment, counters) = (source.take_segment(), &source.backend.counters);
    let before = counters.committed();
    for slot in 1..END {
        let class = SizeClass::from_index(slot * 2);
        let slab = segment.carve_slab(class, Warmth::Any, counters).unwrap();
        assert!(slab.is(segment.slab(slot)));
        assert_eq!(slab.start().addr().get(), segment.address() + slot * SLOT_SIZE);
        assert_eq!((slab.kind(), slab.free()), (SlotKind::Slab(class), slab::capacity(class)));
        assert!(slab.next_is_zero());
        // SAFETY: an address in a slot that is not the first.
        assert!(unsafe { slab_of(slab.start().addr().get() + SLOT_SIZE - 1) }.is(slab));
    }
    assert!(segment.longest_free_run() == 0 && !segment.is_unused());
    assert_eq!(counters.committed(), before + (END - 1) * SLOT_SIZE);
    assert!(segment.carve_slab(SizeClass::from_index(0), Warmth::Any, counters).is_none());
    assert!(segment.carve_span(1, 1, Warmth::Any, counters).is_none());
}

#[test]
fn bitmaps_of_a_segments_slabs_do_not_overlap() {
    static PENDING: Pending = Pending::new();
    let source = Source::new();
    let (segment, counters) = (source.take_segment(), &source.backend.counters);
    segment.set_pending(&PENDING);
    // The smallest blocks use every word.
    let class = SizeClass::from_index(0);
    while segment.carve_slab(class, Warmth::Any, counters).is_some() {}
    let mut places = [ptr::null_mut(); slab::MAX_BLOCKS];
    for slab in segment.slots().take(END - 1) {
        assert_eq!(slab.free(), slab::MAX_BLOCKS);
        assert_eq!(slab.take(slab::Blocks::of(class), &mut places), slab::MAX_BLOCKS);
        for word in 0..slab::MAX_BLOCKS / 64 {
            assert_eq!(segment.put_remote(slab, word, u64::MAX), 0, "a word that another slab has as well");
        }
    }
    for slab in segment.slots().take(END - 1) {
        assert_eq!((slab.free(), segment.waiting_remote(slab)), (0, slab::MAX_BLOCKS));
    }
}

#[test]
#[cfg_attr(
    feature = "hardened",
    ignore = "hardened slabs take any slot, and do not know which of their blocks were never handed out"
)]
fn slots_that_were_touched_are_taken_before_lower_ones_that_were_not() {
    let source = Source::new();
    let (segment, counters) = (source.take_segment(), &source.backend.counters);
    let class = SizeClass::from_index(30);
    let slabs: Vec<&Slab> = (0..4).map(|_| segment.carve_slab(class, Warmth::Any, counters).unwrap()).collect();
    segment.retire(slabs[0], source.backend);
    segment.retire(slabs[1], source.backend);
    segment.retire(slabs[3], source.backend);
    assert_eq!(segment.retained_bytes(), 3 * SLOT_SIZE);
    assert_eq!(segment.purge_idle(source.backend, u64::MAX, 0), 3 * SLOT_SIZE);
    assert_eq!((segment.retained_bytes(), segment.touched_slots()), (0, 1 << 3));
    segment.retire(slabs[2], source.backend);
    assert_eq!(segment.retained_bytes(), SLOT_SIZE);
    let again = segment.carve_slab(class, Warmth::Any, counters).unwrap();
    assert!(again.is(slabs[2]) && !again.next_is_zero(), "the resident slot first, which does not read as zero");
    let fresh = segment.carve_slab(class, Warmth::Any, counters).unwrap();
    assert!(fresh.is(slabs[0]) && fresh.next_is_zero(), "then the lowest, which was purged");
}

#[test]
fn spans_stand_at_the_alignment_they_ask_for() {
    let source = Source::new();
    let counters = &source.backend.counters;
    for align in [1, 2, 4, 8, 16] {
        for count in 1..=MAX_SPAN_SLOTS {
            let segment = source.take_segment();
            let mut starts = Vec::new();
            while let Some((start, is_zero)) = segment.carve_span(count, align, Warmth::Any, counters) {
                assert!(is_zero && start.addr().get().is_multiple_of(align * SLOT_SIZE));
                starts.push(start.addr().get());
            }
            let mut expected = Vec::new();
            let mut end = 1;
            for slot in (align..END).step_by(align) {
                if slot >= end && slot + count <= END {
                    expected.push(segment.address() + slot * SLOT_SIZE);
                    end = slot + count;
                }
            }
            assert_eq!(starts, expected, "{count} slots at {align}");
            for slab in (1..SLOTS).map(|slot| segment.slab(slot)).filter(|slab| slab.kind() == SlotKind::Span) {
                assert_eq!(slab.extent(), count);
                segment.retire(slab, source.backend);
            }
            assert!(segment.is_unused());
            source.backend.give_segment(segment);
            // Not kept for the next round, which is to find every slot untouched.
            source.backend.purge_unused(u64::MAX, 0);
        }
    }
}

#[test]
fn a_span_is_zero_only_where_all_of_its_slots_are() {
    let source = Source::new();
    let (segment, counters) = (source.take_segment(), &source.backend.counters);
    let (_, is_zero) = segment.carve_span(3, 1, Warmth::Any, counters).unwrap();
    assert!(is_zero);
    segment.retire(segment.slab(1), source.backend);
    let committed = counters.committed();
    let (start, is_zero) = segment.carve_span(5, 1, Warmth::Any, counters).unwrap();
    assert_eq!(start.addr().get(), segment.address() + SLOT_SIZE);
    assert!(!is_zero, "its first three slots were in use");
    assert_eq!(counters.committed(), committed + 2 * SLOT_SIZE, "the others are counted now");
}

#[test]
fn a_span_grows_into_free_slots_alone_and_shrinks_by_any() {
    let source = Source::new();
    let (segment, counters) = (source.take_segment(), &source.backend.counters);
    segment.carve_span(2, 1, Warmth::Any, counters).unwrap();
    segment.carve_span(2, 4, Warmth::Any, counters).unwrap();
    let span = segment.slab(1);
    assert!(segment.resize_span(span, 3, counters), "slots 1 to 3");
    assert!(!segment.resize_span(span, 4, counters), "slot 4 is in use");
    assert_eq!(span.extent(), 3);
    assert_eq!(segment.free_slots(), USABLE & !run_mask(1, 5));
    assert!(segment.resize_span(span, 1, counters));
    assert_eq!(segment.free_slots(), USABLE & !run_mask(1, 1) & !run_mask(4, 2));
    assert_eq!(segment.retained_bytes(), 2 * SLOT_SIZE);
    let committed = counters.committed();
    assert!(segment.resize_span(span, 3, counters));
    assert_eq!(counters.committed(), committed, "the slots were counted before");
    // The last slots of the segment.
    let last = segment.slab(4);
    assert!(segment.resize_span(last, END - 4, counters));
    assert!(!segment.resize_span(last, END - 3, counters), "the segment ends there");
    segment.retire(span, source.backend);
    segment.retire(last, source.backend);
    assert!(segment.is_unused());
    assert_eq!(segment.retained_bytes(), (END - 1) * SLOT_SIZE);
}

#[test]
fn free_and_touched_slots_agree_with_a_list_after_every_random_step() {
    let mut random = Random::new(3);
    let source = Source::new();
    let (segment, counters) = (source.take_segment(), &source.backend.counters);
    let described = counters.committed();
    let mut heads: Vec<usize> = Vec::new();
    for _ in 0..20_000 {
        match random.within(0..5) {
            0 => {
                if let Some(slab) =
                    segment.carve_slab(SizeClass::from_index(random.within(0..SLABS)), Warmth::Any, counters)
                {
                    heads.push(segment.slot_index(slab));
                }
            }
            1 => {
                let count = random.within(1..MAX_SPAN_SLOTS + 1);
                let align = 1 << random.within(0..5);
                if let Some((start, _)) = segment.carve_span(count, align, Warmth::Any, counters) {
                    heads.push((start.addr().get() - segment.address()) / SLOT_SIZE);
                }
            }
            2 if !heads.is_empty() => {
                let slab = segment.slab(heads[random.within(0..heads.len())]);
                if slab.kind() == SlotKind::Span {
                    segment.resize_span(slab, random.within(1..MAX_SPAN_SLOTS + 1), counters);
                }
            }
            3 if random.once_in(20) => {
                let retained = segment.retained_bytes();
                assert_eq!(segment.purge_idle(source.backend, u64::MAX, 0), retained);
                assert_eq!(segment.retained_bytes(), 0);
            }
            _ if !heads.is_empty() => {
                segment.retire(segment.slab(heads.swap_remove(random.within(0..heads.len()))), source.backend)
            }
            _ => {}
        }
        let mut used = 1;
        for &slot in &heads {
            let slab = segment.slab(slot);
            let count = if slab.kind() == SlotKind::Span { slab.extent() } else { 1 };
            assert_eq!(used & run_mask(slot, count), 0, "slots that are used twice");
            used |= run_mask(slot, count);
        }
        assert_eq!(segment.free_slots(), USABLE & !used);
        assert_eq!(segment.touched_slots() & used, used & !1, "whatever is in use counts as touched");
        assert_eq!(counters.committed() - described, segment.touched_slots().count_ones() as usize * SLOT_SIZE);
    }
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "hardened slabs take any slot, and no run of them")]
fn purging_takes_one_call_for_each_run_and_what_fails_stays_touched() {
    let source = Source::new();
    let (segment, counters) = (source.take_segment(), &source.backend.counters);
    for _ in 0..9 {
        segment.carve_slab(SizeClass::from_index(0), Warmth::Any, counters).unwrap();
    }
    for slot in [1, 2, 4, 7, 8, 9] {
        segment.retire(segment.slab(slot), source.backend);
    }
    // Three runs: 1 to 2, 4, and 7 to 9. The second fails.
    source.mock.fail_nth(Some(Call::Purge), 2);
    assert_eq!(segment.purge_idle(source.backend, u64::MAX, 0), 5 * SLOT_SIZE);
    assert_eq!(source.mock.calls(Some(Call::Purge)), 3);
    assert_eq!(segment.touched_slots(), run_mask(3, 4));
    assert_eq!(segment.purge_idle(source.backend, u64::MAX, 0), SLOT_SIZE);
    assert_eq!(source.mock.calls(Some(Call::Purge)), 4);
}

#[test]
#[cfg_attr(feature = "hardened", ignore = "hardened slabs take any slot, and no run of them")]
fn the_class_of_an_address_is_that_of_the_slab_or_span_there_until_it_is_retired() {
    let source = Source::new();
    let (segment, counters) = (source.take_segment(), &source.backend.counters);
    let code_in = |slot: usize, offset: usize| {
        let address = segment.address() + slot * SLOT_SIZE + offset;
        // SAFETY: an address in a segment.
        let code = unsafe { class_code_at(address / GRANULE, address) };
        #[cfg(not(feature = "std"))]
        {
            let base: *const u8 = core::ptr::without_provenance(7 * BASE_ALIGN);
            // SAFETY: as above; nobody reads there.
            assert_eq!(unsafe { at_class_code(address / GRANULE, address, base) }.addr(), base.addr() + code);
        }
        code
    };
    let class = |slot: usize| SizeClass::from_index(slot * 2);
    let slabs: Vec<&Slab> =
        (1..20).map(|slot| segment.carve_slab(class(slot), Warmth::Any, counters).unwrap()).collect();
    let (span, _) = segment.carve_span(4, 1, Warmth::Any, counters).unwrap();
    for offset in [0, 1, 100, SLOT_SIZE - 1] {
        assert_eq!(code_in(0, offset), 0, "the first slot describes the others");
        for slot in 1..20 {
            assert_eq!(code_in(slot, offset), class(slot).code());
        }
        assert_eq!(code_in(20, offset), SizeClass::of_slots(4).unwrap().code());
        for slot in 21..END {
            assert_eq!(code_in(slot, offset), 0, "a span's other slots and free ones have no class");
        }
    }
    assert_eq!(span.addr().get(), segment.address() + 20 * SLOT_SIZE);
    for slots in [7, 2] {
        assert!(segment.resize_span(segment.slab(20), slots, counters));
        assert_eq!((code_in(20, 5), code_in(21, 5)), (SizeClass::of_slots(slots).unwrap().code(), 0));
    }
    segment.retire(segment.slab(20), source.backend);
    assert_eq!(code_in(20, 5), 0);
    segment.retire(slabs[6], source.backend);
    assert_eq!((code_in(6, 5), code_in(7, 5), code_in(8, 5)), (class(6).code(), 0, class(8).code()));
}

#[test]
fn what_is_behind_the_first_lines_of_the_bitmaps_goes_back_once_no_slab_needs_it() {
    let source = Source::new();
    let (segment, counters) = (source.take_segment(), &source.backend.counters);
    let carve = |size| segment.carve_slab(SizeClass::of_size(size).unwrap(), Warmth::Any, counters).unwrap();
    let (small, large) = (carve(8), carve(1000));
    let bits = |slab: &Slab| slab.free();
    assert_eq!((bits(small), bits(large)), (slab::MAX_BLOCKS, slab::capacity(SizeClass::of_size(1000).unwrap())));
    let calls = || source.mock.calls(Some(Call::Purge));
    assert_eq!((segment.purge_idle(source.backend, u64::MAX, 0), calls()), (0, 0), "the small blocks need all lines");
    segment.retire(small, source.backend);
    assert_eq!(segment.purge_idle(source.backend, u64::MAX, 0), SLOT_SIZE);
    assert_eq!(calls(), 2, "the slot, and the lines");
    assert_eq!(segment.purge_idle(source.backend, u64::MAX, 0), 0);
    assert_eq!(calls(), 2);
    // Both go on as before.
    let again = carve(8);
    let mut places = vec![ptr::null_mut(); slab::MAX_BLOCKS];
    let blocks = slab::Blocks::of(SizeClass::of_size(8).unwrap());
    assert_eq!((again.take(blocks, &mut places), segment.waiting_remote(again)), (slab::MAX_BLOCKS, 0));
    let mut places = vec![ptr::null_mut(); 10];
    assert_eq!(large.take(slab::Blocks::of(SizeClass::of_size(1000).unwrap()), &mut places), 10);
}
