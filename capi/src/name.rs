//! Name: a file's name on its way to the system, put together without allocating.

use crate::settings::PATH_MAX;
use core::ffi::{CStr, c_int};
use core::fmt::{self, Write};

/// A file's name, with a null at its end.
pub(crate) struct Name {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl Name {
    /// `path`, after `%p` has been replaced by the process's id; `None` where that is too long.
    pub(crate) fn of(path: &[u8], pid: c_int) -> Option<Self> {
        let mut name = Self { bytes: [0; PATH_MAX], len: 0 };
        let mut rest = path;
        while let Some(at) = rest.windows(2).position(|pair| pair == b"%p") {
            name.push(&rest[..at])?;
            write!(name, "{pid}").ok()?;
            rest = &rest[at + 2..];
        }
        name.push(rest)?;
        Some(name)
    }

    /// Adds to the end; `None` where there is no room, with a null behind it.
    pub(crate) fn push(&mut self, part: &[u8]) -> Option<()> {
        let end = self.len.checked_add(part.len()).filter(|&end| end < self.bytes.len())?;
        self.bytes[self.len..end].copy_from_slice(part);
        self.len = end;
        Some(())
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes()).ok_or(fmt::Error)
    }
}
