//! Magazine: a size class's free list, as an array of block addresses.
//!
//! A full magazine's top stands at a multiple of 1024, and below an empty magazine's top lies a null. There is one more magazine, static, in which
//! both hold at once: a thread whose tops all stand there fails every test and so reaches the slow paths, without
//! a check of its own on the fast one.
//!
//! ```text
//!        low                          top                                   end, a multiple of 1024
//!         v                            v                                     v
//!   null | block | block | ... | block | stale | stale | ...         | stale |
//!                 <- handed out from the right           taken back to the right ->
//! ```

use crate::size_class::{self, SizeClass};
use crate::sync::{AtomicPtr, AtomicU64, Ordering, UnsafeCell, array_of, constructor};
#[cfg(not(loom))]
use core::hint;
use core::ptr::{self, NonNull};

/// A place for the address of a block.
pub(crate) type Place = *mut u8;

/// Places of a magazine, the null at its low end included.
const PLACES: usize = 128;

/// Bytes of a magazine, and what it is aligned to.
const ALIGN: usize = PLACES * size_of::<Place>();

/// Bytes of blocks that a magazine may hold at most; classes of large blocks have short magazines, and those of spans hold one.
const MAX_BYTES: usize = 64 * 1024;

/// The places for one size class.
#[repr(C, align(1024))]
pub(crate) struct Magazine(UnsafeCell<[Place; PLACES]>);

const _: () = assert!(align_of::<Magazine>() == ALIGN && size_of::<Magazine>() == ALIGN);

/// The magazine that is full and empty at once. Nobody can write to it.
#[repr(align(1024))]
struct NoMagazine {
    _places: [usize; PLACES],
}

static NO_MAGAZINE: NoMagazine = NoMagazine { _places: [0; PLACES] };

/// Most blocks that a magazine of `class` holds.
#[inline(always)]
pub(crate) const fn capacity(class: SizeClass) -> usize {
    CAPACITIES[class.index()] as usize
}

/// By a class's index: a division for each would take longer than many an exchange.
static CAPACITIES: [u8; size_class::COUNT] = {
    let mut capacities = [0; size_class::COUNT];
    let mut index = 0;
    while index < size_class::COUNT {
        capacities[index] = match MAX_BYTES / size_class::size_of(index) {
            0 => 1,
            fitting if fitting < PLACES => fitting as u8,
            _ => PLACES as u8 - 1,
        };
        index += 1;
    }
    capacities
};

impl Magazine {
    /// The top of this magazine when it is empty and serves `class`. The place below is null, as all places are before the first use.
    #[inline(always)]
    pub(crate) fn low(&self, class: SizeClass) -> *mut Place {
        self.0.get().cast::<Place>().wrapping_add(PLACES - capacity(class))
    }
}

/// What a thread has at hand of a class: where its magazine's top is, and how much was taken from there.
///
/// Written by its own thread alone; read by others for statistics.
#[repr(C)]
pub(crate) struct Stack {
    top: AtomicPtr<Place>,
    /// Number of blocks that were taken so far.
    taken: AtomicU64,
}

/// A thread's stacks, one for each class.
///
/// Found by a class's [code](SizeClass::code). The one under code 0, which is no class's, stands nowhere for ever: a block of no known class finds
/// its magazine full, and so the slow path.
///
/// Where the class is not known when the program is compiled, the stack's address is worked out first, and each access is to an address in a register. Intel's processors since Golden
/// Cove hand what was stored to a load that follows without a detour through the cache where both are addressed in that way, and not where they have an index: a pair of `malloc` and `free` takes a third less time.
#[repr(C)]
pub(crate) struct Tops {
    stacks: [Stack; size_class::COUNT + 1],
}

/// What a top says while the thread has no magazine for the class.
const NOWHERE: *mut Place = ptr::from_ref(&NO_MAGAZINE).cast::<Place>().cast_mut().wrapping_add(PLACES);

const _: () = assert!(cfg!(loom) || size_of::<Stack>() == size_class::STEP);

/// A stack that stands nowhere.
#[cfg(not(loom))]
static NOBODYS: Stack = Stack::nowhere();

