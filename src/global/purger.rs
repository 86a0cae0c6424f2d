//! The purger: a thread of the allocator's own that gives unused memory back, also in a process that does nothing.
//!
//! While it runs, no thread of the program purges on its way. It looks twice in each delay for as long as there is
//! something to be done, then ever more rarely, and is woken by the first thread that comes by a slow path again.

use super::own_thread;
use super::upkeep::{self, PURGE_AFTER};
use crate::os::{self, EndOfWait};
use crate::sync::plain::{AtomicU32, Ordering};
use core::ffi::c_void;
use core::ptr;

/// What the purger does.
static STATE: AtomicU32 = AtomicU32::new(OFF);

/// There is none.
const OFF: u32 = 0;
/// It is being started.
const STARTING: u32 = 1;
/// It looks twice in each delay.
const AWAKE: u32 = 2;
/// It waits for a thread that comes by, or for the end of a long time.
const ASLEEP: u32 = 3;

/// Looks in a row that find nothing to give back before the purger sleeps longer: by then, what was in use at the first
/// has been unused for two delays.
const PATIENCE: u32 = 5;

/// Longest time that the purger sleeps, in milliseconds.
const LONGEST: u64 = 64_000;

/// Shortest time between two looks, in milliseconds, however short the delay is.
const SHORTEST: u64 = 10;

/// Bytes of its stack.
const STACK: usize = 64 * 1024;

/// Starts the purger, if none runs; true where one runs then.
pub(super) fn start() -> bool {
    loop {
        // Acquire: pairs with the Release below. What an attempt that failed has given back is given back by then.
        match STATE.compare_exchange(OFF, STARTING, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => break,
            // Another thread is here.
            Err(STARTING) => os::yield_now(),
            Err(_) => return true,
        }
    }
    let is_started = own_thread::start(run, STACK);
    // Release: pairs with the Acquire above.
    STATE.store(if is_started { AWAKE } else { OFF }, Ordering::Release);
    is_started
}

/// True where the purger is to do what is due, and now knows that it is.
pub(super) fn takes_over() -> bool {
    match STATE.load(Ordering::Relaxed) {
        OFF | STARTING => false,
        state => {
            if state == ASLEEP {
                nudge();
            }
            true
        }
    }
}

/// Wakes the purger, if it sleeps: there may be something to do.
#[cold]
fn nudge() {
    if STATE.compare_exchange(ASLEEP, AWAKE, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        os::wake(&STATE);
    }
}

/// In a forked child: there is no purger, since only the thread that forked is there.
pub(super) fn forget() {
    STATE.store(OFF, Ordering::Relaxed);
}

extern "C" fn run(_: *mut c_void) -> *mut c_void {
    os::name_thread(c"tenure-purger");
    // Until then the word would change under whoever starts the purger.
    while STATE.load(Ordering::Relaxed) == STARTING {
        os::yield_now();
    }
    let mut quiet = 0;
    while let Some(is_woken) = pause(quiet) {
        own_thread::look();
        let has_returned = upkeep::purge_on_time();
        quiet = if has_returned || is_woken { 0 } else { quiet.saturating_add(1) };
    }
    // Without a way to wait there is no purger: threads purge on their way again.
    STATE.store(OFF, Ordering::Relaxed);
    own_thread::leave();
    ptr::null_mut()
}

/// Waits until the next look, after so many that found nothing: whether somebody has woken the purger; `None` where
/// waiting is not to be had.
fn pause(quiet: u32) -> Option<bool> {
    let usual = (PURGE_AFTER.load(Ordering::Relaxed) / 2).max(SHORTEST);
    if quiet < PATIENCE {
        return (os::wait(&STATE, AWAKE, usual) != EndOfWait::Never).then_some(false);
    }
    let time = usual.saturating_mul(1 << (quiet - PATIENCE + 1).min(20)).min(LONGEST.max(usual));
    STATE.store(ASLEEP, Ordering::Relaxed);
    let end = os::wait(&STATE, ASLEEP, time);
    STATE.store(AWAKE, Ordering::Relaxed);
    (end != EndOfWait::Never).then_some(end == EndOfWait::Change)
}
