//! Text for a file descriptor, put together in a buffer that somebody else provides: nothing here allocates. A pipe
//! that nobody reads, or a file that may not grow, is a failure, and no signal that ends the program.

use crate::errno;
use core::ffi::c_int;
use core::fmt::{self, Arguments, Write};
use tenure::profile_dumps::without_signals;

/// Bytes of a line that goes to standard error.
const LINE: usize = 512;

/// Text on its way to a file descriptor. What is left in the buffer goes out with [`Output::finish`].
pub(crate) struct Output<'a> {
    descriptor: c_int,
    buffer: &'a mut [u8],
    len: usize,
    /// Why something could not be written, once that has happened.
    error: Option<c_int>,
}

impl<'a> Output<'a> {
    pub(crate) fn new(descriptor: c_int, buffer: &'a mut [u8]) -> Self {
        Self { descriptor, buffer, len: 0, error: None }
    }

    fn flush(&mut self) {
        let mut rest = &self.buffer[..self.len];
        if !rest.is_empty() && self.error.is_none() {
            let descriptor = self.descriptor;
            self.error = without_signals(|| {
                while !rest.is_empty() {
                    // SAFETY: the buffer is valid for its length.
                    match unsafe { libc::write(descriptor, rest.as_ptr().cast(), rest.len()) } {
                        written @ 1.. => rest = rest.get(written as usize..).unwrap_or_default(),
                        _ if errno::get() == libc::EINTR => {}
                        _ => return Some(errno::get()),
                    }
                }
                None
            });
        }
        self.len = 0;
    }

    /// Writes what is left; true where everything could be written. Otherwise `errno` says why not.
    pub(crate) fn finish(mut self) -> bool {
        self.flush();
        self.error.inspect(|&error| errno::set(error)).is_none()
    }
}

impl Write for Output<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            if self.len == self.buffer.len() {
                self.flush();
            }
            let count = rest.len().min(self.buffer.len() - self.len);
            self.buffer[self.len..self.len + count].copy_from_slice(&rest[..count]);
            self.len += count;
            rest = &rest[count..];
        }
        if self.error.is_some() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Writes `tenure: ` and the message as a line to standard error, as far as that is possible. Keeps `errno`.
pub(crate) fn complain(message: Arguments<'_>) {
    let before = errno::get();
    let mut line = [0; LINE];
    let mut output = Output::new(libc::STDERR_FILENO, &mut line);
    // A standard error that is closed is no reason to stop.
    let _ = writeln!(output, "tenure: {message}");
    output.finish();
    errno::set(before);
}

/// Writes the message as a line to standard error, and ends the process.
#[cold]
pub(crate) fn die(message: &str) -> ! {
    complain(format_args!("{message}"));
    // SAFETY: no preconditions.
    unsafe { libc::abort() }
}
