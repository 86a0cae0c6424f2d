//! Files that are there whole or not at all: written beside their place, and moved there. For the command `tenure`,
//! too, but no part of the interface.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process;

/// Has `fill` write a file, or the one to which it leads as a link. Where that fails, nothing is left of it, and what
/// was there before stays.
///
/// # Errors
///
/// Those of `fill` and of the system.
pub fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // What a link leads to that is no file cannot be replaced.
    let target = fs::metadata(path).is_ok_and(|meta| meta.is_file()).then(|| fs::canonicalize(path)).transpose()?;
    let path = target.as_deref().unwrap_or(path);
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".{}.part", process::id()));
    let beside = path.with_file_name(name);
    // A process of the same id that was ended may have left it. No link of that name is followed.
    let _ = fs::remove_file(&beside);
    let written = File::create_new(&beside).and_then(|file| {
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
    use std::os::unix::fs::symlink;

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

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let folder = std::env::temp_dir().join(format!("tenure-atomically-link-{}", process::id()));
        fs::create_dir_all(folder.join("there")).unwrap();
        let (file, link) = (folder.join("there/file"), folder.join("link"));
        fs::write(&file, b"first").unwrap();
        symlink("there/file", &link).unwrap();
        write(&link, |writer| writer.write_all(b"second")).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"second");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn no_link_is_followed_that_waits_for_the_file_beside() {
        let folder = std::env::temp_dir().join(format!("tenure-atomically-trap-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("other"), b"other").unwrap();
        symlink("other", folder.join(format!("out.{}.part", process::id()))).unwrap();
        write(&folder.join("out"), |writer| writer.write_all(b"new")).unwrap();
        assert_eq!(fs::read(folder.join("other")).unwrap(), b"other");
        assert!(!folder.join("out").is_symlink());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        fs::remove_dir_all(&folder).unwrap();
    }
}
