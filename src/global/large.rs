//! Blocks that are too large for a slab: spans and mappings.

use super::resize::LEAVE_AT;
#[cfg(feature = "profile")]
use super::samples;
use super::slow::{busy, note, note_freed, put, refuse, take, take_zeroed};
use super::static_memory::{Route, free_static, route};
use super::thread::{Busy, Source, own, source};
use super::upkeep::{count_down, if_short_reclaim};
use super::{BACKEND, Tenure, exact, routing, tls};
use crate::heap::{self, Borrower, Heap, Misuse};
use crate::magazine::Tops;
use crate::segment::{self, Owner};
use crate::size_class::SizeClass;
use core::alloc::Layout;
use core::ptr::NonNull;

/// As [`release`], of a span or a mapping's block that has `len` bytes in all.
#[cfg(feature = "hardened")]
pub(super) fn release(block: NonNull<u8>, len: usize) {
    // SAFETY: no block that exists is larger than a layout can be.
    let layout = unsafe { Layout::from_size_align_unchecked(len, 8) };
    take_back(block, layout, BACKEND.owners.look_up(block.addr().get()), tls::current());
}

/// A span or a mapping for `layout` as the heap has it, and whether it reads as zero because nobody has used it yet.
#[cfg(feature = "hardened")]
pub(super) fn take_as_is(layout: Layout) -> Option<(NonNull<u8>, bool)> {
    take_any(layout, map, |_| None).or_else(|| take_zeroed(SizeClass::of_span(layout)?, layout))
}

/// A block that is too large for a slab.
#[cold]
#[inline(never)]
pub(super) fn alloc(tenure: &Tenure, layout: Layout) -> Option<NonNull<u8>> {
    let routing = exact::routing();
    // Where the tops are set aside no magazine is at hand.
    if let Some(span) = SizeClass::of_span(layout).and_then(span_at_hand) {
        return Some(span);
    }
    let block = match route(tenure, layout) {
        Route::Static(placed) => Some(placed.block),
        Route::Dynamic => take_dynamic(layout),
        Route::Nowhere => None,
    };
    note(routing, block, layout.size())
}

/// A block that is too large for a slab, from the calling thread's heap, whatever scope it is in.
pub(super) fn alloc_dynamic(layout: Layout) -> Option<NonNull<u8>> {
    let routing = exact::routing();
    note(routing, take_dynamic(layout), layout.size())
}

fn take_dynamic(layout: Layout) -> Option<NonNull<u8>> {
    let (block, is_new) = take_any(layout, map_any, |class| take(class, layout))?;
    if is_new && !heap::is_span(layout) {
        // SAFETY: a mapping's block, which was mapped just now, since it reads as zero.
        unsafe { BACKEND.expect_density(block) };
    }
    Some(block)
}

/// A block that is too large for a slab, and reads as zero.
#[cold]
#[inline(never)]
pub(super) fn alloc_zeroed(tenure: &Tenure, layout: Layout) -> Option<NonNull<u8>> {
    let routing = exact::routing();
    let block = match route(tenure, layout) {
        Route::Static(placed) => Some(placed.zeroed()),
        Route::Dynamic => take_any_zeroed(layout),
        Route::Nowhere => None,
    };
    note(routing, block, layout.size())
}

/// As [`alloc_dynamic`], of a block that reads as zero.
pub(super) fn alloc_dynamic_zeroed(layout: Layout) -> Option<NonNull<u8>> {
    let routing = exact::routing();
    note(routing, take_any_zeroed(layout), layout.size())
}

fn take_any_zeroed(layout: Layout) -> Option<NonNull<u8>> {
    let (block, is_zero) = match take_any(layout, map_zeroed, |_| None) {
        Some(found) => found,
        None => take_zeroed(SizeClass::of_span(layout)?, layout)?,
    };
    if is_zero {
        // SAFETY: a span or a mapping's block that is at least as large as the layout, and nobody else's.
        unsafe { BACKEND.note_untouched(block, layout.size()) };
    } else {
        // SAFETY: as above.
        unsafe { BACKEND.clear(block, layout.size()) };
    }
    Some(block)
}

