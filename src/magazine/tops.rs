//! Tops: a thread's stacks of all classes, and the ways to find one.

#[cfg(feature = "profile")]
use super::PLACES;
use super::stack::Stack;
use super::{Magazine, NOWHERE, Place, capacity};
#[cfg(feature = "profile")]
use crate::align;
use crate::size_class::{self, SizeClass};
use crate::sync::{array_of, constructor};
#[cfg(not(loom))]
use core::hint;
use core::ptr::NonNull;

/// A thread's stacks, one for each class.
///
/// Found by a class's [code](SizeClass::code). The one under code 0, which is no class's, stands nowhere for ever: a
/// block of no known class finds its magazine full, and so the slow path.
///
/// Where the class is not known when the program is compiled, the stack's address is worked out first, and each access
/// is to an address in a register. Intel's processors since Golden Cove hand what was stored to a load that follows
/// without a detour through the cache where both are addressed in that way, and not where they have an index: a pair of
/// `malloc` and `free` takes a third less time.
#[repr(C)]
pub(crate) struct Tops {
    stacks: [Stack; size_class::COUNT + 1],
}

/// A stack that stands nowhere.
#[cfg(not(loom))]
static NOBODYS: Stack = Stack::nowhere();

impl Tops {
    constructor! {
        /// No magazine for any class.
        pub(crate) fn nowhere() -> Self {
            Tops { stacks: array_of!(Stack::nowhere(); size_class::COUNT + 1) }
        }
    }

    /// What stands under code 0, from which the codes count.
    #[cfg(not(feature = "std"))]
    #[inline(always)]
    pub(crate) fn first(&self) -> *const Stack {
        self.stacks.as_ptr()
    }

    #[inline(always)]
    fn stack(&self, class: SizeClass) -> &Stack {
        // SAFETY: a class's code.
        unsafe { self.under(class.code()) }
    }

    /// The stack of the class with this code.
    ///
    /// The comparison and the choice, which is always the same, go away where the code is known when the program is
    /// compiled. Where it is not, they have the compiler put the address into a register: it would leave a mere sum to
    /// each access.
    ///
    /// # Safety
    /// - `code` is a class's, or 0.
    #[inline(always)]
    pub(crate) unsafe fn under(&self, code: usize) -> &Stack {
        /// No class's code is odd, which the compiler does not know of what it loads.
        #[cfg(not(loom))]
        const NO_CODE: usize = size_class::STEP + 1;
        // SAFETY: passed on.
        let stack = unsafe { self.behind(code) };
        #[cfg(not(loom))]
        let stack = hint::select_unpredictable(code != NO_CODE, stack, &NOBODYS);
        stack
    }

    /// The stack that lies so far behind that of code 0.
    ///
    /// # Safety
    /// - As for [`Tops::under`].
    #[inline(always)]
    pub(crate) unsafe fn behind(&self, code: usize) -> &Stack {
        let distance = match size_of::<Stack>() {
            size_class::STEP => code,
            other => code / size_class::STEP * other,
        };
        // SAFETY: codes are at most `COUNT` steps.
        unsafe { &*self.stacks.as_ptr().byte_add(distance) }
    }

    /// As [`Tops::under`], of a code that is not known when the program is compiled, though the compiler may know what
    /// it cannot be.
    ///
    /// # Safety
    /// - As for `under`.
    #[inline(always)]
    pub(crate) unsafe fn at(&self, code: usize) -> &Stack {
        // SAFETY: passed on.
        let stack = unsafe { self.behind(code) };
        // SAFETY: no instruction at all. The address comes out as it went in, and the compiler does not know that any
        // more.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        unsafe {
            let mut address = core::ptr::from_ref(stack);
            core::arch::asm!("/* {0} */", inout(reg) address, options(pure, readonly, nostack, preserves_flags));
            &*address
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        stack
    }

    /// The stack of the class that serves a block of which only the size is known; `None` where it is larger than any
    /// slab's block.
    #[inline(always)]
    pub(crate) fn for_untyped(&self, size: usize) -> Option<&Stack> {
        let (codes, grains) = SizeClass::look_up_untyped(size)?;
        Some(self.under_entry(codes, grains))
    }

