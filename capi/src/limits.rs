//! Limits on committed memory, the function that is called when one is reached, and the purger: `include/tenure.h`
//! documents them for those who call them.
//!
//! In C no limit is `SIZE_MAX`.

use crate::TENURE;
use crate::errno;
use core::ffi::{c_int, c_void};
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use tenure::{Limit, Pressure};

/// Sets both limits; 0, or -1 and `EINVAL` where the soft one is above the hard one.
#[unsafe(no_mangle)]
pub extern "C" fn tenure_set_limit(soft: usize, hard: usize) -> c_int {
    if soft != usize::MAX && soft > hard {
        errno::set(libc::EINVAL);
        return -1;
    }
    TENURE.set_limit(Limit::hard(hard).with_soft(soft));
    0
}

/// Sets the limits that the control group of the process suggests; 0, or -1 and `ENOENT` where it has none.
#[unsafe(no_mangle)]
pub extern "C" fn tenure_set_limit_of_cgroup() -> c_int {
    match Limit::of_cgroup() {
        Some(limit) => {
            TENURE.set_limit(limit);
            0
        }
        None => {
            errno::set(libc::ENOENT);
            -1
        }
    }
}

/// The soft limit, or `SIZE_MAX`.
#[unsafe(no_mangle)]
pub extern "C" fn tenure_soft_limit() -> usize {
    TENURE.limit().soft_bytes().unwrap_or(usize::MAX)
}

/// The hard limit, or `SIZE_MAX`.
#[unsafe(no_mangle)]
pub extern "C" fn tenure_hard_limit() -> usize {
    TENURE.limit().hard_bytes().unwrap_or(usize::MAX)
}

/// What a program in C is told when memory runs short: the header has it as `struct tenure_pressure`.
#[repr(C)]
pub struct CPressure {
    committed: usize,
    limit: usize,
    is_critical: c_int,
}

type Callback = extern "C" fn(*const CPressure);

/// The program's function, or null.
static CALLBACK: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Says what is to be called when memory runs short.
#[unsafe(no_mangle)]
pub extern "C" fn tenure_on_pressure(callback: Option<Callback>) {
    let place = callback.map_or(ptr::null_mut(), |callback| callback as *mut c_void);
    // Release: pairs with the Acquire in `call`, for what the program has made ready for its function.
    CALLBACK.store(place, Ordering::Release);
    TENURE.on_pressure(callback.map(|_| call as fn(Pressure)));
}

fn call(pressure: Pressure) {
    // Acquire: pairs with the Release in `tenure_on_pressure`.
    let callback = CALLBACK.load(Ordering::Acquire);
    if callback.is_null() {
        // Another thread has just said that nothing is to be called.
        return;
    }
    // SAFETY: `tenure_on_pressure` stores nothing but functions of this type.
    let callback = unsafe { mem::transmute::<*mut c_void, Callback>(callback) };
    callback(&CPressure {
        committed: pressure.committed,
        limit: pressure.limit,
        is_critical: pressure.is_critical.into(),
    });
}

/// Starts the purger; 0 where it runs, or -1 and `EAGAIN`.
#[unsafe(no_mangle)]
pub extern "C" fn tenure_start_purger() -> c_int {
    if TENURE.start_purger() {
        return 0;
    }
    errno::set(libc::EAGAIN);
    -1
}
