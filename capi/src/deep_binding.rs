//! `dlopen` without `RTLD_DEEPBIND`. A library that is opened with it, as PHP opens its extensions, looks for functions
//! in what it is linked with before it looks in the program: it would get the C library's `malloc` and `free`, and the
//! program this library's.
//!
//! The loader asks where the call comes from, since the caller's own RUNPATH tells where to look. So this `dlopen` has
//! no frame: it leaves by a jump, and the next one returns to the caller.

use core::ffi::{c_char, c_int, c_void};
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;

/// The `dlopen` that would be called without this library; null until the first call.
static NEXT: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

const _: () = assert!(libc::RTLD_DEEPBIND == 8, "the bit that dlopen clears");

/// Opens a library. `RTLD_DEEPBIND` is ignored.
///
/// # Safety
///
/// As the system's: what the library does when it is loaded has to be right for the program.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "mov rax, qword ptr [rip + {next}]",
        "test rax, rax",
        "je 3f",
        "2:",
        "and esi, ~8",
        "jmp rax",
        "3:",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "call {find}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "jmp 2b",
        ".cfi_endproc",
        next = sym NEXT,
        find = sym find,
    )
}

/// Finds the next `dlopen`. Threads that do so at once find the same.
#[cold]
unsafe extern "C" fn find() -> Open {
    // SAFETY: a valid name.
    let next = unsafe { libc::dlsym(libc::RTLD_NEXT, c"dlopen".as_ptr()) };
    if next.is_null() {
        return open_nothing;
    }
    NEXT.store(next, Ordering::Relaxed);
    // SAFETY: the type that the name says.
    unsafe { mem::transmute::<*mut c_void, Open>(next) }
}

/// Where there is no other `dlopen`, as in a static executable, nothing can be opened. `dlerror` tells of the search.
unsafe extern "C" fn open_nothing(_: *const c_char, _: c_int) -> *mut c_void {
    ptr::null_mut()
}
