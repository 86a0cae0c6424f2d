//! The shared libraries that can be preloaded into a program: those that the loader knows, and Tenure's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process;

/// What the loader is asked for, in this order: a name in results, one in tables, the beginnings of file names, and
/// Debian's package.
struct Known {
    name: &'static str,
    label: &'static str,
    files: &'static [&'static str],
    package: &'static str,
}

const KNOWN: [Known; 3] = [
    Known { name: "jemalloc", label: "jemalloc", files: &["libjemalloc.so."], package: "libjemalloc2" },
    Known { name: "mimalloc", label: "mimalloc", files: &["libmimalloc.so."], package: "libmimalloc2.0" },
    Known {
        name: "tcmalloc",
        label: "tcmalloc",
        files: &["libtcmalloc_minimal.so.", "libtcmalloc.so."],
        package: "libtcmalloc-minimal4",
    },
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    pub name: &'static str,
    pub label: &'static str,
    pub path: PathBuf,
}

/// The libraries that are installed, and for each other one a line that says what is missing.
pub fn installed() -> (Vec<Library>, Vec<(&'static str, String)>) {
    let listing = ["ldconfig", "/sbin/ldconfig"]
        .iter()
        .find_map(|program| process::output(process::command(program).arg("-p"), Duration::from_secs(30)).ok());
    let listing = listing.unwrap_or_default();
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for known in KNOWN {
        match find(&listing, known.files) {
            Some(path) => found.push(Library { name: known.name, label: known.label, path }),
            None => missing.push((known.name, format!("not installed; Debian's package is {}", known.package))),
        }
    }
    (found, missing)
}

/// The path of the first library whose name begins so, of this machine's kind.
fn find(listing: &str, names: &[&str]) -> Option<PathBuf> {
    let kind = match std::env::consts::ARCH {
        "x86_64" => "x86-64",
        "aarch64" => "AArch64",
        _ => "",
    };
    names.iter().find_map(|name| {
        let lines = listing.lines().map(str::trim).filter(|line| line.starts_with(name));
        lines.filter(|line| line.contains(kind)).find_map(|line| Some(PathBuf::from(line.split_once("=> ")?.1)))
    })
}

/// Says why a library is of no use: the loader reports on standard error what it cannot preload, and goes on without.
pub fn verify(library: &Path) -> Result<(), String> {
    let mut command = process::command("sh");
    command.args(["-c", "exec 2>&1; LD_PRELOAD=\"$0\" /bin/true"]).arg(library);
    let said = process::output(&mut command, Duration::from_secs(30))?;
    match said.lines().next() {
        None => Ok(()),
        Some(line) => Err(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "3 libs found in cache\n\tlibjemalloc.so.2 (libc6) => /lib/i386/libjemalloc.so.2\n\
        \tlibjemalloc.so.2 (libc6,x86-64) => /usr/lib/libjemalloc.so.2\n\tlibtcmalloc.so.4 (libc6,x86-64) => /usr/lib/libtcmalloc.so.4\n";

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_library_is_found_for_this_machine_under_any_of_its_names() {
        assert_eq!(find(LISTING, &["libjemalloc.so."]), Some("/usr/lib/libjemalloc.so.2".into()));
        let names = ["libtcmalloc_minimal.so.", "libtcmalloc.so."];
        assert_eq!(find(LISTING, &names), Some("/usr/lib/libtcmalloc.so.4".into()));
        assert_eq!(find(LISTING, &["libmimalloc.so."]), None);
    }

    #[test]
    fn a_file_that_is_no_library_is_refused() {
        let why = verify(Path::new("/there/is/no.so")).unwrap_err();
        assert!(why.contains("/there/is/no.so"), "{why}");
    }
}
