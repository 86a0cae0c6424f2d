//! Request: a layout on its way from an inlined fast path to a slow one.

use core::alloc::Layout;

/// A layout with its size first.
///
/// The functions that the compiler puts before a global allocator are passed size and alignment in this order, and a
/// [`Layout`] is passed on in the other. So two registers would change places before it is known that the slow path is
/// taken at all.
#[derive(Clone, Copy)]
pub(super) struct Request {
    size: usize,
    align: usize,
}

impl Request {
    #[inline(always)]
    pub(super) fn of(layout: Layout) -> Self {
        Self { size: layout.size(), align: layout.align() }
    }

    #[inline(always)]
    pub(super) fn layout(self) -> Layout {
        // SAFETY: a layout's size and alignment.
        unsafe { Layout::from_size_align_unchecked(self.size, self.align) }
    }
}
