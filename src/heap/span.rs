//! Spans: blocks of one to sixteen slots, for what is larger than a slab's blocks and smaller than a mapping.

use super::Heap;
use super::core::{Core, Host, Misuse, refuse};
use super::counts::{self, SPANS};
use super::probation::check_span_in_use;
use super::waiting::AtHand;
use crate::magazine::{Place, Tops};
use crate::segment::{self, ADDRESSES, Backend, Counters, END, SEGMENT_SIZE, Segment, Warmth};
use crate::size_class::{MAX_SPAN, SLOT_SIZE, SizeClass};
use crate::slab::{Slab, SlotKind};
#[cfg(feature = "hardened")]
use crate::sync::AtomicUsize;
use core::alloc::Layout;
use core::ptr::NonNull;

/// Number of slots that a block of `layout` takes, and the multiple of slots at which it starts, if it is to be a span.
fn extent(layout: Layout) -> Option<(usize, usize)> {
    let slots = layout.size().div_ceil(SLOT_SIZE).max(1);
    let align = (layout.align() / SLOT_SIZE).max(1);
    // The first multiple of an alignment stands as far from the segment's start, where its description is.
    (slots.max(align) <= MAX_SPAN / SLOT_SIZE && align + slots <= END).then_some((slots, align))
}

/// True where a block of `layout`, too large for a slab, is a span and not a mapping.
pub(crate) fn is_span(layout: Layout) -> bool {
    extent(layout).is_some()
}

impl Core {
    /// A span of `slots` slots at a multiple of `align` slots, and whether it reads as zero. Takes what is `at_hand`
    /// rather than memory that was never touched.
    pub(super) fn take_span(
        &mut self,
        host: Host<'_>,
        slots: usize,
        align: usize,
        at_hand: &mut AtHand<'_>,
    ) -> Option<(NonNull<u8>, bool)> {
        let counters = &host.backend.counters;
        let carve = |segment: &Segment, warmth| segment.carve_span(slots, align, warmth, counters);
        // What others have returned may be a span, which is worth looking for each time.
        self.collect(host);
        if !self.depot.is_empty() || at_hand.is_anything() {
            if let Some(span) = self.use_warm_slots(slots, |segment| carve(segment, Warmth::Warm)) {
                return Some(span);
            }
            at_hand.give_back(self);
            if !self.depot.is_empty() {
                self.make_room(host);
            }
        }
        if let Some(span) = self.use_slots(slots, carve) {
            return Some(span);
        }
        // Before the heap grows, slabs are put to use whose blocks are held back, or that wait for others of their own
        // class. A place that is held back has no memory, so to take another in a new segment costs as little.
        self.let_blocks_go(host);
        self.retire_empty_slabs(host.backend);
        self.use_slots(slots, carve).or_else(|| self.use_new_slots(host, false, slots, carve)).or_else(|| {
            self.let_go(host);
            self.use_slots(slots, carve)
        })
    }

    /// A span of `slots` slots with room behind it to grow to the largest span, in memory that was touched before.
    fn take_growing_span(&mut self, host: Host<'_>, slots: usize) -> Option<NonNull<u8>> {
        let room = MAX_SPAN / SLOT_SIZE;
        self.collect(host);
        self.use_warm_slots(room, |segment| segment.carve_growing_span(slots, room, &host.backend.counters))
    }

    /// Takes back spans of `class` that are this heap's.
    pub(super) fn put_back_spans(&mut self, backend: &Backend, class: SizeClass, returned: &[Place]) {
        for (nth, &block) in returned.iter().enumerate() {
            // With the first of them the span ends.
            if returned[..nth].contains(&block) {
                refuse(Misuse::DoubleFree, block, class.size());
            }
            // SAFETY: magazines hold addresses inside segments alone: a free compares the owner map first.
            match NonNull::new(block).and_then(|block| unsafe { span_of(class, block) }) {
                Some(slab) => {
                    check_span_in_use(slab, block);
                    self.retire(backend, slab);
                }
                None => refuse(Misuse::NotABlock, block, class.size()),
            }
        }
    }
}

