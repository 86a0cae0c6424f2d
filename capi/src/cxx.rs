//! The operators `new` and `delete` of C++, under their mangled names: all forms there are.
//!
//! A `new` that finds no memory may throw, so nothing of this library's Rust may be on the stack then: the functions
//! below end in a jump to assembly. That it is a jump, `ci/count-instructions` checks in the library as it ships.

use crate::{TENURE, aligned, cxx_failure};
use core::ffi::c_void;

/// What `malloc` aligns to, and so a plain `new`.
const PLAIN: usize = 16;

/// The tag of forms that return null instead of throwing.
type Nothrow = *const c_void;

unsafe extern "C" {
    /// A block of `size` bytes at a multiple of `align`; calls the program's handler for as long as there is none, and
    /// throws where there is no handler.
    fn tenure_new(size: usize, align: usize) -> *mut u8;
}

#[inline(always)]
fn new(size: usize) -> *mut u8 {
    match TENURE.untyped_at_hand(size) {
        Some(block) => block.as_ptr(),
        // SAFETY: a power of two. When it throws, nothing of the calling function is left: it jumps there.
        None => unsafe { tenure_new(size, PLAIN) },
    }
}

/// `operator new(size_t)`
#[unsafe(no_mangle)]
pub extern "C" fn _Znwm(size: usize) -> *mut u8 {
    new(size)
}

/// `operator new[](size_t)`
#[unsafe(no_mangle)]
pub extern "C" fn _Znam(size: usize) -> *mut u8 {
    new(size)
}

/// `operator new(size_t, align_val_t)`
#[unsafe(no_mangle)]
pub extern "C" fn _ZnwmSt11align_val_t(size: usize, align: usize) -> *mut u8 {
    // SAFETY: as in `new`; an alignment that is none is found there.
    unsafe { tenure_new(size, align) }
}

/// `operator new[](size_t, align_val_t)`
#[unsafe(no_mangle)]
pub extern "C" fn _ZnamSt11align_val_t(size: usize, align: usize) -> *mut u8 {
    // SAFETY: as in `new`; an alignment that is none is found there.
    unsafe { tenure_new(size, align) }
}

#[inline(always)]
fn new_or_null(size: usize, tag: Nothrow) -> *mut u8 {
    match TENURE.untyped_at_hand(size) {
        Some(block) => block.as_ptr(),
        None => new_or_null_slowly(size, tag),
    }
}

#[cold]
#[inline(never)]
fn new_or_null_slowly(size: usize, tag: Nothrow) -> *mut u8 {
    let block = TENURE.alloc_untyped(size);
    if block.is_null() { cxx_failure::new_or_null(size, tag) } else { block }
}

/// `operator new(size_t, const nothrow_t&)`
#[unsafe(no_mangle)]
pub extern "C" fn _ZnwmRKSt9nothrow_t(size: usize, tag: Nothrow) -> *mut u8 {
    new_or_null(size, tag)
}

/// `operator new[](size_t, const nothrow_t&)`
#[unsafe(no_mangle)]
pub extern "C" fn _ZnamRKSt9nothrow_t(size: usize, tag: Nothrow) -> *mut u8 {
    new_or_null(size, tag)
}

fn new_aligned_or_null(size: usize, align: usize, tag: Nothrow) -> *mut u8 {
    let block = allocate(size, align);
    if block.is_null() { cxx_failure::new_aligned_or_null(size, align, tag) } else { block }
}

/// `operator new(size_t, align_val_t, const nothrow_t&)`
#[unsafe(no_mangle)]
pub extern "C" fn _ZnwmSt11align_val_tRKSt9nothrow_t(size: usize, align: usize, tag: Nothrow) -> *mut u8 {
    new_aligned_or_null(size, align, tag)
}

/// `operator new[](size_t, align_val_t, const nothrow_t&)`
#[unsafe(no_mangle)]
pub extern "C" fn _ZnamSt11align_val_tRKSt9nothrow_t(size: usize, align: usize, tag: Nothrow) -> *mut u8 {
    new_aligned_or_null(size, align, tag)
}

/// A block of `size` bytes at a multiple of `align`; null where there is no memory, or `align` is no power of two.
pub(crate) extern "C" fn allocate(size: usize, align: usize) -> *mut u8 {
    if align.is_power_of_two() { aligned::allocate(align, size) } else { core::ptr::null_mut() }
}

/// Every form of `delete` is a free: what the forms tell besides is not needed, but for a size, which a hardened build
/// looks at.
macro_rules! delete {
    ($free:ident; $($form:literal $name:ident($($more:ident: $type:ty),*);)*) => {$(
        #[doc = concat!("`operator ", $form, "`")]
        ///
        /// # Safety
        /// - `block` is null or a block of this library's that is in use.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(block: *mut u8 $(, $more: $type)*) {
            delete!(@ $free, block $(, $more)*)
        }
    )*};
    (@ plain, $block:ident $(, $more:ident)*) => {
        // SAFETY: passed on.
        unsafe { TENURE.free_untyped($block) }
    };
    (@ sized, $block:ident, $size:ident $(, $more:ident)*) => {
        // SAFETY: passed on.
        unsafe { TENURE.free_untyped_sized($block, $size) }
    };
}

delete! {
    plain;
    "delete(void*)" _ZdlPv();
    "delete[](void*)" _ZdaPv();
    "delete(void*, const nothrow_t&)" _ZdlPvRKSt9nothrow_t(_tag: Nothrow);
    "delete[](void*, const nothrow_t&)" _ZdaPvRKSt9nothrow_t(_tag: Nothrow);
    "delete(void*, align_val_t)" _ZdlPvSt11align_val_t(_align: usize);
    "delete[](void*, align_val_t)" _ZdaPvSt11align_val_t(_align: usize);
    "delete(void*, align_val_t, const nothrow_t&)" _ZdlPvSt11align_val_tRKSt9nothrow_t(_align: usize, _tag: Nothrow);
    "delete[](void*, align_val_t, const nothrow_t&)" _ZdaPvSt11align_val_tRKSt9nothrow_t(_align: usize, _tag: Nothrow);
}

delete! {
    sized;
    "delete(void*, size_t)" _ZdlPvm(size: usize);
    "delete[](void*, size_t)" _ZdaPvm(size: usize);
    "delete(void*, size_t, align_val_t)" _ZdlPvmSt11align_val_t(size: usize, _align: usize);
    "delete[](void*, size_t, align_val_t)" _ZdaPvmSt11align_val_t(size: usize, _align: usize);
}
