//! Output: text on its way to a file, through a buffer that somebody else provides.

use crate::os::io::{Failure, File};
use core::fmt::{self, Write};

/// Text on its way to a file. What is left in the buffer goes out with [`Output::finish`].
pub(super) struct Output<'a> {
    file: &'a File,
    buffer: &'a mut [u8],
    len: usize,
    /// Bytes that the file has got.
    written: u64,
    /// Why something could not be written, once that has happened.
    failure: Option<Failure>,
}

impl<'a> Output<'a> {
    pub(super) fn new(file: &'a File, buffer: &'a mut [u8]) -> Self {
        Self { file, buffer, len: 0, written: 0, failure: None }
    }

    fn flush(&mut self) {
        let mut rest = &self.buffer[..self.len];
        while !rest.is_empty() && self.failure.is_none() {
            match self.file.write(rest) {
                Ok(count) => {
                    self.written += count as u64;
                    rest = rest.get(count..).unwrap_or_default();
                }
                Err(failure) => self.failure = Some(failure),
            }
        }
        self.len = 0;
    }

    /// Writes what is left. How many bytes the file has got, and why not all, if it has not.
    pub(super) fn finish(mut self) -> (u64, Option<Failure>) {
        self.flush();
        (self.written, self.failure)
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
        if self.failure.is_some() { Err(fmt::Error) } else { Ok(()) }
    }
}
