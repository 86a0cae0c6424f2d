//! `tenure report`: statistics of processes as one page, which needs nothing but itself.

mod axis;
mod balance;
mod classes;
mod figures;
mod flame;
mod over_time;
mod page;
mod rounding;
mod tags;

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tenure_profile::atomically;

use crate::options;
use crate::series::{self, InputError};
use flame::{FlameError, FlameGraph};

/// Why there is no page.
#[derive(Debug)]
pub enum ReportError {
    Input(InputError),
    Flame(FlameError),
    Unwritable(PathBuf, io::Error),
    /// The page would go where something is that it is made of.
    OverInput(PathBuf),
}

impl ReportError {
    /// True where whoever read the page has gone away, having read what they wanted.
    pub fn is_of_reader(&self) -> bool {
        matches!(self, Self::Unwritable(_, error) if error.kind() == ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(out),
            Self::Flame(error) => error.fmt(out),
            Self::Unwritable(path, error) => write!(out, "{}: cannot be written: {error}", path.display()),
            Self::OverInput(path) => {
                let path = path.display();
                write!(out, "{path}: is one of the files that the page is made of, and stays; -o names the page")
            }
        }
    }
}

/// Writes the page, and says on standard output what is in it.
pub fn report(options: &options::Report) -> Result<(), ReportError> {
    let files = without_repetitions(&options.files);
    if is_one_of(&options.output, &files) {
        return Err(ReportError::OverInput(options.output.clone()));
    }
    let (profiles, statistics): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| flame::is_profile(file));
    let mut snapshots = Vec::new();
    for file in &statistics {
        snapshots.push(series::read(file).map_err(ReportError::Input)?);
    }
    let profiles = profiles.into_iter().map(FlameGraph::of).collect::<Result<Vec<_>, _>>();
    let profiles = profiles.map_err(ReportError::Flame)?;
    let count = snapshots.iter().map(Vec::len).sum();
    let processes = series::by_process(snapshots);
    let page = page::page(&processes, &profiles).into_string();
    let unwritable = |error| ReportError::Unwritable(options.output.clone(), error);
    if options.output == Path::new("-") {
        return io::stdout().write_all(page.as_bytes()).map_err(unwritable);
    }
    write_whole(&options.output, page.as_bytes()).map_err(unwritable)?;
    let path = options.output.display();
    let contents = match (processes.len(), profiles.len()) {
        (0, profiles) => number(profiles, "profile", "profiles"),
        (processes, _) => {
            format!("{}, {}", number(processes, "process", "processes"), number(count, "snapshot", "snapshots"))
        }
    };
    let line = format!("{path}: {contents}\n");
    // A reader that has gone away does not make the page any worse.
    let _ = io::stdout().write_all(line.as_bytes());
    Ok(())
}

/// The files, each once, under whatever names: its snapshots twice would be two processes.
fn without_repetitions(files: &[PathBuf]) -> Vec<&Path> {
    let mut seen = Vec::new();
    let is_new = |file: &&PathBuf| match identity(file) {
        Some(identity) if seen.contains(&identity) => false,
        Some(identity) => {
            seen.push(identity);
            true
        }
        // Whoever reads it says why it cannot be read.
        None => true,
    };
    files.iter().filter(is_new).map(PathBuf::as_path).collect()
}

/// What tells one file from another, whatever its name.
fn identity(file: &Path) -> Option<(u64, u64)> {
    fs::metadata(file).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// True where the page would replace one of these files.
fn is_one_of(output: &Path, files: &[&Path]) -> bool {
    output != Path::new("-")
        && output.is_file()
        && identity(output).is_some_and(|page| files.iter().any(|file| identity(file) == Some(page)))
}

/// A number of things.
fn number(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Makes `contents` the whole of a file, so that there is never half a page. What is no regular file is written to.
fn write_whole(path: &Path, contents: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return fs::write(path, contents);
    }
    atomically::write(path, |file| file.write_all(contents))
}
