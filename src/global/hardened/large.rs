//! Spans and mappings, each of which ends at a guard page and has its size written down apart.
//!
//! ```text
//! mapping only                 block                    size    end
//! | head | not used | guard |  | what was asked for ... | slack | guard | not used |
//! ```
//!
//! The head of a span or a mapping says how many bytes were asked for, and whether the block is in use. Slack, up to
//! the end of the page, has a pattern. A block that is freed is closed: whoever touches it faults, until it leaves the
//! quarantine. Where the system refuses a guard, as it may where there are very many mappings, the block does without.

use super::super::exact;
#[cfg(feature = "profile")]
use super::super::samples;
use super::super::static_memory::{Route, route};
use super::super::thread::{Busy, borrow};
use super::super::upkeep::count_down;
use super::super::{BACKEND, Tenure, tls, watch};
use super::super::{large, resize};
use super::misuse::{self, Deed};
use super::{check, contents, size};
use crate::align;
use crate::heap;
use crate::os;
use crate::secret;
use crate::segment::Owner;
use crate::sync::{AtomicUsize, Ordering};
use core::alloc::Layout;
use core::ptr::NonNull;

/// In a head's word: the block is in use.
const IN_USE: usize = 1;

/// In a head's word: all of the block's pages were resident when it was handed out, so nobody need ask. A hint.
const RESIDENT: usize = 2;

/// In a head's word, from this bit on: the number of bytes that were asked for.
const SIZE: u32 = 2;

/// Mappings of up to so many bytes are looked at when they are handed out again; longer ones are given back to the
/// system once more.
const LOOKED_AT: usize = 16 * 1024 * 1024;

/// Spans above this size are closed while they are in quarantine.
const CLOSED_FROM: usize = 128 * 1024;

/// A span or a mapping, free or in use.
#[derive(Clone, Copy)]
struct Place {
    block: NonNull<u8>,
    /// The word in the head.
    asked: &'static AtomicUsize,
    /// Bytes from the block to the end of what it may be.
    len: usize,
    /// Of a mapping, where the page of its head ends.
    guard: Option<usize>,
}

impl Place {
    /// `None` where neither a span nor a mapping starts at `block`.
    fn of(block: NonNull<u8>, owner: Owner) -> Option<Self> {
        if owner.is_heap() {
            // SAFETY: a heap owns the granule, so it is a segment.
            let (asked, len) = unsafe { heap::span_asked(block) }?;
            return Some(Self { block, asked, len, guard: None });
        }
        let len = BACKEND.mapped_size(block)?;
        let (asked, guard) = BACKEND.mapping_asked(block)?;
        Some(Self { block, asked, len, guard: Some(guard) })
    }

    fn is_mapping(&self) -> bool {
        self.guard.is_some()
    }

    /// Bytes to the end of the last page of `size` bytes.
    fn end(size: usize) -> usize {
        align::up(size, BACKEND.os.page_size())
    }

    fn at(&self, offset: usize) -> NonNull<u8> {
        // SAFETY: callers stay inside of the block's memory.
        unsafe { self.block.add(offset) }
    }

    fn key(&self) -> u64 {
        check::key(self.block.addr().get())
    }

    /// Puts guards around a block of `size` bytes, where there is room and the system allows it, and fills its slack.
    fn enclose(&self, size: usize) {
        let (end, page) = (Self::end(size), BACKEND.os.page_size());
        // SAFETY: in the block, which is the caller's.
        unsafe { self.at(size).write_bytes(check::slack_byte(self.key()), end - size) };
        if end + page <= self.len {
            // SAFETY: a page of the block's memory of which nobody is told.
            unsafe { os::guard(self.at(end), page) };
        }
        if let Some((start, len)) = self.gap() {
            // SAFETY: whole pages between a mapping's head and its block, which nobody uses.
            unsafe { os::guard(start, len) };
        }
    }

    /// The page in front of a mapping's block, unless the head is there.
    fn gap(&self) -> Option<(NonNull<u8>, usize)> {
        let page = BACKEND.os.page_size();
        let start = self.block.as_ptr().wrapping_sub(page);
        self.guard.filter(|&guard| start.addr() >= guard)?;
        Some((NonNull::new(start)?, page))
    }

