//! Memory for static data: whole granules that belong to no heap, of which the owner map says so.
//!
//! Nothing that describes a chunk lies in it: its pages hold the program's data alone, and a forked child shares them
//! for as long as it only reads.

use super::backend::{Backend, Place};
use super::owner::{GRANULE, Owner};
use crate::align;
use crate::sync::Ordering;
use core::ptr::{self, NonNull};

impl Backend {
    /// Maps zeros at a multiple of a granule as static memory: `wanted` bytes, or `needed` where that is refused. Both
    /// are multiples of a granule, as is `small`: from there on, the system is asked for huge pages. Returns where, and
    /// how many; `None` where the system has not even what is needed.
    pub(crate) fn map_static(&self, wanted: usize, needed: usize, small: usize) -> Option<(NonNull<u8>, usize)> {
        // Memory that is kept for reuse is given up for what is needed alone.
        let as_wanted = self.map_granules(wanted, Owner::STATIC).map(|start| (start, wanted));
        let (start, len) = as_wanted.or_else(|| {
            let bytes = needed.checked_add(GRANULE)?;
            self.or_relieve(bytes, || self.map_granules(needed, Owner::STATIC)).map(|start| (start, needed))
        })?;
        if small < len
            && let Some(huge) = NonNull::new(start.as_ptr().wrapping_add(small))
        {
            // SAFETY: the end of what was just mapped.
            unsafe { self.os.prefer_huge_pages(huge, len - small) };
        }
        Some((start, len))
    }

    /// Maps zeros at a multiple of a granule, all of whose granules are owned by `owner`, which is no heap.
    pub(super) fn map_granules(&self, len: usize, owner: Owner) -> Option<NonNull<u8>> {
        debug_assert!(len > 0 && align::is_aligned(len, GRANULE));
        let start = self.map_placed(len, Place { align: GRANULE, offset: 0, headroom: 0 })?;
        let _ = start.as_ptr().expose_provenance();
        let address = start.addr().get();
        if !self.admit_granules(address, len) {
            // SAFETY: mapped just now, and nobody has seen it.
            unsafe { self.os.unmap(start, len) };
            return None;
        }
        self.counters.reserved.fetch_add(len, Ordering::Relaxed);
        self.set_granules(address, len, owner);
        Some(start)
    }

    /// Makes every entry of the owner map for these granules writable; false where the system refuses.
    fn admit_granules(&self, address: usize, len: usize) -> bool {
        let mut metadata = 0;
        let mut granules = (address..address + len).step_by(GRANULE);
        let is_admitted = granules.all(|granule| self.owners.admit(self.os, granule, &mut metadata));
        self.counters.commit_metadata(metadata);
        is_admitted
    }

    pub(super) fn set_granules(&self, address: usize, len: usize, owner: Owner) {
        for granule in (address..address + len).step_by(GRANULE) {
            self.owners.set(granule, owner);
        }
    }

    /// Gives the end of static memory back, from `start + used` on, where nothing was placed or everything is done
    /// with; in whole pages. Returns how many bytes that was; 0 where the system refuses.
    ///
    /// # Safety
    /// - `start..start + len` was mapped by [`Backend::map_static`] and not given back.
    /// - Nobody uses what lies from `start + used` on, now or later.
    pub(crate) unsafe fn trim_static(&self, start: usize, used: usize, len: usize) -> usize {
        let kept = align::up(used, self.os.page_size());
        let Some(rest) = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(start + kept)) else { return 0 };
        if kept == len {
            return 0;
        }
        // First the entries: the addresses are anybody's as soon as they are unmapped.
        let unused = align::up(kept, GRANULE);
        self.set_granules(start + unused, len - unused, Owner::NONE);
        // SAFETY: the caller says that nobody uses the rest, and that it is mapped.
        if unsafe { self.os.unmap(rest, len - kept) } {
            self.counters.reserved.fetch_sub(len - kept, Ordering::Relaxed);
        } else {
            // The system cannot split its table of mappings just now. The addresses stay, the memory need not.
            // SAFETY: as above.
            if !unsafe { self.os.purge(rest, len - kept) } {
                return 0;
            }
        }
        self.counters.returned.fetch_add(len - kept, Ordering::Relaxed);
        len - kept
    }

    /// Makes the first `used` bytes of static memory read-only, and what else lies in their last page. Returns how many
    /// bytes that was; 0 where the system refuses.
    ///
    /// # Safety
    /// - `start..start + used` was mapped by [`Backend::map_static`] and not given back.
    /// - Nobody writes there any more.
    pub(crate) unsafe fn protect_static(&self, start: usize, used: usize) -> usize {
        let len = align::up(used, self.os.page_size());
        match NonNull::new(ptr::with_exposed_provenance_mut::<u8>(start)) {
            // SAFETY: passed on.
            Some(start) if len > 0 && unsafe { self.os.protect(start, len) } => len,
            _ => 0,
        }
    }
}
