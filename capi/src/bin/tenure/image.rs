//! What kind of executable a file is, as far as preloading goes. The loader that preloads is itself named in the file:
//! a program that names none is run without one, and without any library.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Where the fields of a 64-bit ELF header and of its program headers lie.
const KIND: usize = 16;
const MACHINE: usize = 18;
const TABLE: usize = 32;
const ENTRY_SIZE: usize = 54;
const ENTRIES: usize = 56;
/// Where the fields of a program header lie.
const OFFSET: usize = 8;
const SIZE: usize = 32;

/// `e_machine` of this one, where it is known here.
const THIS_MACHINE: Option<u16> = if cfg!(target_arch = "x86_64") {
    Some(62)
} else if cfg!(target_arch = "aarch64") {
    Some(183)
} else {
    None
};
/// `e_type` of shared libraries and position-independent programs.
const DYNAMIC: u16 = 3;
/// `p_type` of the entry that names the loader.
const INTERPRETER: u32 = 3;
/// `p_type` of the entry that says where the loader's table is, which every shared library has.
const LOADERS_TABLE: u32 = 2;
/// More bytes than a loader's table has.
const LONGEST_TABLE: u64 = 64 * 1024;
/// The entry of the loader's table with flags, and the flag of a program, which no loader takes for a library.
const FLAGS: u64 = 0x6fff_fffb;
const IS_PROGRAM: u64 = 0x0800_0000;

/// A 64-bit ELF file.
#[derive(Debug, PartialEq, Eq)]
pub struct Image {
    /// A shared library for this machine, as far as can be told: a position-independent program is none.
    pub is_library: bool,
    /// Names a loader.
    pub has_loader: bool,
}

/// What the head of a file says of it.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    /// For this machine, and may be loaded at any address.
    is_loadable: bool,
    has_loader: bool,
    /// Where the loader's table begins, and its bytes.
    table: Option<(u64, u64)>,
}

impl Image {
    /// Of a file; `None` where the file is no 64-bit ELF file of this byte order.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        // Linkers put the program headers right behind the file's head.
        let mut head = Vec::new();
        let mut file = File::open(path)?.take(4096);
        file.read_to_end(&mut head)?;
        let Some(head) = Head::parse(&head) else { return Ok(None) };
        let Some((start, size)) = head.table.filter(|_| head.is_loadable) else {
            return Ok(Some(Self { is_library: false, has_loader: head.has_loader }));
        };
        let mut file = file.into_inner();
        file.seek(SeekFrom::Start(start))?;
        let mut table = Vec::new();
        file.take(size.min(LONGEST_TABLE)).read_to_end(&mut table)?;
        Ok(Some(Self { is_library: !is_program(&table), has_loader: head.has_loader }))
    }
}

/// True where the loader's table says that it is a program's.
fn is_program(table: &[u8]) -> bool {
    let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("a word has eight bytes"));
    let mut entries = table.chunks_exact(16).map(|entry| (word(&entry[..8]), word(&entry[8..])));
    entries.any(|(tag, value)| tag == FLAGS && value & IS_PROGRAM != 0)
}

impl Head {
    /// `None` where that is no head of a 64-bit ELF file of this byte order.
    fn parse(head: &[u8]) -> Option<Self> {
        let byte_order = if cfg!(target_endian = "little") { 1 } else { 2 };
        if !head.starts_with(b"\x7fELF") || head.get(4..6)? != [2, byte_order] {
            return None;
        }
        let half = |at: usize| Some(u16::from_ne_bytes(head.get(at..at + 2)?.try_into().ok()?));
        let word = |at: usize| Some(u64::from_ne_bytes(head.get(at..at.checked_add(8)?)?.try_into().ok()?));
        let entries = usize::try_from(word(TABLE)?).ok()?;
        let (mut has_loader, mut table) = (false, None);
        for index in 0..usize::from(half(ENTRIES)?) {
            let entry = entries.checked_add(index * usize::from(half(ENTRY_SIZE)?))?;
            let kind = head.get(entry..entry.checked_add(4)?)?;
            match u32::from_ne_bytes(kind.try_into().ok()?) {
                INTERPRETER => has_loader = true,
                LOADERS_TABLE => table = Some((word(entry + OFFSET)?, word(entry + SIZE)?)),
                _ => {}
            }
        }
        let is_here = THIS_MACHINE.is_none_or(|this| half(MACHINE) == Some(this));
        Some(Self { is_loadable: is_here && half(KIND)? == DYNAMIC, has_loader, table })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_names_a_loader() {
        let own = Image::of(Path::new("/proc/self/exe")).unwrap().expect("an ELF file");
        assert!(own.has_loader && !own.is_library);
    }

    #[test]
    fn the_flag_of_programs_is_found_in_the_loaders_table() {
        let table = |entries: [(u64, u64); 2]| {
            entries
                .iter()
                .flat_map(|(tag, value)| [tag.to_ne_bytes(), value.to_ne_bytes()])
                .flatten()
                .collect::<Vec<_>>()
        };
        assert!(is_program(&table([(1, IS_PROGRAM), (FLAGS, IS_PROGRAM | 1)])));
        assert!(!is_program(&table([(1, IS_PROGRAM), (FLAGS, 1)])));
        assert!(!is_program(&table([(0, 0), (0, 0)])[..20]));
    }

    #[test]
    fn a_file_without_an_entry_for_a_loader_is_static() {
        let mut head = vec![0; 64 + 2 * 56];
        head[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, if cfg!(target_endian = "little") { 1 } else { 2 }]);
        head[KIND..KIND + 2].copy_from_slice(&2_u16.to_ne_bytes());
        head[TABLE..TABLE + 8].copy_from_slice(&64_u64.to_ne_bytes());
        head[ENTRY_SIZE..ENTRY_SIZE + 2].copy_from_slice(&56_u16.to_ne_bytes());
        head[ENTRIES..ENTRIES + 2].copy_from_slice(&2_u16.to_ne_bytes());
        assert_eq!(Head::parse(&head), Some(Head { is_loadable: false, has_loader: false, table: None }));

        head[64 + 56..64 + 60].copy_from_slice(&INTERPRETER.to_ne_bytes());
        assert_eq!(Head::parse(&head), Some(Head { is_loadable: false, has_loader: true, table: None }));
    }

    #[test]
    fn what_is_cut_short_or_no_program_is_not_judged() {
        assert_eq!(Head::parse(b"#!/bin/sh\n"), None);
        assert_eq!(Head::parse(b"\x7fELF"), None);
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(Head::parse(&own[..80]), None);
    }
}
