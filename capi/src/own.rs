//! The functions that only this library has: `include/tenure.h` documents them for those who call them.

use crate::TENURE;
use crate::errno;
use crate::output::print;
use crate::snapshot::with_own_stats;
use core::ffi::{CStr, c_char, c_int};
use core::fmt::{self, Write};
use core::time::Duration;
use tenure::preloaded::IS_HARDENED;

/// The library's version, as text, and whether it is hardened: cargo builds packages together with the features of all.
const VERSION: &CStr = text(if IS_HARDENED {
    concat!(env!("CARGO_PKG_VERSION"), " hardened\0")
} else {
    concat!(env!("CARGO_PKG_VERSION"), "\0")
});

const fn text(version: &str) -> &CStr {
    match CStr::from_bytes_with_nul(version.as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has one null, at its end"),
    }
}

/// The version of the library, such as `"0.1.0"`, or `"0.1.0 hardened"`.
#[unsafe(no_mangle)]
pub extern "C" fn tenure_version() -> *const c_char {
    VERSION.as_ptr()
}

/// Writes the statistics as a table to a file descriptor; 0, or -1 and `errno` where it cannot be written.
#[unsafe(no_mangle)]
pub extern "C" fn tenure_stats_print(descriptor: c_int) -> c_int {
    let is_printed = print(descriptor, &mut [0; 1024], |out| {
        with_own_stats(|stats| {
            stats.ask_system();
            write!(out, "{stats}")
        })
    });
    if is_printed { 0 } else { -1 }
}

/// A caller's buffer, in which text that does not fit is cut, and counted all the same.
struct Text {
    start: *mut u8,
    size: usize,
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One byte is for the null at the end.
        let room = self.size.saturating_sub(self.len + 1);
        let count = text.len().min(room);
        if count > 0 {
            // SAFETY: the caller's buffer has room for so many bytes more; a text is no part of it.
            unsafe { self.start.add(self.len).copy_from_nonoverlapping(text.as_ptr(), count) };
        }
        self.len += text.len();
        Ok(())
    }
}

/// Stores the statistics as one line of JSON in `buffer`, cut to `size` bytes with the null at the end, and returns how
/// long the whole text is.
///
/// # Safety
/// - `buffer` has `size` bytes, or `size` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tenure_stats_json(buffer: *mut c_char, size: usize) -> usize {
    let mut text = Text { start: buffer.cast(), size, len: 0 };
    // Never fails: see above.
    let _ = with_own_stats(|stats| {
        stats.ask_system();
        write!(text, "{}", stats.json())
    });
    if size > 0 {
        // SAFETY: the caller's buffer, inside of its size.
        unsafe { text.start.add(text.len.min(size - 1)).write(0) };
    }
    text.len
}

/// Says whether exact bytes are counted from now on: not where `are_wanted` is 0.
#[unsafe(no_mangle)]
pub extern "C" fn tenure_count_exact_bytes(are_wanted: c_int) {
    TENURE.count_exact_bytes(are_wanted != 0);
}

/// Gives unused memory back to the system now.
#[unsafe(no_mangle)]
pub extern "C" fn tenure_purge() {
    TENURE.purge();
}

/// How many milliseconds unused memory is kept.
#[unsafe(no_mangle)]
pub extern "C" fn tenure_purge_delay() -> u64 {
    TENURE.purge_delay().as_millis() as u64
}

/// Longest time that unused memory is kept, in milliseconds: an hour.
pub(crate) const MAX_PURGE_DELAY: u64 = 3_600_000;

/// Says how many milliseconds unused memory is kept, from 0 to 3,600,000; 0, or -1 and `EINVAL`.
#[unsafe(no_mangle)]
pub extern "C" fn tenure_set_purge_delay(milliseconds: u64) -> c_int {
    if milliseconds > MAX_PURGE_DELAY {
        errno::set(libc::EINVAL);
        return -1;
    }
    TENURE.set_purge_delay(Duration::from_millis(milliseconds));
    0
}
