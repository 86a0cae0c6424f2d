//! Blocks of a stricter alignment than `malloc` gives.

use crate::TENURE;
use crate::errno::{self, no_memory, or_no_memory};
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};

/// What `malloc` aligns every block to of so many bytes or more.
const MALLOC_ALIGN: usize = 16;

/// Bytes of a page.
fn page_size() -> usize {
    // SAFETY: `sysconf` with a name that every system knows.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// A block of `size` bytes at a multiple of `align`, which is a power of two; null where there is no memory.
pub(crate) fn allocate(align: usize, size: usize) -> *mut u8 {
    if align <= MALLOC_ALIGN && size >= align {
        return TENURE.alloc_untyped(size);
    }
    match Layout::from_size_align(size.max(1), align.max(MALLOC_ALIGN)) {
        // SAFETY: a layout of a size that is not zero.
        Ok(layout) => unsafe { TENURE.alloc(layout) },
        Err(_) => ptr::null_mut(),
    }
}

/// A block at a multiple of `align`. Null and `EINVAL` where that is no power of two, `ENOMEM` where there is no
/// memory.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut u8 {
    match TENURE.aligned_at_hand(size, align) {
        Some(block) => block.as_ptr(),
        None => aligned_slowly(align, size),
    }
}

#[cold]
#[inline(never)]
fn aligned_slowly(align: usize, size: usize) -> *mut u8 {
    if !align.is_power_of_two() {
        errno::set(libc::EINVAL);
        return ptr::null_mut();
    }
    or_no_memory(allocate(align, size))
}

/// As [`aligned_alloc`], of an alignment that is rounded up to a power of two.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut u8 {
    allocate_rounded(align, size)
}

#[inline(always)]
pub(crate) fn allocate_rounded(align: usize, size: usize) -> *mut u8 {
    match TENURE.aligned_at_hand(size, align) {
        Some(block) => block.as_ptr(),
        None => allocate_rounded_slowly(align, size),
    }
}

#[cold]
#[inline(never)]
fn allocate_rounded_slowly(align: usize, size: usize) -> *mut u8 {
    match align.checked_next_power_of_two() {
        Some(align) => or_no_memory(allocate(align, size)),
        None => {
            errno::set(libc::EINVAL);
            ptr::null_mut()
        }
    }
}

/// Stores a block at a multiple of `align` in `*place`, and returns 0. `EINVAL` where `align` is no power of two or no
/// multiple of a pointer's size, `ENOMEM` where there is no memory: then `*place` is as it was. Keeps `errno`.
///
/// # Safety
/// - `place` points to a pointer that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int {
    // SAFETY: passed on.
    unsafe { allocate_into(place, align, size) }
}

/// # Safety
/// - As for `posix_memalign`.
pub(crate) unsafe fn allocate_into(place: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || align < size_of::<*mut c_void>() {
        return libc::EINVAL;
    }
    let block = TENURE.aligned_at_hand(size, align).map_or_else(|| allocate(align, size), NonNull::as_ptr);
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's pointer.
    unsafe { place.write(block.cast()) };
    0
}

/// A block at the start of a page.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut u8 {
    allocate_at_page(size)
}

pub(crate) fn allocate_at_page(size: usize) -> *mut u8 {
    or_no_memory(allocate(page_size(), size))
}

/// A block of whole pages: `size` rounded up to them, at the start of one.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut u8 {
    allocate_pages(size)
}

pub(crate) fn allocate_pages(size: usize) -> *mut u8 {
    let page = page_size();
    match size.checked_next_multiple_of(page) {
        Some(size) => or_no_memory(allocate(page, size)),
        None => no_memory(),
    }
}
