//! Name: a file's name on its way to the system, put together without allocating.

use core::ffi::{CStr, c_int};
use core::fmt::{self, Write};

/// Bytes that a name may have, the null at its end included.
const PATH_MAX: usize = 4096;

/// A file's name, with a null at its end.
pub(crate) struct Name {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl Name {
    pub(crate) const EMPTY: Self = Self { bytes: [0; PATH_MAX], len: 0 };

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Becomes `path`; false where that is empty or too long.
    pub(crate) fn set(&mut self, path: &[u8]) -> bool {
        self.bytes.fill(0);
        self.len = 0;
        self.push(path).is_some() && !path.is_empty()
    }

    /// `path`, after `%p` has been replaced by the process's id; `None` where that is too long.
    pub(crate) fn of(path: &[u8], pid: c_int) -> Option<Self> {
        let mut name = Self::EMPTY;
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