impl Stack {
    constructor! {
        fn nowhere() -> Self {
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
    /// The top is moved before its block is written: a processor that does not know yet where one free writes can begin the next free, which reads the top, all the same.
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
    /// In assembly, because a compiler keeps what it has loaded in a register, and then needs an instruction to add and another to store.
    ///
    /// # Safety
    /// - This is the calling thread's own.
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(loom), not(miri)))]
    #[inline(always)]
    unsafe fn step_up(&self, _top: *mut Place) {
        // SAFETY: adds one place to the top, and changes nothing else: on this architecture what an atomic load and an atomic store, both relaxed, would do.
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

    #[inline(always)]
    fn next(&self) -> Option<NonNull<u8>> {
        // SAFETY: below a top there is a block, or the null at the low end.
        NonNull::new(unsafe { *self.top.load(Ordering::Relaxed).wrapping_sub(1) })
    }

    #[inline(always)]
    fn count(&self, blocks: u64) {
        self.taken.store(self.taken.load(Ordering::Relaxed).wrapping_add(blocks), Ordering::Relaxed);
    }
}

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
    /// The comparison and the choice, which is always the same, go away where the code is known when the program is compiled. Where it is not, they have the compiler put the
    /// address into a register: it would leave a mere sum to each access.
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
    unsafe fn behind(&self, code: usize) -> &Stack {
        let distance = match size_of::<Stack>() {
            size_class::STEP => code,
            other => code / size_class::STEP * other,
        };
        // SAFETY: codes are at most `COUNT` steps.
        unsafe { &*self.stacks.as_ptr().byte_add(distance) }
    }

    /// As [`Tops::under`], of a code that is not known when the program is compiled, though the compiler may know what it cannot be.
    ///
    /// # Safety
    /// - As for `under`.
    #[inline(always)]
    pub(crate) unsafe fn at(&self, code: usize) -> &Stack {
        // SAFETY: passed on.
        let stack = unsafe { self.behind(code) };
        // SAFETY: no instruction at all. The address comes out as it went in, and the compiler does not know that any more.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        unsafe {
            let mut address = ptr::from_ref(stack);
            core::arch::asm!("/* {0} */", inout(reg) address, options(pure, readonly, nostack, preserves_flags));
            &*address
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        stack
    }

    /// The stack of the class that serves a block of which only the size is known; `None` where it is larger than any slab's block.
    #[inline(always)]
    pub(crate) fn for_untyped(&self, size: usize) -> Option<&Stack> {
        let (codes, grains) = SizeClass::look_up_untyped(size)?;
        Some(self.under_entry(codes, grains))
    }

    /// The stack under the code that stands in a table.
    ///
    /// In assembly because a compiler loads the code into a register of its own, and then addresses the stack by two of them.
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(loom), not(miri)))]
    #[inline(always)]
    fn under_entry(&self, codes: &'static size_class::UntypedCodes, grains: usize) -> &Stack {
        debug_assert!(grains < codes.len());
        let mut stack = self.stacks.as_ptr();
        // SAFETY: reads an entry of the table, where a class's code stands: the sum is the address of that class's stack.
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

    /// Counts blocks of `class` as taken. Own thread only.
    #[inline(always)]
    pub(crate) fn count(&self, class: SizeClass, blocks: u64) {
        self.stack(class).count(blocks);
    }

    /// Number of blocks that were taken so far; a snapshot.
    pub(crate) fn taken(&self) -> u64 {
        self.stacks.iter().fold(0, |sum, stack| sum.wrapping_add(stack.taken.load(Ordering::Relaxed)))
    }

    /// As [`Tops::taken`], which begins at zero again. Own thread only.
    pub(crate) fn take_count(&self) -> u64 {
        let taken = self.taken();
        for stack in &self.stacks {
            stack.taken.store(0, Ordering::Relaxed);
        }
        taken
    }

    /// Where the magazine of `class` has its top; `None` while the thread has no magazine for it.
    pub(crate) fn get(&self, class: SizeClass) -> Option<*mut Place> {
        Some(self.stack(class).top.load(Ordering::Relaxed)).filter(|&top| top != NOWHERE)
    }

    /// Number of blocks of `class` in `magazine`, as far as these are its tops: they may be another heap's.
    pub(crate) fn waiting_in(&self, magazine: &Magazine, class: SizeClass) -> usize {
        // One look: the borrower may give the magazine up meanwhile.
        let Some(top) = self.get(class) else { return 0 };
        let held = top.addr().wrapping_sub(magazine.low(class).addr()) / size_of::<Place>();
        if held <= capacity(class) { held } else { 0 }
    }

    /// Says where the magazine of `class` has its top. Own thread only.
    pub(crate) fn set(&self, class: SizeClass, top: *mut Place) {
        self.stack(class).top.store(top, Ordering::Relaxed);
    }

    /// Gives the magazine of `class` up. Own thread only.
    pub(crate) fn give_up(&self, class: SizeClass) {
        self.set(class, NOWHERE);
    }

    /// Hands every magazine over to `other`, whose own are given up. Own thread only.
    pub(crate) fn move_to(&self, other: &Tops) {
        for class in SizeClass::all() {
            other.set(class, self.stack(class).top.load(Ordering::Relaxed));
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

#[cfg(all(test, not(loom)))]
mod tests;
