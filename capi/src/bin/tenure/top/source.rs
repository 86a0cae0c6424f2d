//! Source: which file has the statistics, and of which process.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

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
    let file = file_in(&environment, id).map_err(|what| SourceError::NotAsked(id, what))?;
    // A relative name is relative to where the process is. Where that is not to be known, the name is left as it is.
    let place = fs::read_link(folder.join("cwd")).unwrap_or_default();
    Ok(Source { file: place.join(file), process: Some(id) })
}

/// The file that the environment of process `id` names; or what it lacks.
fn file_in(environment: &[u8], id: u32) -> Result<PathBuf, String> {
    let value = |name: &str| {
        let entries = environment.split(|&byte| byte == 0);
        entries.filter_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).next()
    };
    if value("TENURE_STATS_EVERY").is_none() {
        return Err("without TENURE_STATS_EVERY, so it writes no statistics while it runs".to_owned());
    }
    match value("TENURE_STATS") {
        None | Some(b"0" | b"json") => {}
        Some(form) => {
            let form = String::from_utf8_lossy(form).into_owned();
            return Err(format!("with TENURE_STATS={form}, and statistics are read here as json alone"));
        }
    }
    if let Some(only) = value("TENURE_STATS_PID").filter(|only| *only != id.to_string().as_bytes()) {
        let only = String::from_utf8_lossy(only);
        return Err(format!("with TENURE_STATS_PID={only}, so it writes no statistics itself"));
    }
    match value("TENURE_STATS_FILE") {
        Some(pattern) if !pattern.is_empty() => Ok(PathBuf::from(expand(pattern, id))),
        _ => Err("without TENURE_STATS_FILE, so its statistics go to its standard error".to_owned()),
    }
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
    fn the_id_stands_wherever_the_pattern_wants_it() {
        assert_eq!(expand(b"/tmp/%p/stats.%p.json%", 12), "/tmp/12/stats.12.json%");
        assert_eq!(expand(b"plain", 12), "plain");
    }

    #[test]
    fn what_the_environment_lacks_is_named() {
        let file = |environment: &str| file_in(environment.replace(' ', "\0").as_bytes(), 7);
        assert_eq!(file("A=b TENURE_STATS_EVERY=1s TENURE_STATS_FILE=/f.%p"), Ok(PathBuf::from("/f.7")));
        assert!(file("A=b").unwrap_err().contains("TENURE_STATS_EVERY"));
        assert!(file("TENURE_STATS_EVERY=1s").unwrap_err().contains("TENURE_STATS_FILE"));
        assert!(file("TENURE_STATS_EVERY=1s TENURE_STATS=prom TENURE_STATS_FILE=f").unwrap_err().contains("prom"));
        assert!(file("TENURE_STATS_EVERY=1s TENURE_STATS_PID=8 TENURE_STATS_FILE=f").unwrap_err().contains("PID=8"));
        assert!(file("TENURE_STATS_EVERY=1s TENURE_STATS_PID=7 TENURE_STATS_FILE=f").is_ok());
    }

    #[test]
    fn this_process_is_running_and_none_has_the_largest_id() {
        assert!(is_running(std::process::id()));
        assert!(!is_running(u32::MAX));
    }
}
