//! No operating system: there is no memory to be had, so every memory call refuses, and no thread ever ends.
//!
//! What remains of Tenure is what needs no system: arenas over memory of the program's own. The heap builds, and has
//! nothing.

#[path = "none_io.rs"]
pub(crate) mod io;

use super::{EndOfWait, Platform, Resized};
use crate::sync::plain::AtomicU32;
use core::ffi::{CStr, c_void};
use core::hint;
use core::ptr::NonNull;

/// The absent system.
pub(crate) struct Native;

impl Platform for Native {
    fn page_size(&self) -> usize {
        4096
    }

    fn map(&self, _hint: usize, _len: usize) -> Option<NonNull<u8>> {
        None
    }

    fn map_exactly(&self, _address: usize, _len: usize) -> Option<NonNull<u8>> {
        None
    }

    fn reserve(&self, _len: usize) -> Option<NonNull<u8>> {
        None
    }

    unsafe fn commit(&self, _start: NonNull<u8>, _len: usize) -> bool {
        false
    }

    unsafe fn unmap(&self, _start: NonNull<u8>, _len: usize) -> bool {
        false
    }

    unsafe fn purge(&self, _start: NonNull<u8>, _len: usize) -> bool {
        false
    }

    unsafe fn prefer_huge_pages(&self, _start: NonNull<u8>, _len: usize) {}

    unsafe fn join_pages(&self, _start: NonNull<u8>, _len: usize) -> bool {
        false
    }

    unsafe fn resident_pages(&self, _start: NonNull<u8>, _len: usize) -> usize {
        0
    }

    unsafe fn refuse_huge_pages(&self, _start: NonNull<u8>, _len: usize) {}

    unsafe fn protect(&self, _start: NonNull<u8>, _len: usize) -> bool {
        false
    }

    unsafe fn resize(&self, _start: NonNull<u8>, _old_len: usize, _new_len: usize) -> Resized {
        Resized::No
    }

    unsafe fn relocate(&self, _start: NonNull<u8>, _old_len: usize, _target: NonNull<u8>, _new_len: usize) -> bool {
        false
    }

    fn now_ms(&self) -> u64 {
        0
    }

    fn now_ns(&self) -> u64 {
        0
    }

    fn page_faults(&self) -> u64 {
        0
    }
}

/// There are no pages to guard.
///
/// # Safety
/// - None: nothing is done.
#[cfg(feature = "hardened")]
pub(crate) unsafe fn guard(_start: NonNull<u8>, _len: usize) -> bool {
    false
}

/// Nothing was guarded.
///
/// # Safety
/// - None: nothing is done.
#[cfg(feature = "hardened")]
pub(crate) unsafe fn unguard(_start: NonNull<u8>, _len: usize) -> bool {
    true
}

/// There are no pages to close.
///
/// # Safety
/// - None: nothing is done.
#[cfg(feature = "hardened")]
pub(crate) unsafe fn close(_start: NonNull<u8>, _len: usize) -> bool {
    false
}

/// Nothing was closed.
///
/// # Safety
/// - None: nothing is done.
#[cfg(feature = "hardened")]
pub(crate) unsafe fn open(_start: NonNull<u8>, _len: usize) -> bool {
    true
}

/// Nothing is known of pages.
///
/// # Safety
/// - None: nothing is done.
#[cfg(feature = "hardened")]
pub(crate) unsafe fn by_residence(_start: NonNull<u8>, len: usize, mut each: impl FnMut(usize, usize, bool)) {
    each(0, len, true);
}

/// Nobody has random numbers.
#[cfg(feature = "hardened")]
pub(crate) fn random() -> u64 {
    0
}

/// Nobody else is there to run.
pub(crate) fn yield_now() {
    hint::spin_loop();
}

/// There is nowhere to write to.
pub(crate) fn write_stderr(_bytes: &[u8]) {}

/// There is no process to end: goes no further.
pub(crate) fn abort() -> ! {
    loop {
        hint::spin_loop();
    }
}

/// Nobody would call the hook.
pub(crate) fn on_thread_exit(_hook: unsafe extern "C" fn(*mut c_void), _argument: *const c_void) -> bool {
    false
}

/// There is no fork to be told of.
pub(crate) fn on_fork_in_child(_hook: unsafe extern "C" fn()) -> bool {
    true
}

/// Nothing is known to be readable.
#[cfg(feature = "profile")]
pub(crate) fn is_readable(_address: usize) -> bool {
    false
}

/// Nothing faults.
#[cfg(feature = "profile")]
pub(crate) fn on_fault(_hook: fn(&super::Fault) -> bool) -> bool {
    false
}

/// There is one stack.
#[cfg(feature = "profile")]
pub(crate) struct Room;

#[cfg(feature = "profile")]
impl Room {
    pub(crate) const fn new() -> Self {
        Self
    }

    /// Runs `work`.
    ///
    /// # Safety
    /// - None.
    pub(crate) unsafe fn run(&self, work: &mut dyn FnMut()) {
        work();
    }
}

/// There are no files.
#[cfg(feature = "profile")]
pub(crate) fn modules_of(_frames: &[usize], _modules: &mut super::Modules) {}

/// There is one thread.
#[cfg(feature = "profile")]
pub(crate) fn thread_id() -> u32 {
    1
}

/// There is no unwinder.
#[cfg(feature = "profile")]
pub(crate) fn find_unwinder() -> bool {
    false
}

/// There is no unwinder.
#[cfg(feature = "profile")]
pub(crate) fn unwind<V: FnMut(usize, usize) -> bool>(_visit: &mut V) {}

/// There are no threads.
pub(crate) fn start_thread(_body: extern "C" fn(*mut c_void) -> *mut c_void, _len: usize) -> bool {
    false
}

/// There is nobody to name.
pub(crate) fn name_thread(_name: &CStr) {}

/// Nobody else is there to change anything.
pub(crate) fn wait(_word: &AtomicU32, _value: u32, _milliseconds: u64) -> EndOfWait {
    EndOfWait::Never
}

/// Nobody waits.
pub(crate) fn wake(_word: &AtomicU32) {}

/// The only thread lives.
pub(crate) fn threads_without_first() -> Option<u64> {
    None
}

/// There is no process to end: goes no further.
pub(crate) fn end_process() -> ! {
    abort()
}

/// There are no control groups.
pub(crate) fn cgroup_limit() -> Option<usize> {
    None
}

/// There are no threads to be told apart.
pub(crate) fn thread_token() -> usize {
    1
}