    /// Takes the guards away that [`Place::enclose`] has put around `size` bytes; false where the system refuses.
    fn disclose(&self, size: usize) -> bool {
        let (end, page) = (Self::end(size), BACKEND.os.page_size());
        // SAFETY: pages of the block's memory, and before it, of which the caller alone knows.
        let is_open = end + page > self.len || unsafe { os::unguard(self.at(end), page) };
        // SAFETY: as above.
        is_open && self.gap().is_none_or(|(start, len)| unsafe { os::unguard(start, len) })
    }

    /// True where nobody has written behind `size` bytes.
    fn is_whole(&self, size: usize) -> bool {
        // SAFETY: in the block, which is the caller's.
        unsafe { contents::is_filled(self.at(size), Self::end(size) - size, check::slack_byte(self.key())) }
    }

    /// Tells `each` of the first `end` bytes of the block, from `start` on, run by run: where the run begins, how many
    /// bytes it has, and whether it is to be looked at, being resident.
    fn by_residence(&self, start: usize, end: usize, mut each: impl FnMut(NonNull<u8>, usize, bool)) {
        if self.asked.load(Ordering::Relaxed) & RESIDENT != 0 {
            return each(self.at(start), end - start, true);
        }
        let first = self.at(start);
        // SAFETY: whole pages of the block.
        unsafe { os::by_residence(first, end - start, |at, len, is_resident| each(first.add(at), len, is_resident)) };
    }

    /// Makes bytes of the block zero, from `start` to `end`: at a page's start both. Makes nothing resident.
    fn wipe(&self, start: usize, end: usize) {
        if start >= end {
            return;
        }
        // A mapping's pages go back to the system: they would wait for nothing.
        // SAFETY: whole pages of the block, which is the caller's, who needs nothing of them.
        if self.is_mapping() && unsafe { BACKEND.os.purge(self.at(start), end - start) } {
            return;
        }
        self.by_residence(start, end, |run, len, is_resident| {
            // Nobody has written to what is not resident, or it is swapped out.
            // SAFETY: as above.
            if is_resident || !unsafe { BACKEND.os.purge(run, len) } {
                // SAFETY: as above.
                unsafe { contents::wipe_written(run, len) };
            }
        });
    }

    /// Looks whether the first `end` bytes of a free block, in whole pages, read as zero, and ends the process where
    /// somebody has written there. Touches nothing that is not resident; `is_given_back` says that nothing is to be, as
    /// of a mapping's block, which was given back when it was freed. True where all of it is resident.
    fn look_at(&self, end: usize, is_given_back: bool) -> bool {
        if self.is_mapping() && end > LOOKED_AT {
            // Nothing is said of what was written there, but nobody reads it.
            if !is_given_back {
                self.wipe(0, end);
            }
            return false;
        }
        self.look_by_residence(end, |run, len| {
            // What is written to a free block may have been swapped out. Nothing is said of that, but nobody reads it.
            // SAFETY: the heap's block, which has room for that, and holds nothing that is needed.
            is_given_back || self.is_mapping() || unsafe { BACKEND.os.purge(run, len) }
        })
    }

    /// Looks whether those of the first `end` bytes of a free block, in whole pages, read as zero that are resident, or
    /// of which `is_zero` does not say that they do; ends the process where they do not. True where all are resident.
    fn look_by_residence(&self, end: usize, is_zero: impl Fn(NonNull<u8>, usize) -> bool) -> bool {
        let mut are_all = true;
        self.by_residence(0, end, |run, len, is_resident| {
            are_all &= is_resident;
            // SAFETY: in the free block, which can be read.
            if (is_resident || !is_zero(run, len)) && !unsafe { contents::is_zero(run, len) } {
                misuse::written_while_free(self.block, end);
            }
        });
        are_all
    }

