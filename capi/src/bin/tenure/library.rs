//! Where the library is. The loader splits its list of libraries at spaces and colons, so a path with either cannot be
//! preloaded at all.

use std::env;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{self, Path, PathBuf};

use crate::failure::Failure;
use crate::image::Image;

const NAME: &str = "libtenure_malloc.so";

/// The library's absolute path: the given one, or where builds and installations put it.
pub fn find(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = given {
        return check(path);
    }
    let places = usual_places().map_err(|error| Failure::LibraryUnusable(NAME.into(), error.to_string()))?;
    match places.iter().find(|place| place.exists()) {
        Some(place) => check(place),
        None => Err(Failure::LibraryNotFound(places)),
    }
}

/// Beside this command, where cargo builds both; then in the `lib` next to the command's folder, where installations
/// put libraries.
fn usual_places() -> io::Result<Vec<PathBuf>> {
    let command = env::current_exe()?;
    let folder = command.parent().unwrap_or(Path::new("/"));
    let mut places = vec![folder.join(NAME)];
    places.extend(folder.parent().map(|above| above.join("lib").join(NAME)));
    Ok(places)
}

/// Refuses what the loader would skip with a warning, or take for several libraries.
fn check(place: &Path) -> Result<PathBuf, Failure> {
    let unusable = |why: &str| Failure::LibraryUnusable(place.to_owned(), why.to_owned());
    let absolute = path::absolute(place).map_err(|error| unusable(&error.to_string()))?;
    match Image::of(&absolute) {
        Ok(Some(image)) if image.is_library => {}
        Ok(_) => return Err(unusable("not a shared library for this machine")),
        Err(error) => return Err(unusable(&format!("cannot be read: {error}"))),
    }
    if absolute.as_os_str().as_bytes().iter().any(|byte| b" :\t\n".contains(byte)) {
        return Err(unusable("a path with a space or a colon cannot be preloaded"));
    }
    Ok(absolute)
}
