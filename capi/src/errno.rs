//! The C library's error number. Set where a function fails, and otherwise left alone.

use core::ffi::c_int;
use core::ptr;

pub(crate) fn get() -> c_int {
    // SAFETY: as below.
    unsafe { *libc::__errno_location() }
}

pub(crate) fn set(error: c_int) {
    // SAFETY: the C library gives every thread an `errno`, valid for the thread's life.
    unsafe { *libc::__errno_location() = error };
}

/// Null, as the result of a function that has no memory to give.
#[cold]
#[inline(never)]
pub(crate) fn no_memory<T>() -> *mut T {
    set(libc::ENOMEM);
    ptr::null_mut()
}

/// `block`, with the error number set where it is null.
#[inline(always)]
pub(crate) fn or_no_memory(block: *mut u8) -> *mut u8 {
    if block.is_null() { no_memory() } else { block }
}
