//! Reporter: who writes reports, and when. One lock guards all it has; nobody who allocates ever waits for it.

use super::destination::{self, Report, Room};
use super::settings::{Format, Settings};
#[cfg(feature = "profile")]
use crate::global::guard;
use crate::global::{Tenure, own_thread, pressure};
use crate::lock::Lock;
use crate::os::io::{self, Event, Failure, KeptStderr};
use crate::os::report::complain;
use crate::os::{self, Native, Platform};
use crate::stats::Stats;
use crate::sync::{AtomicBool, Ordering, UnsafeCell};
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::time::Duration;

const TENURE: Tenure = Tenure::new();

/// The version, and whether the build is hardened.
const VERSION: &str = if cfg!(feature = "hardened") {
    concat!(env!("CARGO_PKG_VERSION"), " hardened")
} else {
    env!("CARGO_PKG_VERSION")
};

/// What the environment asks for.
struct Reporter {
    settings: Settings,
    stderr: Option<KeptStderr>,
    /// How often the thread of this process reports.
    every: Option<Duration>,
    /// Signals that were answered, or came before there was a thread to answer.
    answered: u32,
    /// True once the last report is written.
    is_over: bool,
    /// What is done after each report that a signal has asked for.
    #[cfg(feature = "profile")]
    dump: Option<fn()>,
    /// Bytes of the thread's stack.
    stack: usize,
}

static REPORTER: Lock<Reporter> = Lock::new(Reporter {
    settings: Settings::DEFAULT,
    stderr: None,
    every: None,
    answered: 0,
    is_over: false,
    #[cfg(feature = "profile")]
    dump: None,
    stack: STACK,
});

/// What is only touched by whoever holds [`REPORTER`]. Apart, so that it is no part of the program's file.
struct Guarded<T>(UnsafeCell<T>);

// SAFETY: touched under a lock.
unsafe impl<T> Sync for Guarded<T> {}

static ROOM: Guarded<Room> = Guarded(UnsafeCell::new(Room::EMPTY));
static STATS: Guarded<MaybeUninit<Stats>> = Guarded(UnsafeCell::new(MaybeUninit::uninit()));

/// Signals that asked for a report.
static ASKED: Event = Event::new();

/// True once the environment has been read.
static HAS_BEGUN: AtomicBool = AtomicBool::new(false);

/// Bytes of the thread's stack, unless dumps need more: a report touches 24 KiB of it.
const STACK: usize = 64 * 1024;

/// How often the thread looks whether it keeps the process from ending.
const LOOKS_EVERY_MS: u64 = 2000;

/// How long the end of the process waits for a report that is just being written.
const LAST_PATIENCE_MS: u64 = 5000;

/// Reads the environment and does what it says, the first time; true where anything is to be reported.
pub(super) fn begin() -> bool {
    if HAS_BEGUN.swap(true, Ordering::Relaxed) {
        return false;
    }
    let mut reporter = REPORTER.lock();
    reporter.settings.read();
    if let Some(delay) = reporter.settings.purge_delay {
        TENURE.set_purge_delay(Duration::from_millis(delay));
    }
    if let Some(limit) = reporter.settings.limit {
        pressure::set_limit_of_environment(limit);
    }
    if reporter.settings.exact {
        TENURE.count_exact_bytes(true);
    }
    if reporter.settings.purger && !TENURE.start_purger() {
        complain(format_args!(
            "TENURE_PURGER: the system has no thread for it; unused memory is given back by the program's own threads"
        ));
    }
    let reports = reporter.settings.reports();
    if reports && reporter.settings.file.get().is_none() {
        reporter.stderr = KeptStderr::new();
    }
    let (every, signal) = (reporter.settings.every, reporter.settings.signal);
    reporter.every = every;
    let is_concerned = reporter.is_concerned();
    let stack = reporter.stack;
    #[cfg(feature = "profile")]
    let one_in = reporter.settings.guard;
    // What follows may allocate, and then whoever is asked for memory may find its lock taken, but never this one.
    drop(reporter);
    #[cfg(feature = "profile")]
    if let Some(one_in) = one_in
        && let Err(why) = guard::arm(one_in)
    {
        complain(format_args!("TENURE_GUARD: {why}; nothing is guarded"));
    }
    if is_concerned && (every.is_some() || signal.is_some()) {
        start(signal, stack);
    }
    reports
}

/// Starts the thread, and has the signal wake it.
fn start(signal: Option<c_int>, stack: usize) {
    // Whoever allocates first has heaps repaired in forked children: before the thread is started there, which
    // allocates.
    let layout = Layout::new::<usize>();
    // SAFETY: a layout with a size.
    let block = unsafe { TENURE.alloc(layout) };
    if !block.is_null() {
        // SAFETY: allocated just now.
        unsafe { TENURE.dealloc(block, layout) };
    }
    os::on_fork_in_child(begin_in_child);
    if !own_thread::start(serve, stack) {
        return complain(format_args!("there is no thread to be had; statistics come at the end of the process alone"));
    }
    if let Some(number) = signal
        && !io::on_signal(number, ask)
    {
        complain(format_args!(
            "TENURE_STATS_SIGNAL: the program has a handler of its own for signal {number}, which stays"
        ));
    }
}

/// The signal's handler: wakes the thread, which is safe in a handler.
extern "C" fn ask(_number: c_int) {
    ASKED.post();
}

