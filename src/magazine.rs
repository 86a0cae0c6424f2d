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

/// The tops of a thread's magazines, one for each class.
///
/// Written by their own thread alone; read by others for statistics.
///
/// Found by a class's [code](SizeClass::code). The one under code 0, which is no class's, stands nowhere for ever: a block of no known class finds
/// its magazine full, and so the slow path.
#[repr(C)]
pub(crate) struct Tops {
    under: [AtomicPtr<Place>; size_class::COUNT + 1],
    /// Number of blocks that were taken so far.
    taken: AtomicU64,
}

/// What a top says while the thread has no magazine for the class.
const NOWHERE: *mut Place = ptr::from_ref(&NO_MAGAZINE).cast::<Place>().cast_mut().wrapping_add(PLACES);

impl Tops {
    constructor! {
        /// No magazine for any class.
        pub(crate) fn nowhere() -> Self {
            Tops { under: array_of!(AtomicPtr::new(NOWHERE); size_class::COUNT + 1), taken: AtomicU64::new(0) }
        }
    }

    #[inline(always)]
    fn top(&self, class: SizeClass) -> &AtomicPtr<Place> {
        // SAFETY: a class's code is at most `COUNT`.
        unsafe { self.under(class.code()) }
    }

    /// # Safety
    /// - `code` is a class's, or 0.
    #[inline(always)]
    unsafe fn under(&self, code: usize) -> &AtomicPtr<Place> {
        // SAFETY: codes are at most `COUNT`.
        unsafe { self.under.get_unchecked(code) }
    }

    /// A block of `class`, or `None` where the magazine is empty.
    ///
    /// # Safety
    /// - These are the calling thread's tops.
    #[inline(always)]
    pub(crate) unsafe fn pop(&self, class: SizeClass) -> Option<NonNull<u8>> {
        let block = self.next(class)?;
        // Loaded anew, which makes the step one instruction in memory.
        let step = self.top(class).load(Ordering::Relaxed).wrapping_sub(1);
        self.top(class).store(step, Ordering::Relaxed);
        self.count(1);
        Some(block)
    }

    /// Counts blocks as taken. Own thread only.
    #[inline(always)]
    pub(crate) fn count(&self, blocks: u64) {
        self.taken.store(self.taken.load(Ordering::Relaxed).wrapping_add(blocks), Ordering::Relaxed);
    }

    /// Number of blocks that were taken so far; a snapshot.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// As [`Tops::taken`], which begins at zero again. Own thread only.
    pub(crate) fn take_count(&self) -> u64 {
        let taken = self.taken();
        self.taken.store(0, Ordering::Relaxed);
        taken
    }

    /// Keeps a free block of `class`; false where the magazine is full.
    ///
    /// # Safety
    /// - These are the calling thread's tops.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, class: SizeClass, block: *mut u8) -> bool {
        let slot = self.top(class);
        let top = slot.load(Ordering::Relaxed);
        if top.addr().is_multiple_of(ALIGN) {
            return false;
        }
        // SAFETY: below the end of a magazine of the calling thread's own.
        unsafe { *top = block };
        // Loaded anew, which makes the step one instruction in memory.
        let step = slot.load(Ordering::Relaxed).wrapping_add(1);
        slot.store(step, Ordering::Relaxed);
        true
    }

    /// As [`Tops::push`], for the class with this code, which is not known when the program is compiled; false for code 0, which is no class's.
    ///
    /// The top is moved before its block is written: a processor that does not know yet where one free writes can begin the next free, which reads the top, all the same.
    ///
    /// # Safety
    /// - These are the calling thread's tops.
    /// - `code` is a class's, or 0.
    #[inline(always)]
    pub(crate) unsafe fn push_under(&self, code: usize, block: *mut u8) -> bool {
        // SAFETY: passed on.
        let slot = unsafe { self.under(code) };
        let top = slot.load(Ordering::Relaxed);
        if top.addr().is_multiple_of(ALIGN) {
            return false;
        }
        // SAFETY: passed on; the top is not at its magazine's end.
        unsafe { self.step_up(code, top) };
        // SAFETY: below the end of a magazine of the calling thread's own.
        unsafe { *top = block };
        true
    }

    /// Moves the top that stands at `top` up by one place.
    ///
    /// In assembly, because a compiler keeps what it has loaded in a register, and then needs an instruction to add and another to store.
    ///
    /// # Safety
    /// - These are the calling thread's tops.
    /// - `code` is a class's, or 0.
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(loom), not(miri)))]
    #[inline(always)]
    unsafe fn step_up(&self, code: usize, _top: *mut Place) {
        // SAFETY: adds one place to one of `under`, which `code` says, and changes nothing else: on this architecture what an atomic load and an atomic store, both relaxed, would do.
        unsafe {
            core::arch::asm!(
                "add qword ptr [{tops} + {code} * 8 + {under}], {place}",
                tops = in(reg) self,
                code = in(reg) code,
                under = const core::mem::offset_of!(Tops, under),
                place = const size_of::<Place>(),
                options(nostack),
            );
        }
    }

    #[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", not(loom), not(miri))))]
    #[inline(always)]
    unsafe fn step_up(&self, code: usize, top: *mut Place) {
        // SAFETY: passed on.
        unsafe { self.under(code) }.store(top.wrapping_add(1), Ordering::Relaxed);
    }

    /// The block that [`Tops::pop`] would give. Own thread only.
    #[inline(always)]
    pub(crate) fn next(&self, class: SizeClass) -> Option<NonNull<u8>> {
        // SAFETY: below a top there is a block, or the null at the low end.
        NonNull::new(unsafe { *self.top(class).load(Ordering::Relaxed).wrapping_sub(1) })
    }

    /// Where the magazine of `class` has its top; `None` while the thread has no magazine for it.
    pub(crate) fn get(&self, class: SizeClass) -> Option<*mut Place> {
        Some(self.top(class).load(Ordering::Relaxed)).filter(|&top| top != NOWHERE)
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
        self.top(class).store(top, Ordering::Relaxed);
    }

    /// Gives the magazine of `class` up. Own thread only.
    pub(crate) fn give_up(&self, class: SizeClass) {
        self.set(class, NOWHERE);
    }

    /// Hands every magazine over to `other`, whose own are given up. Own thread only.
    pub(crate) fn move_to(&self, other: &Tops) {
        for class in SizeClass::all() {
            other.set(class, self.top(class).load(Ordering::Relaxed));
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