/// A span or a mapping for `layout`, and whether it reads as zero. Spans come from a magazine, or else from `refill`,
/// and mappings from `map`.
fn take_any(
    layout: Layout,
    map: impl Fn(Layout) -> Option<(NonNull<u8>, bool)>,
    refill: impl FnOnce(SizeClass) -> Option<NonNull<u8>>,
) -> Option<(NonNull<u8>, bool)> {
    let class = SizeClass::of_span(layout);
    if let Some(span) = class.and_then(span_at_hand) {
        return Some((span, false));
    }
    #[cfg(feature = "profile")]
    if let Some(found) = samples::alloc_large(layout, &map) {
        return Some(found);
    }
    if let Some(class) = class {
        return refill(class).map(|span| (span, false));
    }
    if layout.size().max(layout.align()) >= segment::ADDRESSES {
        return None;
    }
    let take_from = |heap: &Heap| if heap::is_span(layout) { heap.take_span(layout) } else { map(layout) };
    if_short_reclaim(|| match source() {
        Source::Own(heap, thread) => {
            let _busy = Busy::new(thread);
            count_down(thread);
            take_from(heap)
        }
        Source::Shared(heap) => {
            let _busy = busy();
            take_from(heap)
        }
        Source::Nothing => None,
    })
}

/// A block with a mapping of its own, of memory that is kept where there is some, and whether it reads as zero.
pub(super) fn map_any(layout: Layout) -> Option<(NonNull<u8>, bool)> {
    let kept = BACKEND.map_block_of_kept(layout).map(|block| (block, false));
    tagged(kept.or_else(|| BACKEND.map_block(layout)))
}

/// As [`map_any`], of memory that is to read as zero.
fn map_zeroed(layout: Layout) -> Option<(NonNull<u8>, bool)> {
    tagged(BACKEND.map_zeroed_block_of_kept(layout).or_else(|| BACKEND.map_block(layout)))
}

/// As [`map_any`], of kept memory only where what is kept has that length or hardly more.
#[cfg(feature = "hardened")]
fn map(layout: Layout) -> Option<(NonNull<u8>, bool)> {
    tagged(BACKEND.map_block(layout))
}

fn tagged(mapped: Option<(NonNull<u8>, bool)>) -> Option<(NonNull<u8>, bool)> {
    mapped.inspect(|&(block, _)| tag_mapping(block))
}

/// Counts a mapping's block, which has just been allocated, under the calling thread's tag, if it has one.
pub(super) fn tag_mapping(block: NonNull<u8>) {
    let tag = tls::routing().tag();
    if tag != 0 {
        // SAFETY: the caller's block, of a mapping.
        unsafe { BACKEND.tag_block(block, tag) };
    }
}

/// A span of `class` that waits in the calling thread's magazine, if any does.
#[inline(always)]
pub(super) fn span_at_hand(class: SizeClass) -> Option<NonNull<u8>> {
    let tops = &tls::current().tops;
    // SAFETY: the calling thread's own tops, and a class's code.
    let span = unsafe { tops.at(class.code()).pop() }?;
    check_taken_span(tops, class, span);
    Some(span)
}

/// Ends the process where `block`, which has just been taken from the magazine of `class`, one of spans, is none, is
/// free, or is there once more: a free that is told no layout takes what lies in a span's first slot for the span, and
/// does not look at what waits; nor does one look at what another thread has returned.
#[inline(always)]
pub(super) fn check_taken_span(tops: &Tops, class: SizeClass, block: NonNull<u8>) {
    // SAFETY: magazines hold addresses inside segments alone: a free compares the owner map first.
    if !unsafe { heap::is_span_in_use(class, block) } || tops.holds(class, block) {
        refuse_taken_span(class, block);
    }
}

#[cold]
#[inline(never)]
fn refuse_taken_span(class: SizeClass, block: NonNull<u8>) -> ! {
    // SAFETY: as in `check_taken_span`.
    let is_one = unsafe { heap::is_span_of(class, block) };
    heap::refuse(if is_one { Misuse::DoubleFree } else { Misuse::NotABlock }, block.as_ptr(), class.size())
}

/// Frees a block that is too large for a slab.
#[cold]
#[inline(never)]
pub(super) fn free(block: NonNull<u8>, layout: Layout) {
    let owner = BACKEND.owners.look_up(block.addr().get());
    let thread = tls::current();
    if owner == thread.owner.get()
        && let Some(class) = SizeClass::of_span(layout)
        // SAFETY: the calling thread's own heap has a segment there.
        && unsafe { heap::is_span_of(class, block) }
        && !thread.tops.holds(class, block)
        // SAFETY: the calling thread's own tops.
        && unsafe { thread.tops.push(class, block.as_ptr()) }
    {
        return;
    }
    free_slowly(block, layout, owner, thread);
}

