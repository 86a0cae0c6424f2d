//! Threads of the allocator's own: the purger, and the one that writes reports.
//!
//! The system ends a process with its last thread, and these never end by themselves. So they are counted, and
//! whichever of them finds no others ends the process.

use crate::os;
use crate::sync::plain::{AtomicBool, AtomicU32, Ordering};
use core::ffi::c_void;

/// How many there are.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// True once one of them ends the process.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// Sizes of stack that are tried where the one that was asked for does not suffice, as where the program's thread-local
/// storage is large and the system does not say how large.
const LARGER_STACKS: [usize; 2] = [1024 * 1024, 16 * 1024 * 1024];

/// Starts a thread that takes no signals, with a stack of at least so many bytes; true where it runs then. It calls
/// [`look`] now and then, and [`leave`] at its end, if it has one. May allocate.
pub(crate) fn start(body: extern "C" fn(*mut c_void) -> *mut c_void, stack: usize) -> bool {
    let is_started = [stack].into_iter().chain(LARGER_STACKS).any(|len| os::start_thread(body, len));
    if is_started {
        // Not before: who starts the last of them would pass for it meanwhile.
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
    is_started
}

/// The calling thread, one of these, is about to end.
pub(crate) fn leave() {
    COUNT.fetch_sub(1, Ordering::Relaxed);
}

/// To be called by each of these threads now and then: where all others have ended, ends the process as the last of
/// them would have.
pub(crate) fn look() {
    let count = COUNT.load(Ordering::Relaxed);
    // One that begins or ends meanwhile is among the system's and not among ours, or the other way round.
    let are_alone = os::threads_without_first() == Some(u64::from(count)) && COUNT.load(Ordering::Relaxed) == count;
    if are_alone && !IS_ENDING.swap(true, Ordering::Relaxed) {
        os::end_process();
    }
}

/// In a forked child: there are none, since only the thread that forked is there.
pub(super) fn forget() {
    COUNT.store(0, Ordering::Relaxed);
    IS_ENDING.store(false, Ordering::Relaxed);
}
