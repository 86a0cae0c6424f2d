//! Functions that speak of a block's size. A size that is passed to a free is looked at by a hardened build alone.

use crate::TENURE;
use core::ffi::c_int;

/// Bytes of a block that may be used; 0 for null.
///
/// # Safety
/// - `block` is null or a block of this library's that is in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: *const u8) -> usize {
    // SAFETY: passed on.
    unsafe { TENURE.usable_size(block) }
}

/// Bytes that a block of `size` bytes would have.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_good_size(size: usize) -> usize {
    TENURE.good_size(size)
}

/// Frees a block of `size` bytes from `malloc`, `calloc` or `realloc`, as C23 has it.
///
/// # Safety
/// - `block` is null or a block of this library's that is in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(block: *mut u8, size: usize) {
    // SAFETY: passed on.
    unsafe { TENURE.free_untyped_sized(block, size) }
}

/// Frees a block of `size` bytes from `aligned_alloc`, as C23 has it.
///
/// # Safety
/// - `block` is null or a block of this library's that is in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(block: *mut u8, _align: usize, size: usize) {
    // SAFETY: passed on.
    unsafe { TENURE.free_untyped_sized(block, size) }
}

/// Frees a block of `size` bytes: jemalloc's name, whose flags are of no concern here. There the size may be any up to
/// the usable one, so it is never looked at.
///
/// # Safety
/// - `block` is null or a block of this library's that is in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sdallocx(block: *mut u8, _size: usize, _flags: c_int) {
    // SAFETY: passed on.
    unsafe { TENURE.free_untyped(block) }
}