impl Heap {
    /// A span for `layout`, past the magazines, and whether it reads as zero; `None` where the system has no memory. On
    /// behalf of any thread.
    pub(crate) fn take_span(&self, layout: Layout) -> Option<(NonNull<u8>, bool)> {
        let (slots, align) = extent(layout)?;
        let mut core = self.core.lock();
        let span = core.take_span(self.host(), slots, align, &mut AtHand::nothing())?;
        self.counts[SPANS].refill(1);
        self.live_changed(0, slots * SLOT_SIZE);
        counts::add(&self.given_directly, 1);
        Some(span)
    }

    /// A span of `class` that can go on growing in place, if there is room for that in memory that was touched before.
    /// The places of those that wait in magazines count as room.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    pub(crate) unsafe fn take_growing_span(&self, tops: &Tops, class: SizeClass) -> Option<NonNull<u8>> {
        // SAFETY: passed on.
        unsafe { self.make_way_for_span(tops, class) };
        let mut core = self.core.lock();
        // SAFETY: as above.
        unsafe { AtHand::of(self, tops) }.give_back(&mut core);
        let span = core.take_growing_span(self.host(), class.size() / SLOT_SIZE)?;
        self.counts[SPANS].refill(1);
        self.live_changed(0, class.size());
        counts::add(&self.given_directly, 1);
        Some(span)
    }

    /// Frees a span of this heap; false where none of `layout` starts at `block`. On behalf of any thread.
    ///
    /// # Safety
    /// - `block` lies in one of this heap's segments.
    #[must_use]
    pub(crate) unsafe fn put_span(&self, block: NonNull<u8>, layout: Layout) -> bool {
        let mut core = self.core.lock();
        // SAFETY: passed on.
        let Some(slab) = (unsafe { span_for(layout, block) }) else { return false };
        check_span_in_use(slab, block.as_ptr());
        let bytes = slab.extent() * SLOT_SIZE;
        core.retire(self.backend, slab);
        self.counts[SPANS].flush(1);
        self.live_changed(bytes, 0);
        true
    }

    /// Makes a span of this heap `layout` large where it stands; false where that cannot be. On behalf of any thread.
    ///
    /// # Safety
    /// - `block` lies in one of this heap's segments.
    pub(crate) unsafe fn resize_span(&self, block: NonNull<u8>, layout: Layout) -> bool {
        let Some((slots, _)) = extent(layout) else { return false };
        let mut core = self.core.lock();
        // SAFETY: passed on.
        let Some(slab) = (unsafe { span_at(block) }) else { return false };
        check_span_in_use(slab, block.as_ptr());
        let old = slab.extent();
        if slots == old {
            return true;
        }
        let segment = Segment::of(slab);
        if !segment.resize_span(slab, slots, &self.backend.counters) {
            return false;
        }
        core.changed(segment);
        self.live_changed(old * SLOT_SIZE, slots * SLOT_SIZE);
        true
    }
}

/// True where a span of `class` starts at `block`.
///
/// # Safety
/// - `block` lies in a segment.
pub(crate) unsafe fn is_span_of(class: SizeClass, block: NonNull<u8>) -> bool {
    // SAFETY: passed on.
    unsafe { span_of(class, block) }.is_some()
}

/// True where a span of `layout` starts at `block`.
///
/// # Safety
/// - `block` lies in a segment.
pub(crate) unsafe fn is_span_for(layout: Layout, block: NonNull<u8>) -> bool {
    // SAFETY: passed on.
    unsafe { span_for(layout, block) }.is_some()
}

/// The span of `layout` that starts at `block`.
///
/// # Safety
/// - `block` lies in a segment.
unsafe fn span_for<'a>(layout: Layout, block: NonNull<u8>) -> Option<&'a Slab> {
    let (slots, _) = extent(layout)?;
    // SAFETY: passed on.
    unsafe { span_at(block) }.filter(|slab| slab.extent() == slots)
}

/// True where a span starts at `block` that has been returned and not collected.
///
/// # Safety
/// - `block` lies in a segment.
pub(crate) unsafe fn is_returned_span(block: NonNull<u8>) -> bool {
    // SAFETY: passed on.
    unsafe { span_at(block) }.is_some_and(|slab| Segment::of(slab).is_returned(slab, 0, 1))
}

