//! Settings: what the entries of the environment say. The table is at [`from_env`](super::from_env).

use super::path::Path;
use crate::global::Limit;
#[cfg(feature = "profile")]
use crate::global::guard::MAX_ONE_IN;
use crate::number::{self, decimal};
use crate::os::io;
use crate::os::report::complain;
use core::ffi::c_int;
use core::fmt::{self, Display, Formatter, Write};
use core::time::Duration;

/// In what form the statistics are reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Text,
    Json,
    Prometheus,
}

/// What the environment says.
pub(super) struct Settings {
    format: Option<Format>,
    pub(super) every: Option<Duration>,
    pub(super) signal: Option<c_int>,
    pub(super) file: Path,
    /// The only process that reports.
    pub(super) only: Option<u32>,
    /// In milliseconds.
    pub(super) purge_delay: Option<u64>,
    /// Whether a purger runs.
    pub(super) purger: bool,
    /// One in how many allocations is guarded.
    #[cfg(feature = "profile")]
    pub(super) guard: Option<u64>,
    /// What asks for a heap profile, if anything does. Whoever writes profiles reads it.
    #[cfg(feature = "profile")]
    pub(super) profile: Option<&'static str>,
    /// Whether exact bytes are counted.
    pub(super) exact: bool,
    /// How much memory may be committed.
    pub(super) limit: Option<Limit>,
}

impl Settings {
    /// What is so without a word from the environment.
    pub(super) const DEFAULT: Settings = Settings {
        format: None,
        every: None,
        signal: None,
        file: Path::NONE,
        only: None,
        purge_delay: None,
        purger: false,
        #[cfg(feature = "profile")]
        guard: None,
        #[cfg(feature = "profile")]
        profile: None,
        exact: false,
        limit: None,
    };

    /// Reads the process's environment.
    pub(super) fn read(&mut self) {
        io::environment(&mut |entry| self.take(entry));
    }

    /// In what form reports come.
    pub(super) fn format(&self) -> Format {
        self.format.unwrap_or(Format::Json)
    }

    /// True where anything is to be reported.
    pub(super) fn reports(&self) -> bool {
        self.reports_at_end() || self.signal.is_some()
    }

    /// True where something is to be reported when the process ends.
    pub(super) fn reports_at_end(&self) -> bool {
        self.format.is_some() || self.every.is_some()
    }

    /// True where each process has a file of its own.
    pub(super) fn has_own_file(&self) -> bool {
        self.file.names_process()
    }

    /// Takes one entry of the environment, `name=value`.
    fn take(&mut self, entry: &[u8]) {
        let Some(rest) = entry.strip_prefix(b"TENURE_") else { return };
        let Some(split) = rest.iter().position(|&byte| byte == b'=') else { return };
        let (name, value) = (&rest[..split], &rest[split + 1..]);
        if let Some(what) = self.set(name, value) {
            let (name, value) = (Shown(name), Shown(value));
            complain(format_args!("TENURE_{name}: {what}; '{value}' is ignored"));
        }
    }

    /// Takes a value; what is wrong with it, if anything is.
    fn set(&mut self, name: &[u8], value: &[u8]) -> Option<&'static str> {
        match name {
            b"STATS" => self.set_format(value),
            b"STATS_EVERY" => set(&mut self.every, interval(value), "must be a time from 10ms to 24h, such as 5s"),
            b"STATS_SIGNAL" => set(&mut self.signal, signal(value), "must be a signal such as USR1 that can be had"),
            b"STATS_FILE" => self.set_file(value),
            b"STATS_PID" => {
                let pid = decimal(value).and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid <= i32::MAX as u32);
                set(&mut self.only, pid, "must be the id of a process")
            }
            b"PURGE_DELAY" => {
                let delay = decimal(value).filter(|&delay| delay <= MAX_PURGE_DELAY);
                set(&mut self.purge_delay, delay, "must be a number of milliseconds from 0 to 3600000")
            }
            // Whoever writes profiles reads these, and says what is wrong with them.
            #[cfg(feature = "profile")]
            b"PROFILE" => self.ask_for_profile("TENURE_PROFILE"),
            #[cfg(feature = "profile")]
            b"LEAKS" if value != b"0" => self.ask_for_profile("TENURE_LEAKS"),
            #[cfg(feature = "profile")]
            b"LEAKS" | b"COMMAND" => None,
            #[cfg(feature = "profile")]
            b"GUARD" => {
                let one_in = decimal(value).filter(|one_in| (1..=MAX_ONE_IN).contains(one_in));
                set(
                    &mut self.guard,
                    one_in,
                    "must be a number N, of which one in N allocations is guarded, from 1 to 1099511627776",
                )
            }
            b"PURGER" => switch(&mut self.purger, value),
            b"EXACT" => switch(&mut self.exact, value),
            b"LIMIT" if value == b"cgroup" => {
                set(&mut self.limit, Limit::of_cgroup(), "the control group has no limit")
            }
            b"LIMIT" => set(
                &mut self.limit,
                limit(value),
                "must be a size such as 512M, two sizes such as 400M:512M, or cgroup",
            ),
            _ => Some("there is no such setting"),
        }
    }

    fn set_format(&mut self, value: &[u8]) -> Option<&'static str> {
        self.format = match value {
            b"0" => None,
            b"1" | b"text" => Some(Format::Text),
            b"json" => Some(Format::Json),
            b"prom" => Some(Format::Prometheus),
            _ => return Some("must be 0, 1, text, json or prom"),
        };
        None
    }

    #[cfg(feature = "profile")]
    fn ask_for_profile(&mut self, variable: &'static str) -> Option<&'static str> {
        self.profile = Some(variable);
        None
    }

    fn set_file(&mut self, value: &[u8]) -> Option<&'static str> {
        self.file.set(value).is_none().then_some("must be a path of 1 to 4095 bytes")
    }
}

