//! Reading: a file is one snapshot or any number of them, on a line each or not.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Deserializer, Value};

use super::snapshot::{Snapshot, VERSION};

/// What is wrong with a file.
#[derive(Debug)]
pub enum InputError {
    Unreadable(PathBuf, io::Error),
    /// In this line; lines are counted from 1.
    Malformed(PathBuf, usize, String),
    /// There is nothing in it.
    Empty(PathBuf),
}

impl fmt::Display for InputError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(out, "{}: cannot be read: {error}", path.display()),
            Self::Malformed(path, line, why) => write!(out, "{}:{line}: {why}", path.display()),
            Self::Empty(path) => write!(out, "{}: there is no snapshot in it", path.display()),
        }
    }
}

/// All snapshots of a file, in its order; at least one.
pub fn read(path: &Path) -> Result<Vec<Snapshot>, InputError> {
    let text = fs::read(path).map_err(|error| InputError::Unreadable(path.to_owned(), error))?;
    let snapshots = parse(&text).map_err(|(line, why)| InputError::Malformed(path.to_owned(), line, why))?;
    if snapshots.is_empty() { Err(InputError::Empty(path.to_owned())) } else { Ok(snapshots) }
}

/// What some editors and shells put before a text.
pub const MARK: &str = "\u{feff}";

/// A file's contents without the mark.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(MARK.as_bytes()).unwrap_or(text)
}

/// The snapshots of a text; or the line of it that is wrong, and why.
fn parse(text: &[u8]) -> Result<Vec<Snapshot>, (usize, String)> {
    let text = without_mark(text);
    let mut values = Deserializer::from_slice(text).into_iter::<Value>();
    let mut snapshots = Vec::new();
    loop {
        let begin = values.byte_offset();
        match values.next() {
            None => return Ok(snapshots),
            Some(Err(error)) if error.is_eof() => return Err((error.line(), "the snapshot is cut short".to_owned())),
            Some(Err(error)) => return Err((error.line(), format!("no JSON: {error}"))),
            Some(Ok(value)) => {
                let snapshot = snapshot_of(value).map_err(|why| (line_of(text, begin), why))?;
                snapshots.push(snapshot);
            }
        }
    }
}

/// The line of what comes next behind `at`.
fn line_of(text: &[u8], at: usize) -> usize {
    let blank = text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    1 + text[..at + blank].iter().filter(|&&byte| byte == b'\n').count()
}

/// The snapshot that a value is; or why it is none.
pub fn snapshot_of(value: Value) -> Result<Snapshot, String> {
    match value.get("version") {
        Some(version) if version.as_u64() == Some(VERSION) => {}
        Some(version) => return Err(format!("version {version} of the format is not known, only {VERSION} is")),
        None => return Err("no snapshot of statistics: it has no `version`".to_owned()),
    }
    Snapshot::deserialize(value).map_err(|error| format!("no snapshot of statistics: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the library writes.
    fn snapshot() -> String {
        tenure::Tenure::new().stats().json().to_string()
    }

    #[test]
    fn what_the_library_writes_is_read() {
        let snapshots = parse(format!("{0}\n{0}\n", snapshot()).as_bytes()).unwrap();
        assert_eq!(snapshots.len(), 2);
        assert_eq!(snapshots[0].process_id, Some(std::process::id()));
    }

    #[test]
    fn a_snapshot_may_be_on_many_lines() {
        let value: Value = serde_json::from_str(&snapshot()).unwrap();
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(parse(pretty.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(parse(format!("\u{feff}{}\n", snapshot()).as_bytes()).unwrap().len(), 1);
        assert_eq!(parse("\u{feff}\n\n{}".as_bytes()).unwrap_err().0, 3);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        let good = snapshot();
        let error = |bad: &str| parse(format!("{good}\n\n{bad}\n{good}\n").as_bytes()).unwrap_err();
        assert_eq!(error("{\"version\":1,}").0, 3);
        assert_eq!(error("{}").0, 3);
        assert!(error("[1, 2]").1.contains("`version`"));
        assert!(error(&good.replace("\"version\":1", "\"version\":2")).1.contains("version 2"));
        assert!(
            error(&good.replace("\"reserved\":", "\"reserved\":-")).1.contains("reserved")
                || good.contains("\"reserved\":0")
        );
        assert!(error(&good.replace("\"committed\":", "\"comitted\":")).1.contains("`committed`"));
    }

    #[test]
    fn what_is_cut_short_is_named_by_its_last_line() {
        let good = snapshot();
        let (line, why) = parse(format!("{good}\n{}", &good[..good.len() / 2]).as_bytes()).unwrap_err();
        assert_eq!(line, 2);
        assert!(why.contains("cut short"));
    }
}
