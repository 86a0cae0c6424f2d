//! The names under which glibc exports its allocator once more, for programs that wrap `malloc` and call the original
//! by these.

use crate::{aligned, basic};
use core::ffi::{c_int, c_void};

/// As `malloc`.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_malloc(size: usize) -> *mut u8 {
    basic::allocate(size)
}

/// As `calloc`.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_calloc(count: usize, size: usize) -> *mut u8 {
    basic::allocate_zeroed(count, size)
}

/// As `realloc`.
///
/// # Safety
/// - As for `realloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_realloc(block: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: passed on.
    unsafe { basic::resize(block, size) }
}

/// As `free`.
///
/// # Safety
/// - As for `free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_free(block: *mut u8) {
    // SAFETY: passed on.
    unsafe { crate::TENURE.free_untyped(block) }
}

/// As `memalign`.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_memalign(align: usize, size: usize) -> *mut u8 {
    aligned::allocate_rounded(align, size)
}

/// As `valloc`.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_valloc(size: usize) -> *mut u8 {
    aligned::allocate_at_page(size)
}

/// As `pvalloc`.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_pvalloc(size: usize) -> *mut u8 {
    aligned::allocate_pages(size)
}

/// As `posix_memalign`.
///
/// # Safety
/// - As for `posix_memalign`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int {
    // SAFETY: passed on.
    unsafe { aligned::allocate_into(place, align, size) }
}
