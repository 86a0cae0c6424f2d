//! Why a program was not started. The exit statuses are those with which shells say the same.

use std::fmt;
use std::io;
use std::path::PathBuf;

#[derive(Debug)]
pub enum Failure {
    /// The library is in none of the places in which it is looked for.
    LibraryNotFound(Vec<PathBuf>),
    /// The library's path is no path to a library that can be preloaded.
    LibraryUnusable(PathBuf, String),
    /// There is no program of this name.
    ProgramNotFound(String),
    /// The system refuses to run the program.
    ProgramUnusable(String, io::Error),
    /// A profile's text cannot be read, or is none.
    ProfileUnreadable(PathBuf, String),
    /// A profile cannot be written.
    ProfileUnwritable(PathBuf, io::Error),
}

impl Failure {
    /// 127 where the program is missing; 126 where it cannot be run, or not on Tenure; 1 for what has to do with files
    /// alone.
    pub fn status(&self) -> u8 {
        match self {
            Self::ProgramNotFound(_) => 127,
            Self::LibraryNotFound(_) | Self::LibraryUnusable(..) | Self::ProgramUnusable(..) => 126,
            Self::ProfileUnreadable(..) | Self::ProfileUnwritable(..) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LibraryNotFound(places) => {
                let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
                let places = places.join(" or ");
                write!(
                    out,
                    "no library at {places}: `cargo build --release -p tenure-malloc` builds it, --lib names another"
                )
            }
            Self::LibraryUnusable(path, why) => write!(out, "{}: {why}", path.display()),
            Self::ProgramNotFound(name) => write!(out, "{name}: no such program"),
            Self::ProfileUnreadable(path, why) => write!(out, "{}: {why}", path.display()),
            Self::ProfileUnwritable(path, error) => write!(out, "{}: cannot be written: {error}", path.display()),
            Self::ProgramUnusable(name, error) => write!(out, "{name}: cannot be run: {error}"),
        }
    }
}
