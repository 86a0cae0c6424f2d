//! Source: which file has the statistics, and of which process.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::settings;

/// A file with statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub file: PathBuf,
    /// The process that is asked for; without one, it is that which was the last to write.
    pub process: Option<u32>,
}

/// Why no file is found.
#[derive(Debug)]
pub enum SourceError {
    NoProcess(u32),
    EnvironmentUnreadable(u32, io::Error),
    /// The process has another use for the place of its environment, such as a title.
    EnvironmentWrittenOver(u32),
    /// What is missing in the environment of the process, and what that means.
    NotAsked(u32, String),
    Unreadable(PathBuf, io::Error),
}

impl fmt::Display for SourceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProcess(id) => write!(out, "there is no process {id}; a file of that name is written as ./{id}"),
            Self::EnvironmentUnreadable(id, error) => {
                write!(out, "the environment of process {id} cannot be read: {error}")
            }
            Self::EnvironmentWrittenOver(id) => write!(
                out,
                "the environment of process {id} cannot be read, as the program has written over it; \
                 name the file instead"
            ),
            Self::NotAsked(id, what) => write!(out, "process {id} was started {what}"),
            Self::Unreadable(file, error) => write!(out, "{}: cannot be read: {error}", file.display()),
        }
    }
}

/// The source that an argument names: the id of a process, or a file.
pub fn find(target: &OsStr) -> Result<Source, SourceError> {
    let id = target
        .to_str()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    match id {
        Some(id) => of_process(id),
        None => of_file(Path::new(target)),
    }
}

fn of_file(file: &Path) -> Result<Source, SourceError> {
    match fs::File::open(file) {
        Ok(_) => Ok(Source { file: file.to_owned(), process: None }),
        Err(error) => Err(SourceError::Unreadable(file.to_owned(), error)),
    }
}

fn of_process(id: u32) -> Result<Source, SourceError> {
    let folder = PathBuf::from(format!("/proc/{id}"));
    let environment = fs::read(folder.join("environ")).map_err(|error| match error.kind() {
        ErrorKind::NotFound => SourceError::NoProcess(id),
        _ => SourceError::EnvironmentUnreadable(id, error),
    })?;
    let file = settings::file_in(&environment, id).map_err(|what| match settings::was_written_over(&environment) {
        true => SourceError::EnvironmentWrittenOver(id),
        false => SourceError::NotAsked(id, what),
    })?;
    // A relative name is relative to where the process is. Where that is not to be known, the name is left as it is.
    let place = fs::read_link(folder.join("cwd")).unwrap_or_default();
    Ok(Source { file: place.join(file), process: Some(id) })
}

/// True while a process is there and has not ended, whoever may be to collect its status.
pub fn is_running(id: u32) -> bool {
    let Ok(line) = fs::read(format!("/proc/{id}/stat")) else { return false };
    // The state follows the program's name, which is in parentheses and may have some of its own.
    let state = line.iter().rposition(|&byte| byte == b')').and_then(|at| line.get(at + 2));
    !matches!(state, Some(b'Z' | b'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_running_and_none_has_the_largest_id() {
        assert!(is_running(std::process::id()));
        assert!(!is_running(u32::MAX));
    }
}
