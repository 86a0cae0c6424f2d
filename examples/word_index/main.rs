//! Indexes the words of every text file below a directory, and shows what that cost in memory.
//!
//! The program needs both kinds of memory. What it knows for good (its settings, the vocabulary) is placed once
//! in static memory; what comes and goes is dynamic, and file contents and the counts per file are freed by another
//! thread than the one which allocated them.
//!
//! ```text
//! walk ── paths ──> readers ── contents ──> tokenisers ── counts ──> merger ──> report
//! ```

mod command;
mod file;
mod index;
mod pipeline;
mod report;
mod settings;
mod skipped;
mod walk;

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs};

use tenure::{StaticArena, Tenure};

use command::Command;
use index::Index;
use report::Report;
use settings::Settings;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Room for the settings and for some hundred thousand words.
type StaticMemory = StaticArena<{ 4 << 20 }>;

static STATIC_MEMORY: StaticMemory = StaticMemory::new();

const FAILED: u8 = 1;
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let done = match Command::parse(env::args_os().skip(1)) {
        Ok(Command::Help) => print(command::USAGE),
        Ok(Command::Index { dir, threads }) => {
            run(&dir.unwrap_or_else(project), Settings::place(&STATIC_MEMORY, threads))
        }
        Err(misuse) => return fail(&format!("{misuse} (--help explains)"), MISUSED),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure, FAILED),
    }
}

/// The project whose example this is when `cargo run` starts it, or else the current directory.
fn project() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

fn run(dir: &Path, settings: &'static Settings) -> Result<(), String> {
    let start = Instant::now();
    require_directory(dir)?;
    let (files, mut skipped) = walk::files_below(dir, settings).map_err(|e| cannot_index(dir, e))?;
    let mut index = Index::new(&STATIC_MEMORY);
    let unread =
        pipeline::index_files(&files, settings, &mut index).map_err(|e| format!("cannot start a thread: {e}"))?;
    skipped.extend(unread);
    skipped::sort(&mut skipped);
    let elapsed = start.elapsed();

    skipped::first_few(&skipped).iter().for_each(|line| tell(line));
    let report = Report { dir, settings, index: &index, skipped: &skipped, elapsed };
    // The index is still held here, so the table shows what it occupies.
    print(&format!("{report}\nmemory of the whole run\n{}\n", GLOBAL.stats()))
}

fn require_directory(dir: &Path) -> Result<(), String> {
    match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(cannot_index(dir, "it is not a directory")),
        Err(error) => Err(cannot_index(dir, error)),
    }
}

fn cannot_index(dir: &Path, why: impl Display) -> String {
    format!("cannot index {dir:?}: {why}")
}

/// Prints to standard output. A reader which has seen enough (`word_index | head`) is no failure.
fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("cannot print the results: {error}")),
        _ => Ok(()),
    }
}

fn fail(why: &str, status: u8) -> ExitCode {
    tell(why);
    ExitCode::from(status)
}

/// Prints one line to standard error. If nobody listens there, the report and the exit status still say it.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "word_index: {line}");
}
