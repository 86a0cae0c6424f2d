//! What was not indexed, and why. Nothing is skipped without a record here.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// How many skipped paths are named one by one; the rest are counted.
const NAMED: usize = 5;

pub struct Skipped {
    pub path: PathBuf,
    pub reason: Reason,
}

pub enum Reason {
    SetAside,
    LinkToDirectory,
    Special,
    TooLarge,
    Binary,
    NotUtf8,
    Unreadable(io::Error),
}

impl Reason {
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetAside => "directory set aside",
            Self::LinkToDirectory => "link to a directory, not followed",
            Self::Special => "neither file nor directory",
            Self::TooLarge => "too large",
            Self::Binary => "binary (holds a zero byte)",
            Self::NotUtf8 => "not UTF-8",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "{}: {error}", self.name()),
            _ => f.write_str(self.name()),
        }
    }
}

/// Sorts by path, so that the order in which threads met them does not show.
pub fn sort(skipped: &mut [Skipped]) {
    skipped.sort_by(|a, b| a.path.cmp(&b.path));
}

pub fn count_by_reason(skipped: &[Skipped]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for skip in skipped {
        *counts.entry(skip.reason.name()).or_default() += 1;
    }
    counts
}

/// One line for each of the first few, and one for the others. Directories set aside are expected: only counted.
pub fn first_few(skipped: &[Skipped]) -> Vec<String> {
    let unexpected = || skipped.iter().filter(|skip| !matches!(skip.reason, Reason::SetAside));
    let mut lines: Vec<_> =
        unexpected().take(NAMED).map(|Skipped { path, reason }| format!("skipped {path:?}: {reason}")).collect();
    match unexpected().skip(NAMED).count() {
        0 => {}
        more => lines.push(format!("skipped {more} more")),
    }
    lines
}
