//! A block of Tenure's, filled with a pattern that no other block has.
//!
//! Bytes that change without this type's doing are noticed when it is checked, resized or freed: so is any overlap of
//! two blocks.

use super::pattern::{Pattern, check_zero};
use std::alloc::{GlobalAlloc, Layout};
use std::ops::Range;
use std::ptr::NonNull;
use tenure::Tenure;

/// All values of the type are the process's one allocator.
const TENURE: Tenure = Tenure::new();

/// A block in use. Has to be freed by hand: a block that is dropped is leaked.
#[derive(Debug)]
#[must_use]
pub struct Block {
    start: NonNull<u8>,
    layout: Layout,
    pattern: Pattern,
}

// SAFETY: the block is this value's alone.
unsafe impl Send for Block {}

/// A layout that is known to be valid.
pub fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

impl Block {
    /// A block of `layout`, or `None` where Tenure has none.
    pub fn new(layout: Layout) -> Option<Self> {
        // SAFETY: no test asks for a size of zero.
        Self::found(unsafe { TENURE.alloc(layout) }, layout)
    }

    /// As [`Block::new`], of a block that has to read as zero.
    pub fn zeroed(layout: Layout) -> Option<Self> {
        // SAFETY: no test asks for a size of zero.
        let start = NonNull::new(unsafe { TENURE.alloc_zeroed(layout) })?;
        // SAFETY: a block of this size, which `alloc_zeroed` has initialised.
        unsafe { check_zero(start, layout.size()) };
        Self::found(start.as_ptr(), layout)
    }

    /// A block of `size` bytes at the alignment of a word.
    pub fn of(size: usize) -> Self {
        Self::new(layout(size, align_of::<u64>())).expect("there is memory")
    }

    fn found(start: *mut u8, layout: Layout) -> Option<Self> {
        let start = NonNull::new(start)?;
        assert!(start.is_aligned_to_bytes(layout.align()), "{layout:?} at {start:p} is not aligned");
        // SAFETY: a block of this size, which is ours.
        let pattern = unsafe { Pattern::write(start, layout.size()) };
        Some(Self { start, layout, pattern })
    }

    pub fn address(&self) -> usize {
        self.start.addr().get()
    }

    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    pub fn size(&self) -> usize {
        self.layout.size()
    }

    pub fn range(&self) -> Range<usize> {
        self.address()..self.address() + self.size()
    }

    /// Panics unless the block holds what it was filled with.
    pub fn check(&self) {
        self.check_first(self.size());
    }

    fn check_first(&self, kept: usize) {
        // SAFETY: this value's own block, which was filled when it was made or resized.
        unsafe { self.pattern.check(self.start, self.size(), kept) };
    }

    /// Makes the block `size` bytes large; false where Tenure refuses. Panics unless the contents are kept.
    #[must_use]
    pub fn resize(&mut self, size: usize) -> bool {
        self.check();
        // SAFETY: this value's own block, and no test asks for a size of zero or for one that is no layout's.
        let start = unsafe { TENURE.realloc(self.as_ptr(), self.layout, size) };
        let Some(start) = NonNull::new(start) else {
            self.check();
            return false;
        };
        assert!(start.is_aligned_to_bytes(self.layout.align()), "{:?} moved to {start:p}", self.layout);
        self.start = start;
        // The pattern still is that of the old size.
        self.check_first(self.size().min(size));
        self.layout = layout(size, self.layout.align());
        // SAFETY: this value's own block.
        self.pattern = unsafe { Pattern::write(start, size) };
        true
    }

    /// Gives the block back. Panics unless it holds what it was filled with.
    pub fn free(self) {
        self.check();
        // SAFETY: this value's own block, which ends here.
        unsafe { TENURE.dealloc(self.as_ptr(), self.layout) };
    }
}

trait AlignedTo {
    fn is_aligned_to_bytes(&self, align: usize) -> bool;
}

impl AlignedTo for NonNull<u8> {
    fn is_aligned_to_bytes(&self, align: usize) -> bool {
        self.addr().get().is_multiple_of(align)
    }
}
