//! A heap profile that is asked for where nobody takes one. That is known at the end of the process: until then the
//! program may still read what asks for it, or arm a profile by itself.

use super::reporter;
use crate::global::profile;
use crate::os::io;
use crate::os::report::complain;
use crate::os::{Native, Platform};
use crate::sync::{AtomicBool, AtomicU32, Ordering};

/// True once somebody has read what asks for profiles, who says what is wrong with it.
static IS_READ: AtomicBool = AtomicBool::new(false);

/// The process that looks at its end; 0 before there is one. Forked children need not repeat it.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Somebody reads what asks for profiles.
pub(super) fn is_read() {
    IS_READ.store(true, Ordering::Relaxed);
}

/// Has it said when the process ends that a profile was asked for, if none was ever taken.
pub(super) fn complain_at_exit() {
    if IS_READ.load(Ordering::Relaxed) || reporter::asks_for_profile().is_none() {
        return;
    }
    let Some(process) = Native.process() else { return };
    if PROCESS.swap(process.id, Ordering::Relaxed) == 0 {
        // Where the end goes unnoticed there is nothing to be said then.
        io::at_exit(end);
    }
}

extern "C" fn end() {
    if IS_READ.load(Ordering::Relaxed) || profile::last_rate().is_some() {
        return;
    }
    let is_same = Native.process().is_some_and(|process| process.id == PROCESS.load(Ordering::Relaxed));
    if let Some(variable) = reporter::asks_for_profile().filter(|_| is_same) {
        complain(format_args!(
            "{variable}: the program's allocator has taken no profile; tenure_profile::from_env() reads this, and tenure::from_env() does not"
        ));
    }
}
