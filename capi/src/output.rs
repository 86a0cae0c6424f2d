//! Text for a file descriptor, put together in a buffer that somebody else provides: nothing here allocates.

use core::ffi::c_int;
use core::fmt::{self, Arguments, Write};

/// Bytes of a line that goes to standard error.
const LINE: usize = 512;

/// Text on its way to a file descriptor. What is left in the buffer goes out with [`Output::finish`].
pub(crate) struct Output<'a> {
    descriptor: c_int,
    buffer: &'a mut [u8],
    len: usize,
    /// True once something could not be written.
    has_failed: bool,
}

impl<'a> Output<'a> {
    pub(crate) fn new(descriptor: c_int, buffer: &'a mut [u8]) -> Self {
        Self { descriptor, buffer, len: 0, has_failed: false }
    }

    fn flush(&mut self) {
        let mut rest = &self.buffer[..self.len];
        while !rest.is_empty() && !self.has_failed {
            // SAFETY: the buffer is valid for its length.
            match unsafe { libc::write(self.descriptor, rest.as_ptr().cast(), rest.len()) } {
                written @ 1.. => rest = rest.get(written as usize..).unwrap_or_default(),
                // SAFETY: the C library gives every thread an `errno`.
                _ if unsafe { *libc::__errno_location() } == libc::EINTR => {}
                _ => self.has_failed = true,
            }
        }
        self.len = 0;
    }

    /// Writes what is left; true where everything could be written. Otherwise `errno` says why not.
    pub(crate) fn finish(mut self) -> bool {
        self.flush();
        !self.has_failed
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
        if self.has_failed { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Writes `tenure: ` and the message as a line to standard error, as far as that is possible. Keeps `errno`.
pub(crate) fn complain(message: Arguments<'_>) {
    // SAFETY: the C library gives every thread an `errno`.
    let errno = unsafe { *libc::__errno_location() };
    let mut line = [0; LINE];
    let mut output = Output::new(libc::STDERR_FILENO, &mut line);
    // A standard error that is closed is no reason to stop.
    let _ = writeln!(output, "tenure: {message}");
    output.finish();
    crate::errno::set(errno);
}

/// Writes the message as a line to standard error, and ends the process.
#[cold]
pub(crate) fn die(message: &str) -> ! {
    complain(format_args!("{message}"));
    // SAFETY: no preconditions.
    unsafe { libc::abort() }
}
