//! Sizes: which class serves a request, whose block has a check word behind what was asked for. Every decision of the
//! hardened build that turns a size into a class is made here.

use crate::size_class::{SizeClass, UNTYPED_ALIGN};
use core::alloc::Layout;

/// Bytes of the check word, at the end of every block of a slab.
pub(crate) const CHECK: usize = size_of::<u64>();

/// The class that serves `layout`, or `None` where that is larger than a slab's block. Its blocks are aligned as the
/// layout asks: the class holds a multiple of the alignment.
#[inline(always)]
pub(crate) fn class_of(layout: Layout) -> Option<SizeClass> {
    // No overflow: a layout's size is at most `isize::MAX`, and so is its alignment.
    SizeClass::of_size((layout.size() + CHECK + layout.align() - 1) & !(layout.align() - 1))
}

/// The class that serves a block of which only the size is known, which may be 0; `None` where it is larger than a
/// slab's block.
#[inline(always)]
pub(crate) fn class_of_untyped(size: usize) -> Option<SizeClass> {
    SizeClass::of_untyped(size.checked_add(CHECK)?)
}

/// The class that serves `size` bytes at a multiple of `align`, and of 16, where only these are known. `None` also
/// where `size` is 0 or `align` no power of two.
#[inline(always)]
pub(crate) fn class_of_aligned(size: usize, align: usize) -> Option<SizeClass> {
    // First, as what is raised to 16 may be one that was none.
    if size == 0 || !align.is_power_of_two() {
        return None;
    }
    class_of(Layout::from_size_align(size, align.max(UNTYPED_ALIGN)).ok()?)
}

/// The layout of what the heap is asked for where a block is too large for a slab: a page more, for a guard. `None`
/// where nothing can be so large.
pub(crate) fn with_guard(layout: Layout, page_size: usize) -> Option<Layout> {
    Layout::from_size_align(layout.size().checked_add(page_size)?, layout.align()).ok()
}

/// Bytes that a block of a slab of `class` can be used for, at most.
#[inline(always)]
pub(crate) fn room(class: SizeClass) -> usize {
    class.size() - CHECK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size_class::MAX_SIZE;

    #[test]
    fn every_block_has_room_for_its_check_word_and_is_aligned() {
        for size in 1..=MAX_SIZE {
            for shift in 0..=15 {
                let layout = Layout::from_size_align(size, 1 << shift).unwrap();
                let Some(class) = class_of(layout) else {
                    assert!(size + CHECK > MAX_SIZE || size.next_multiple_of(1 << shift) + CHECK > MAX_SIZE);
                    continue;
                };
                assert!(room(class) >= size && class.size().is_multiple_of(1 << shift), "{layout:?}");
            }
            let untyped = class_of_untyped(size);
            assert!(untyped.is_none_or(|class| room(class) >= size && class.size().is_multiple_of(UNTYPED_ALIGN)));
            assert_eq!(untyped.is_some(), size + CHECK <= MAX_SIZE);
        }
        assert!(room(class_of_untyped(0).unwrap()) == 0);
        assert_eq!(class_of_untyped(usize::MAX), None);
    }

    #[test]
    fn an_alignment_that_is_none_has_no_class() {
        for align in [0, 3, 5, 6, 7, 15, 24, usize::MAX] {
            assert_eq!(class_of_aligned(8, align), None, "{align}");
        }
        assert_eq!(class_of_aligned(0, 16), None);
        assert_eq!(class_of_aligned(usize::MAX, 4096), None);
        assert_eq!(class_of_aligned(100, 64).map(SizeClass::size), Some(128));
    }
}
