//! Destination: the file that a report goes to. It is there whole or not at all: what cannot be written to its end is
//! taken back.

use super::output::Output;
use super::path::Path;
use crate::os::io::{self, Failure, File};
use core::fmt::{self, Write};

/// Room for what a report needs beside itself.
pub(super) struct Room {
    /// A whole report but for the longest: so those of several processes in one file do not mix.
    pub(super) buffer: [u8; 64 * 1024],
    pub(super) name: Path,
    pub(super) beside: Path,
}

impl Room {
    pub(super) const EMPTY: Room = Room { buffer: [0; 64 * 1024], name: Path::NONE, beside: Path::NONE };
}

/// A report, which writes itself.
pub(super) type Report<'a> = &'a dyn Fn(&mut dyn Write) -> fmt::Result;

/// Appends a report to a file that is open. Where not all of it could be written, and nobody has written behind it,
/// none of it stays.
pub(super) fn append(file: &File, buffer: &mut [u8], report: Report<'_>) -> Result<(), Failure> {
    let before = file.len();
    let mut output = Output::new(file, buffer);
    // What fails is known to `finish`.
    let _ = report(&mut output);
    let (written, failure) = output.finish();
    let Some(failure) = failure else { return Ok(()) };
    if let Some(before) = before
        && written > 0
        && file.len() == Some(before + written)
    {
        file.cut(before);
    }
    Err(failure)
}

/// Appends a report to the file of this name.
pub(super) fn append_to(room: &mut Room, report: Report<'_>) -> Result<(), Failure> {
    append(&File::append(room.name.as_c_str())?, &mut room.buffer, report)
}

/// Makes a report the whole of the file of this name, or of the file that the name leads to as a link: written beside
/// it and renamed, so whoever reads finds the old one or the new one. What is no regular file is written to as it is.
pub(super) fn replace(room: &mut Room, process: u32, report: Report<'_>) -> Result<(), Failure> {
    follow(&mut room.name, &mut room.buffer);
    if io::is_irregular(room.name.as_c_str()) {
        return append_to(room, report);
    }
    let Room { buffer, name, beside } = room;
    beside.clear();
    let is_named = beside.push(name.get().unwrap_or_default()).is_some() && write!(beside, ".{process}.tmp").is_ok();
    if !is_named {
        // There is no room beside so long a name.
        return append(&File::create(name.as_c_str())?, buffer, report);
    }
    let beside = beside.as_c_str();
    // One of an earlier process with the same id.
    io::remove(beside);
    let written = File::create_new(beside).and_then(|file| append(&file, buffer, report));
    let result = written.and_then(|()| io::rename(beside, name.as_c_str()));
    if result.is_err() {
        io::remove(beside);
    }
    result
}

/// How many links may lead on to a file.
const MAX_LINKS: usize = 16;

/// Makes `name` that of the file to which it leads as a link. Links of the system's, such as `/dev/stdout`, stay: what
/// they lead to may be open without a name.
fn follow(name: &mut Path, buffer: &mut [u8]) {
    for _ in 0..MAX_LINKS {
        let path = name.get().unwrap_or_default();
        if path.starts_with(b"/proc/") || path.starts_with(b"/dev/") {
            return;
        }
        let Some(target) = io::read_link(name.as_c_str(), buffer) else { return };
        // It is seen from the link's folder, unless it begins at the root.
        let folder = match target.first() {
            Some(b'/') => 0,
            _ => path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1),
        };
        name.cut(folder);
        if name.push(target).is_none() {
            return;
        }
    }
}
