//! Linux: sets of signals, and times in which a thread takes none of a set.

use super::KeepErrno;
use super::cancellation::Uncancelled;
use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::ptr;

/// No signal.
pub(super) fn none() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: a valid place for a set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: filled in by the call, which cannot fail.
    unsafe { set.assume_init() }
}

/// All signals but these.
pub(super) fn all_but(numbers: impl IntoIterator<Item = c_int>) -> libc::sigset_t {
    let mut set = none();
    // SAFETY: a valid set.
    unsafe { libc::sigfillset(&mut set) };
    for number in numbers {
        // SAFETY: a valid set, which is left as it is where there is no such signal.
        unsafe { libc::sigdelset(&mut set, number) };
    }
    set
}

/// Keeps signals from the calling thread until it is dropped there.
pub(super) struct Blocked {
    /// What was blocked before; nothing where a filter of system calls has refused to block more, which leaves all as
    /// it was.
    before: Option<libc::sigset_t>,
}

impl Blocked {
    /// Those of a set, and what was blocked before.
    fn also(set: &libc::sigset_t) -> Self {
        Self::by(libc::SIG_BLOCK, set)
    }

    /// Those of a set and no others.
    pub(super) fn just(set: &libc::sigset_t) -> Self {
        Self::by(libc::SIG_SETMASK, set)
    }

    fn by(how: c_int, set: &libc::sigset_t) -> Self {
        let mut before = none();
        // SAFETY: valid sets.
        let is_blocked = unsafe { libc::pthread_sigmask(how, set, &mut before) } == 0;
        Self { before: is_blocked.then_some(before) }
    }

    /// True if the signal was blocked before, as far as is known.
    fn was_blocked(&self, number: c_int) -> bool {
        // SAFETY: a set that the system has filled in, and a signal that there is.
        self.before.is_some_and(|before| unsafe { libc::sigismember(&before, number) } == 1)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let Some(before) = &self.before else { return };
        // SAFETY: a set that the system has filled in.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
    }
}

/// Runs `work` while the calling thread takes no signal at all.
#[cfg(feature = "profile")]
pub(crate) fn without_signals<R>(work: impl FnOnce() -> R) -> R {
    let _blocked = Blocked::just(&all_but([]));
    work()
}

/// Signals that end a process for what it writes to.
const OF_WRITES: [c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// Runs `write` without the process being ended by what it writes to: a pipe that nobody reads, or a file that may not
/// grow. Nor is the thread cancelled meanwhile.
pub(crate) fn without_write_signals<R>(write: impl FnOnce() -> R) -> R {
    without_write_signals_where(|_| true, write)
}

/// As [`without_write_signals`], for a `write` whose result tells whether a signal may have come of it. Where none has,
/// there are no system calls but two that every sandbox permits: the last line of a program is to come out of it.
pub(super) fn without_write_signals_where<R>(may_have_come: impl FnOnce(&R) -> bool, write: impl FnOnce() -> R) -> R {
    let (_errno, _uncancelled) = (KeepErrno::new(), Uncancelled::new());
    let mut held = none();
    for number in OF_WRITES {
        // SAFETY: a valid set, and a signal that there is.
        unsafe { libc::sigaddset(&mut held, number) };
    }
    let blocked = Blocked::also(&held);
    let mut pending = none();
    // One that the thread would have taken is not pending.
    if OF_WRITES.into_iter().any(|number| blocked.was_blocked(number)) {
        // SAFETY: a valid set.
        unsafe { libc::sigpending(&mut pending) };
    }
    let result = write();
    if !may_have_come(&result) {
        return result;
    }
    // What is pending from before is left to the program.
    // SAFETY: a valid set, and a signal that there is.
    for number in OF_WRITES.into_iter().filter(|&number| unsafe { libc::sigismember(&pending, number) } == 1) {
        // SAFETY: as above.
        unsafe { libc::sigdelset(&mut held, number) };
    }
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid set and time.
    while unsafe { libc::sigtimedwait(&held, ptr::null_mut(), &at_once) } > 0 {}
    result
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;

    fn is_blocked(number: c_int) -> bool {
        Blocked::also(&none()).was_blocked(number)
    }

    fn is_pending(number: c_int) -> bool {
        let mut pending = none();
        // SAFETY: valid sets.
        unsafe { libc::sigpending(&mut pending) == 0 && libc::sigismember(&pending, number) == 1 }
    }

    /// As a system call does that may not write.
    fn raise(number: c_int) {
        // SAFETY: the signal is blocked.
        assert_eq!(unsafe { libc::raise(number) }, 0);
    }

    #[test]
    fn signals_are_blocked_until_the_end_and_those_left_out_never() {
        let before = is_blocked(libc::SIGUSR1);
        let outer = Blocked::just(&all_but([libc::SIGINT]));
        assert!(is_blocked(libc::SIGUSR1) && !is_blocked(libc::SIGINT));
        drop(Blocked::just(&all_but([])));
        assert!(is_blocked(libc::SIGUSR1) && !is_blocked(libc::SIGINT));
        drop(outer);
        assert_eq!(is_blocked(libc::SIGUSR1), before);
    }

    #[test]
    fn of_signals_of_writes_those_alone_are_taken_that_came_meanwhile() {
        let _blocked = Blocked::just(&all_but([]));
        raise(libc::SIGPIPE);
        without_write_signals(|| {
            raise(libc::SIGPIPE);
            raise(libc::SIGXFSZ);
        });
        assert!(is_pending(libc::SIGPIPE) && !is_pending(libc::SIGXFSZ));
        // The test's own.
        let mut own = none();
        // SAFETY: a valid set, a signal that there is, and time without end.
        unsafe {
            libc::sigaddset(&mut own, libc::SIGPIPE);
            assert_eq!(libc::sigtimedwait(&own, ptr::null_mut(), ptr::null()), libc::SIGPIPE);
        }
    }
}
