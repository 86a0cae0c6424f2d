//! What kind of executable a file is, as far as preloading goes. The loader that preloads is itself named in the file:
//! a program that names none is run without one, and without any library.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Where the fields of a 64-bit ELF header and of its program headers lie.
const KIND: usize = 16;
const TABLE: usize = 32;
const ENTRY_SIZE: usize = 54;
const ENTRIES: usize = 56;

/// `e_type` of shared libraries and position-independent programs.
const DYNAMIC: u16 = 3;
/// `p_type` of the entry that names the loader.
const INTERPRETER: u32 = 3;

/// A 64-bit ELF file.
#[derive(Debug, PartialEq, Eq)]
pub struct Image {
    /// May be loaded at any address, as every shared library may.
    pub is_relocatable: bool,
    /// Names a loader.
    pub has_loader: bool,
}

impl Image {
    /// Of a file; `None` where the file is no 64-bit ELF file of this byte order.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        // Linkers put the program headers right behind the file's head.
        let mut head = Vec::new();
        File::open(path)?.take(4096).read_to_end(&mut head)?;
        Ok(Self::parse(&head))
    }

    fn parse(head: &[u8]) -> Option<Self> {
        let byte_order = if cfg!(target_endian = "little") { 1 } else { 2 };
        if !head.starts_with(b"\x7fELF") || head.get(4..6)? != [2, byte_order] {
            return None;
        }
        let half = |at: usize| Some(u16::from_ne_bytes(head.get(at..at + 2)?.try_into().ok()?));
        let table = u64::from_ne_bytes(head.get(TABLE..TABLE + 8)?.try_into().ok()?);
        let table = usize::try_from(table).ok()?;
        let mut has_loader = false;
        for index in 0..usize::from(half(ENTRIES)?) {
            let entry = table.checked_add(index * usize::from(half(ENTRY_SIZE)?))?;
            let kind = head.get(entry..entry.checked_add(4)?)?;
            has_loader |= u32::from_ne_bytes(kind.try_into().ok()?) == INTERPRETER;
        }
        Some(Self { is_relocatable: half(KIND)? == DYNAMIC, has_loader })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_names_a_loader() {
        let own = Image::of(Path::new("/proc/self/exe")).unwrap().expect("an ELF file");
        assert!(own.has_loader);
    }

    #[test]
    fn a_file_without_an_entry_for_a_loader_is_static() {
        let mut head = vec![0; 64 + 2 * 56];
        head[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, if cfg!(target_endian = "little") { 1 } else { 2 }]);
        head[KIND..KIND + 2].copy_from_slice(&2_u16.to_ne_bytes());
        head[TABLE..TABLE + 8].copy_from_slice(&64_u64.to_ne_bytes());
        head[ENTRY_SIZE..ENTRY_SIZE + 2].copy_from_slice(&56_u16.to_ne_bytes());
        head[ENTRIES..ENTRIES + 2].copy_from_slice(&2_u16.to_ne_bytes());
        assert_eq!(Image::parse(&head), Some(Image { is_relocatable: false, has_loader: false }));

        head[64 + 56..64 + 60].copy_from_slice(&INTERPRETER.to_ne_bytes());
        assert_eq!(Image::parse(&head), Some(Image { is_relocatable: false, has_loader: true }));
    }

    #[test]
    fn what_is_cut_short_or_no_program_is_not_judged() {
        assert_eq!(Image::parse(b"#!/bin/sh\n"), None);
        assert_eq!(Image::parse(b"\x7fELF"), None);
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(Image::parse(&own[..80]), None);
    }
}