/// The longest that unused memory is kept, in milliseconds: an hour.
const MAX_PURGE_DELAY: u64 = 3_600_000;

/// A limit: a hard one, or a soft and a hard one with `:` between.
fn limit(text: &[u8]) -> Option<Limit> {
    let mut parts = text.splitn(2, |&byte| byte == b':').map(number::bytes);
    match (parts.next()?, parts.next()) {
        (Some(hard), None) => Some(Limit::hard(hard)),
        (Some(soft), Some(Some(hard))) if soft <= hard => Some(Limit::hard(hard).with_soft(soft)),
        _ => None,
    }
}

/// Takes a 0 or a 1.
fn switch(place: &mut bool, value: &[u8]) -> Option<&'static str> {
    match value {
        b"0" => *place = false,
        b"1" => *place = true,
        _ => return Some("must be 0 or 1"),
    }
    None
}

fn set<T>(place: &mut Option<T>, value: Option<T>, wrong: &'static str) -> Option<&'static str> {
    if value.is_none() {
        return Some(wrong);
    }
    *place = value;
    None
}

/// A number with a unit of time.
fn interval(text: &[u8]) -> Option<Duration> {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(24 * 3600);
    let split = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let count = decimal(&text[..split])?;
    let unit = match &text[split..] {
        b"ms" => 1,
        b"s" => 1000,
        b"m" => 60 * 1000,
        b"h" => 3600 * 1000,
        _ => return None,
    };
    let interval = Duration::from_millis(count.checked_mul(unit)?);
    (SHORTEST..=LONGEST).contains(&interval).then_some(interval)
}

/// A signal's name or number.
fn signal(text: &[u8]) -> Option<c_int> {
    match decimal(text) {
        Some(number) => io::signal_numbered(c_int::try_from(number).ok()?),
        None => io::signal_named(text),
    }
}

/// A part of the environment, fit for a line on a terminal: what is not printable is shown as `?`, and what is long is
/// cut.
struct Shown<'a>(&'a [u8]);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for &byte in self.0.iter().take(64) {
            f.write_char(if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '?' })?;
        }
        if self.0.len() > 64 { f.write_str("...") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[&str]) -> Settings {
        let mut settings = Settings::DEFAULT;
        entries.iter().for_each(|entry| settings.take(entry.as_bytes()));
        settings
    }

    #[test]
    fn intervals_have_a_unit_and_bounds() {
        let ms = |text: &str| interval(text.as_bytes()).map(|interval| interval.as_millis());
        assert_eq!(
            [ms("10ms"), ms("5s"), ms("2m"), ms("24h")],
            [Some(10), Some(5000), Some(120_000), Some(86_400_000)]
        );
        for wrong in [
            "",
            "5",
            "s",
            "9ms",
            "0s",
            "25h",
            "-5s",
            "5 s",
            "5S",
            "1.5s",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn signals_have_names_or_numbers_and_some_are_not_to_be_had() {
        assert_eq!(signal(b"USR1"), signal(b"SIGUSR1"));
        assert!(signal(b"USR1").is_some() && signal(b"1") == signal(b"HUP"));
        for wrong in ["", "usr1", "KILL", "9", "SEGV", "11", "0", "32", "65", "-1", "4294967297"] {
            assert_eq!(signal(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn reports_at_intervals_and_on_a_signal_are_json_unless_another_form_is_asked_for() {
        assert_eq!(read(&["TENURE_STATS_EVERY=1s"]).format(), Format::Json);
        assert_eq!(read(&["TENURE_STATS_EVERY=1s", "TENURE_STATS=prom"]).format(), Format::Prometheus);
        let on_signal = read(&["TENURE_STATS_SIGNAL=USR2", "TENURE_STATS=0"]);
        assert!(on_signal.reports() && !on_signal.reports_at_end());
        assert!(read(&["TENURE_STATS_EVERY=1s"]).reports_at_end());
        assert!(!read(&["TENURE_PURGE_DELAY=5", "PATH=/bin", "TENURE_STATS"]).reports());
    }

    #[test]
    fn the_last_word_counts_and_a_wrong_one_changes_nothing() {
        let settings = read(&["TENURE_STATS_FILE=/a/longer/path", "TENURE_STATS_FILE=/b-%p", "TENURE_STATS_FILE="]);
        assert_eq!(settings.file.as_c_str(), c"/b-%p");
        assert!(settings.has_own_file());
        assert_eq!(read(&["TENURE_PURGE_DELAY=7", "TENURE_PURGE_DELAY=x"]).purge_delay, Some(7));
    }
}
