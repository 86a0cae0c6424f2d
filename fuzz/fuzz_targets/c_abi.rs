//! The C library's functions in any order, against a model: contents, alignment, usable sizes, error numbers. They are
//! the `malloc` of the fuzzer itself, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::ops::Range;
use std::ptr::{self, NonNull};
use tenure_fuzz::intervals::Intervals;
use tenure_fuzz::operations::{self, Operation};
use tenure_fuzz::pattern::{Pattern, check_zero};
// Linked, so that its functions take the C library's place.
use tenure_malloc as _;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut u8;
    fn calloc(count: usize, size: usize) -> *mut u8;
    fn realloc(block: *mut u8, size: usize) -> *mut u8;
    fn reallocarray(block: *mut u8, count: usize, size: usize) -> *mut u8;
    fn reallocarr(place: *mut c_void, count: usize, size: usize) -> c_int;
    fn aligned_alloc(align: usize, size: usize) -> *mut u8;
    fn memalign(align: usize, size: usize) -> *mut u8;
    fn posix_memalign(place: *mut *mut u8, align: usize, size: usize) -> c_int;
    fn valloc(size: usize) -> *mut u8;
    fn pvalloc(size: usize) -> *mut u8;
    fn free(block: *mut u8);
    fn cfree(block: *mut u8);
    fn free_sized(block: *mut u8, size: usize);
    fn free_aligned_sized(block: *mut u8, align: usize, size: usize);
    fn sdallocx(block: *mut u8, size: usize, flags: c_int);
    fn malloc_usable_size(block: *const u8) -> usize;
    fn malloc_good_size(size: usize) -> usize;
    fn malloc_trim(pad: usize) -> c_int;
    fn tenure_purge();
    fn __libc_malloc(size: usize) -> *mut u8;
    fn __libc_calloc(count: usize, size: usize) -> *mut u8;
    fn __libc_realloc(block: *mut u8, size: usize) -> *mut u8;
    fn __libc_free(block: *mut u8);
    fn _Znwm(size: usize) -> *mut u8;
    fn _ZnwmSt11align_val_t(size: usize, align: usize) -> *mut u8;
    fn _ZnwmRKSt9nothrow_t(size: usize, tag: *const c_void) -> *mut u8;
    fn _ZdlPv(block: *mut u8);
    fn _ZdlPvm(block: *mut u8, size: usize);
    fn _ZdlPvSt11align_val_t(block: *mut u8, align: usize);
}

/// An error number that nothing in here sets.
const UNTOUCHED: c_int = libc::EXDEV;
/// Bytes that are allocated at most.
const MOST: usize = 64 << 20;
const PAGE: usize = 4096;
/// More than any object has.
const IMPOSSIBLE: [usize; 3] = [isize::MAX as usize + 1, usize::MAX, usize::MAX - 4095];

/// Runs `call`, and tells what it has set `errno` to, if it has. The compiler knows the functions' names and what they
/// do in other libraries: it is not to rely on that.
fn with_errno<T>(call: impl FnOnce() -> T) -> (T, Option<c_int>) {
    // SAFETY: valid for the calling thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { errno.write_volatile(UNTOUCHED) };
    let result = black_box(call());
    // SAFETY: as above.
    let now = unsafe { errno.read_volatile() };
    (result, (now != UNTOUCHED).then_some(now))
}

/// Runs `call`, which has to leave `errno` alone.
fn keeping_errno<T>(call: impl FnOnce() -> T) -> T {
    let (result, errno) = with_errno(call);
    assert_eq!(errno, None);
    result
}

struct Block {
    start: NonNull<u8>,
    /// What was asked for; what may be used is filled, too.
    size: usize,
    usable: usize,
    align: usize,
    is_from_new: bool,
    pattern: Pattern,
}

impl Block {
    fn found(start: *mut u8, size: usize, align: usize) -> Self {
        let start = NonNull::new(start).expect("there is memory");
        let align = if size <= 8 { align.max(8) } else { align.max(16) };
        assert!(start.addr().get().is_multiple_of(align), "{size} bytes for {align} at {start:p}");
        // SAFETY: a block in use.
        let usable = keeping_errno(|| unsafe { malloc_usable_size(start.as_ptr()) });
        assert!(usable >= size, "{usable} of {size} bytes are usable");
        // SAFETY: every usable byte is ours.
        let pattern = unsafe { Pattern::write(start, usable) };
        Self { start, size, usable, align, is_from_new: false, pattern }
    }

