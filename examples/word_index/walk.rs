//! Finds the files below a directory. Links to directories are not followed, so there is no loop to fall into.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use crate::settings::Settings;
use crate::skipped::{Reason, Skipped};

enum Kind {
    File,
    Directory,
    Skip(Reason),
}

/// The files below `root`, sorted by path, and what was skipped on the way.
///
/// # Errors
///
/// If `root` itself cannot be listed. A directory below it that cannot is skipped.
pub fn files_below(root: &Path, settings: &Settings) -> io::Result<(Vec<PathBuf>, Vec<Skipped>)> {
    fs::read_dir(root)?;
    let mut files = Vec::new();
    let mut skipped = Vec::new();
    let mut unvisited = vec![root.to_path_buf()];
    while let Some(dir) = unvisited.pop() {
        let mut skip = |path, reason| skipped.push(Skipped { path, reason });
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) => {
                skip(dir, Reason::Unreadable(error));
                continue;
            }
        };
        for entry in entries {
            match entry.and_then(|entry| Ok((kind_of(&entry, settings)?, entry.path()))) {
                Ok((Kind::File, path)) => files.push(path),
                Ok((Kind::Directory, path)) => unvisited.push(path),
                Ok((Kind::Skip(reason), path)) => skip(path, reason),
                Err(error) => skip(dir.clone(), Reason::Unreadable(error)),
            }
        }
    }
    files.sort_unstable();
    Ok((files, skipped))
}

/// Looks at an entry without opening it: to open a pipe would be to wait for its writer.
fn kind_of(entry: &DirEntry, settings: &Settings) -> io::Result<Kind> {
    let kind = entry.file_type()?;
    Ok(if kind.is_symlink() {
        kind_of_target(&entry.path())
    } else if kind.is_file() {
        Kind::File
    } else if !kind.is_dir() {
        Kind::Skip(Reason::Special)
    } else if settings.directories_set_aside.iter().any(|name| entry.file_name() == *name) {
        Kind::Skip(Reason::SetAside)
    } else {
        Kind::Directory
    })
}

/// A link to a file counts as that file; one that leads nowhere, or to itself, is unreadable.
fn kind_of_target(link: &Path) -> Kind {
    match fs::metadata(link) {
        Ok(target) if target.is_file() => Kind::File,
        Ok(target) if target.is_dir() => Kind::Skip(Reason::LinkToDirectory),
        Ok(_) => Kind::Skip(Reason::Special),
        Err(error) => Kind::Skip(Reason::Unreadable(error)),
    }
}
