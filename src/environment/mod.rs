//! The environment: what a user asks of a program's allocator without changing the program.
//!
//! Read once. Reports are written at the end, by a thread of their own at intervals and when a signal asks for one;
//! that thread is only there when it was asked for, and nothing of all this is when nothing was asked for.

mod destination;
#[cfg(feature = "profile")]
mod dumps;
mod output;
mod path;
mod reporter;
mod settings;
#[cfg(feature = "profile")]
mod unread;

/// Reads the environment, as far as it concerns Tenure, and does what it says. For a program whose allocator is
/// [`Tenure`](crate::Tenure); to be called where `main` begins. The library that is preloaded does so by itself.
///
/// | variable | values | meaning | default |
/// |---|---|---|---|
/// | `TENURE_STATS` | `0`, `1`, `text`, `json`, `prom` | report the statistics when the process ends, and in what form; `1` is `text` | `0` |
/// | `TENURE_STATS_EVERY` | `10ms` to `24h`, such as `5s` | also report at intervals, and at the end, as `json` where `TENURE_STATS` does not say otherwise | never |
/// | `TENURE_STATS_SIGNAL` | `USR1`, `USR2`, `HUP`, `12`, ... | also report whenever the process gets this signal, in the same form; a heap profile that `TENURE_PROFILE` asks for is written then, too | none |
/// | `TENURE_STATS_FILE` | a path | where reports go; `%p` stands for the process's id. Text and lines of JSON are appended, `prom` replaces the file, or the one that it leads to as a link | standard error |
/// | `TENURE_STATS_PID` | a number | report only in the process with this id | every process |
/// | `TENURE_GUARD` | a number N from 1 to 1099511627776 | with the feature `profile`: one in N allocations of up to a page stands alone beside a guard page, and its misuse is told of with call stacks | none |
/// | `TENURE_EXACT` | `0`, `1` | count exact bytes, for what rounding costs: [`Tenure::count_exact_bytes`](crate::Tenure::count_exact_bytes) | `0` |
/// | `TENURE_PURGE_DELAY` | 0 to 3600000 | milliseconds that unused memory is kept | 1000 |
/// | `TENURE_PURGER` | `0`, `1` | a thread gives unused memory back, also while the program does nothing | `0` |
/// | `TENURE_LIMIT` | a size, two sizes with `:` between, or `cgroup` | a hard limit on committed memory; a soft and a hard one; those of the control group. Sizes are bytes, or have one of the suffixes K, M, G, T | none |
///
/// With the feature `profile`, `TENURE_PROFILE`, `TENURE_LEAKS` and `TENURE_COMMAND` are left to
/// `tenure_profile::from_env` and to the library that is preloaded. Where one of the first two asks for a profile, and
/// the program's allocator has taken none when the process ends, a line on standard error says so.
///
/// A wrong value, or a name with `TENURE_` that is neither, is reported in a line on standard error and ignored. So is
/// a report that cannot be written: the program goes on, and what was there before stays whole. The first request that
/// the hard limit of `TENURE_LIMIT` refuses is told in such a line, too, once in a process, since a program that is not
/// prepared for null ends there. A program that runs with more rights than its user has (`AT_SECURE`) reads none of it.
///
/// Reports at intervals and on a signal are written by a thread with a stack of 64 KiB, which takes no signals. It is
/// started only where one of the two is asked for, and ends the process where all other threads have ended, as the last
/// of them would have. The handler of the signal wakes it and does nothing else; it is not installed where the program
/// has a handler of its own. A forked child reports at its end, and on the signal; at intervals only where the file's
/// name has its id in it. A report takes what [`Tenure::stats`](crate::Tenure::stats) and
/// [`Stats::ask_system`](crate::Stats::ask_system) take, and the writing of some kilobytes, and 24 KiB of the stack of
/// the thread that ends the process. It allocates nothing, so it also comes when memory is exhausted.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
///
/// fn main() {
///     tenure::from_env();
///     // The program.
/// }
/// ```
pub fn from_env() {
    read();
    #[cfg(feature = "profile")]
    unread::complain_at_exit();
}

fn read() {
    if reporter::begin() {
        reporter::report_at_exit();
    }
}

/// What those call who write heap profiles. No part of the interface.
#[cfg(feature = "profile")]
#[doc(hidden)]
pub mod profile_dumps {
    pub use super::dumps::{
        Failure, KeptStderr, copy_text, on_signal, save_text, without_signals, without_write_signals,
    };

    /// As [`from_env`](crate::from_env), for who reads by themselves what asks for profiles.
    pub fn from_env() {
        super::unread::is_read();
        super::read();
    }
}

/// What the library that is preloaded calls. No part of the interface.
#[doc(hidden)]
pub mod preloaded {
    use super::output::Output;
    pub use super::path::Path;
    use super::reporter;
    #[cfg(feature = "profile")]
    use crate::os::Room;
    use crate::os::io::{self, File};
    use core::ffi::c_int;
    use core::fmt::{self, Write};

    /// Whether the build is hardened, as any of the packages that are built together may have asked for.
    pub const IS_HARDENED: bool = cfg!(feature = "hardened");

    /// The library is loaded; true where anything is to be reported.
    pub fn start() -> bool {
        reporter::begin()
    }

    /// The process ends in an orderly way.
    pub fn end() {
        reporter::report_last();
    }

    /// Runs `work` without the calling thread being cancelled, which would leave a lock or memory behind.
    pub fn without_cancellation<R>(work: impl FnOnce() -> R) -> R {
        io::without_cancellation(work)
    }

    /// Writes what `text` writes to the file that is open as `descriptor`, through a buffer. A pipe that nobody reads,
    /// or a file that may not grow, is a failure, and no signal that ends the program.
    ///
    /// # Errors
    ///
    /// The system's number for why not all of it could be written.
    pub fn write_text(
        descriptor: c_int,
        buffer: &mut [u8],
        text: impl FnOnce(&mut dyn Write) -> fmt::Result,
    ) -> Result<(), c_int> {
        let file = File::borrowed(descriptor);
        let mut output = Output::new(&file, buffer);
        io::without_write_signals(|| {
            // What fails is known to `finish`.
            let _ = text(&mut output);
            let (_, failure) = output.finish();
            failure.map_or(Ok(()), |failure| Err(failure.number()))
        })
    }

    /// Runs `work` with room on the stack, of which whoever ends the process may have little, and without signals.
    ///
    /// # Safety
    /// - One thread at a time does this, and not from within `work`.
    #[cfg(feature = "profile")]
    pub unsafe fn with_room(work: &mut dyn FnMut()) {
        static ROOM: Room = Room::new();
        // SAFETY: passed on.
        unsafe { ROOM.run(work) };
    }
}
