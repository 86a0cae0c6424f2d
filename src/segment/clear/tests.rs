//! Clearing: what is given back to the system, and what is overwritten.

use super::*;
use crate::os::mock::{Call, Mock};
use crate::segment::{Owner, Segment, Warmth};
use core::alloc::Layout;
use std::boxed::Box;
use std::vec::Vec;

const LEN: usize = 1024 * 1024;
const PAGES: u64 = (LEN / 4096) as u64;

/// A span and a mapping's block of their own, as when they were handed out untouched.
struct Sample {
    mock: &'static Mock,
    backend: &'static Backend,
    blocks: [NonNull<u8>; 2],
}

impl Sample {
    fn new() -> Self {
        let mock = Mock::new();
        mock.set_page_faults(1000);
        let backend: &Backend = Box::leak(Box::new(Backend::new(mock)));
        // SAFETY: a segment of this test's own.
        let segment: &Segment = unsafe { backend.take_segment(Owner(1), false).unwrap().as_ref() };
        let (span, _) =
            segment.carve_span(LEN / crate::size_class::SLOT_SIZE, 1, Warmth::Any, &backend.counters).unwrap();
        let (mapped, _) = backend.map_block(Layout::from_size_align(LEN, 8).unwrap()).unwrap();
        let sample = Self { mock, backend, blocks: [span, mapped] };
        for block in sample.blocks {
            // SAFETY: the test's own block, which was just made.
            unsafe { backend.note_untouched(block, LEN) };
        }
        sample
    }

    /// Has a block cleared that nobody has written to; true where the system was given it for that.
    fn clear_unused(&self, block: NonNull<u8>) -> bool {
        let before = self.mock.calls(Some(Call::Purge));
        // SAFETY: the test's own block.
        unsafe { self.backend.clear(block, LEN) };
        self.mock.calls(Some(Call::Purge)) > before
    }

    /// Writes to a block here and there, has it cleared, and sees to it that it is; true where the system was given it
    /// for that.
    fn clear(&self, block: NonNull<u8>) -> bool {
        let places = (0..LEN).step_by(5000).chain([LEN - 1]);
        for at in places.clone() {
            // SAFETY: inside the test's own block.
            unsafe { block.add(at).write(1) };
        }
        let before = self.mock.calls(Some(Call::Purge));
        // SAFETY: the test's own block.
        unsafe { self.backend.clear(block, LEN) };
        for at in places {
            // SAFETY: as above.
            assert_eq!(unsafe { block.add(at).read() }, 0);
        }
        self.mock.calls(Some(Call::Purge)) > before
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // SAFETY: the test is over.
        unsafe { self.mock.give_all_back() };
    }
}

#[test]
fn a_block_that_seems_untouched_is_given_back_for_as_long_as_that_is_quick() {
    for which in [0, 1] {
        let sample = Sample::new();
        sample.mock.set_page_faults(1000 + PAGES / SPARSE);
        assert!(sample.clear(sample.blocks[which]));
        // Page faults tell nothing any more.
        sample.mock.set_page_faults(5000);
        assert!(sample.clear(sample.blocks[which]));
        sample.mock.set_tick_ns(PAGES * TOUCHED_NS);
        assert!(sample.clear(sample.blocks[which]));
        assert!(sample.clear(sample.blocks[which]), "it was slow, but nothing has touched the block since");
        sample.mock.set_page_faults(5001 + PAGES / SPARSE);
        assert!(!sample.clear(sample.blocks[which]));
        assert!(!sample.clear(sample.blocks[which]));
    }
}

#[test]
fn a_block_that_page_faults_may_have_touched_is_overwritten_from_then_on() {
    for which in [0, 1] {
        let sample = Sample::new();
        sample.mock.set_page_faults(1001 + PAGES / SPARSE);
        assert!(!sample.clear(sample.blocks[which]));
        assert!(!sample.clear(sample.blocks[which]));
    }
}

#[test]
fn a_block_that_the_system_does_not_take_is_overwritten() {
    for which in [0, 1] {
        let sample = Sample::new();
        sample.mock.fail_from(Some(Call::Purge), 1);
        assert!(sample.clear(sample.blocks[which]), "it was asked");
        assert!(!sample.clear(sample.blocks[which]));
    }
}

#[test]
fn a_block_that_was_touched_once_is_given_back_when_it_is_not_any_more() {
    for which in [0, 1] {
        let sample = Sample::new();
        let block = sample.blocks[which];
        sample.mock.set_page_faults(1001 + PAGES / SPARSE);
        assert!(!sample.clear(block), "page faults may have touched it");
        // That was the first mistake: after it a block has to look as zero eight times in a row.
        assert!((0..7).all(|_| !sample.clear_unused(block)));
        assert!(!sample.clear(block), "it was written to");
        assert!((0..7).all(|_| !sample.clear_unused(block)));
        assert!((0..3).all(|_| sample.clear_unused(block)));
    }
}

#[test]
fn a_block_that_is_taken_for_untouched_wrongly_again_and_again_is_overwritten_for_good() {
    for which in [0, 1] {
        let sample = Sample::new();
        let block = sample.blocks[which];
        // Each look finds zero, and page faults that have touched the block behind the words that are looked at.
        sample.mock.set_tick_ns(PAGES * TOUCHED_NS);
        let mut faults = 1000;
        let mut touch = || {
            faults += PAGES;
            sample.mock.set_page_faults(faults);
            sample.clear_unused(block)
        };
        let tries: Vec<_> = (0..2000).filter(|_| touch()).collect();
        assert_eq!(tries.len(), 3, "after 8, 32 and 128 looks");
    }
}

#[test]
fn a_span_that_is_carved_anew_is_not_known() {
    let sample = Sample::new();
    // SAFETY: in a segment.
    let slab = unsafe { crate::segment::slab_of(sample.blocks[0].addr().get()) };
    assert!(Segment::of(slab).resize_span(slab, 15, &sample.backend.counters));
    assert!(!sample.clear(sample.blocks[0]));
}
