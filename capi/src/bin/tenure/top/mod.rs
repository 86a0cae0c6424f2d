//! `tenure top`: the memory of a process as it is at the moment, from the file that the library appends its statistics
//! to.

mod follow;
mod keys;
mod rates;
mod screen;
mod settings;
mod source;
mod view;
mod watch;

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};

use crate::options;
use crate::series::{self, InputError};
use source::{Source, SourceError};
use watch::Watch;

/// Why there is nothing to see.
#[derive(Debug)]
pub enum TopError {
    Source(SourceError),
    Input(InputError),
    /// The file has snapshots, and none of this process.
    OfOthersAlone(Source),
    Terminal(io::Error),
    /// The text cannot be written.
    Unwritable(io::Error),
}

impl fmt::Display for TopError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(out),
            Self::Input(error) => error.fmt(out),
            Self::OfOthersAlone(source) => {
                let process = source.process.unwrap_or(0);
                write!(out, "{}: there is no snapshot of process {process} in it", source.file.display())
            }
            Self::Terminal(error) => write!(out, "the terminal cannot be used: {error}"),
            Self::Unwritable(error) => write!(out, "standard output cannot be written: {error}"),
        }
    }
}

/// Shows the memory until it is told to stop; or once, as text.
pub fn top(options: &options::Top) -> Result<(), TopError> {
    let source = source::find(&options.target).map_err(TopError::Source)?;
    if options.once || !io::stdout().is_terminal() {
        return print(source);
    }
    screen::show(&mut Watch::new(source)).map_err(TopError::Terminal)
}

fn print(source: Source) -> Result<(), TopError> {
    let mut watch = Watch::new(source);
    watch.refresh();
    if watch.latest.is_none() {
        // Read as a whole it may have one all the same, whose line has no end yet, and otherwise there is more to be
        // said of what is wrong.
        let snapshots = series::read(&watch.source.file).map_err(TopError::Input)?;
        snapshots.into_iter().for_each(|snapshot| watch.take(snapshot));
    }
    if watch.latest.is_none() {
        return Err(TopError::OfOthersAlone(watch.source));
    }
    let mut stdout = io::stdout();
    match stdout.write_all(view::text(&watch).as_bytes()).and_then(|()| stdout.flush()) {
        // A reader that has gone away has read what it wanted.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(TopError::Unwritable(error)),
        _ => Ok(()),
    }
}
