//! The environment: every variable whose name starts with `TENURE_`. Read once, when the library is loaded, without allocating.
//!
//! | variable | values | meaning | default |
//! |---|---|---|---|
//! | `TENURE_STATS` | `0`, `1`, `text`, `json` | print the statistics when the process ends; `1` is `text` | `0` |
//! | `TENURE_STATS_FILE` | a path | append them there; `%p` stands for the process's id | standard error |
//! | `TENURE_STATS_PID` | a number | print and write all this only in the process with this id | every process |
//! | `TENURE_PROFILE` | `FILE[:RATE]` | write a heap profile when the process ends: see [`crate::profile`] | none |
//! | `TENURE_LEAKS` | `0`, `1` | print what is still in use when the process ends | `0` |
//! | `TENURE_COMMAND` | a path | the command `tenure`, which writes profiles | beside the library, or in `../bin` |
//! | `TENURE_PURGE_DELAY` | 0 to 3600000 | milliseconds that unused memory is kept | 1000 |
//!
//! A wrong value is reported in one line on standard error and ignored, and so is a name that is not in the table. A program that runs with more
//! rights than its user has (`AT_SECURE`) reads none of it.

use crate::output::complain;
use crate::own::MAX_PURGE_DELAY;
use crate::profile::ProfileSettings;
use core::ffi::{CStr, c_char};
use core::fmt::{self, Display, Formatter, Write};

/// In what form the statistics are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Bytes that a path may have, the null at its end included.
pub(crate) const PATH_MAX: usize = 4096;

/// A path, kept where the environment's end does not matter: programs write their title over it.
pub(crate) struct Path {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl Path {
    pub(crate) const NONE: Path = Path { bytes: [0; PATH_MAX], len: 0 };

    /// The path, if one was given.
    pub(crate) fn get(&self) -> Option<&[u8]> {
        (self.len > 0).then(|| &self.bytes[..self.len])
    }

    /// The path, with a null at its end.
    pub(crate) fn get_c(&self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(&self.bytes).ok().filter(|_| self.len > 0)
    }

    /// Keeps `path`; false where it is empty or too long.
    pub(crate) fn set(&mut self, path: &[u8]) -> bool {
        if path.is_empty() || path.len() >= PATH_MAX {
            return false;
        }
        self.bytes = [0; PATH_MAX];
        self.bytes[..path.len()].copy_from_slice(path);
        self.len = path.len();
        true
    }
}

/// What is wrong with a path.
pub(crate) const NO_PATH: &str = "must be a path of 1 to 4095 bytes";

/// What the environment says.
pub(crate) struct Settings {
    /// Whether the statistics are printed at the end, and how.
    pub(crate) stats: Option<Format>,
    pub(crate) stats_file: Path,
    /// The only process that prints them.
    pub(crate) stats_pid: Option<i32>,
    /// In milliseconds.
    pub(crate) purge_delay: Option<u64>,
    pub(crate) profile: ProfileSettings,
}

impl Settings {
    /// What is so without a word from the environment.
    pub(crate) const DEFAULT: Settings = Settings {
        stats: None,
        stats_file: Path::NONE,
        stats_pid: None,
        purge_delay: None,
        profile: ProfileSettings::DEFAULT,
    };

    /// True unless another process is the one that is to print and to write.
    pub(crate) fn concerns_this_process(&self) -> bool {
        // SAFETY: no preconditions.
        self.stats_pid.is_none_or(|only| only == unsafe { libc::getpid() })
    }

    /// Reads the process's environment.
    pub(crate) fn read(&mut self) {
        // SAFETY: no preconditions.
        if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
            return;
        }
        unsafe extern "C" {
            static environ: *const *const c_char;
        }
        // SAFETY: the C library's variable, which nobody changes while libraries are loaded.
        let mut entry = unsafe { environ };
        if entry.is_null() {
            return;
        }
        loop {
            // SAFETY: the environment ends in a null, which ends the loop.
            let text = unsafe { *entry };
            if text.is_null() {
                return;
            }
            // SAFETY: an entry of the environment is a text that ends in a null.
            self.take(unsafe { CStr::from_ptr(text) }.to_bytes());
            entry = entry.wrapping_add(1);
        }
    }

    /// Takes one entry of the environment, `name=value`.
    fn take(&mut self, entry: &[u8]) {
        let Some(rest) = entry.strip_prefix(b"TENURE_") else { return };
        let Some(split) = rest.iter().position(|&byte| byte == b'=') else { return };
        let (name, value) = (&rest[..split], &rest[split + 1..]);
        let wrong = match name {
            b"STATS" => self.set_stats(value),
            b"STATS_FILE" => self.set_stats_file(value),
            b"STATS_PID" => self.set_stats_pid(value),
            b"PURGE_DELAY" => self.set_purge_delay(value),
            b"PROFILE" => self.profile.set_file(value),
            b"LEAKS" => self.profile.set_leaks(value),
            b"COMMAND" => self.profile.set_command(value),
            _ => Some("there is no such setting"),
        };
        if let Some(what) = wrong {
            let (name, value) = (Shown(name), Shown(value));
            complain(format_args!("TENURE_{name}: {what}; '{value}' is ignored"));
        }
    }

    fn set_stats(&mut self, value: &[u8]) -> Option<&'static str> {
        self.stats = match value {
            b"0" => None,
            b"1" | b"text" => Some(Format::Text),
            b"json" => Some(Format::Json),
            _ => return Some("must be 0, 1, text or json"),
        };
        None
    }

    fn set_stats_file(&mut self, value: &[u8]) -> Option<&'static str> {
        (!self.stats_file.set(value)).then_some(NO_PATH)
    }

    fn set_stats_pid(&mut self, value: &[u8]) -> Option<&'static str> {
        match number(value).and_then(|pid| i32::try_from(pid).ok()) {
            Some(pid) => self.stats_pid = Some(pid),
            None => return Some("must be the id of a process"),
        }
        None
    }

    fn set_purge_delay(&mut self, value: &[u8]) -> Option<&'static str> {
        match number(value).filter(|&delay| delay <= MAX_PURGE_DELAY) {
            Some(delay) => self.purge_delay = Some(delay),
            None => return Some("must be a number of milliseconds from 0 to 3600000"),
        }
        None
    }
}

/// A decimal number, digits and nothing else.
fn number(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// A part of the environment, fit for a line on a terminal: what is not printable is shown as `?`, and what is long is cut.
struct Shown<'a>(&'a [u8]);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for &byte in self.0.iter().take(64) {
            f.write_char(if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '?' })?;
        }
        if self.0.len() > 64 { f.write_str("...") } else { Ok(()) }
    }
}
