//! The program's file: found as `execvp` finds it, to say beforehand what cannot be seen afterwards, namely that it
//! will ignore the library.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::image::Image;

const SET_USER_ID: u32 = 0o4000;

/// The executable file of this name: the name itself if it has a slash, else the first in `PATH`.
pub fn locate(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name)).filter(|file| file.exists());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Why the loader will not preload anything into the program, if that can be told from its file.
pub fn ignores_preloading(file: &Path) -> Option<&'static str> {
    let image = Image::of(file).ok().flatten()?;
    if !image.has_loader {
        return Some("it is statically linked");
    }
    let meta = fs::metadata(file).ok()?;
    // This process's own folder belongs to its user.
    let user = fs::metadata("/proc/self").ok()?.uid();
    let gains_rights = meta.permissions().mode() & SET_USER_ID != 0 && meta.uid() != user;
    gains_rights.then_some("it runs with another user's rights")
}
