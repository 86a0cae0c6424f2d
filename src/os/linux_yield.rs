//! Linux: how a thread waits that finds a lock taken.

use crate::os::sleep;
use crate::sync::plain::{AtomicUsize, Ordering};

/// Lets another thread run.
///
/// A thread of real-time priority gives way to none of lower priority so, which may be the one that it waits for. So
/// once in a while the thread sleeps.
pub(crate) fn yield_now() {
    static YIELDS: AtomicUsize = AtomicUsize::new(0);
    if YIELDS.fetch_add(1, Ordering::Relaxed) % YIELDS_PER_SLEEP == YIELDS_PER_SLEEP - 1 {
        sleep(SLEEP_MS);
        return;
    }
    // SAFETY: no preconditions; cannot fail on Linux.
    unsafe { libc::sched_yield() };
}

/// Of so many times that some thread gives the processor away, one is a sleep: where there is nobody to give way to, it
/// comes after a millisecond or two.
const YIELDS_PER_SLEEP: usize = 4096;

/// How long a sleep is: while one of a few such threads sleeps, the others of the same processor come to do so, too.
const SLEEP_MS: u64 = 5;

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;
    use core::ffi::c_int;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    /// The calling thread stays on the processor that it is on, and takes part in `policy` from now on.
    fn schedule(policy: c_int, priority: c_int) -> bool {
        // SAFETY: valid sets and parameters.
        unsafe {
            let mut one: libc::cpu_set_t = core::mem::zeroed();
            libc::CPU_SET(libc::sched_getcpu() as usize, &mut one);
            let parameters = libc::sched_param { sched_priority: priority };
            libc::sched_setaffinity(0, size_of_val(&one), &one) == 0
                && libc::sched_setscheduler(0, policy, &parameters) == 0
        }
    }

    fn used_ms() -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a valid place for the time.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
    }

    /// The system lets others run after 950 milliseconds, or never, as it is set.
    #[test]
    fn a_thread_of_real_time_priority_lets_one_of_lower_priority_go_on() {
        static IS_DONE: AtomicBool = AtomicBool::new(false);
        let waits = || {
            if !schedule(libc::SCHED_OTHER, 0) {
                return;
            }
            // It is on the same processor, and comes to run when this one sleeps.
            let works = thread::spawn(|| IS_DONE.store(true, Ordering::Relaxed));
            if schedule(libc::SCHED_FIFO, 1) {
                while !IS_DONE.load(Ordering::Relaxed) {
                    assert!(used_ms() < 500, "the other thread does not come to run");
                    yield_now();
                }
            }
            works.join().unwrap();
        };
        thread::spawn(waits).join().unwrap();
    }
}
