//! The library's life in a process: what it does when it is loaded, and when the process ends. What that is, the
//! environment says.
//!
//! Neither is needed for memory to be had: allocations come before the one and after the other.
//!
//! A process that ends by `_exit`, as shells and the children of Python's `multiprocessing` do, runs no destructors. So
//! the library has an `_exit` of its own, which says what the destructor would have said. What `vfork` makes ends so,
//! too, in its parent's memory: that is told by its number, and says nothing.

use crate::profile;
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use tenure::preloaded;

#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = start;

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_END: extern "C" fn() = end;

/// The process that has something to say at its end, as long as it has not; 0 where there is none, and [`TELLING`]
/// while a thread that ends the process by [`_exit`] says it.
static TELLER: AtomicI32 = AtomicI32::new(0);

const TELLING: i32 = -1;

/// How long the end of the process waits for such a thread at most, in milliseconds: a profile may take some seconds.
const PATIENCE: u32 = 10_000;

/// True in the child of a fork.
static IS_FORKED: AtomicBool = AtomicBool::new(false);

/// The library is loaded.
extern "C" fn start() {
    let (reports, is_profiled) = (preloaded::start(), profile::start());
    if reports || is_profiled {
        tell_at_end();
        // SAFETY: a function that may be called in a forked child. Where it cannot be had, children that end by `_exit`
        // are silent.
        unsafe { libc::pthread_atfork(None, None, Some(begin_in_child)) };
    }
}

fn tell_at_end() {
    // SAFETY: no preconditions.
    TELLER.store(unsafe { libc::getpid() }, Ordering::Relaxed);
}

unsafe extern "C" fn begin_in_child() {
    IS_FORKED.store(true, Ordering::Relaxed);
    tell_at_end();
}

/// The process ends in an orderly way.
extern "C" fn end() {
    match TELLER.swap(0, Ordering::Relaxed) {
        0 => {}
        // That thread ends the process when it is done.
        TELLING => (0..PATIENCE).for_each(|_| {
            // SAFETY: no preconditions.
            unsafe { libc::usleep(1000) };
        }),
        _ => tell(profile::finish),
    }
}

/// Says what the environment asks for at the end of a process, `finish` what it asks of a profile. For the teller
/// alone, on a stack that suffices: whoever ends the process may be a signal handler, or a thread with a small one.
fn tell(finish: fn()) {
    let mut work = || {
        finish();
        preloaded::end();
    };
    // SAFETY: there is one teller, who tells once.
    unsafe { preloaded::with_room(&mut work) };
}

/// Ends the process at once, without its destructors and without writing what waits in its streams. Says before what
/// the environment asks for at the end of a process.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
pub extern "C" fn _exit(status: c_int) -> ! {
    let teller = TELLER.load(Ordering::Relaxed);
    // Of several threads that end the process, one has its say. Where nobody has, no system call is made that the
    // program might have been forbidden.
    if teller != 0
        // SAFETY: no preconditions.
        && teller == unsafe { libc::getpid() }
        && TELLER.compare_exchange(teller, TELLING, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    {
        tell(if IS_FORKED.load(Ordering::Relaxed) { profile::finish_child } else { profile::finish });
    }
    loop {
        // SAFETY: ends the process.
        unsafe { libc::syscall(libc::SYS_exit_group, status) };
    }
}

/// As [`_exit`], by its name in C.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
pub extern "C" fn _Exit(status: c_int) -> ! {
    _exit(status)
}