    /// The bytes that were asked for of a block in use; ends the process where it is not, or `told` is another number,
    /// or something was written behind it.
    fn size_in_use(&self, told: Option<usize>, deed: Deed) -> usize {
        let asked = self.asked.load(Ordering::Relaxed);
        let size = asked >> SIZE;
        if asked & IN_USE == 0 {
            misuse::is_free(self.block, told.unwrap_or(self.len), deed);
        }
        if let Some(told) = told.filter(|&told| told != size) {
            misuse::has_other_size(self.block, size, told, deed);
        }
        if !self.is_whole(size) {
            misuse::written_beyond(self.block, Self::end(size), Some(size));
        }
        size
    }
}

/// A block for `layout`, which is too large for a slab.
#[cold]
#[inline(never)]
pub(in super::super) fn alloc(tenure: &Tenure, layout: Layout, is_zeroed: bool) -> Option<NonNull<u8>> {
    let block = match route(tenure, layout) {
        Route::Static(placed) if is_zeroed => Some(placed.zeroed()),
        Route::Static(placed) => Some(placed.block),
        Route::Dynamic => take(layout),
        Route::Nowhere => None,
    };
    note(block, layout.size())
}

/// As [`alloc`], in dynamic memory, whatever scope the thread is in.
#[cold]
#[inline(never)]
pub(in super::super) fn alloc_dynamic(layout: Layout) -> Option<NonNull<u8>> {
    note(take(layout), layout.size())
}

fn note(block: Option<NonNull<u8>>, size: usize) -> Option<NonNull<u8>> {
    if exact::routing().is_watched()
        && let Some(block) = block
    {
        watch::allocated(block, size);
    }
    block
}

/// A block for `layout` that reads as zero.
fn take(layout: Layout) -> Option<NonNull<u8>> {
    secret::ensure();
    let (block, is_zero) = large::take_as_is(size::with_guard(layout, BACKEND.os.page_size())?)?;
    let place = Place::of(block, misuse::owner_of(block.addr().get()))?;
    let (size, end) = (layout.size(), Place::end(layout.size()));
    // What is said there is of the block that was here before.
    place.asked.store(0, Ordering::Relaxed);
    let hint = if place.look_at(end, is_zero) { RESIDENT } else { 0 };
    place.asked.store(size << SIZE | IN_USE | hint, Ordering::Relaxed);
    place.enclose(size);
    Some(block)
}