#[inline(never)]
fn free_slowly(block: NonNull<u8>, layout: Layout, owner: Owner, thread: &'static Borrower) {
    note_freed(block, layout);
    take_back(block, layout, owner, thread);
}

#[inline(always)]
fn take_back(block: NonNull<u8>, layout: Layout, owner: Owner, thread: &'static Borrower) {
    #[cfg(feature = "profile")]
    samples::freed(block, owner);
    let is_freed = if owner == Owner::STATIC {
        free_static(block, layout)
    } else if owner.is_mapping() {
        free_mapping(block, layout, owner)
    } else if thread.heap.get().is_none_or(|heap| heap.owner() != owner) {
        free_span_elsewhere(block, layout, owner)
    } else {
        free_own_span(block, layout, owner, thread)
    };
    if !is_freed {
        refuse_lost(block, layout, owner);
    }
}

/// False where `block` is no mapping's.
fn free_mapping(block: NonNull<u8>, layout: Layout, owner: Owner) -> bool {
    if !may_be_mapping(block, layout) {
        refuse(block, layout.size(), owner);
    }
    let _busy = own().map(|(_, thread)| {
        let busy = Busy::new(thread);
        count_down(thread);
        busy
    });
    BACKEND.unmap_block(block)
}

/// Sends a span home to another heap; false where it is free already.
fn free_span_elsewhere(block: NonNull<u8>, layout: Layout, owner: Owner) -> bool {
    // SAFETY: the block is some heap's, where it is one.
    if !owner.is_heap() || !unsafe { heap::is_span_for(layout, block) } {
        refuse(block, layout.size(), owner);
    }
    // SAFETY: the block is some heap's.
    unsafe { heap::return_span_remotely(block, &BACKEND.counters) }
}

/// Takes back a span of the heap that `thread`, the calling one, allocates from; false where there is none, or it is
/// free already.
fn free_own_span(block: NonNull<u8>, layout: Layout, owner: Owner, thread: &'static Borrower) -> bool {
    let Some(class) = SizeClass::of_span(layout) else {
        // Aligned to more than a slot: it waits nowhere.
        let Some((heap, thread)) = own() else {
            // SAFETY: the block is some heap's.
            return unsafe { heap::return_span_remotely(block, &BACKEND.counters) };
        };
        let _busy = Busy::new(thread);
        // SAFETY: the block is this heap's.
        return unsafe { heap.put_span(block, layout) };
    };
    let tops = thread.heap.get().map_or(&thread.tops, |heap| routing::tops(heap, thread));
    if tops.holds(class, block) {
        heap::refuse(Misuse::DoubleFree, block.as_ptr(), class.size());
    }
    // SAFETY: the block lies in a segment.
    if !unsafe { heap::is_span_of(class, block) } {
        refuse(block, layout.size(), owner);
    }
    if let Some((heap, thread)) = own() {
        let _busy = Busy::new(thread);
        #[cfg(feature = "profile")]
        if let Some(sampling) = thread.sampling.get() {
            // SAFETY: the calling thread's own heap and tops, and a span of this heap.
            unsafe { heap.put_span_sampled(sampling, tops, class, block) };
            return true;
        }
        // SAFETY: the calling thread's own heap and tops.
        unsafe { heap.make_way_for_span(tops, class) };
    }
    // SAFETY: the calling thread's own tops.
    if !unsafe { tops.push(class, block.as_ptr()) } {
        put(block, class, layout);
    }
    true
}

/// False where a block of this layout cannot be the one that has a mapping of its own at `block`: that is smaller, or
/// the layout's would be a span.
pub(super) fn may_be_mapping(block: NonNull<u8>, layout: Layout) -> bool {
    // What is aligned to a granule or more may be of any size.
    let is_aligned = BACKEND.owners.look_up(block.addr().get()) == Owner::ALIGNED_MAPPING;
    let is_span = heap::is_span(layout) && layout.size() < LEAVE_AT;
    (is_aligned || !is_span) && BACKEND.mapped_size(block).is_none_or(|len| layout.size() <= len)
}

/// Ends the process on a block that could not be freed as a large one.
#[cold]
#[inline(never)]
fn refuse_lost(block: NonNull<u8>, layout: Layout, owner: Owner) -> ! {
    // SAFETY: a heap owns the granule, so it is a segment.
    if owner.is_heap() && unsafe { heap::is_returned_span(block) } {
        heap::refuse(Misuse::DoubleFree, block.as_ptr(), layout.size());
    }
    refuse(block, layout.size(), owner)
}
