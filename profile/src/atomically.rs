//! Files that are there whole or not at all: written beside their place, and moved there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process;

/// Has `fill` write a file. Where that fails, nothing is left of it, and what was there before stays.
pub(crate) fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".{}.part", process::id()));
    let beside = path.with_file_name(name);
    let written = File::create(&beside).and_then(|file| {
        let mut writer = BufWriter::new(file);
        fill(&mut writer)?;
        writer.flush()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // What cannot be removed was not made.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_leaves_the_old_file_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("tenure-atomically-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        let file = folder.join("out");
        write(&file, |writer| writer.write_all(b"first")).unwrap();
        let failed = write(&file, |writer| {
            writer.write_all(b"second")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&file).unwrap(), b"first");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
