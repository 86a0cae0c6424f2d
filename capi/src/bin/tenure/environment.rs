//! What the program's environment says beyond this command's own. The process id in it is this command's: the program,
//! which takes its place, has the same.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{self, Path};
use std::process::{self, Command};

use crate::options::Run;

/// Puts the library and the run's options into the environment of a program that is not started yet.
pub fn prepare(program: &mut Command, run: &Run, library: &Path) -> io::Result<()> {
    let others = env::var_os("LD_PRELOAD").unwrap_or_default();
    program.env("LD_PRELOAD", preload(library.as_os_str(), &others));
    if run.python {
        program.env("PYTHONMALLOC", "malloc");
    }
    if let Some(file) = &run.stats {
        program.env("TENURE_STATS", run.format.name());
        match file {
            // The program may change its directory before it ends.
            Some(file) => program.env("TENURE_STATS_FILE", path::absolute(file)?),
            None => program.env_remove("TENURE_STATS_FILE"),
        };
    }
    if let Some(file) = &run.profile {
        program.env("TENURE_PROFILE", path::absolute(file)?);
    }
    if run.leaks {
        program.env("TENURE_LEAKS", "1");
    }
    if run.profile.is_some() || run.leaks {
        program.env("TENURE_COMMAND", env::current_exe()?);
    }
    if run.children {
        program.env_remove("TENURE_STATS_PID");
    } else if run.asks() || (asks() && env::var_os("TENURE_STATS_PID").is_none()) {
        program.env("TENURE_STATS_PID", process::id().to_string());
    }
    Ok(())
}

/// Variables by which processes are asked to print or write something.
const ASKING: [&str; 5] =
    ["TENURE_STATS", "TENURE_STATS_EVERY", "TENURE_STATS_SIGNAL", "TENURE_PROFILE", "TENURE_LEAKS"];

/// True where the environment asks the program to print or write something, whatever the options say.
pub fn asks() -> bool {
    ASKING.iter().any(|name| env::var_os(name).is_some())
}

/// The library first, so that its malloc is the one that is found; then what was there, without a second mention of the
/// library.
fn preload(library: &OsStr, others: &OsStr) -> OsString {
    let mut list = library.as_bytes().to_vec();
    let others = others.as_bytes().split(|byte| b" :".contains(byte));
    for other in others.filter(|other| !other.is_empty() && *other != library.as_bytes()) {
        list.push(b':');
        list.extend_from_slice(other);
    }
    OsString::from_vec(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preload_str(library: &str, others: &str) -> String {
        preload(library.as_ref(), others.as_ref()).into_string().unwrap()
    }

    #[test]
    fn the_library_comes_first_and_the_others_stay() {
        assert_eq!(preload_str("/t.so", ""), "/t.so");
        assert_eq!(preload_str("/t.so", "/a.so:/b.so c.so"), "/t.so:/a.so:/b.so:c.so");
    }

    #[test]
    fn a_run_inside_a_run_names_the_library_once() {
        assert_eq!(preload_str("/t.so", "/a.so:/t.so"), "/t.so:/a.so");
    }
}
