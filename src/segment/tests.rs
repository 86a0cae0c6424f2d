//! Tests of segments and mappings on a mock of the system, and what they have in common.

use super::*;
use crate::os::mock::Mock;
use core::alloc::Layout;
use core::ptr::NonNull;
use std::boxed::Box;

mod keeping;
mod mappings;
mod owner_map;
pub(super) mod pool;
mod resizing;
mod slots;

/// A source of memory of a test's own. What it maps is given back when it is dropped.
pub(super) struct Source {
    pub(super) mock: &'static Mock,
    pub(super) backend: &'static Backend,
}

impl Source {
    pub(super) fn new() -> Self {
        Self::on(Mock::new())
    }

    pub(super) fn on(mock: &'static Mock) -> Self {
        Self { mock, backend: Box::leak(Box::new(Backend::new(mock))) }
    }

    pub(super) fn take_segment(&self) -> &'static Segment {
        let segment = self.backend.take_segment(Owner(1), false).expect("the system has memory");
        // SAFETY: this test's alone, until the source is dropped.
        unsafe { segment.as_ref() }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: every test keeps its blocks and segments for as long as its source at most.
        unsafe { self.mock.give_all_back() };
    }
}

pub(super) const KIB: usize = 1024;
pub(super) const MIB: usize = 1024 * KIB;

pub(super) fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

impl Source {
    /// A block with a mapping of its own.
    pub(super) fn block(&self, size: usize) -> NonNull<u8> {
        self.backend.map_block(layout(size, 8)).expect("the system has memory").0
    }

    /// Bytes of all blocks that are in use.
    pub(super) fn in_use(&self) -> usize {
        self.backend.counters.mapped() - self.backend.cached().bytes
    }

    fn is_block(&self, block: NonNull<u8>) -> bool {
        self.backend.owners.look_up(block.addr().get()) != Owner::NONE
    }

    pub(super) fn remap(&self, block: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: tests pass blocks of their own.
        unsafe { self.backend.remap_block(block, layout) }
    }
}

/// True where `block` stands in the mapping that `freed` was the block of: in a granule there is one head at most.
pub(super) fn is_in_place_of(block: NonNull<u8>, freed: NonNull<u8>) -> bool {
    block.addr().get() / GRANULE == freed.addr().get() / GRANULE
}

/// Writes numbers all over a block, a page at least having one.
pub(super) fn mark(block: NonNull<u8>, size: usize) {
    for at in (0..size).step_by(2048).chain([size - 1]) {
        // SAFETY: inside the test's own block.
        unsafe { block.add(at).write((at / 2048 + at) as u8) };
    }
}

pub(super) fn assert_marked(block: NonNull<u8>, size: usize, marked: usize) {
    for at in (0..size).step_by(2048).chain((size >= marked).then_some(marked - 1)) {
        // SAFETY: inside the test's own block.
        assert_eq!(unsafe { block.add(at).read() }, (at / 2048 + at) as u8, "byte {at} of {size}");
    }
}

fn assert_zero(block: NonNull<u8>, size: usize) {
    // SAFETY: inside the test's own block, which was mapped and so is initialised.
    let bytes = unsafe { core::slice::from_raw_parts(block.as_ptr(), size) };
    assert!(bytes.iter().all(|&byte| byte == 0));
}
