//! Memory for blocks that stand alone: whole granules that belong to no heap, in which no page may be touched but those
//! of blocks in use.
//!
//! To the statistics such a block is one with a mapping of its own, of one page.

use super::backend::Backend;
use super::owner::{GRANULE, Owner};
use crate::align;
use crate::sync::Ordering;
use core::ptr::{self, NonNull};

impl Backend {
    /// Maps at least `len` bytes of which none may be touched, and how many there are; `None` where the system has no
    /// addresses.
    pub(crate) fn map_guarded(&self, len: usize) -> Option<(NonNull<u8>, usize)> {
        let len = align::checked_up(len, GRANULE)?;
        let start = self.or_relieve(len, || self.map_granules(len, Owner::GUARDED))?;
        // SAFETY: mapped just now, and nobody uses it.
        if unsafe { self.os.forbid(start, len) } {
            return Some((start, len));
        }
        // First the entries: the addresses are anybody's as soon as they are unmapped.
        self.set_granules(start.addr().get(), len, Owner::NONE);
        // SAFETY: as above.
        if unsafe { self.os.unmap(start, len) } {
            self.counters.reserved.fetch_sub(len, Ordering::Relaxed);
        }
        None
    }

    /// Makes the page at `page` a block's, under `tag`; false where there is no memory for it, and nothing has changed.
    /// `is_resident` says that the page could not be given back to the system when it was left.
    ///
    /// # Safety
    /// - The page lies in memory of [`Backend::map_guarded`], and is the caller's alone.
    pub(crate) unsafe fn enter_guarded(&self, page: usize, tag: u8, is_resident: bool) -> bool {
        let len = self.os.page_size();
        if !is_resident && !self.counters.try_commit(len) {
            return false;
        }
        let is_permitted = NonNull::new(ptr::with_exposed_provenance_mut(page))
            // SAFETY: mapped by `map_guarded`, says the caller.
            .is_some_and(|page| unsafe { self.os.permit(page, len) });
        if !is_permitted {
            if !is_resident {
                self.counters.uncommit(len);
            }
            return false;
        }
        if is_resident {
            self.counters.metadata.fetch_sub(len, Ordering::Relaxed);
        }
        self.counters.mapped.fetch_add(len, Ordering::Relaxed);
        self.counters.mappings.fetch_add(1, Ordering::Relaxed);
        self.counters.blocks_mapped.fetch_add(1, Ordering::Relaxed);
        self.counters.recount_mappings(tag, [0, 1], [0, len]);
        true
    }

    /// Makes the page at `page`, whose block is free, inaccessible, and gives its memory back to the system; false
    /// where it stays resident, as metadata.
    ///
    /// # Safety
    /// - [`Backend::enter_guarded`] has made the page a block's, under the same tag; it is the caller's alone, and
    ///   holds nothing that is needed.
    #[must_use]
    pub(crate) unsafe fn leave_guarded(&self, page: usize, tag: u8) -> bool {
        let len = self.os.page_size();
        self.counters.recount_mappings(tag, [1, 0], [len, 0]);
        self.counters.mappings.fetch_sub(1, Ordering::Relaxed);
        self.counters.mapped.fetch_sub(len, Ordering::Relaxed);
        let Some(page) = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(page)) else { return false };
        // A page that the system does not protect is one in which a stray access goes unnoticed.
        // SAFETY: the caller's page, which is to fault from now on.
        unsafe { self.os.forbid(page, len) };
        // SAFETY: nothing there is needed.
        let is_returned = unsafe { self.os.purge(page, len) };
        if is_returned {
            self.counters.decommit(len);
        } else {
            self.counters.metadata.fetch_add(len, Ordering::Relaxed);
        }
        is_returned
    }
}