    fn range(&self) -> Range<usize> {
        self.start.addr().get()..self.start.addr().get() + self.usable
    }

    fn check(&self, kept: usize) {
        // SAFETY: this value's own block, which was filled when it was made.
        unsafe { self.pattern.check(self.start, self.usable, kept) };
    }

    fn free(self, choice: u8) {
        self.check(self.usable);
        let (block, size) = (self.start.as_ptr(), self.size);
        // SAFETY: this value's own block, which ends here, with the size and alignment that were asked for.
        keeping_errno(|| unsafe {
            match choice % 10 {
                _ if self.is_from_new && self.align > 16 => _ZdlPvSt11align_val_t(block, self.align),
                0 | 1 if self.is_from_new => _ZdlPvm(block, size),
                _ if self.is_from_new => _ZdlPv(block),
                0 => cfree(block),
                1 => free_sized(block, size),
                2 if self.align > 16 => free_aligned_sized(block, self.align, size),
                3 => sdallocx(block, size, 0),
                4 => __libc_free(block),
                _ => free(block),
            }
        });
    }

    fn resize(self, operation: Operation) -> Self {
        let (block, size) = (self.start.as_ptr(), operation.size());
        let kept = self.size.min(size);
        self.check(self.usable);
        if operation.choice >= 250 {
            return self.resize_in_vain();
        }
        // SAFETY: this value's own block, which the new one takes the place of.
        let moved = keeping_errno(|| unsafe {
            match operation.choice % 8 {
                0 => reallocarray(block, size, 1),
                1 => {
                    let mut place = block;
                    assert_eq!(reallocarr((&raw mut place).cast(), 1, size), 0);
                    place
                }
                2 => __libc_realloc(block, size),
                _ => realloc(block, size),
            }
        });
        let moved_to = NonNull::new(moved).expect("there is memory");
        // SAFETY: the block keeps what was asked for of the old one.
        unsafe { self.pattern.check(moved_to, self.usable, kept) };
        Self::found(moved, size, 1)
    }

    fn resize_in_vain(self) -> Self {
        let mut block = self.start.as_ptr();
        for size in IMPOSSIBLE {
            // SAFETY: this value's own block, which stays as it is.
            assert_eq!(with_errno(|| unsafe { realloc(block, size) }), (ptr::null_mut(), Some(libc::ENOMEM)));
        }
        let half = usize::MAX / 2;
        // SAFETY: as above.
        assert_eq!(with_errno(|| unsafe { reallocarray(block, half, 3) }), (ptr::null_mut(), Some(libc::ENOMEM)));
        // SAFETY: as above.
        assert_eq!(keeping_errno(|| unsafe { reallocarr((&raw mut block).cast(), half, 3) }), libc::EOVERFLOW);
        assert_eq!(block, self.start.as_ptr());
        self.check(self.usable);
        self
    }
}

#[derive(Default)]
struct World {
    blocks: Vec<Block>,
    bytes: usize,
    /// How many blocks were allocated, resized and freed.
    calls: usize,
}

impl World {
    fn keep(&mut self, intervals: &Intervals, block: Block) {
        intervals.claim(block.range());
        self.calls += 1;
        self.bytes += block.usable;
        self.blocks.push(block);
    }

    fn take(&mut self, intervals: &Intervals, choice: usize) -> Option<Block> {
        if self.blocks.is_empty() {
            return None;
        }
        let block = self.blocks.swap_remove(choice % self.blocks.len());
        intervals.release(block.range());
        self.calls += 1;
        self.bytes -= block.usable;
        Some(block)
    }
}

/// A new block, by the function that the operation names.
fn allocate(operation: Operation) -> Block {
    let size = operation.size();
    let align = operation.align();
    let wide = align.max(size_of::<usize>());
    // SAFETY: each is a function that allocates, with arguments that it takes.
    let (start, align, is_zeroed) = keeping_errno(|| unsafe {
        match operation.kind() {
            0..4 => (malloc(size), 1, false),
            4 => (calloc(size, 1), 1, true),
            5 => (calloc(1, size), 1, true),
            6 => (realloc(ptr::null_mut(), size), 1, false),
            7 => (aligned_alloc(align, size), align, false),
            8 => (memalign(align, size), align, false),
            9 => {
                let mut place = ptr::null_mut();
                assert_eq!(posix_memalign(&mut place, wide, size), 0);
                (place, wide, false)
            }
            10 if operation.choice % 8 == 0 => (pvalloc(size), PAGE, false),
            10 if operation.choice % 8 == 1 => (valloc(size), PAGE, false),
            10 => (__libc_malloc(size), 1, false),
            _ => (__libc_calloc(size, 1), 1, true),
        }
    });
    if is_zeroed {
        // SAFETY: a block of zeros of this size.
        unsafe { check_zero(NonNull::new(start).expect("there is memory"), size) };
    }
    // SAFETY: no preconditions.
    assert!(unsafe { malloc_good_size(size) } >= size);
    Block::found(start, size, align)
}

