//! Linux: what the system tells in small files of text, as in `/proc`, read by system calls alone.
//!
//! Nothing here allocates or takes a lock, so all of it may be called in a signal handler; and no thread is cancelled
//! here, since one that allocates may hold a lock. `errno` is the caller's to keep.

use super::cancellation::Uncancelled;
use core::ffi::{CStr, c_int};

/// The start of a file, as much as has room in `buffer`; `None` where it cannot be read or has nothing in it.
pub(super) fn read<'a>(path: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let _uncancelled = Uncancelled::new();
    // SAFETY: a path that ends in a null.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return None;
    }
    let len = fill(file, buffer);
    // SAFETY: opened above.
    unsafe { libc::close(file) };
    buffer.get(..len).filter(|text| !text.is_empty())
}

fn fill(file: c_int, buffer: &mut [u8]) -> usize {
    let mut len = 0;
    while len < buffer.len() {
        // SAFETY: what is left of the buffer.
        match unsafe { libc::read(file, buffer[len..].as_mut_ptr().cast(), buffer.len() - len) } {
            count @ 1.. => len += count as usize,
            // SAFETY: the C library gives every thread an `errno`.
            _ if len == 0 && unsafe { *libc::__errno_location() } == libc::EINTR => {}
            _ => break,
        }
    }
    len
}

/// What `/proc/self/stat` says behind the process's name, from its state on. The name, which is in parentheses, may
/// have spaces and parentheses in it.
pub(super) fn fields_of_stat(stat: &[u8]) -> impl Iterator<Item = &[u8]> {
    let name_end = stat.iter().rposition(|&byte| byte == b')').unwrap_or(stat.len());
    let fields = stat.get(name_end + 1..).unwrap_or_default().split(|&byte| byte == b' ' || byte == b'\n');
    fields.filter(|field| !field.is_empty())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_parentheses_and_spaces() {
        let fields = |stat: &'static [u8]| fields_of_stat(stat).collect::<std::vec::Vec<_>>();
        assert_eq!(fields(b"7 (a) b (c)) S 1  42\n"), [&b"S"[..], b"1", b"42"]);
        assert!(fields(b"7 (a").is_empty() && fields(b"7 (a)").is_empty() && fields(b"").is_empty());
    }

    #[test]
    fn a_file_is_read_as_far_as_there_is_room() {
        let mut room = [0; 4];
        assert_eq!(read(c"/proc/self/comm", &mut [0; 64]).and_then(<[u8]>::last), Some(&b'\n'));
        assert_eq!(read(c"/proc/self/status", &mut room), Some(&b"Name"[..]));
        assert_eq!(read(c"/proc/self/nothing", &mut room), None);
        assert_eq!(read(c"/dev/null", &mut room), None);
    }
}
