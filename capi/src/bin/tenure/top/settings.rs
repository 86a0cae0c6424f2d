//! Settings: what the environment of a process asks of the library, by the library's own rules: the last word counts,
//! and a wrong one changes nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The file that the environment of process `id` names; or what it lacks.
pub fn file_in(environment: &[u8], id: u32) -> Result<PathBuf, String> {
    if last(environment, "TENURE_STATS_EVERY", is_interval).is_none() {
        let with = match last(environment, "TENURE_STATS_EVERY", |_| true) {
            None => "without TENURE_STATS_EVERY".to_owned(),
            Some(wrong) => format!("with TENURE_STATS_EVERY={}, which is no time from 10ms to 24h", shown(wrong)),
        };
        return Err(format!("{with}, so it writes no statistics while it runs"));
    }
    match last(environment, "TENURE_STATS", |form| matches!(form, b"0" | b"1" | b"text" | b"json" | b"prom")) {
        None | Some(b"0" | b"json") => {}
        Some(form) => {
            return Err(format!("with TENURE_STATS={}, and statistics are read here as json alone", shown(form)));
        }
    }
    match last(environment, "TENURE_STATS_PID", is_process) {
        Some(only) if decimal(only) != Some(id.into()) => {
            return Err(format!("with TENURE_STATS_PID={}, so it writes no statistics itself", shown(only)));
        }
        _ => {}
    }
    match last(environment, "TENURE_STATS_FILE", |path| (1..PATH_MAX).contains(&path.len())) {
        Some(pattern) => Ok(PathBuf::from(expand(pattern, id))),
        None => Err("without TENURE_STATS_FILE, so its statistics go to its standard error".to_owned()),
    }
}

/// True where the environment is no longer what the process was started with: no entry of one is empty.
pub fn was_written_over(environment: &[u8]) -> bool {
    environment.starts_with(b"\0") || environment.windows(2).any(|pair| pair == b"\0\0")
}

/// Bytes that a path may have, the null at its end included.
const PATH_MAX: usize = 4096;

/// The last value of a variable that is a right one.
fn last<'a>(environment: &'a [u8], name: &str, is_right: impl Fn(&[u8]) -> bool) -> Option<&'a [u8]> {
    let entries = environment.rsplit(|&byte| byte == 0);
    let mut values = entries.filter_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    values.find(|value| is_right(value))
}

fn shown(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Digits and nothing else.
fn decimal(text: &[u8]) -> Option<u64> {
    let is_number = text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

fn is_process(text: &[u8]) -> bool {
    decimal(text).is_some_and(|id| i32::try_from(id).is_ok())
}

fn is_interval(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (count, unit) = text.split_at(digits);
    let unit = match unit {
        b"ms" => 1,
        b"s" => 1000,
        b"m" => 60 * 1000,
        b"h" => 3600 * 1000,
        _ => return false,
    };
    decimal(count).and_then(|count| count.checked_mul(unit)).is_some_and(|ms| (10..=24 * 3600 * 1000).contains(&ms))
}

/// The pattern with the process's id in each place of `%p`.
fn expand(pattern: &[u8], id: u32) -> OsString {
    let mut name = Vec::new();
    let mut rest = pattern;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"%p") {
        name.extend_from_slice(&rest[..at]);
        name.extend_from_slice(id.to_string().as_bytes());
        rest = &rest[at + 2..];
    }
    name.extend_from_slice(rest);
    OsString::from_vec(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file of process 7, in an environment with spaces between entries.
    fn file(environment: &str) -> Result<PathBuf, String> {
        file_in(environment.replace(' ', "\0").as_bytes(), 7)
    }

    #[test]
    fn the_id_stands_wherever_the_pattern_wants_it() {
        assert_eq!(expand(b"/tmp/%p/stats.%p.json%", 12), "/tmp/12/stats.12.json%");
        assert_eq!(expand(b"plain", 12), "plain");
    }

    #[test]
    fn what_the_environment_lacks_is_named() {
        assert_eq!(file("A=b TENURE_STATS_EVERY=1s TENURE_STATS_FILE=/f.%p"), Ok(PathBuf::from("/f.7")));
        assert!(file("A=b").unwrap_err().contains("without TENURE_STATS_EVERY"));
        assert!(file("TENURE_STATS_EVERY=1s").unwrap_err().contains("TENURE_STATS_FILE"));
        assert!(file("TENURE_STATS_EVERY=1s TENURE_STATS=prom TENURE_STATS_FILE=f").unwrap_err().contains("prom"));
        assert!(file("TENURE_STATS_EVERY=1s TENURE_STATS_PID=8 TENURE_STATS_FILE=f").unwrap_err().contains("PID=8"));
        assert!(file("TENURE_STATS_EVERY=1s TENURE_STATS_PID=7 TENURE_STATS_FILE=f").is_ok());
    }

    #[test]
    fn the_last_word_counts() {
        let right = "TENURE_STATS_EVERY=1s TENURE_STATS_FILE=f";
        assert_eq!(file(&format!("TENURE_STATS_FILE=e {right}")), Ok(PathBuf::from("f")));
        assert!(file(&format!("{right} TENURE_STATS=prom TENURE_STATS=json")).is_ok());
        assert!(file(&format!("{right} TENURE_STATS=json TENURE_STATS=prom")).unwrap_err().contains("prom"));
        assert!(file(&format!("{right} TENURE_STATS_PID=8 TENURE_STATS_PID=007")).is_ok());
        assert!(file(&format!("{right} TENURE_STATS_PID=7 TENURE_STATS_PID=8")).unwrap_err().contains("PID=8"));
    }

    #[test]
    fn a_wrong_word_changes_nothing() {
        let right = "TENURE_STATS_EVERY=1s TENURE_STATS_FILE=f";
        for wrong in ["STATS=", "STATS=yaml", "STATS_PID=", "STATS_PID=x", "STATS_PID=2147483648", "STATS_FILE="] {
            assert_eq!(file(&format!("{right} TENURE_{wrong}")), Ok(PathBuf::from("f")), "{wrong}");
        }
        assert!(file(&format!("{right} TENURE_STATS=prom TENURE_STATS=")).unwrap_err().contains("prom"));
        for wrong in ["", "5", "s", "9ms", "25h", "-5s", "1.5s", "18446744073709551615h"] {
            assert!(file(&format!("{right} TENURE_STATS_EVERY={wrong}")).is_ok(), "{wrong}");
            let alone = file(&format!("TENURE_STATS_EVERY={wrong} TENURE_STATS_FILE=f")).unwrap_err();
            assert!(alone.contains(&format!("TENURE_STATS_EVERY={wrong}, which is no time")), "{alone}");
        }
        for right in ["10ms", "5s", "2m", "24h"] {
            assert!(file(&format!("TENURE_STATS_EVERY={right} TENURE_STATS_FILE=f")).is_ok(), "{right}");
        }
    }

    #[test]
    fn an_environment_that_was_written_over_has_empty_entries() {
        assert!(was_written_over(b"\0") && was_written_over(b"\0\0\0") && was_written_over(b"title\0\0\0A=b\0"));
        assert!(!was_written_over(b"") && !was_written_over(b"A=b\0C=\0"));
    }
}
