//! Machinery: functions on the way from a program to its memory, the allocator's own and the standard library's.
//!
//! They are told by their names, and by the files that they are written in: debug information of lines alone has no
//! path in the names of functions that were inlined.

use crate::symbols::Frame;

/// Files of the allocator, through one of which each allocation goes that is a sample.
const SOURCES: [&str; 8] = [
    "/src/global/resize.rs",
    "/src/global/samples.rs",
    "/src/global/slow.rs",
    "/src/global/typed.rs",
    "/src/global/untyped.rs",
    "/src/sampling/profile.rs",
    "/src/sampling/rules.rs",
    "/src/sampling/unwind.rs",
];

/// Where the allocator's own files were when the program was built; beneath it those of the C library, where the
/// program was linked with that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Folder<'a>(&'a str);

impl<'a> Folder<'a> {
    /// The folder that a frame of the allocator's tells; `None` for frames that tell none.
    pub(crate) fn told_by(frame: &'a Frame) -> Option<Self> {
        SOURCES.iter().find_map(|source| frame.file.strip_suffix(source)).map(Self)
    }

    fn contains(self, file: &str) -> bool {
        let inside = file.strip_prefix(self.0);
        inside.is_some_and(|inside| inside.starts_with("/src/") || inside.starts_with("/capi/src/"))
    }
}

/// True for functions that stand between a program and its allocator, and for the allocator's own.
pub(crate) fn is_allocators(frame: &Frame, folder: Option<Folder<'_>>) -> bool {
    let is_placed_so = || {
        let in_library = in_library(&frame.file, "alloc");
        in_library.is_some_and(|file| ["alloc.rs", "raw_vec.rs", "raw_vec/mod.rs"].contains(&file))
            || folder.is_some_and(|folder| folder.contains(&frame.file))
    };
    is_named(
        frame,
        &["tenure::", "tenure_malloc::", "alloc::alloc::", "alloc::raw_vec::", "__rust_", "__rustc", "__rg_", "__rdl_"],
    ) || is_placed_so()
}

/// True for functions of the standard library that may stand between two of the allocator's.
pub(crate) fn is_glue(frame: &Frame) -> bool {
    is_named(frame, &["core::"]) || in_library(&frame.file, "core").is_some()
}

/// True for functions of the standard library, and of what it is made of.
pub(crate) fn is_standard(frame: &Frame) -> bool {
    // A name does not tell whether a function was written there: C++ has a `std`, too.
    match frame.file.as_str() {
        "" => is_named(frame, &["alloc::", "core::", "std::"]),
        file => {
            file.starts_with("/rust/deps/")
                || ["alloc", "core", "std"].iter().any(|library| in_library(file, library).is_some())
        }
    }
}

fn is_named(frame: &Frame, prefixes: &[&str]) -> bool {
    let name = frame.function.trim_start_matches('<');
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Which file of one of the standard library's parts this is, wherever that library's own files are.
fn in_library<'a>(file: &'a str, library: &str) -> Option<&'a str> {
    let (_, inside) = file.rsplit_once("/library/")?;
    inside.strip_prefix(library)?.strip_prefix("/src/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn frame(function: &str, file: &str) -> Frame {
        Frame { file: file.to_owned(), ..Frame::named(function) }
    }

    #[test]
    fn the_allocators_functions_are_told_from_the_programs() {
        for name in [
            "tenure::global::slow::alloc",
            "<tenure::global::Tenure as core::alloc::global::GlobalAlloc>::alloc",
            "<alloc::alloc::Global as core::alloc::Allocator>::allocate",
            "alloc::raw_vec::RawVecInner<A>::try_allocate_in",
            "__rust_alloc",
            "__rustc::__rust_alloc",
        ] {
            assert!(is_allocators(&frame(name, ""), None), "{name}");
        }
        for name in ["main", "tenured", "<alloc::vec::Vec<T> as core::clone::Clone>::clone", "allocate"] {
            assert!(!is_allocators(&frame(name, ""), None), "{name}");
        }
    }

    #[test]
    fn the_allocators_functions_are_told_by_their_files_where_names_have_no_path() {
        let walk = frame("walk", "/home/me/.cargo/registry/src/x/tenure-0.1.0/src/sampling/unwind.rs");
        let folder = Folder::told_by(&walk);
        for (name, file) in [
            ("if_short_reclaim<u8>", "/home/me/.cargo/registry/src/x/tenure-0.1.0/src/global/upkeep.rs"),
            ("malloc", "/home/me/.cargo/registry/src/x/tenure-0.1.0/capi/src/basic.rs"),
            ("alloc_impl", "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/alloc/src/alloc.rs"),
            ("allocate", "/home/me/.rustup/toolchains/x/lib/rustlib/src/rust/library/alloc/src/alloc.rs"),
            ("with_capacity_in<A>", "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/alloc/src/raw_vec/mod.rs"),
        ] {
            assert!(is_allocators(&frame(name, file), folder), "{name} {file}");
        }
        for (name, file) in [
            ("main", "/home/me/src/main.rs"),
            ("alloc", "/home/me/.cargo/registry/src/x/tenure-0.1.0/profile/src/exit.rs"),
            ("alloc", "/home/me/.cargo/registry/src/x/tenure-0.1.0-fork/src/global/upkeep.rs"),
            ("with_capacity<u8>", "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/alloc/src/vec/mod.rs"),
        ] {
            assert!(!is_allocators(&frame(name, file), folder), "{name} {file}");
        }
        assert_eq!(Folder::told_by(&frame("alloc", "/home/me/src/global/mod.rs")), None);
    }

    #[test]
    fn the_files_that_tell_where_the_allocator_is_are_there() {
        for source in SOURCES {
            let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(&source[1..]);
            assert!(file.exists(), "{}", file.display());
        }
    }

    #[test]
    fn the_standard_librarys_functions_are_told_by_their_files_and_else_by_their_names() {
        for (name, file) in [
            ("collect<u8>", "/rustc/59807616/library/core/src/iter/traits/iterator.rs"),
            ("<alloc::string::String>::with_capacity", "/rustc/59807616/library/alloc/src/string.rs"),
            ("lang_start", "/x/lib/rustlib/src/rust/library/std/src/rt.rs"),
            ("resize", "/rust/deps/hashbrown-0.16.1/src/raw.rs"),
            ("<alloc::vec::Vec<u8>>::with_capacity", ""),
        ] {
            assert!(is_standard(&frame(name, file)), "{name} {file}");
        }
        for (name, file) in [
            ("std::vector<int>::push_back", "/usr/include/c++/12/bits/stl_vector.h"),
            ("with_capacity", "/home/me/library/src/lib.rs"),
            ("standard", ""),
        ] {
            assert!(!is_standard(&frame(name, file)), "{name} {file}");
        }
    }
}
