//! Linux: times in which a thread is not cancelled.
//!
//! The C library ends a thread that was cancelled as soon as it opens a file, reads or writes. In here it would keep
//! its locks, and neither an allocation nor a free is a place where a program expects that.

use core::ffi::c_int;
use core::ptr;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// `PTHREAD_CANCEL_DISABLE`.
const DISABLE: c_int = 1;

/// Keeps the calling thread from being cancelled until it is dropped there. No system call.
pub(super) struct Uncancelled {
    /// Whether it could be before.
    before: c_int,
}

impl Uncancelled {
    pub(super) fn new() -> Self {
        let mut before = 0;
        // SAFETY: a state that there is, and a valid place for the one before.
        unsafe { pthread_setcancelstate(DISABLE, &mut before) };
        Self { before }
    }
}

impl Drop for Uncancelled {
    fn drop(&mut self) {
        // SAFETY: the state from before.
        unsafe { pthread_setcancelstate(self.before, ptr::null_mut()) };
    }
}

/// Runs `work` without the calling thread being cancelled meanwhile.
pub(crate) fn without_cancellation<R>(work: impl FnOnce() -> R) -> R {
    let _uncancelled = Uncancelled::new();
    work()
}
