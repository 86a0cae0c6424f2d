//! Text for a file descriptor, put together in a buffer on the stack: nothing here allocates. A pipe that nobody reads,
//! or a file that may not grow, is a failure, and no signal that ends the program.

use crate::errno;
use core::ffi::c_int;
use core::fmt::{self, Arguments, Write};
use tenure::preloaded;

/// Bytes of a line that goes to standard error.
const LINE: usize = 512;

/// Writes what `text` writes to a file descriptor; true where everything could be written. Otherwise `errno` says why
/// not.
pub(crate) fn print(descriptor: c_int, buffer: &mut [u8], text: impl FnOnce(&mut dyn Write) -> fmt::Result) -> bool {
    let written = preloaded::write_text(descriptor, buffer, text);
    written.inspect_err(|&error| errno::set(error)).is_ok()
}

/// Writes `tenure: ` and the message as a line to standard error, as far as that is possible. Keeps `errno`.
pub(crate) fn complain(message: Arguments<'_>) {
    complain_to(libc::STDERR_FILENO, message);
}

/// As [`complain`], to where standard error is kept.
pub(crate) fn complain_to(descriptor: c_int, message: Arguments<'_>) {
    let before = errno::get();
    // A standard error that is closed is no reason to stop.
    let _ = print(descriptor, &mut [0; LINE], |out| writeln!(out, "tenure: {message}"));
    errno::set(before);
}

/// Writes the message as a line to standard error, and ends the process.
#[cold]
pub(crate) fn die(message: &str) -> ! {
    complain(format_args!("{message}"));
    // SAFETY: no preconditions.
    unsafe { libc::abort() }
}
