//! The call stack of the calling thread, by the unwinder that the standard library links, and which file an address of
//! code comes from.

use core::ffi::{CStr, c_int, c_void};
use core::mem::MaybeUninit;

/// What the unwinder passes of a frame.
enum Context {}

/// Go on with the next frame, and stop here.
const GO_ON: c_int = 0;
const STOP: c_int = 4;

unsafe extern "C" {
    fn _Unwind_Backtrace(visit: extern "C" fn(*mut Context, *mut c_void) -> c_int, argument: *mut c_void) -> c_int;
    fn _Unwind_GetIP(context: *mut Context) -> usize;
}

struct Found<'a> {
    places: &'a mut [usize],
    len: usize,
}

extern "C" fn visit(context: *mut Context, found: *mut c_void) -> c_int {
    // SAFETY: what `capture_stack` passes, which nobody else uses meanwhile.
    let found = unsafe { &mut *found.cast::<Found<'_>>() };
    let Some(place) = found.places.get_mut(found.len) else { return STOP };
    // SAFETY: the unwinder's own context.
    *place = unsafe { _Unwind_GetIP(context) };
    found.len += 1;
    GO_ON
}

/// Fills `places` with the return addresses of the calling thread's stack, innermost first, as far as they reach. Looks
/// at tables of the program and its libraries, and allocates nothing itself.
pub(crate) fn capture_stack(places: &mut [usize]) {
    let mut found = Found { places, len: 0 };
    // SAFETY: `visit` gets what it expects, and does not unwind.
    unsafe { _Unwind_Backtrace(visit, (&raw mut found).cast()) };
}

/// The file that the code at `address` was loaded from, and how far into it that is.
pub(crate) fn module_of(address: usize) -> Option<(&'static CStr, usize)> {
    let mut info = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: any address may be asked for, and the answer has room.
    if unsafe { libc::dladdr(core::ptr::without_provenance(address), info.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: filled in by the successful call.
    let info = unsafe { info.assume_init() };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: a name that lives as long as the file is loaded, which the code of a running program does.
    Some((unsafe { CStr::from_ptr(info.dli_fname) }, address - info.dli_fbase.addr()))
}
