//! What Linux knows of the process: clocks, and `/proc/self`, read by system calls into a buffer on the stack.
//!
//! Nothing here allocates or takes a lock, so all of it may be called in a signal handler.

use super::{KeepErrno, text};
use crate::number::decimal;
use crate::os::{Process, SystemMemory};

/// Bytes of a file of `/proc` that are read at most. A roll-up of the mappings has about 900, a line of figures at most
/// 500.
const MAX: usize = 2048;

fn clock_ms(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the answer. Callers name clocks that every Linux has.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Who the process is, and what time it is there.
pub(super) fn process() -> Process {
    let _errno = KeepErrno::new();
    // SAFETY: no preconditions.
    let id = unsafe { libc::getpid() };
    Process { id: id.unsigned_abs(), time_ms: clock_ms(libc::CLOCK_REALTIME) }
}

/// Bytes of addresses that the process may have, as far as it may ask.
pub(super) fn most_addresses() -> u64 {
    let _errno = KeepErrno::new();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid place for the answer.
    let is_known = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } == 0;
    if is_known { limit.rlim_cur } else { u64::MAX }
}

/// Milliseconds since the process was made, by exec or fork.
pub(super) fn uptime_ms() -> Option<u64> {
    let _errno = KeepErrno::new();
    let mut buffer = [0; MAX];
    let started = started(text::read(c"/proc/self/stat", &mut buffer)?)?;
    // SAFETY: no preconditions.
    let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok().filter(|&ticks| ticks > 0)?;
    clock_ms(libc::CLOCK_BOOTTIME).checked_sub(started * 1000 / per_second)
}

/// When the process was made, in ticks since the system was: the 22nd field, of which the first two are its id and its
/// name.
fn started(stat: &[u8]) -> Option<u64> {
    decimal(text::fields_of_stat(stat).nth(19)?)
}

/// What the process has in memory and in swap space.
pub(super) fn memory(page_size: usize) -> Option<SystemMemory> {
    let _errno = KeepErrno::new();
    let mut buffer = [0; MAX];
    if let Some(memory) = text::read(c"/proc/self/smaps_rollup", &mut buffer).and_then(rolled_up) {
        return Some(memory);
    }
    // Kernels before 4.14, and sandboxes, do not have the roll-up.
    let resident = decimal(text::read(c"/proc/self/statm", &mut buffer)?.split(|&byte| byte == b' ').nth(1)?)?;
    Some(SystemMemory { resident: resident as usize * page_size, anonymous: None, lazily_freed: None, swapped: None })
}

fn rolled_up(text: &[u8]) -> Option<SystemMemory> {
    let bytes = |name: &[u8]| {
        let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name))?;
        let kib = line.split(|&byte| byte == b' ').find(|word| !word.is_empty())?;
        Some(decimal(kib)? as usize * 1024)
    };
    Some(SystemMemory {
        resident: bytes(b"Rss:")?,
        anonymous: bytes(b"Anonymous:"),
        lazily_freed: bytes(b"LazyFree:"),
        swapped: bytes(b"Swap:"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_behind_a_name_with_parentheses_and_spaces() {
        let stat =
            b"7 (a) b (c)) S 1 7 7 0 -1 4194304 128 0 0 0 0 0 0 0 20 0 1 0 4242 2555904 443 18446744073709551615\n";
        assert_eq!((started(stat), started(b"7 (a"), started(b"7 (a) S 1")), (Some(4242), None, None));
    }

    #[test]
    fn a_roll_up_is_read_by_name_and_in_bytes() {
        let text = b"5600-7ff0 ---p 00000000 00:00 0    [rollup]\nRss:    1772 kB\nAnonymous:   108 kB\nLazyFree:  4 kB\nSwap:   12 kB\nSwapPss: 1 kB\n";
        let memory = rolled_up(text).unwrap();
        assert_eq!((memory.resident, memory.anonymous), (1772 * 1024, Some(108 * 1024)));
        assert_eq!((memory.lazily_freed, memory.swapped), (Some(4096), Some(12 * 1024)));
        assert!(rolled_up(b"Pss: 1 kB\n").is_none());
    }
}
