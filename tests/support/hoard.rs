//! All the memory there is, in blocks of one size.

use super::block::layout;
use super::errno::keeping_errno;
use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;
use tenure::Tenure;

/// All values of the type are the process's one allocator.
const TENURE: Tenure = Tenure::new();

/// Allocates as many blocks of a size as there is memory for. They are linked through their first words, which takes no
/// memory.
pub struct Hoard {
    last: Option<NonNull<u8>>,
    layout: Layout,
    pub blocks: usize,
}

// SAFETY: the blocks are this value's alone.
unsafe impl Send for Hoard {}

impl Hoard {
    /// Nothing.
    pub fn none() -> Self {
        Self::of(8)
    }

    fn of(size: usize) -> Self {
        Self { last: None, layout: layout(size, 8), blocks: 0 }
    }

    pub fn of_all_memory(size: usize) -> Self {
        let mut hoard = Self::of(size);
        while hoard.add() {}
        hoard
    }

    pub fn add(&mut self) -> bool {
        // SAFETY: the size is not zero.
        let Some(block) = NonNull::new(keeping_errno(|| unsafe { TENURE.alloc(self.layout) })) else { return false };
        // SAFETY: the block is large and aligned enough for a pointer.
        unsafe { block.cast::<Option<NonNull<u8>>>().write(self.last) };
        self.last = Some(block);
        self.blocks += 1;
        true
    }

    /// Frees so many of the blocks, the youngest first.
    pub fn free(&mut self, count: usize) {
        for _ in 0..count {
            let Some(block) = self.last else { return };
            // SAFETY: `add` has written the pointer.
            self.last = unsafe { block.cast::<Option<NonNull<u8>>>().read() };
            self.blocks -= 1;
            // SAFETY: allocated with this layout, and not in the list any more.
            keeping_errno(|| unsafe { TENURE.dealloc(block.as_ptr(), self.layout) });
        }
    }

    pub fn free_all(mut self) {
        self.free(self.blocks);
    }
}
