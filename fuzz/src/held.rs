//! A block of Tenure's that the model holds, with or without a layout.

use crate::pattern::{Pattern, check_zero};
use std::alloc::{GlobalAlloc, Layout};
use std::ops::Range;
use std::ptr::NonNull;
use tenure::Tenure;

const TENURE: Tenure = Tenure::new();

/// How a block is allocated, resized and freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// As Rust does, with a layout.
    Layout,
    /// As C does, with a size alone.
    Untyped,
}

/// A block in use, filled with a pattern. Has to be freed by hand.
#[derive(Debug)]
#[must_use]
pub struct Held {
    start: NonNull<u8>,
    layout: Layout,
    interface: Interface,
    /// In static memory, of which the heaps' statistics know nothing.
    pub is_static: bool,
    pattern: Pattern,
}

// SAFETY: the block is this value's alone.
unsafe impl Send for Held {}

impl Held {
    /// A new block; `None` where there is no memory.
    pub fn new(interface: Interface, mut layout: Layout, is_zeroed: bool) -> Option<Self> {
        let start = match (interface, is_zeroed) {
            // SAFETY: no operation has a size of zero.
            (Interface::Layout, false) => unsafe { TENURE.alloc(layout) },
            // SAFETY: as above.
            (Interface::Layout, true) => unsafe { TENURE.alloc_zeroed(layout) },
            (Interface::Untyped, false) => TENURE.alloc_untyped(layout.size()),
            (Interface::Untyped, true) => TENURE.alloc_zeroed_untyped(layout.size()),
        };
        let start = NonNull::new(start)?;
        if interface == Interface::Untyped {
            layout = untyped_layout(layout.size());
        }
        assert!(start.addr().get().is_multiple_of(layout.align()), "{layout:?} at {start:p}");
        if is_zeroed {
            // SAFETY: a block of this size, initialised with zeros.
            unsafe { check_zero(start, layout.size()) };
        }
        // SAFETY: a block of this size, which is ours.
        let pattern = unsafe { Pattern::write(start, layout.size()) };
        Some(Self { start, layout, interface, is_static: false, pattern })
    }

    pub fn range(&self) -> Range<usize> {
        self.start.addr().get()..self.start.addr().get() + self.layout.size()
    }

    /// Bytes of the block that may be used; not known of static memory.
    pub fn usable(&self) -> usize {
        if self.is_static {
            return 0;
        }
        // SAFETY: a block in use, which is not static.
        let usable = unsafe { TENURE.usable_size(self.start.as_ptr()) };
        assert!(usable >= self.layout.size(), "{:?} has {usable} bytes", self.layout);
        usable
    }

    fn check(&self, kept: usize) {
        // SAFETY: this value's own block, which was filled when it was made or resized.
        unsafe { self.pattern.check(self.start, self.layout.size(), kept) };
    }

    /// Makes the block `size` bytes large; false where there is no memory.
    #[must_use]
    pub fn resize(&mut self, size: usize) -> bool {
        let old = self.layout.size();
        self.check(old);
        let moved = match self.interface {
            // SAFETY: this value's own block, and the size is no operation's zero.
            Interface::Layout => unsafe { TENURE.realloc(self.start.as_ptr(), self.layout, size) },
            // SAFETY: as above.
            Interface::Untyped => unsafe { TENURE.realloc_untyped(self.start.as_ptr(), size) },
        };
        let Some(moved) = NonNull::new(moved) else {
            self.check(old);
            return false;
        };
        self.start = moved;
        self.check(old.min(size));
        self.layout = match self.interface {
            Interface::Layout => Layout::from_size_align(size, self.layout.align()).expect("sizes are small"),
            Interface::Untyped => untyped_layout(size),
        };
        assert!(moved.addr().get().is_multiple_of(self.layout.align()), "{:?} moved to {moved:p}", self.layout);
        // SAFETY: this value's own block.
        self.pattern = unsafe { Pattern::write(moved, size) };
        true
    }

    pub fn free(self) {
        self.check(self.layout.size());
        // A block that came with a layout may be freed without one, too, unless it is static.
        let without = self.interface == Interface::Untyped || !self.is_static && self.layout.size() % 3 == 0;
        if without {
            // SAFETY: this value's own block, which ends here.
            unsafe { TENURE.free_untyped(self.start.as_ptr()) };
        } else {
            // SAFETY: as above, with its layout.
            unsafe { TENURE.dealloc(self.start.as_ptr(), self.layout) };
        }
    }
}

/// What a block without a layout is aligned to.
fn untyped_layout(size: usize) -> Layout {
    Layout::from_size_align(size, if size <= 8 { 8 } else { 16 }).expect("sizes are small")
}
