//! `malloc`, `calloc`, `realloc`, `free`, and their relatives that multiply.
//!
//! A request of more than `PTRDIFF_MAX` bytes fails as one for which there is no memory. What other files need of these
//! stands in functions that are not exported: a call by the exported name could end in another library.

use crate::TENURE;
use crate::errno::{no_memory, or_no_memory};
use core::ffi::{c_int, c_void};
use core::ptr;

/// A block of `size` bytes, which may be 0; null and `ENOMEM` where there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut u8 {
    allocate(size)
}

#[inline(always)]
pub(crate) fn allocate(size: usize) -> *mut u8 {
    match TENURE.untyped_at_hand(size) {
        Some(block) => block.as_ptr(),
        None => allocate_slowly(size),
    }
}

/// The rest of [`malloc`]: a jump there, with nothing to come back to.
#[cold]
#[inline(never)]
fn allocate_slowly(size: usize) -> *mut u8 {
    match TENURE.untyped_span_at_hand(size) {
        Some(block) => block.as_ptr(),
        None => allocate_anew(size),
    }
}

/// What is left of [`malloc`] where no block is at hand.
#[cold]
#[inline(never)]
fn allocate_anew(size: usize) -> *mut u8 {
    or_no_memory(TENURE.alloc_untyped_anew(size))
}

/// Frees a block. Null is nothing to free. Keeps `errno`.
///
/// # Safety
/// - `block` is null or a block of this library's that is in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut u8) {
    // SAFETY: passed on.
    unsafe { TENURE.free_untyped(block) }
}

/// As [`free`]: a name from before there was a standard.
///
/// # Safety
/// - As for `free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfree(block: *mut u8) {
    // SAFETY: passed on.
    unsafe { TENURE.free_untyped(block) }
}

/// A block of `count` times `size` zeros; null and `ENOMEM` where there is no memory, or where the product overflows.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut u8 {
    allocate_zeroed(count, size)
}

#[inline(always)]
pub(crate) fn allocate_zeroed(count: usize, size: usize) -> *mut u8 {
    let (bytes, overflows) = count.overflowing_mul(size);
    if !overflows && let Some(block) = TENURE.untyped_at_hand(bytes) {
        // SAFETY: the block is at least as large, and nobody else's.
        unsafe { block.as_ptr().write_bytes(0, bytes) };
        return block.as_ptr();
    }
    allocate_zeroed_slowly(count, size)
}

#[cold]
#[inline(never)]
fn allocate_zeroed_slowly(count: usize, size: usize) -> *mut u8 {
    match count.checked_mul(size) {
        Some(bytes) => or_no_memory(TENURE.alloc_zeroed_untyped(bytes)),
        None => no_memory(),
    }
}

/// Makes a block `size` bytes large. Null is allocated anew; a size of 0 frees the block and returns null, as in glibc.
/// Null and `ENOMEM` where there is no memory: then the block is as it was.
///
/// # Safety
/// - `block` is null or a block of this library's that is in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: passed on.
    unsafe { resize(block, size) }
}

/// # Safety
/// - As for `realloc`.
#[inline(always)]
pub(crate) unsafe fn resize(block: *mut u8, size: usize) -> *mut u8 {
    if size == 0 && !block.is_null() {
        // SAFETY: passed on.
        unsafe { TENURE.free_untyped(block) };
        return ptr::null_mut();
    }
    // SAFETY: passed on.
    or_no_memory(unsafe { TENURE.realloc_untyped(block, size) })
}

/// As [`realloc`], for `count` times `size` bytes; null and `ENOMEM` where the product overflows.
///
/// # Safety
/// - As for `realloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(block: *mut u8, count: usize, size: usize) -> *mut u8 {
    match count.checked_mul(size) {
        // SAFETY: passed on.
        Some(bytes) => unsafe { resize(block, bytes) },
        None => no_memory(),
    }
}

/// NetBSD's form: makes the block that `*place` points to `count` times `size` bytes large, and stores where it is now.
/// 0, or an error number, and then nothing has changed. A product of 0 frees the block and stores null. Keeps `errno`.
///
/// # Safety
/// - `place` points to a pointer that is null or a block of this library's that is in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarr(place: *mut c_void, count: usize, size: usize) -> c_int {
    let place: *mut *mut u8 = place.cast();
    let Some(bytes) = count.checked_mul(size) else { return libc::EOVERFLOW };
    // SAFETY: the caller's pointer, which need not be aligned.
    let block = unsafe { place.read_unaligned() };
    let resized = if bytes == 0 {
        // SAFETY: passed on.
        unsafe { TENURE.free_untyped(block) };
        ptr::null_mut()
    } else {
        // SAFETY: passed on.
        let resized = unsafe { TENURE.realloc_untyped(block, bytes) };
        if resized.is_null() {
            return libc::ENOMEM;
        }
        resized
    };
    // SAFETY: as above.
    unsafe { place.write_unaligned(resized) };
    0
}
