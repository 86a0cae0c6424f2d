//! Linux: what a profile needs to walk a stack: the unwinder of the C compiler, and what can be read.

use super::KeepErrno;
use crate::sync::plain::{AtomicBool, AtomicUsize, Ordering};
use core::ffi::{c_int, c_void};
use core::{mem, ptr};

/// True where the aligned word at `address` can be read. A system call, for those who must not fault.
///
/// The kernel copies a signal set from there before it looks at what is to be done with it, which here is nothing
/// that exists. Abseil's debugging code does it so.
pub(crate) fn is_readable(address: usize) -> bool {
    const NO_SUCH_ACTION: c_int = -1;
    let _errno = KeepErrno::new();
    let set: *const c_void = ptr::without_provenance(address);
    let nothing: *mut c_void = ptr::null_mut();
    // SAFETY: the kernel alone looks at the address, and changes nothing, as there is no such action.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, NO_SUCH_ACTION, set, nothing, size_of::<u64>());
        *libc::__errno_location() == libc::EINVAL
    }
}

/// The system's number of the calling thread, as debuggers show it; never 0.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: no preconditions; cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// What the unwinder passes of a frame.
enum Context {}

type Visit = unsafe extern "C" fn(*mut Context, *mut c_void) -> c_int;
type Backtrace = unsafe extern "C" fn(Visit, *mut c_void) -> c_int;
type Tell = unsafe extern "C" fn(*mut Context) -> usize;

/// Go on with the next frame, and stop here.
const GO_ON: c_int = 0;
const STOP: c_int = 4;

/// The unwinder's `_Unwind_Backtrace`, `_Unwind_GetIP` and `_Unwind_GetCFA`; the first one is set last, and 0 until
/// then.
static UNWINDER: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

/// True once it has found who called.
static HAS_FOUND: AtomicBool = AtomicBool::new(false);

/// Looks for an unwinder that reads tables, and makes it ready for [`unwind`]; false where there is none that
/// neither allocates nor waits. May allocate, itself.
///
/// From glibc 2.35 on, which has `_dl_find_object`, the unwinder finds a function's table without the loader's
/// lock.
pub(crate) fn find_unwinder() -> bool {
    if HAS_FOUND.load(Ordering::Relaxed) {
        return true;
    }
    // SAFETY: valid names. The library is as good as any to load: the C library does so itself for `backtrace`. It
    // is never closed.
    let (lookup, library) = unsafe {
        let lookup = libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr());
        (lookup, libc::dlopen(c"libgcc_s.so.1".as_ptr(), libc::RTLD_NOW))
    };
    if lookup.is_null() || library.is_null() {
        return false;
    }
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
    crate::os::tables::use_find(lookup);
    let names = [c"_Unwind_Backtrace", c"_Unwind_GetIP", c"_Unwind_GetCFA"];
    for (place, name) in UNWINDER.iter().zip(names).rev() {
        // SAFETY: an open library and a valid name.
        let function = unsafe { libc::dlsym(library, name.as_ptr()) };
        if function.is_null() {
            return false;
        }
        // Release: pairs with the Acquire in `unwind`.
        place.store(function.expose_provenance(), Ordering::Release);
    }
    // The first call makes the unwinder's own tables.
    let mut has_frames = false;
    unwind(&mut |_, _| {
        has_frames = true;
        true
    });
    HAS_FOUND.store(has_frames, Ordering::Relaxed);
    has_frames
}

/// Who gets the frames, and the functions that tell of one.
struct Visitor<'a, V> {
    visit: &'a mut V,
    address_of: Tell,
    stack_of: Tell,
}

unsafe extern "C" fn pass<V: FnMut(usize, usize) -> bool>(context: *mut Context, visitor: *mut c_void) -> c_int {
    // SAFETY: what `unwind` passes, which nobody else uses meanwhile.
    let visitor = unsafe { &mut *visitor.cast::<Visitor<'_, V>>() };
    // SAFETY: the unwinder's own functions and context.
    let (address, stack) = unsafe { ((visitor.address_of)(context), (visitor.stack_of)(context)) };
    if (visitor.visit)(address, stack) { GO_ON } else { STOP }
}

/// Passes the calling functions to `visit`, the innermost first, until it says false: each one's return address,
/// and where the stack stands after the return. None before [`find_unwinder`].
pub(crate) fn unwind<V: FnMut(usize, usize) -> bool>(visit: &mut V) {
    // Acquire: the others are there. Pairs with the Release in `find_unwinder`.
    let known = UNWINDER.each_ref().map(|function| function.load(Ordering::Acquire));
    if known[0] == 0 {
        return;
    }
    let _errno = KeepErrno::new();
    let [backtrace, address_of, stack_of] = known.map(ptr::with_exposed_provenance::<c_void>);
    // SAFETY: the addresses are those of the unwinder's functions, which have these types.
    let (backtrace, address_of, stack_of) = unsafe {
        (
            mem::transmute::<*const c_void, Backtrace>(backtrace),
            mem::transmute::<*const c_void, Tell>(address_of),
            mem::transmute::<*const c_void, Tell>(stack_of),
        )
    };
    let mut visitor = Visitor { visit, address_of, stack_of };
    // SAFETY: `pass` gets what it expects, and does not unwind.
    unsafe { backtrace(pass::<V>, (&raw mut visitor).cast()) };
}