/// A new block, as C++ asks for one.
fn allocate_new(operation: Operation) -> Block {
    let (size, align) = (operation.size(), operation.align());
    // SAFETY: each is a function that allocates; there is memory, so none throws.
    let (start, align) = keeping_errno(|| unsafe {
        match operation.choice % 3 {
            0 => (_Znwm(size), 1),
            1 => (_ZnwmRKSt9nothrow_t(size, ptr::null()), 1),
            _ => (_ZnwmSt11align_val_t(size, align.max(32)), align.max(32)),
        }
    });
    Block { is_from_new: true, ..Block::found(start, size, align) }
}

/// What cannot be had is null and says why.
fn ask_in_vain(choice: u8) {
    let no_memory = (ptr::null_mut(), Some(libc::ENOMEM));
    let size = IMPOSSIBLE[usize::from(choice) % IMPOSSIBLE.len()];
    // SAFETY: functions that allocate, here in vain.
    unsafe {
        assert_eq!(with_errno(|| malloc(size)), no_memory);
        assert_eq!(with_errno(|| calloc(size, 2)), no_memory);
        assert_eq!(with_errno(|| memalign(64, size)), no_memory);
        assert_eq!(with_errno(|| pvalloc(size)), no_memory);
        assert_eq!(with_errno(|| aligned_alloc(3, 3)), (ptr::null_mut(), Some(libc::EINVAL)));
        let mut place = ptr::null_mut();
        assert_eq!(keeping_errno(|| posix_memalign(&mut place, 24, 24)), libc::EINVAL);
        assert_eq!(keeping_errno(|| posix_memalign(&mut place, 16, size)), libc::ENOMEM);
        assert!(place.is_null());
    }
}

fuzz_target!(|input: &[u8]| {
    let intervals = Intervals::new();
    let mut world = World::default();
    for operation in operations::of(input) {
        let choice = operation.choice;
        match operation.kind() {
            0..12 if world.bytes < MOST => world.keep(&intervals, allocate(operation)),
            12 | 13 if world.bytes < MOST => world.keep(&intervals, allocate_new(operation)),
            14..19 => {
                if let Some(block) = world.take(&intervals, usize::from(choice)) {
                    world.keep(&intervals, block.resize(operation));
                }
            }
            19 if choice < 32 => ask_in_vain(choice),
            // SAFETY: no preconditions.
            20 if choice < 32 => unsafe { tenure_purge() },
            // SAFETY: no preconditions.
            21 if choice < 32 => drop(keeping_errno(|| unsafe { malloc_trim(0) })),
            22 if choice < 32 => {
                // SAFETY: null is nothing to free.
                keeping_errno(|| unsafe { free_aligned_sized(ptr::null_mut(), 0, 0) });
            }
            23 => {
                // Many blocks of one size, which fill more than a magazine.
                for _ in 0..choice {
                    // SAFETY: a function that allocates.
                    let start = keeping_errno(|| unsafe { malloc(operation.size().min(2048)) });
                    world.keep(&intervals, Block::found(start, operation.size().min(2048), 1));
                }
            }
            24 => {
                for nth in 0..choice {
                    if let Some(block) = world.take(&intervals, usize::from(nth)) {
                        block.free(nth);
                    }
                }
            }
            _ => {
                // Half of the time the youngest.
                let nth = if choice % 2 == 0 { usize::from(choice) } else { world.blocks.len().wrapping_sub(1) };
                if let Some(block) = world.take(&intervals, nth) {
                    block.free(choice);
                }
            }
        }
    }
    while let Some(block) = world.take(&intervals, 0) {
        block.free(0);
    }
    assert!(intervals.is_empty());
    operations::count(world.calls);
});
