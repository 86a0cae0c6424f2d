//! What the command line asks for.

use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

pub const USAGE: &str = "\
Indexes the words of every text file below a directory.

Usage: word_index [--threads N] [DIR]

  DIR          the directory to index (default: the project, under `cargo run`;
               otherwise the current directory)
  --threads N  how many readers, and as many tokenisers, work at once: 1 to 255
               (default: one of each for every processor)
  --help       print this text

Exit status: 0 done, 1 DIR cannot be indexed, 2 wrong usage.
";

pub enum Command {
    Help,
    Index { dir: Option<PathBuf>, threads: NonZero<u8> },
}

impl Command {
    /// Reads the arguments, the program's name left out. The error is one line that names the misuse.
    pub fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut dir = None;
        let mut threads = one_per_processor();
        while let Some(argument) = arguments.next() {
            if argument == "--help" || argument == "-h" {
                return Ok(Self::Help);
            } else if argument == "--threads" {
                threads = thread_count(arguments.next())?;
            } else if argument.as_encoded_bytes().starts_with(b"-") {
                return Err(format!("unknown option {argument:?}"));
            } else if dir.is_some() {
                return Err(format!("one DIR at most, but {argument:?} is a second"));
            } else {
                dir = Some(PathBuf::from(argument));
            }
        }
        Ok(Self::Index { dir, threads })
    }
}

fn one_per_processor() -> NonZero<u8> {
    thread::available_parallelism()
        .map_or(NonZero::<u8>::MIN, |processors| processors.try_into().unwrap_or(NonZero::<u8>::MAX))
}

fn thread_count(value: Option<OsString>) -> Result<NonZero<u8>, String> {
    let value = value.ok_or("--threads needs a number from 1 to 255")?;
    value
        .to_str()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!("--threads needs a number from 1 to 255, not {value:?}"))
}
