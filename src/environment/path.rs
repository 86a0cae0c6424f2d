//! Path: a file's name on its way to the system, put together without allocating.

use core::ffi::CStr;
use core::fmt::{self, Write};

/// Bytes that a path may have, the null at its end included.
const PATH_MAX: usize = 4096;

/// What stands for the process's id in a path.
const PROCESS: &[u8] = b"%p";

/// A path with a null at its end, kept where the environment's end does not matter: programs write their title over it.
pub struct Path {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl Path {
    /// None, or an empty one.
    pub const NONE: Path = Path { bytes: [0; PATH_MAX], len: 0 };

    /// The path, if there is one.
    pub fn get(&self) -> Option<&[u8]> {
        (self.len > 0).then(|| &self.bytes[..self.len])
    }

    /// The same for the system.
    pub fn as_c_str(&self) -> &CStr {
        // One byte is always left for the null; a path of the environment has none in it.
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    /// Becomes `path`; `None`, and no change, where that is empty or too long.
    pub fn set(&mut self, path: &[u8]) -> Option<()> {
        if path.is_empty() || path.len() >= PATH_MAX {
            return None;
        }
        self.clear();
        self.push(path)
    }

    /// Becomes empty.
    pub fn clear(&mut self) {
        self.cut(0);
    }

    /// Becomes its first bytes.
    pub(super) fn cut(&mut self, len: usize) {
        self.bytes[len..self.len].fill(0);
        self.len = len;
    }

    /// Adds to the path; `None`, and no change, where it does not fit.
    pub fn push(&mut self, part: &[u8]) -> Option<()> {
        let end = self.len.checked_add(part.len()).filter(|&end| end < PATH_MAX)?;
        self.bytes[self.len..end].copy_from_slice(part);
        self.len = end;
        Some(())
    }

    /// Adds `pattern`, with the process's id in each place of `%p`; `None`, and perhaps a part of it, where it does not
    /// fit.
    pub fn push_for(&mut self, process: u32, pattern: &[u8]) -> Option<()> {
        let mut rest = pattern;
        while let Some(at) = place_of_process(rest) {
            self.push(&rest[..at])?;
            write!(self, "{process}").ok()?;
            rest = &rest[at + PROCESS.len()..];
        }
        self.push(rest)
    }

    /// As [`Path::push_for`], with `number`, if there is one, before the `end` of the pattern, which says what is in
    /// the file: as in `heap.0001.svg`.
    pub fn push_numbered(&mut self, process: u32, pattern: &[u8], end: &[u8], number: Option<u32>) -> Option<()> {
        self.push_for(process, pattern.strip_suffix(end).unwrap_or(pattern))?;
        if let Some(number) = number {
            write!(self, ".{number:04}").ok()?;
        }
        self.push(end)
    }

    /// True where each process has a path of its own: where it has a place for the process's id.
    pub fn names_process(&self) -> bool {
        self.get().is_some_and(|path| place_of_process(path).is_some())
    }
}

fn place_of_process(pattern: &[u8]) -> Option<usize> {
    pattern.windows(PROCESS.len()).position(|part| part == PROCESS)
}

impl Write for Path {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes()).ok_or(fmt::Error)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_processs_id_wherever_it_is_to_have_it_and_a_null_behind_it() {
        let mut path = Path::NONE;
        assert!(path.get().is_none() && !path.names_process());
        assert_eq!(path.push_for(17, b"/%p/a-%p%.json"), Some(()));
        assert_eq!((path.as_c_str(), path.names_process()), (c"/17/a-17%.json", false));
        path.cut(3);
        assert_eq!((path.push(b"%p"), path.as_c_str(), path.names_process()), (Some(()), c"/17%p", true));
        assert_eq!((path.set(b"a"), path.as_c_str()), (Some(()), c"a"));
        assert_eq!((path.set(b""), path.as_c_str()), (None, c"a"));
        assert_eq!((path.set(&[b'a'; PATH_MAX]), path.as_c_str()), (None, c"a"), "there is no room for the null");
        path.clear();
        assert_eq!((path.push(&[b'a'; PATH_MAX - 2]), path.push_for(17, b"%p")), (Some(()), None));
        assert_eq!(path.as_c_str().count_bytes(), PATH_MAX - 2);
    }
}