/// Frees a block that is no slab's, said to be of `told`, if anything is said.
#[cold]
#[inline(never)]
pub(in super::super) fn free(block: NonNull<u8>, told: Option<Layout>) {
    let owner = misuse::owner_of(block.addr().get());
    if let Some(layout) = told
        && owner == Owner::STATIC
        && super::free_noted_static(block, layout)
    {
        return;
    }
    let size = told.map(|layout| layout.size());
    let Some(place) = Place::of(block, owner) else { misuse::refuse(block, size, owner, Deed::Free) };
    let size = place.size_in_use(size, Deed::Free);
    // Of two threads that free the block, one finds it free.
    let asked = place.asked.load(Ordering::Relaxed) & RESIDENT | size << SIZE;
    let is_first = place.asked.compare_exchange(asked | IN_USE, asked, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if !is_first {
        misuse::is_free(block, size, Deed::Free);
    }
    if tls::routing().is_watched() {
        watch::freed(block, size);
    }
    #[cfg(feature = "profile")]
    samples::freed(block, owner);
    place.wipe(0, Place::end(size));
    if place.is_mapping() {
        // What is in quarantine is in use under no tag.
        // SAFETY: a mapping's block, which nobody has any more.
        unsafe { BACKEND.untag_block(block) };
    }
    if place.is_mapping() && (place.len > MOST_HELD || !BACKEND.counters.limits.are_none()) {
        // The thread may never come by again to give it up.
        return leave(block);
    }
    if tls::current().is_fresh.get() {
        // Without a quarantine of its own, the block would be the next that anybody gets.
        borrow();
    }
    let thread = tls::current();
    let Some(heap) = thread.heap.get().filter(|_| !thread.is_busy.get()) else { return leave(block) };
    {
        // Blocks that only go to and fro between the quarantine and a magazine come by no other slow path.
        let _busy = Busy::new(thread);
        count_down(thread);
    }
    if is_closed(&place, size) {
        // SAFETY: whole pages of a block that nobody uses.
        unsafe { os::close(block, Place::end(size)) };
    }
    let quarantine = heap.quarantine();
    while let Some(leaves) = quarantine.make_room(place.len) {
        leave(leaves);
    }
    if !quarantine.put_large(block, place.len, place.is_mapping()) {
        leave(block);
    }
}

/// Bytes of the largest mapping that is held in quarantine: its memory is given back, but its addresses are not.
const MOST_HELD: usize = 16 << 20;

/// True for a block that faults where it is touched while it is in quarantine, as far as the system allows that. Of a
/// smaller one it is looked at whether it was touched, which costs less.
fn is_closed(place: &Place, size: usize) -> bool {
    place.is_mapping() || size > CLOSED_FROM
}

/// Gives a free block back to the heap.
pub(super) fn leave(block: NonNull<u8>) {
    let owner = misuse::owner_of(block.addr().get());
    let Some(place) = Place::of(block, owner) else { misuse::refuse(block, None, owner, Deed::Free) };
    let size = place.asked.load(Ordering::Relaxed) >> SIZE;
    // SAFETY: the pages of a free block. Where the system refuses to open them again, or the guards, they are lost.
    if is_closed(&place, size) && !unsafe { os::open(block, Place::end(size)) } || !place.disclose(size) {
        return;
    }
    if !is_closed(&place, size) {
        place.look_by_residence(Place::end(size), |_, _| true);
    }
    large::release(block, place.len);
}

/// Makes a block of `old` bytes, in use and no slab's, `new` bytes large, without a copy; `None` where that cannot be.
/// Ends the process where it is no such block.
pub(in super::super) fn resize(block: NonNull<u8>, old: Option<usize>, new: Layout) -> Option<NonNull<u8>> {
    let owner = misuse::owner_of(block.addr().get());
    let Some(place) = Place::of(block, owner) else { misuse::refuse(block, old, owner, Deed::Use) };
    let size = place.size_in_use(old, Deed::Use);
    let page_size = BACKEND.os.page_size();
    let padded = size::with_guard(new, page_size)?;
    let is_mapping = place.is_mapping();
    // To a profile a span of another size is another block: it is copied.
    #[cfg(feature = "profile")]
    if !is_mapping && tls::current().sampling.get().is_some() {
        return None;
    }
    // As where nothing is hardened: a mapping that would be a span now is copied, and a span stays one.
    if size::class_of(new).is_some() || is_mapping == heap::is_span(padded) || !place.disclose(size) {
        return None;
    }
    let extent = watch::extent(block, size);
    // What is no longer wanted is wiped before it is anybody's. Slack goes with it, where a page stays that it was in.
    place.wipe(Place::end(new.size()), Place::end(size));
    // SAFETY: the caller's block, as it was allocated.
    let resize = || unsafe { resize::in_place(block, padded, is_mapping) };
    #[cfg(feature = "profile")]
    let resize = || samples::resize(block, padded, is_mapping, resize);
    let moved = match resize() {
        Some(moved) => moved,
        // What was wiped does not come back, so a block that gets smaller keeps the room that it has.
        None if new.size() <= size => block,
        None => {
            place.enclose(size);
            return None;
        }
    };
    let place = Place::of(moved, misuse::owner_of(moved.addr().get()))?;
    place.asked.store(new.size() << SIZE | IN_USE, Ordering::Relaxed);
    place.enclose(new.size());
    if tls::routing().is_watched() {
        watch::resized(block, extent, size, moved, new.size());
    }
    Some(moved)
}

/// The bytes that were asked for of a block in use that is no slab's; `None` where there is none.
pub(in super::super) fn size_of(block: NonNull<u8>, owner: Owner) -> Option<usize> {
    let place = Place::of(block, owner)?;
    Some(place.size_in_use(None, Deed::Use))
}

/// As [`size_of`], of a block that is about to be freed.
pub(super) fn size_in_use(block: NonNull<u8>, owner: Owner) -> Option<usize> {
    let place = Place::of(block, owner)?;
    Some(place.size_in_use(None, Deed::Free))
}