/// In a forked child, where the thread does not exist: another one is started for the signal, and for intervals where
/// the child has a file of its own.
unsafe extern "C" fn begin_in_child() {
    if REPORTER.is_locked() {
        // SAFETY: whoever held the lock does not exist here. It changes nothing that it would leave half changed but
        // buffers.
        unsafe { REPORTER.force_unlock() };
    }
    let mut reporter = REPORTER.lock();
    reporter.answered = ASKED.count();
    if !reporter.settings.has_own_file() {
        reporter.every = None;
    }
    let is_needed = reporter.every.is_some() || reporter.settings.signal.is_some();
    let is_concerned = reporter.is_concerned();
    let stack = reporter.stack;
    drop(reporter);
    if is_needed && is_concerned {
        // Where there is none to be had, there are no reports but the last.
        own_thread::start(serve, stack);
    }
}

/// The thread: reports at intervals and when a signal has asked.
extern "C" fn serve(_: *mut c_void) -> *mut c_void {
    let (every, mut answered) = {
        let reporter = REPORTER.lock();
        (reporter.every.map(|every| every.as_millis() as u64), reporter.answered)
    };
    let mut due = every.map(|every| Native.now_ms() + every);
    let mut look = Native.now_ms() + LOOKS_EVERY_MS;
    loop {
        let (now, asked) = (Native.now_ms(), ASKED.count());
        if look <= now {
            own_thread::look();
            look = now + LOOKS_EVERY_MS;
        }
        let is_due = due.is_some_and(|due| due <= now);
        if is_due || asked != answered {
            let mut reporter = REPORTER.lock();
            if reporter.is_over {
                own_thread::leave();
                return ptr::null_mut();
            }
            reporter.report();
            #[cfg(feature = "profile")]
            let dump = reporter.dump.filter(|_| asked != answered);
            drop(reporter);
            // It may take long, and the end of the process is not to wait for it.
            #[cfg(feature = "profile")]
            if let Some(dump) = dump {
                dump();
            }
            answered = asked;
            if is_due && let (Some(due), Some(every)) = (&mut due, every) {
                // Those that were missed are not made up for.
                *due = (*due + every).max(now + 1);
            }
        } else {
            let next = due.map_or(look, |due| due.min(look));
            ASKED.wait(asked, Duration::from_millis(next - now));
        }
    }
}

/// Has `dump` called after each report that a signal has asked for. The thread has at least `stack` bytes for it, where
/// it is yet to be started.
#[cfg(feature = "profile")]
pub(super) fn also_on_signal(dump: fn(), stack: usize) {
    let mut reporter = REPORTER.lock();
    reporter.dump = Some(dump);
    reporter.stack = reporter.stack.max(stack);
}

/// What asks this process for a heap profile; `None` where nothing does, and while a report is being written.
#[cfg(feature = "profile")]
pub(super) fn asks_for_profile() -> Option<&'static str> {
    let reporter = REPORTER.try_lock()?;
    reporter.settings.profile.filter(|_| reporter.is_concerned())
}

/// Lends `write` the room of reports, and says which process this is.
#[cfg(feature = "profile")]
pub(super) fn with_room<R>(write: impl FnOnce(&mut Room, u32) -> R) -> R {
    let _reporter = REPORTER.lock();
    let process = Native.process().map_or(0, |process| process.id);
    // SAFETY: the lock is held.
    write(unsafe { &mut *ROOM.0.get() }, process)
}

/// Has the last report written when the process ends, and one that is just being written finished.
pub(super) fn report_at_exit() {
    extern "C" fn last() {
        report_last();
    }
    if !io::at_exit(last) {
        complain(format_args!("the end of the process goes unnoticed, so there are no statistics then"));
    }
}

/// Writes the last report, if one is asked for at the end. Waits for one that is just being written.
pub(super) fn report_last() {
    let begun = Native.now_ms();
    loop {
        if let Some(mut reporter) = REPORTER.try_lock() {
            if reporter.settings.reports_at_end() && reporter.is_concerned() && !reporter.is_over {
                reporter.report();
            }
            reporter.is_over = true;
            return;
        }
        if Native.now_ms() - begun > LAST_PATIENCE_MS {
            return complain(format_args!("a report of statistics is not getting done; there is none at the end"));
        }
        os::yield_now();
    }
}

impl Reporter {
    /// True in the process that is to report.
    fn is_concerned(&self) -> bool {
        let process = Native.process().map(|process| process.id);
        self.settings.only.is_none_or(|only| process == Some(only))
    }

    /// Writes a report, or says why it cannot.
    fn report(&mut self) {
        // SAFETY: the lock is held.
        let room = unsafe { &mut *ROOM.0.get() };
        // SAFETY: as above.
        let stats = unsafe { &mut *STATS.0.get() }.write(Stats::new());
        TENURE.stats_into(stats);
        stats.ask_system();
        let process = stats.process_id.unwrap_or(0);
        let format = self.settings.format();
        let report: Report<'_> = &|out| match format {
            Format::Text => writeln!(out, "tenure {VERSION}, process {process}\n{stats}"),
            Format::Json => writeln!(out, "{}", stats.json()),
            Format::Prometheus => write!(out, "{}", stats.prometheus()),
        };
        let Some(pattern) = self.settings.file.get() else {
            if let Some(file) = self.stderr.as_ref().and_then(KeptStderr::get) {
                // A standard error that nobody reads is no reason to stop, and there is nowhere to say so.
                let _ = io::without_write_signals(|| destination::append(&file, &mut room.buffer, report));
            }
            return;
        };
        room.name.clear();
        if room.name.push_for(process, pattern).is_none() {
            return complain(format_args!("TENURE_STATS_FILE: the name is too long; there is no report"));
        }
        let result: Result<(), Failure> = io::without_write_signals(|| match format {
            Format::Prometheus => destination::replace(room, process, report),
            _ => destination::append_to(room, report),
        });
        if let Err(failure) = result {
            complain(format_args!("TENURE_STATS_FILE: {failure}; the report is not written"));
        }
    }
}
