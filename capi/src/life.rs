//! The library's life in a process: what it does when it is loaded, and when the process ends.
//!
//! Neither is needed for memory to be had: allocations come before the one and after the other.

use crate::TENURE;
use crate::json::Json;
use crate::name::Name;
use crate::output::{Output, complain};
use crate::settings::{Format, Settings};
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::fmt::Write;
use core::mem::MaybeUninit;
use core::time::Duration;

/// Room for a whole report, so that those of several processes in one file do not mix. Untouched where none is asked for.
const REPORT: usize = 32 * 1024;

/// What only the functions of this file touch.
struct Own<T>(UnsafeCell<T>);

// SAFETY: the loader runs a library's constructor and its destructor on one thread each, the one after the other, and nobody else has access.
unsafe impl<T> Sync for Own<T> {}

static SETTINGS: Own<Settings> = Own(UnsafeCell::new(Settings::DEFAULT));
static REPORT_BUFFER: Own<[u8; REPORT]> = Own(UnsafeCell::new([0; REPORT]));

/// Standard error as it was at the start, where the report is to go there.
static STDERR: Own<Option<Kept>> = Own(UnsafeCell::new(None));

#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = start;

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_END: extern "C" fn() = end;

/// The library is loaded.
extern "C" fn start() {
    // SAFETY: the constructor alone, see `Own`.
    let settings = unsafe { &mut *SETTINGS.0.get() };
    settings.read();
    if settings.stats.is_some() && settings.stats_file.get().is_none() {
        // SAFETY: as above.
        unsafe { *STDERR.0.get() = Kept::new(libc::STDERR_FILENO) };
    }
    if let Some(delay) = settings.purge_delay {
        TENURE.set_purge_delay(Duration::from_millis(delay));
    }
    if settings.concerns_this_process() {
        settings.profile.start();
    }
}

/// The process ends in an orderly way.
extern "C" fn end() {
    // SAFETY: the destructor alone, see `Own`.
    let settings = unsafe { &*SETTINGS.0.get() };
    if !settings.concerns_this_process() {
        return;
    }
    settings.profile.finish();
    let Some(format) = settings.stats else { return };
    // SAFETY: no preconditions.
    let pid = unsafe { libc::getpid() };
    match settings.stats_file.get() {
        None => {
            // SAFETY: the destructor alone, see `Own`.
            let kept = unsafe { &*STDERR.0.get() };
            if let Some(file) = kept.as_ref().and_then(Kept::get) {
                report(file, format, pid);
            }
        }
        Some(path) => match open(path, pid) {
            Some(file) => {
                report(file, format, pid);
                // SAFETY: opened above.
                unsafe { libc::close(file) };
            }
            None => complain(format_args!("TENURE_STATS_FILE: the file cannot be opened; there is no report")),
        },
    }
}

/// A descriptor of a file that the program may close before the end, as many programs close their standard error.
struct Kept {
    descriptor: c_int,
    file: Identity,
}

/// The lowest number that a kept descriptor may have: those below, programs count on.
const OUT_OF_THE_WAY: c_int = 100;

/// What tells one open file from another.
type Identity = (libc::dev_t, libc::ino_t);

impl Kept {
    fn new(original: c_int) -> Option<Self> {
        // SAFETY: no preconditions.
        let descriptor = unsafe { libc::fcntl(original, libc::F_DUPFD_CLOEXEC, OUT_OF_THE_WAY) };
        Some(Self { descriptor, file: identity(descriptor)? })
    }

    /// The descriptor, unless the program has closed it, and perhaps opened something else in its place.
    fn get(&self) -> Option<c_int> {
        (identity(self.descriptor) == Some(self.file)).then_some(self.descriptor)
    }
}

fn identity(descriptor: c_int) -> Option<Identity> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a valid place for the answer.
    if unsafe { libc::fstat(descriptor, status.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: filled in by the successful call.
    let status = unsafe { status.assume_init() };
    Some((status.st_dev, status.st_ino))
}

/// Opens a file to append to, after `%p` has been replaced by the process's id.
fn open(path: &[u8], pid: c_int) -> Option<c_int> {
    let name = Name::of(path, pid)?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
    // SAFETY: a name that ends in a null.
    let file = unsafe { libc::open(name.as_c_str().as_ptr(), flags, 0o666) };
    (file >= 0).then_some(file)
}

/// Writes the statistics of the process.
fn report(file: c_int, format: Format, pid: c_int) {
    // SAFETY: the destructor alone, see `Own`.
    let buffer = unsafe { &mut *REPORT_BUFFER.0.get() };
    let stats = TENURE.stats();
    let mut output = Output::new(file, buffer);
    // A file that is full, or a standard error that is closed, is no reason to stop.
    let _ = match format {
        Format::Text => writeln!(output, "tenure {}, process {pid}\n{stats}", env!("CARGO_PKG_VERSION")),
        Format::Json => writeln!(output, "{}", Json(&stats)),
    };
    output.finish();
}
