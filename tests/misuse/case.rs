//! A case: a misuse, and how it ends.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use crate::program::HARMED;

/// How a process ends that misuses its allocator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Ending {
    /// It is stopped: by one line that names the misuse and the address, or at a page that may not be touched.
    Stopped,
    /// It goes on, and nothing has happened.
    Unharmed,
    /// It goes on with two blocks in use that overlap, or one that was changed.
    Harmed,
}

use Ending::{Harmed, Stopped, Unharmed};

/// How a misuse is to end in each build.
#[derive(Clone, Copy)]
pub struct Expected {
    default: Ending,
    hardened: Ending,
}

/// In every build.
pub const STOPPED: Expected = Expected { default: Stopped, hardened: Stopped };

/// Not seen by default, and seen by the hardened build.
pub const SEEN_WHEN_HARDENED: Expected = Expected { default: Unharmed, hardened: Stopped };

/// As above, where what was written lies in a block that nobody frees, and that may not be used again: then nothing has
/// happened.
pub const USUALLY_SEEN_WHEN_HARDENED: Expected = UNHARMED;

/// Seen by default, and by the hardened build where what was written is used again.
pub const SEEN_BY_DEFAULT: Expected = Expected { default: Stopped, hardened: Unharmed };

/// What the default build cannot prevent, and the hardened build sees where the block is used again.
pub const HARMED_BY_DEFAULT_ALONE: Expected = Expected { default: Harmed, hardened: Unharmed };

/// Not seen in any build, and without consequences.
pub const UNHARMED: Expected = Expected { default: Unharmed, hardened: Unharmed };

/// What the default build cannot prevent.
pub const HARMED_BY_DEFAULT: Expected = Expected { default: Harmed, hardened: Stopped };

impl Expected {
    fn here(self) -> Ending {
        if cfg!(feature = "hardened") { self.hardened } else { self.default }
    }
}

/// A misuse that is to be tried in a process of its own.
pub struct Case {
    /// The row of the table.
    pub kind: &'static str,
    pub size: usize,
    /// What the line says where it is stopped.
    pub says: &'static str,
    pub expected: Expected,
    pub run: Box<dyn Fn() + Sync>,
}

impl Case {
    pub fn name(&self) -> String {
        format!("{} ({} bytes)", self.kind, self.size)
    }

    /// How the process ended; an error where it was neither as a misuse ends, nor as its line is to be.
    pub fn ending(&self, output: &Output) -> Result<Ending, String> {
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let lines: Vec<_> = stderr.lines().collect();
        let address = stdout.lines().filter_map(|line| line.strip_prefix("misuse of ")).next_back().unwrap_or_default();
        match (output.status.signal(), output.status.code()) {
            (Some(libc::SIGABRT), _) => match lines[..] {
                [line] if line.starts_with("tenure: ") && line.contains(self.says) && line.contains(address) => {
                    Ok(Stopped)
                }
                _ => Err(format!("not one line that says `{}` of {address}: {stderr}", self.says)),
            },
            // Of a write to where nothing is mapped any more, or a guard is. A free never faults.
            (Some(libc::SIGSEGV), _) if stderr.is_empty() && !self.says.contains("free") => Ok(Stopped),
            (None, Some(HARMED)) if stderr.is_empty() => Ok(Harmed),
            (None, Some(0)) if stderr.is_empty() && stdout.contains("went on") => Ok(Unharmed),
            _ => Err(format!("{}, after: {stdout}{stderr}", output.status)),
        }
    }

    pub fn is_as_expected(&self, ending: Ending) -> bool {
        // Better than what can be promised is no error; worse is.
        ending <= self.expected.here()
    }

    pub fn expected(&self) -> Ending {
        self.expected.here()
    }
}

/// How many cases of each kind ended how.
#[derive(Default)]
pub struct Table(BTreeMap<(usize, &'static str), [usize; 3]>);

impl Table {
    /// Kinds stay in the order in which they come first.
    pub fn add(&mut self, kind: &'static str, ending: Ending) {
        let row = self.0.keys().find(|key| key.1 == kind).copied().unwrap_or((self.0.len(), kind));
        self.0.entry(row).or_default()[ending as usize] += 1;
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| misuse | stopped | unharmed | harmed |\n|---|---|---|---|")?;
        let mut sums = [0; 3];
        for ((_, kind), counts) in &self.0 {
            writeln!(f, "| {kind} | {} | {} | {} |", counts[0], counts[1], counts[2])?;
            counts.iter().zip(&mut sums).for_each(|(count, sum)| *sum += count);
        }
        let cases: usize = sums.iter().sum();
        writeln!(f, "| all {cases} | {} | {} | {} |", sums[0], sums[1], sums[2])
    }
}
