//! Room: a stack for what needs more than the caller may have: a signal handler has 8 KiB in all or less.
//!
//! The way back is described to unwinders, so that a stack can be walked from there.

use super::cancellation::Uncancelled;
use super::signals::{Blocked, all_but};
use crate::sync::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;

/// Bytes of the stack: many times what a report takes without optimisation.
const LEN: usize = 128 * 1024;

/// A stack for one purpose, to be a static.
#[repr(C, align(64))]
pub(crate) struct Room(UnsafeCell<MaybeUninit<[u8; LEN]>>);

// SAFETY: `run` has one caller at a time.
unsafe impl Sync for Room {}

impl Room {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Runs `work` with room on the stack, and without handlers of signals: one might begin where an interrupted one
    /// has its frames. What ends the process without a handler still does. Nor is the thread cancelled: who ends the
    /// process is to come to that.
    ///
    /// # Safety
    /// - One thread at a time does this, and not from within `work`.
    pub(crate) unsafe fn run(&self, mut work: &mut dyn FnMut()) {
        let _uncancelled = Uncancelled::new();
        let _blocked = Blocked::just(&all_but(ENDS.into_iter().filter(|&number| has_no_handler(number))));
        // SAFETY: the stack is this thread's, says the caller, and what it is told to run gets what it expects.
        unsafe { call_on(ptr::from_mut(&mut work).cast(), run, self.0.get().cast::<u8>().add(LEN)) };
    }
}

/// Signals by which people and supervisors end a process that is stuck.
const ENDS: [c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

fn has_no_handler(number: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a valid place for the answer.
    let is_known = unsafe { libc::sigaction(number, ptr::null(), action.as_mut_ptr()) } == 0;
    // SAFETY: filled in by the successful call.
    is_known && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_DFL
}

extern "C" fn run(work: *mut c_void) {
    // SAFETY: what `Room::run` passes, which waits meanwhile.
    let work = unsafe { &mut *work.cast::<&mut dyn FnMut()>() };
    work();
}

type Work = extern "C" fn(*mut c_void);

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .text.tenure_call_on, \"ax\", @progbits",
    ".globl tenure_call_on",
    ".hidden tenure_call_on",
    ".type tenure_call_on, @function",
    "tenure_call_on:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "mov rsp, rdx",
    "call rsi",
    "mov rsp, rbp",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
    ".size tenure_call_on, . - tenure_call_on",
    ".popsection",
);

/// Calls `work` with `argument` on the stack that ends at `top`, a multiple of 16.
///
/// # Safety
/// - The stack is nobody else's, and long enough.
#[cfg(target_arch = "x86_64")]
unsafe fn call_on(argument: *mut c_void, work: Work, top: *mut u8) {
    unsafe extern "C" {
        fn tenure_call_on(argument: *mut c_void, work: Work, top: *mut u8);
    }
    // SAFETY: passed on.
    unsafe { tenure_call_on(argument, work, top) };
}

/// Calls `work` on the stack that there is.
///
/// # Safety
/// - None.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn call_on(argument: *mut c_void, work: Work, _top: *mut u8) {
    work(argument);
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn work_has_room_and_its_callers_are_found_from_there() {
        static ROOM: Room = Room::new();
        let (mut lowest, mut frames) = ([0_usize; 2], 0);
        let here = 0_u8;
        let mut work = || {
            let mut there = [1_u8; LEN / 2];
            lowest = [ptr::from_ref(&here).addr(), core::hint::black_box(&mut there).as_ptr().addr()];
            crate::os::find_unwinder();
            crate::os::unwind(&mut |address, _| {
                frames += 1;
                address != 0 && frames < 64
            });
        };
        // SAFETY: no other test does this.
        unsafe { ROOM.run(&mut work) };
        let stack = ROOM.0.get().addr();
        if cfg!(target_arch = "x86_64") {
            assert!((stack..stack + LEN).contains(&lowest[1]) && !(stack..stack + LEN).contains(&lowest[0]));
        }
        // The test harness has more callers than there are here.
        assert!(frames > 8 || !crate::os::find_unwinder(), "{frames}");
    }
}