/// How far `address` lies behind the start of the span that it is in, and the span's bytes; a snapshot.
///
/// # Safety
/// - `address` lies in a segment.
pub(super) unsafe fn around(address: usize) -> Option<(usize, usize)> {
    // The first slot never is a span. A span's slots but for its first look as if they were free.
    for slot in 0..address % SEGMENT_SIZE / SLOT_SIZE {
        let start = address / SLOT_SIZE * SLOT_SIZE - slot * SLOT_SIZE;
        // SAFETY: in the same segment.
        let slab = unsafe { segment::slab_of(start) };
        match slab.kind() {
            SlotKind::Free => {}
            SlotKind::Span if slot < slab.extent() => return Some((address - start, slab.extent() * SLOT_SIZE)),
            SlotKind::Slab(_) | SlotKind::Span => return None,
        }
    }
    None
}

/// True where a span of `class` starts at `block` that nobody has returned; a snapshot.
///
/// # Safety
/// - `block` lies in a segment.
#[inline(always)]
pub(crate) unsafe fn is_in_use(class: SizeClass, block: NonNull<u8>) -> bool {
    let address = block.addr().get();
    // SAFETY: passed on.
    address.is_multiple_of(SLOT_SIZE) && unsafe { segment::slab_of(address) }.is_span_in_use(class.size() / SLOT_SIZE)
}

/// The span of `class` that starts at `block`.
///
/// # Safety
/// - `block` lies in a segment.
pub(super) unsafe fn span_of<'a>(class: SizeClass, block: NonNull<u8>) -> Option<&'a Slab> {
    // SAFETY: passed on.
    unsafe { span_at(block) }.filter(|slab| slab.extent() * SLOT_SIZE == class.size())
}

/// The span that starts at `block`.
///
/// # Safety
/// - `block` lies in a segment.
unsafe fn span_at<'a>(block: NonNull<u8>) -> Option<&'a Slab> {
    let address = block.addr().get();
    if !address.is_multiple_of(SLOT_SIZE) {
        return None;
    }
    // SAFETY: passed on.
    let slab = unsafe { segment::slab_of(address) };
    (slab.kind() == SlotKind::Span).then_some(slab)
}

/// Bytes of the span that was at `block` until it was freed, if its place is held back; a snapshot.
///
/// # Safety
/// - `block` lies in a segment, but for address bits that no program can have.
pub(super) unsafe fn held_back_at(block: Place) -> Option<usize> {
    if block.addr() >= ADDRESSES {
        return None;
    }
    // SAFETY: passed on.
    let slab = unsafe { segment::slab_of(block.addr()) };
    // The first slot never is a span.
    let is_held_back = block.addr().is_multiple_of(SLOT_SIZE)
        && !block.addr().is_multiple_of(SEGMENT_SIZE)
        && slab.kind() == SlotKind::Free
        && Segment::of(slab).is_returned(slab, 0, 1);
    is_held_back.then(|| slab.extent() * SLOT_SIZE)
}

/// Of the span that starts at `block`, the word in its head that tells what was asked for, and its bytes.
///
/// # Safety
/// - `block` lies in a segment.
#[cfg(feature = "hardened")]
pub(crate) unsafe fn asked(block: NonNull<u8>) -> Option<(&'static AtomicUsize, usize)> {
    // SAFETY: passed on; segments' heads stay for good.
    let slab: &'static Slab = unsafe { span_at(block) }?;
    Some((slab.asked(), slab.extent() * SLOT_SIZE))
}

/// Returns a span to the heap that owns it, from any thread; false where none starts at `block`, or it was returned
/// already.
///
/// # Safety
/// - `block` lies in a segment of some heap, which has its memory from `counters`' backend.
#[must_use]
pub(crate) unsafe fn return_span_remotely(block: NonNull<u8>, counters: &Counters) -> bool {
    // SAFETY: passed on.
    let Some(slab) = (unsafe { span_at(block) }) else { return false };
    // Afterwards it may be anybody's.
    let bytes = slab.extent() * SLOT_SIZE;
    let segment = Segment::of(slab);
    // A span is one block: bit 0 of word 0.
    let is_returned = segment.put_remote(slab, 0, 1) == 0;
    if is_returned {
        counters.live_changed(bytes, 0);
    }
    is_returned
}
