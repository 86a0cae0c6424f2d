//! Huge pages of mappings, for as long as they come quickly.

use super::Mapping;
use crate::align;
use crate::segment::backend::Backend;
use crate::segment::owner::GRANULE;
use core::ptr;

/// Fresh huge pages from which on the first is touched: where the program does not get as far, it is resident for
/// nothing.
const WORTH_TOUCHING: usize = 8;

impl Backend {
    /// Backs a mapping that is going to be filled by huge pages, where these come quickly: the first of many is touched
    /// to see.
    ///
    /// All of the mapping: another advice for a part would make two mappings of one, which could not grow any more.
    ///
    /// # Safety
    /// - The mapping is the caller's, and from `fresh` on nobody has touched it since the system made it.
    pub(in crate::segment) unsafe fn fill_with_huge_pages(&self, mapping: &Mapping, fresh: usize) {
        let start = mapping.start();
        let are_wanted = self.filling.allows_another(self.os) && {
            // SAFETY: the mapping was made by this platform.
            unsafe { self.os.prefer_huge_pages(start, mapping.len()) };
            mapping.is_huge.set(true);
            let first = align::up(fresh, GRANULE);
            let count = mapping.end().saturating_sub(first) / GRANULE;
            let touch = || {
                let first: *mut u8 = ptr::with_exposed_provenance_mut(first);
                // SAFETY: inside the mapping, where nobody has touched it: so it reads as zero, before and afterwards.
                unsafe { first.write_volatile(0) }
            };
            count < WORTH_TOUCHING || self.filling.is_quick(self.os, count, touch)
        };
        if !are_wanted && mapping.is_huge.replace(false) {
            // SAFETY: as above.
            unsafe { self.os.refuse_huge_pages(start, mapping.len()) };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::os::Platform;
    use crate::segment::tests::{MIB, Source};
    use core::alloc::Layout;
    use core::ptr::NonNull;

    const STEP: usize = 20 * MIB;

    /// Makes a block larger by a step; for how many bytes huge pages were asked, and refused.
    fn grow(source: &Source, block: &mut NonNull<u8>, size: &mut usize) -> (usize, usize) {
        let (asked, refused) = (source.mock.huge_pages(), source.mock.refused());
        // SAFETY: the last step of the test's own block.
        unsafe { block.add(*size - STEP).write_bytes(1, STEP) };
        *size += STEP;
        let layout = Layout::from_size_align(*size, 8).unwrap();
        // SAFETY: the test's own block, of a mapping.
        *block = unsafe { source.backend.remap_block(*block, layout) }.expect("the system has memory");
        // SAFETY: the last step of the block.
        let fresh = unsafe { core::slice::from_raw_parts(block.as_ptr().add(*size - STEP), STEP) };
        assert!(fresh.iter().all(|byte| *byte == 0), "what is fresh reads as zero");
        (source.mock.huge_pages() - asked, source.mock.refused() - refused)
    }

    #[test]
    fn what_grows_has_huge_pages_where_they_come_quickly() {
        let source = Source::new();
        let (mut block, mut size) = (source.block(STEP), STEP);
        for _ in 0..4 {
            let (asked, refused) = grow(&source, &mut block, &mut size);
            assert!(asked > size && refused == 0);
        }
    }

    #[test]
    fn nothing_is_touched_where_a_block_grows_by_little() {
        let source = Source::new();
        let (block, size) = (source.block(STEP), STEP);
        // SAFETY: the test's own block, which is a mapping's.
        let grown = unsafe {
            block.write_bytes(1, size);
            source.backend.remap_block(block, Layout::from_size_align(size + 8 * MIB, 8).unwrap())
        };
        let fresh = grown.expect("the system has memory").addr().get() + size + 2 * MIB;
        let page = NonNull::new(core::ptr::with_exposed_provenance_mut(fresh / MIB * MIB)).unwrap();
        assert!(source.mock.huge_pages() > size);
        // SAFETY: inside the block.
        assert_eq!(unsafe { source.mock.resident_pages(page, 4 * MIB) }, 0);
    }

    #[test]
    fn what_was_not_filled_before_it_grew_has_small_pages() {
        let source = Source::new();
        let layout = Layout::from_size_align(2 * STEP, 8).unwrap();
        // SAFETY: the test's own block, of a mapping.
        unsafe { source.backend.remap_block(source.block(STEP), layout) }.expect("the system has memory");
        assert_eq!(source.mock.huge_pages(), 0);
    }

    #[test]
    fn what_grows_has_small_pages_once_a_huge_one_came_slowly_until_time_has_made_up_for_it() {
        let source = Source::new();
        let (mut block, mut size) = (source.block(STEP), STEP);
        source.mock.set_tick_ns(10_000_000);
        let (asked, refused) = grow(&source, &mut block, &mut size);
        assert!(asked > size && refused == asked);
        assert_eq!(grow(&source, &mut block, &mut size), (0, 0));
        source.mock.set_tick_ns(1_000_000_000);
        assert!(source.backend.filling.allows_another(source.mock));
        source.mock.set_tick_ns(0);
        let (asked, refused) = grow(&source, &mut block, &mut size);
        assert!(asked > size && refused == 0);
    }

    #[test]
    fn huge_pages_that_were_asked_for_are_refused_as_soon_as_more_of_them_would_be_slow() {
        let source = Source::new();
        let (mut block, mut size) = (source.block(STEP), STEP);
        assert_eq!(grow(&source, &mut block, &mut size).1, 0);
        source.mock.set_tick_ns(100_000_000);
        let (asked, refused) = grow(&source, &mut block, &mut size);
        assert!(asked > size && refused == asked);
    }
}
