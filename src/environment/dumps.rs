//! Dumps of the heap profile, as far as they need no standard library: when they are asked for, and as text. Nothing
//! here allocates.

use super::destination::{self, Report};
use super::reporter;
use crate::global::profile::Text;
use crate::os::io::{self, File};
use core::ffi::{CStr, c_int};
use core::fmt::{self, Display, Formatter, Write};
use core::str;

/// Why something could not be written.
pub struct Failure(Option<io::Failure>);

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(failure) => write!(f, "{failure}"),
            None => f.write_str("the name is too long"),
        }
    }
}

/// Standard error as it was, since many programs close theirs before they end.
pub struct KeptStderr(io::KeptStderr);

impl KeptStderr {
    /// Keeps it as it is now; `None` where there is none.
    pub fn new() -> Option<Self> {
        io::KeptStderr::new().map(Self)
    }

    /// Where it is open, unless the program has closed it.
    pub fn descriptor(&self) -> Option<c_int> {
        self.0.get().map(|file| file.descriptor())
    }
}

/// Has `dump` called after each report that a signal has asked for, on the thread that writes them, which has at least
/// `stack` bytes for it where this comes before the environment is read. That thread takes no signals.
pub fn on_signal(dump: fn(), stack: usize) {
    reporter::also_on_signal(dump, stack);
}

/// Runs `write` without the process being ended by what it writes to: a pipe that nobody reads, or a file that may not
/// grow.
pub fn without_write_signals<R>(write: impl FnOnce() -> R) -> R {
    io::without_write_signals(write)
}

/// Runs `work` while the calling thread takes no signal at all.
pub fn without_signals<R>(work: impl FnOnce() -> R) -> R {
    io::without_signals(work)
}

/// Writes the profile as text, with where code lies, to the file that is open as `descriptor`.
///
/// # Errors
///
/// Where not all of it could be written. Then the file is as it was, where that can be.
pub fn copy_text(descriptor: c_int) -> Result<(), Failure> {
    let mut buffer = [0; 4096];
    destination::append(&File::borrowed(descriptor), &mut buffer, TEXT).map_err(|failure| Failure(Some(failure)))
}

/// Makes the profile's text, with where code lies, the whole of the file of this name.
///
/// # Errors
///
/// Where that could not be written. Then what was there before is there still.
pub fn save_text(name: &[u8]) -> Result<(), Failure> {
    reporter::with_room(|room, process| {
        room.name.clear();
        room.name.push(name).ok_or(Failure(None))?;
        io::without_write_signals(|| destination::replace(room, process, TEXT))
            .map_err(|failure| Failure(Some(failure)))
    })
}

const TEXT: Report<'static> = &|out| {
    writeln!(out, "{Text}\nMAPPED_LIBRARIES:")?;
    write_file(c"/proc/self/maps", out)
};

/// Writes a file of the system's, as far as it can be read: without it there are addresses in place of names. What is
/// no UTF-8 in it is shown as such.
fn write_file(path: &CStr, out: &mut dyn Write) -> fmt::Result {
    let Ok(file) = File::read_only(path) else { return Ok(()) };
    let mut buffer = [0; 1024];
    let mut held = 0;
    loop {
        let Ok(count) = file.read(&mut buffer[held..]) else { return Ok(()) };
        let text = &buffer[..held + count];
        let mut rest = 0;
        for chunk in text.utf8_chunks() {
            out.write_str(chunk.valid())?;
            // A character may be cut short where the buffer ends.
            let is_cut = count > 0
                && rest + chunk.valid().len() + chunk.invalid().len() == text.len()
                && str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            rest += chunk.valid().len();
            if !is_cut {
                rest += chunk.invalid().len();
                out.write_str(if chunk.invalid().is_empty() { "" } else { "\u{fffd}" })?;
            }
        }
        if count == 0 {
            return Ok(());
        }
        held = text.len() - rest;
        buffer.copy_within(rest..rest + held, 0);
    }
}
