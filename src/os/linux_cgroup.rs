//! Linux: how much memory the control group of the process allows.
//!
//! Of version 2, `/proc/self/cgroup` has a line `0::/path`; of version 1, one such as `4:memory:/path`. The least of
//! what the group and those around it allow holds.

use super::{KeepErrno, text};
use crate::number::decimal;
use core::ffi::CStr;

/// Longest path that is looked at, and the most that is read of a file.
const ROOM: usize = 4096;

/// Where the limits of a version are, and in which file.
const VERSION_1: (&[u8], &[u8]) = (b"/sys/fs/cgroup/memory", b"/memory.limit_in_bytes");
const VERSION_2: (&[u8], &[u8]) = (b"/sys/fs/cgroup", b"/memory.max");

/// Bytes that the process's control group allows, or one of those around it; `None` where none has a limit.
pub(crate) fn cgroup_limit() -> Option<usize> {
    let _errno = KeepErrno::new();
    least(|path, room| text::read(path, room).map(<[u8]>::len))
}

/// The least limit, in files that are read by `read`.
fn least(read: impl Fn(&CStr, &mut [u8]) -> Option<usize>) -> Option<usize> {
    let mut text = [0; ROOM];
    let len = read(c"/proc/self/cgroup", &mut text)?;
    let lines = text[..len].split(|&byte| byte == b'\n');
    lines.filter_map(|line| least_of(line, &read)).min()
}

/// The least limit of the group that a line names and of those around it.
fn least_of(line: &[u8], read: &impl Fn(&CStr, &mut [u8]) -> Option<usize>) -> Option<usize> {
    let mut parts = line.splitn(3, |&byte| byte == b':');
    let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (root, file) = match number {
        b"0" if controllers.is_empty() => VERSION_2,
        _ if controllers.split(|&byte| byte == b',').any(|name| name == b"memory") => VERSION_1,
        _ => return None,
    };
    let mut least = None;
    let mut end = path.len();
    loop {
        // Without the slash at the end that the outermost group's path is.
        let group = path[..end].strip_suffix(b"/").unwrap_or(&path[..end]);
        let limit = limit_in(&[root, group, file], read);
        least = limit.into_iter().chain(least).min();
        match group.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => end = slash,
            None => return least,
        }
    }
}

/// The limit in the file whose path has these parts.
fn limit_in(parts: &[&[u8]], read: impl Fn(&CStr, &mut [u8]) -> Option<usize>) -> Option<usize> {
    let mut path = [0; ROOM];
    let mut len = 0;
    for part in parts {
        path.get_mut(len..len + part.len())?.copy_from_slice(part);
        len += part.len();
    }
    let mut text = [0; 32];
    let read = read(CStr::from_bytes_until_nul(&path).ok()?, &mut text)?;
    number(&text[..read])
}

/// The number in a limit's file; `None` for `max`, and for what version 1 says where there is no limit.
fn number(text: &[u8]) -> Option<usize> {
    let bytes = usize::try_from(decimal(text.trim_ascii_end())?).ok()?;
    (bytes < isize::MAX as usize / 2).then_some(bytes)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A system with these files, of which the first is `/proc/self/cgroup`.
    fn least_with(group: &str, files: &[(&str, &str)]) -> Option<usize> {
        least(|path, text| {
            let path = path.to_str().unwrap();
            let known = files.iter().find(|(name, _)| *name == path).map(|(_, contents)| *contents);
            let contents = if path == "/proc/self/cgroup" { Some(group) } else { known }?.as_bytes();
            text[..contents.len()].copy_from_slice(contents);
            Some(contents.len())
        })
    }

    #[test]
    fn the_least_limit_of_a_group_and_those_around_it_holds() {
        let files = [
            ("/sys/fs/cgroup/memory.max", "9000000\n"),
            ("/sys/fs/cgroup/a/memory.max", "5000000\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
        ];
        for (path, limit) in [("/a/b", 5_000_000), ("/a", 5_000_000), ("/", 9_000_000), ("/other", 9_000_000)] {
            assert_eq!(least_with(&std::format!("0::{path}\n"), &files), Some(limit), "{path}");
        }
    }

    #[test]
    fn version_1_is_read_where_the_memory_controller_is() {
        let files = [("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "123456789\n")];
        assert_eq!(least_with("5:cpu,cpuacct:/box\n4:hugetlb,memory:/box\n0::/\n", &files), Some(123_456_789));
        assert_eq!(least_with("5:cpu:/box\n", &files), None);
    }

    #[test]
    fn no_limit_and_no_file_is_none() {
        let files = [
            ("/sys/fs/cgroup/x/memory.max", "max\n"),
            ("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(least_with("0::/x\n4:memory:/x\n", &files), None);
        assert_eq!(least_with("", &files), None);
        assert_eq!(least(|_, _| None), None);
        assert_eq!(least_with(&std::format!("0::/{}\n", "x".repeat(4000)), &files), None);
    }

    #[test]
    fn this_process_has_no_limit_or_one_that_it_can_live_with() {
        assert!(cgroup_limit().is_none_or(|limit| limit > 1024 * 1024));
    }
}
