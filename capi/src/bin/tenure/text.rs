//! How figures are written for people.

use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use num_format::{Locale, ToFormattedString};

/// Bytes in the unit that fits: `1.5 MiB`.
pub fn bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// Every digit, in groups of three: `1,572,864`.
pub fn exact(number: u64) -> String {
    number.to_formatted_string(&Locale::en)
}

/// A part of one, in percent.
pub fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

/// A time span to three digits or so: `820 ms`, `12.4 s`, `3m 20s`.
pub fn span(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..120_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        _ => humantime::format_duration(Duration::from_secs(milliseconds / 1000)).to_string(),
    }
}

/// A time in UTC, given in milliseconds since 1970; nothing for one that is in no calendar.
pub fn time(milliseconds: u64) -> Option<String> {
    // The first second of the year 10000.
    const END: u64 = 253_402_300_800_000;
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(Some(milliseconds).filter(|&time| time < END)?);
    Some(humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', " UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_or_exact() {
        assert_eq!(bytes(1_572_864), "1.5 MiB");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(exact(1_572_864), "1,572,864");
        assert_eq!(percent(0.123_4), "12.3 %");
    }

    #[test]
    fn times_are_readable_and_the_wildest_are_survived() {
        assert_eq!(span(820), "820 ms");
        assert_eq!(span(12_400), "12.4 s");
        assert_eq!(span(200_000), "3m 20s");
        assert!(!span(u64::MAX).is_empty());
        assert_eq!(time(1_795_571_148_480).as_deref(), Some("2026-11-25 01:45:48 UTC"));
        assert_eq!(time(u64::MAX), None);
    }
}
