//! Stack: what a thread has at hand of one class, on which every allocation and free of it works.

use super::{ALIGN, NOWHERE, Place};
use crate::size_class;
use crate::sync::{AtomicPtr, AtomicU64, Ordering, constructor};
use core::ptr::NonNull;

/// What a thread has at hand of a class: where its magazine's top is, and how much was taken from there.
///
/// Written by its own thread alone; read by others for statistics.
#[repr(C)]
pub(crate) struct Stack {
    top: AtomicPtr<Place>,
    /// Number of blocks that were taken so far.
    taken: AtomicU64,
}

const _: () = assert!(cfg!(loom) || size_of::<Stack>() == size_class::STEP);

impl Stack {
    constructor! {
        /// Without a magazine.
        pub(super) fn nowhere() -> Self {
            Stack { top: AtomicPtr::new(NOWHERE), taken: AtomicU64::new(0) }
        }
    }

    /// A block, or `None` where the magazine is empty.
    ///
    /// # Safety
    /// - This is the calling thread's own.
    #[inline(always)]
    pub(crate) unsafe fn pop(&self) -> Option<NonNull<u8>> {
        let block = self.next()?;
        // Loaded anew, which makes the step one instruction in memory.
        let step = self.top.load(Ordering::Relaxed).wrapping_sub(1);
        self.top.store(step, Ordering::Relaxed);
        self.count(1);
        Some(block)
    }

    /// Keeps a free block of the class; false where the magazine is full.
    ///
    /// # Safety
    /// - This is the calling thread's own.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, block: *mut u8) -> bool {
        let top = self.top.load(Ordering::Relaxed);
        if top.addr().is_multiple_of(ALIGN) {
            return false;
        }
        // SAFETY: below the end of a magazine of the calling thread's own.
        unsafe { *top = block };
        // Loaded anew, which makes the step one instruction in memory.
        let step = self.top.load(Ordering::Relaxed).wrapping_add(1);
        self.top.store(step, Ordering::Relaxed);
        true
    }

    /// As [`Stack::push`], of a class that is not known when the program is compiled.
    ///
    /// The top is moved before its block is written: a processor that does not know yet where one free writes can begin
    /// the next free, which reads the top, all the same.
    ///
    /// # Safety
    /// - This is the calling thread's own.
    #[inline(always)]
    pub(crate) unsafe fn push_first(&self, block: *mut u8) -> bool {
        let top = self.top.load(Ordering::Relaxed);
        if top.addr().is_multiple_of(ALIGN) {
            return false;
        }
        // SAFETY: passed on; the top is not at its magazine's end.
        unsafe { self.step_up(top) };
        // SAFETY: below the end of a magazine of the calling thread's own.
        unsafe { *top = block };
        true
    }

    /// Moves the top, which stands at `top`, up by one place.
    ///
    /// In assembly, because a compiler keeps what it has loaded in a register, and then needs an instruction to add and
    /// another to store.
    ///
    /// # Safety
    /// - This is the calling thread's own.
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(loom), not(miri)))]
    #[inline(always)]
    unsafe fn step_up(&self, _top: *mut Place) {
        // SAFETY: adds one place to the top, and changes nothing else: on this architecture what an atomic load and an
        // atomic store, both relaxed, would do.
        unsafe {
            core::arch::asm!(
                "add qword ptr [{top}], {place}",
                top = in(reg) &raw const self.top,
                place = const size_of::<Place>(),
                options(nostack),
            );
        }
    }

    #[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", not(loom), not(miri))))]
    #[inline(always)]
    unsafe fn step_up(&self, top: *mut Place) {
        self.top.store(top.wrapping_add(1), Ordering::Relaxed);
    }

    /// The block that [`Stack::pop`] would give. Own thread only.
    #[inline(always)]
    pub(super) fn next(&self) -> Option<NonNull<u8>> {
        // SAFETY: below a top there is a block, or the null at the low end.
        NonNull::new(unsafe { *self.top.load(Ordering::Relaxed).wrapping_sub(1) })
    }

    /// True where `block` waits in the magazine. Takes as long as the magazine is full. Own thread only.
    #[inline(always)]
    pub(super) fn holds(&self, block: NonNull<u8>) -> bool {
        /// From the place below `place` on.
        #[cold]
        #[inline(never)]
        fn search(mut place: *const Place, block: NonNull<u8>) -> bool {
            loop {
                place = place.wrapping_sub(1);
                // SAFETY: below a top there are blocks, and the null at the low end, where this ends.
                match unsafe { *place } {
                    waiting if waiting == block.as_ptr() => return true,
                    waiting if waiting.is_null() => return false,
                    _ => {}
                }
            }
        }
        self.next().is_some() && search(self.top(), block)
    }

    /// Counts blocks as taken. Own thread only.
    #[inline(always)]
    pub(super) fn count(&self, blocks: u64) {
        self.taken.store(self.taken.load(Ordering::Relaxed).wrapping_add(blocks), Ordering::Relaxed);
    }

    /// Number of blocks that were taken so far; a snapshot.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Begins to count at zero. Own thread only.
    pub(super) fn forget_taken(&self) {
        self.taken.store(0, Ordering::Relaxed);
    }

    /// Where the magazine has its top; [`NOWHERE`] while there is none.
    #[inline(always)]
    pub(super) fn top(&self) -> *mut Place {
        self.top.load(Ordering::Relaxed)
    }

    /// Says where the magazine has its top. Own thread only.
    pub(super) fn set_top(&self, top: *mut Place) {
        self.top.store(top, Ordering::Relaxed);
    }
}
