//! What a C++ `new` does when there is no memory: it calls the program's handler and tries again, or throws
//! `std::bad_alloc`.
//!
//! Programs in C have no C++ library, so its functions are looked up when they are needed. What throws is called from
//! assembly whose frame the unwinder can read; a frame of Rust it must not pass.

use crate::output::die;
use core::ffi::{CStr, c_void};
use core::mem;
use core::ptr::{self, NonNull};

/// A function of C++ without arguments, which may throw.
type Thrower = unsafe extern "C" fn();

#[cfg(not(target_arch = "x86_64"))]
compile_error!("operator new has no way to throw on this architecture yet: docs/porting.md says what is needed");

// tenure_new(size, align): until there is a block, calls what `next_step` names, which may throw through this frame.
core::arch::global_asm!(
    ".pushsection .text.tenure_new, \"ax\", @progbits",
    ".globl tenure_new",
    ".hidden tenure_new",
    ".type tenure_new, @function",
    "tenure_new:",
    ".cfi_startproc",
    "push rbx",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbx, -16",
    "push r12",
    ".cfi_def_cfa_offset 24",
    ".cfi_offset r12, -24",
    "sub rsp, 8",
    ".cfi_def_cfa_offset 32",
    "mov rbx, rdi",
    "mov r12, rsi",
    "2:",
    "mov rdi, rbx",
    "mov rsi, r12",
    "call {allocate}",
    "test rax, rax",
    "jne 3f",
    "mov rdi, r12",
    "call {next_step}",
    "call rax",
    "jmp 2b",
    "3:",
    "add rsp, 8",
    ".cfi_def_cfa_offset 24",
    "pop r12",
    ".cfi_def_cfa_offset 16",
    "pop rbx",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".cfi_endproc",
    ".size tenure_new, . - tenure_new",
    ".popsection",
    allocate = sym crate::cxx::allocate,
    next_step = sym next_step,
);

/// What a `new` at this alignment has to call now that there is no memory: the program's handler, or what throws
/// `bad_alloc`.
extern "C" fn next_step(align: usize) -> Thrower {
    // For an alignment that is none, no handler can find memory.
    if align.is_power_of_two()
        && let Some(handler) = handler()
    {
        return handler;
    }
    match function(c"_ZSt17__throw_bad_allocv") {
        // SAFETY: `void std::__throw_bad_alloc()`.
        Some(function) => unsafe { mem::transmute::<NonNull<c_void>, Thrower>(function) },
        None => die("operator new found no memory, and no C++ library that could throw bad_alloc"),
    }
}

/// The handler that the program has set.
fn handler() -> Option<Thrower> {
    let function = function(c"_ZSt15get_new_handlerv")?;
    // SAFETY: `std::new_handler std::get_new_handler() noexcept`.
    let get = unsafe { mem::transmute::<NonNull<c_void>, unsafe extern "C" fn() -> Option<Thrower>>(function) };
    // SAFETY: no preconditions.
    unsafe { get() }
}

/// `operator new(size_t, const nothrow_t&)` without memory: the C++ library's own calls the throwing form, which is
/// this library's, and catches what that throws.
#[cold]
pub(crate) fn new_or_null(size: usize, tag: *const c_void) -> *mut u8 {
    let Some(function) = in_library(c"_ZnwmRKSt9nothrow_t") else { return ptr::null_mut() };
    type New = unsafe extern "C" fn(usize, *const c_void) -> *mut u8;
    // SAFETY: the type that the name says.
    let new = unsafe { mem::transmute::<NonNull<c_void>, New>(function) };
    // SAFETY: no preconditions; it does not throw.
    unsafe { new(size, tag) }
}

/// As [`new_or_null`], at a multiple of `align`.
#[cold]
pub(crate) fn new_aligned_or_null(size: usize, align: usize, tag: *const c_void) -> *mut u8 {
    let Some(function) = in_library(c"_ZnwmSt11align_val_tRKSt9nothrow_t") else { return ptr::null_mut() };
    type New = unsafe extern "C" fn(usize, usize, *const c_void) -> *mut u8;
    // SAFETY: the type that the name says.
    let new = unsafe { mem::transmute::<NonNull<c_void>, New>(function) };
    // SAFETY: no preconditions; it does not throw.
    unsafe { new(size, align, tag) }
}

/// A function of the C++ library, wherever the program has it from.
fn function(name: &CStr) -> Option<NonNull<c_void>> {
    in_library(name).or_else(|| {
        // SAFETY: a valid name.
        NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
    })
}

/// A function of the C++ library that is loaded. Not the first of its name, which may be some other allocator's.
fn in_library(name: &CStr) -> Option<NonNull<c_void>> {
    [c"libstdc++.so.6", c"libc++.so.1"].into_iter().find_map(|library| {
        // SAFETY: a valid name. Nothing is loaded, so nothing of the program's runs.
        let library = NonNull::new(unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) })?;
        // SAFETY: an open library and a valid name. The library stays open, as its function will be called.
        NonNull::new(unsafe { libc::dlsym(library.as_ptr(), name.as_ptr()) })
    })
}