    /// The stack under the code that stands in a table.
    ///
    /// In assembly because a compiler loads the code into a register of its own, and then addresses the stack by two of
    /// them.
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(loom), not(miri)))]
    #[inline(always)]
    fn under_entry(&self, codes: &'static size_class::UntypedCodes, grains: usize) -> &Stack {
        debug_assert!(grains < codes.len());
        let mut stack = self.stacks.as_ptr();
        // SAFETY: reads an entry of the table, where a class's code stands: the sum is the address of that class's
        // stack.
        unsafe {
            core::arch::asm!(
                "add {stack}, qword ptr [{codes} + 8*{grains}]",
                stack = inout(reg) stack,
                codes = in(reg) codes,
                grains = in(reg) grains,
                options(pure, readonly, nostack),
            );
            &*stack
        }
    }

    #[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", not(loom), not(miri))))]
    #[inline(always)]
    fn under_entry(&self, codes: &'static size_class::UntypedCodes, grains: usize) -> &Stack {
        // SAFETY: a class's code stands in each entry.
        unsafe { self.behind(codes[grains]) }
    }

    /// A block of `class`, or `None` where the magazine is empty.
    ///
    /// # Safety
    /// - These are the calling thread's tops.
    #[inline(always)]
    pub(crate) unsafe fn pop(&self, class: SizeClass) -> Option<NonNull<u8>> {
        // SAFETY: passed on.
        unsafe { self.stack(class).pop() }
    }

    /// Keeps a free block of `class`; false where the magazine is full.
    ///
    /// # Safety
    /// - These are the calling thread's tops.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, class: SizeClass, block: *mut u8) -> bool {
        // SAFETY: passed on.
        unsafe { self.stack(class).push(block) }
    }

    /// The block that [`Tops::pop`] would give. Own thread only.
    #[inline(always)]
    pub(crate) fn next(&self, class: SizeClass) -> Option<NonNull<u8>> {
        self.stack(class).next()
    }

    /// True where `block` waits in the magazine of `class`: a search, for magazines of few places. Own thread only.
    #[inline(always)]
    pub(crate) fn holds(&self, class: SizeClass, block: NonNull<u8>) -> bool {
        self.stack(class).holds(block)
    }

    /// Counts blocks of `class` as taken. Own thread only.
    #[inline(always)]
    pub(crate) fn count(&self, class: SizeClass, blocks: u64) {
        self.stack(class).count(blocks);
    }

    /// Number of blocks that were taken so far; a snapshot.
    pub(crate) fn taken(&self) -> u64 {
        self.stacks.iter().fold(0, |sum, stack| sum.wrapping_add(stack.taken()))
    }

    /// Number of blocks of `class` that were taken so far, of which some may have been forgotten. Own thread only.
    pub(crate) fn taken_of(&self, class: SizeClass) -> u64 {
        self.stack(class).taken()
    }

    /// As [`Tops::taken`], which begins at zero again. Own thread only.
    pub(crate) fn take_count(&self) -> u64 {
        let taken = self.taken();
        for stack in &self.stacks {
            stack.forget_taken();
        }
        taken
    }

    /// Where the magazine of `class` has its top; `None` while the thread has no magazine for it.
    #[inline(always)]
    pub(crate) fn get(&self, class: SizeClass) -> Option<*mut Place> {
        Some(self.stack(class).top()).filter(|&top| top != NOWHERE)
    }

    /// Number of blocks of `class` in `magazine`, as far as these are its tops: they may be another heap's.
    pub(crate) fn waiting_in(&self, magazine: &Magazine, class: SizeClass) -> usize {
        // One look: the borrower may give the magazine up meanwhile.
        let Some(top) = self.get(class) else { return 0 };
        let held = top.addr().wrapping_sub(magazine.low(class).addr()) / size_of::<Place>();
        if held <= capacity(class) { held } else { 0 }
    }

    /// The place of the block of `class` that waits longest in the magazine; `None` where none does. Own thread only.
    #[cfg(feature = "profile")]
    pub(crate) fn lowest(&self, class: SizeClass) -> Option<NonNull<Place>> {
        let top = self.get(class)?;
        // A magazine's first place holds no block, so that the top stands behind it at least.
        let start = top.wrapping_sub(1).map_addr(|address| align::down(address, size_of::<Magazine>()));
        let low = start.wrapping_add(PLACES - capacity(class));
        NonNull::new(low).filter(|_| low != top)
    }

    /// Takes the block at `lowest` out, and puts `block` on top. Own thread only.
    ///
    /// # Safety
    /// - `lowest` is what [`Tops::lowest`] says of `class`.
    #[cfg(feature = "profile")]
    pub(crate) unsafe fn replace_lowest(&self, class: SizeClass, lowest: NonNull<Place>, block: Place) {
        let (low, top) = (lowest.as_ptr(), self.stack(class).top());
        let above = (top.addr() - low.addr()) / size_of::<Place>() - 1;
        // SAFETY: blocks wait from the lowest place up to the top, and the borrower alone has access.
        unsafe {
            low.add(1).copy_to(low, above);
            low.add(above).write(block);
        }
    }

    /// Says where the magazine of `class` has its top. Own thread only.
    pub(crate) fn set(&self, class: SizeClass, top: *mut Place) {
        self.stack(class).set_top(top);
    }

    /// Gives the magazine of `class` up. Own thread only.
    pub(crate) fn give_up(&self, class: SizeClass) {
        self.set(class, NOWHERE);
    }

    /// Hands every magazine over to `other`, whose own are given up. Own thread only.
    pub(crate) fn move_to(&self, other: &Tops) {
        for class in SizeClass::all() {
            other.set(class, self.stack(class).top());
            self.give_up(class);
        }
    }

    /// Gives every magazine up. Own thread only.
    pub(crate) fn reset(&self) {
        for class in SizeClass::all() {
            self.give_up(class);
        }
    }
}
