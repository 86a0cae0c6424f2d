//! Why there is no result, and with which status this program ends for it.

use std::fmt;
use std::io;
use std::path::PathBuf;

#[derive(Debug)]
pub enum Failure {
    /// There is no workload of this name.
    NoSuchWorkload(String, Vec<String>),
    /// Nothing of what was asked for could be built or found.
    NoContender(Vec<String>),
    /// A program that is needed does not do what it should.
    Tool(String),
    Unwritable(PathBuf, io::Error),
}

impl Failure {
    /// 2 where the command line is wrong, 1 otherwise.
    pub fn status(&self) -> u8 {
        match self {
            Self::NoSuchWorkload(..) => 2,
            Self::NoContender(_) | Self::Tool(_) | Self::Unwritable(..) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchWorkload(name, known) => {
                write!(out, "--workloads: no such workload: {name}; there are {}", known.join(", "))
            }
            Self::NoContender(why) => write!(out, "nothing to run: {}", why.join("; ")),
            Self::Tool(why) => out.write_str(why),
            Self::Unwritable(path, error) => write!(out, "{}: cannot be written: {error}", path.display()),
        }
    }
}
