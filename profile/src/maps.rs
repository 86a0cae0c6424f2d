//! Maps: which file lies where in a process's memory, as `/proc/PID/maps` tells.

use std::ops::Range;

/// A part of a file in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) addresses: Range<u64>,
    /// Where in the file it begins.
    pub(crate) offset: u64,
    pub(crate) is_executable: bool,
    /// The file, or a name in brackets for what is none.
    pub(crate) name: String,
}

impl Mapping {
    /// A line such as `7f0c5000-7f0c9000 r-xp 00002000 08:02 173521   /usr/lib/libc.so.6`; `None` for others, and for
    /// what has no name.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let mut rest = line;
        let mut field = || {
            let (field, behind) = rest.trim_start().split_once(' ')?;
            rest = behind;
            Some(field)
        };
        let (start, end) = field()?.split_once('-')?;
        let rights = field()?;
        let offset = number(field()?)?;
        let (_device, _inode) = (field()?, field()?);
        let name = rest.trim();
        Some(Self {
            addresses: number(start)?..number(end)?,
            offset,
            is_executable: rights.contains('x'),
            name: (!name.is_empty()).then(|| name.to_owned())?,
        })
    }
}

/// All that is executable, by address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Maps(Vec<Mapping>);

impl Maps {
    pub(crate) fn parse(text: &str) -> Self {
        let mut mappings: Vec<_> =
            text.lines().filter_map(Mapping::parse).filter(|mapping| mapping.is_executable).collect();
        mappings.sort_by_key(|mapping| mapping.addresses.start);
        Self(mappings)
    }

    /// Those of this process; none where it cannot be told. Files' names may be in any encoding.
    pub(crate) fn of_this_process() -> Self {
        let text = std::fs::read("/proc/self/maps").unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&text))
    }

    /// The index of the mapping that `address` lies in.
    pub(crate) fn find(&self, address: u64) -> Option<usize> {
        let behind = self.0.partition_point(|mapping| mapping.addresses.start <= address);
        let index = behind.checked_sub(1)?;
        self.0[index].addresses.contains(&address).then_some(index)
    }

    pub(crate) fn get(&self, index: usize) -> &Mapping {
        &self.0[index]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::fs::{self, File};
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStringExt;
    use std::{env, process, ptr};

    #[test]
    fn the_kernels_lines_are_understood_and_what_is_no_code_is_left_out() {
        let maps = Maps::parse(
            "7f00-7f10 r-xp 00002000 08:02 17   /usr/lib/a lib.so (deleted)\n\
             1000-2000 r--p 00000000 08:02 12                             /bin/x\n\
             2000-3000 r-xp 00001000 08:02 12                             /bin/x\n\
             5000-6000 rw-p 00000000 00:00 0 \n\
             nonsense\n",
        );
        assert_eq!(maps.iter().count(), 2);
        let of = |address| maps.find(address).map(|index| maps.get(index).name.as_str());
        assert_eq!(of(0x2000), Some("/bin/x"));
        assert_eq!(of(0x7f0f), Some("/usr/lib/a lib.so (deleted)"));
        assert_eq!((of(0x1fff), of(0x3000), of(0), of(u64::MAX)), (None, None, None, None));
    }

    #[test]
    fn this_process_has_code() {
        let maps = Maps::of_this_process();
        let own = maps.find(this_process_has_code as fn() as usize as u64).expect("this code is mapped");
        assert!(maps.get(own).name.contains("tenure_profile"));
    }

    #[test]
    #[allow(unsafe_code, reason = "the standard library maps no files")]
    fn a_mapped_file_whose_name_is_no_text_hides_no_other() {
        let mut name = format!("tenure-maps-{}", process::id()).into_bytes();
        name.push(0xff);
        let path = env::temp_dir().join(OsString::from_vec(name));
        fs::write(&path, [0; 16]).unwrap();
        let file = File::open(&path).unwrap();
        // SAFETY: the system chooses a place where nothing is, and nobody reads what is there.
        let at = unsafe { libc::mmap(ptr::null_mut(), 16, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
        assert_ne!(at, libc::MAP_FAILED);
        let maps = Maps::of_this_process();
        // SAFETY: mapped above, for this test alone.
        assert_eq!(unsafe { libc::munmap(at, 16) }, 0);
        fs::remove_file(&path).unwrap();
        assert!(maps.iter().any(|mapping| mapping.name.contains("tenure_profile")));
    }
}
