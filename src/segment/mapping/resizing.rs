//! Resizing: the block of a mapping gets longer or shorter without a copy, by what lies behind it or by moving its
//! pages.

use super::{Mapping, Placement};
use crate::os::Resized;
use crate::segment::backend::{Backend, Place};
use crate::segment::cache::{self, Range};
use crate::segment::owner::Owner;
use crate::sync::Ordering;
use core::alloc::Layout;
use core::ptr::NonNull;

/// From this length on, a mapping that has grown is asked to be backed by huge pages.
const HUGE_FROM: usize = 8 * 1024 * 1024;

impl Backend {
    /// Makes the block of a mapping `layout` large, without copying: where it stands, or by moving its pages. `None`:
    /// not possible, and nothing has changed, but that the block may have more room.
    ///
    /// # Safety
    /// - `block` is a mapping's, in use, and the caller's; it was allocated with the alignment of `layout`.
    pub(crate) unsafe fn remap_block(&self, block: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the caller says that it is a mapping's block.
        let mapping = unsafe { Mapping::of(block) };
        let (tag, before) = (mapping.tag.get(), mapping.body());
        // SAFETY: passed on.
        let remapped = unsafe { self.remap(block, layout) };
        // SAFETY: the mapping is there, or where it has moved with its head.
        let mapping = unsafe { Mapping::of(remapped.unwrap_or(block)) };
        if remapped.is_some() {
            mapping.wanted.set(layout.size());
        }
        let after = mapping.body();
        self.counters.live_changed(before, after);
        self.counters.recount_mappings(tag, [1, 1], [before, after]);
        remapped
    }

    /// # Safety
    /// - As for `remap_block`.
    unsafe fn remap(&self, block: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the caller says that it is a mapping's block.
        let mapping = unsafe { Mapping::of(block) };
        let len = self.mapping_len(layout.size(), mapping.offset.get())?;
        if len <= mapping.len() && mapping.len() - len <= mapping.len() / 8 || self.grow_in_place(mapping, len) {
            return Some(block);
        }
        if len < mapping.len() && mapping.offset.get() == cache::OFFSET {
            self.leave_behind(mapping, len);
            return Some(block);
        }
        if len > mapping.len() && mapping.is_patched.get() {
            return None;
        }
        let growth = len.saturating_sub(mapping.len());
        self.make_way(growth);
        self.counters.fetch(growth, || self.resize_or_move(mapping, block, layout, len))
    }

    /// Makes a mapping `len` long; whoever asks counts the growth as committed.
    fn resize_or_move(&self, mapping: &Mapping, block: NonNull<u8>, layout: Layout, len: usize) -> Option<NonNull<u8>> {
        let old_len = mapping.len();
        if self.resize_in_place(mapping, len) {
            self.resized(mapping, len);
            return Some(block);
        }
        if len < old_len {
            return Some(block);
        }
        // What has grown will grow: with room behind it, the next two doublings need no move.
        let Placement { place, owner, .. } = Placement::of(layout.align());
        let place = Place { headroom: len.checked_mul(3)?, ..place };
        // The old addresses are anybody's as soon as they are unmapped, so the entry goes first.
        self.owners.set(block.addr().get(), Owner::NONE);
        let Some(moved) = self.move_pages(mapping, len, place) else {
            self.owners.set(block.addr().get(), owner);
            return None;
        };
        self.owners.set(moved.block().addr(), owner);
        NonNull::new(moved.block())
    }

    /// Has the system make a mapping `len` long where it stands; false where it does not. Takes note where the mapping
    /// is several for it.
    pub(super) fn resize_in_place(&self, mapping: &Mapping, len: usize) -> bool {
        // SAFETY: the mapping is the caller's, who no longer needs what lies beyond the new length.
        let resized = unsafe { self.os.resize(mapping.start(), mapping.len(), len) };
        if resized == Resized::Several {
            mapping.is_patched.set(true);
        }
        resized == Resized::Yes
    }

    /// Moves a mapping's pages to a place where it can be `len` long, which is longer than it is. No entry of the owner
    /// map speaks of it. `None`: not possible, and nothing has changed.
    pub(super) fn move_pages(&self, mapping: &Mapping, len: usize, place: Place) -> Option<&'static Mapping> {
        if mapping.is_patched.get() {
            return None;
        }
        let target = self.map_placed(len, place)?;
        let _ = target.as_ptr().expose_provenance();
        // SAFETY: both mappings are this thread's alone. Where this fails, what has become of the target is not known,
        // so it is left as it is: untouched addresses at worst.
        if !unsafe { self.os.relocate(mapping.start(), mapping.len(), target, len) } {
            return None;
        }
        // SAFETY: the head has moved with the other pages.
        let moved = unsafe { Mapping::at(target.addr().get()) };
        self.resized(moved, len);
        Some(moved)
    }

    /// A mapping was `old_len` long. What was filled before it grew is going to be filled from its start to its end,
    /// for which huge pages are made: one costs a fraction of the page faults that it saves.
    fn has_grown(&self, mapping: &Mapping, old_len: usize) {
        // SAFETY: inside the mapping, which the caller holds.
        if mapping.len() >= HUGE_FROM && unsafe { self.is_resident(mapping.address() + old_len - old_len / 8) } {
            // SAFETY: the caller holds the mapping, which had ended there.
            unsafe { self.fill_with_huge_pages(mapping, mapping.address() + old_len) };
        }
    }

    /// Makes a mapping `len` long by what nobody uses behind it; true where that is enough. Otherwise the mapping has
    /// all of it.
    fn grow_in_place(&self, mapping: &Mapping, len: usize) -> bool {
        if len <= mapping.len() {
            return false;
        }
        while mapping.len() < len
            && let Some(behind) = self.take_behind(mapping)
        {
            let used = behind.len.min(len - mapping.len());
            mapping.len.set(mapping.len() + used);
            self.put_back(Range::leftover(behind.start + used, behind.end()));
        }
        mapping.len() == len
    }

    /// Makes a mapping `len` long, which is less than it is, and keeps the rest, in case that it grows again.
    fn leave_behind(&self, mapping: &Mapping, len: usize) {
        let end = self.take_behind(mapping).map_or(mapping.end(), Range::end);
        mapping.len.set(len);
        self.keep(Range::leftover(mapping.end(), end));
    }

    pub(super) fn resized(&self, mapping: &Mapping, len: usize) {
        let old_len = mapping.len.replace(len);
        if len >= old_len {
            self.counters.reserved.fetch_add(len - old_len, Ordering::Relaxed);
            self.counters.mapped.fetch_add(len - old_len, Ordering::Relaxed);
            self.has_grown(mapping, old_len);
        } else {
            self.counters.reserved.fetch_sub(old_len - len, Ordering::Relaxed);
            self.counters.mapped.fetch_sub(old_len - len, Ordering::Relaxed);
            self.counters.decommit(old_len - len);
        }
    }
}
