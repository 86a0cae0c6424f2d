//! One line on standard error; and, where nothing else is left to do, the end of the process.
//!
//! The line is put together in a buffer on the stack: a process whose heap is in doubt must not allocate to say so.

use core::fmt::{self, Write};

/// Longest line that is written whole; a longer one is cut.
const LINE: usize = 256;

struct Line {
    bytes: [u8; LINE],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let count = text.len().min(room.len());
        room[..count].copy_from_slice(&text.as_bytes()[..count]);
        self.len += count;
        Ok(())
    }
}

/// Writes `tenure: ` and the message as one line to standard error, as far as that is possible. Keeps `errno`.
#[cold]
pub(crate) fn complain(message: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; LINE], len: 0 };
    // `Line` cuts what does not fit and never fails.
    let _ = write!(line, "tenure: {message}");
    line.len = line.len.min(LINE - 1);
    let _ = line.write_str("\n");
    super::write_stderr(&line.bytes[..line.len]);
}

/// Writes `tenure: ` and the message as one line, and aborts.
#[cold]
#[inline(never)]
pub(crate) fn fatal(message: fmt::Arguments<'_>) -> ! {
    complain(message);
    super::abort()
}
