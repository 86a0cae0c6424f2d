//! The heap profile of a process, from its start to its end.
//!
//! The library samples and, at the end and when a signal asks for it, writes what it has found as text to a file
//! without a name. What needs the standard library, names and formats, is done by the command `tenure`, which is
//! started with that file as its input; so it takes neither memory nor a lock of this process, and should it fail, the
//! program's exit is as it would have been.

mod settings;
mod writing;

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};
use settings::ProfileSettings;
use tenure::profile_dumps;
use writing::When;

/// What only the functions of this file touch.
struct Own(UnsafeCell<ProfileSettings>);

// SAFETY: the loader runs a library's constructor, which alone writes. Its destructor and the thread that writes dumps
// only read, and know of this after that.
unsafe impl Sync for Own {}

static SETTINGS: Own = Own(UnsafeCell::new(ProfileSettings::DEFAULT));

/// The library is loaded: begins to sample, if the environment says so; true where it does.
pub(crate) fn start() -> bool {
    // SAFETY: no preconditions.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        // The user has fewer rights than the program.
        return false;
    }
    // SAFETY: the constructor alone, see `Own`.
    let settings = unsafe { &mut *SETTINGS.0.get() };
    settings.read();
    if settings.concerns_this_process() {
        settings.start();
    }
    if settings.is_started && settings.file.get().is_some() {
        profile_dumps::on_signal(dump, 0);
    }
    settings.is_started
}

/// A signal has asked for a profile: writes one, on the thread of reports.
fn dump() {
    static DUMPS: AtomicU32 = AtomicU32::new(0);
    // SAFETY: called after the constructor alone, see `Own`.
    let settings = unsafe { &*SETTINGS.0.get() };
    if settings.concerns_this_process() {
        settings.dump(DUMPS.fetch_add(1, Ordering::Relaxed) + 1);
    }
}

/// The process ends: writes what was asked for.
pub(crate) fn finish() {
    finish_at(When::AtEnd);
}

/// A forked child ends without destructors, and so without having freed what it has from its parent: writes a profile,
/// where it has a file of its own.
pub(crate) fn finish_child() {
    finish_at(When::AtEndOfChild);
}

fn finish_at(when: When) {
    // SAFETY: after the constructor, see `Own`.
    let settings = unsafe { &*SETTINGS.0.get() };
    if settings.is_started && settings.concerns_this_process() {
        settings.finish(when);
    }
}
