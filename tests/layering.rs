//! The layers, held against the sources: imports go down only, and what has one home stays there.

use std::fs;
use std::path::{Path, PathBuf};

#[global_allocator]
static GLOBAL: tenure::Tenure = tenure::Tenure::new();

struct Source {
    path: PathBuf,
    text: String,
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<Source> {
    fn visit(folder: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).expect("a source folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file can be read");
                found.push(Source { path: path.strip_prefix(src()).expect("below src").to_owned(), text });
            }
        }
    }
    let mut found = Vec::new();
    visit(&src(), &mut found);
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// The top-level modules, from the bottom up, as `lib.rs` declares them.
fn layers() -> Vec<String> {
    let lib = fs::read_to_string(src().join("lib.rs")).expect("lib.rs can be read");
    lib.lines().filter_map(|line| line.trim().strip_prefix("mod ")?.strip_suffix(';')).map(str::to_owned).collect()
}

impl Source {
    /// The top-level module to which the file belongs.
    fn layer(&self) -> String {
        let first = self.path.components().next().expect("a path has a component");
        first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
    }

    /// True for tests, which may look at whatever they like.
    fn is_test(&self) -> bool {
        self.path.components().any(|part| {
            let name = part.as_os_str().to_string_lossy();
            name.trim_end_matches(".rs").ends_with("tests")
        })
    }

    /// Lines of code, numbered, without comments and without the tests at a file's end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        let code = lines.take_while(|(_, line)| !(line.starts_with("mod ") && line.ends_with("tests {")));
        code.map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
    }

    /// The top-level modules that the file names, with the line.
    fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (number, line) in self.code() {
            for rest in line.split("crate::").skip(1) {
                assert!(!rest.starts_with('{'), "{}:{number}: one `use` for each module, please", self.path.display());
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                found.push((number, name));
            }
        }
        found
    }

    fn assert_names_none_of(&self, forbidden: &[&str], home: &str) {
        for (number, line) in self.code() {
            for name in forbidden {
                assert!(!line.contains(name), "{}:{number}: `{name}` belongs in {home}", self.path.display());
            }
        }
    }
}

#[test]
fn a_module_imports_only_from_the_layers_below_it() {
    let layers = layers();
    let rank = |name: &str| layers.iter().position(|layer| layer == name);
    let mut checked = 0;
    for source in sources().iter().filter(|source| !source.is_test() && source.layer() != "lib") {
        let own = rank(&source.layer()).unwrap_or_else(|| panic!("{} is in no layer", source.path.display()));
        for (number, import) in source.imports() {
            let place = format!("{}:{number}", source.path.display());
            let imported = rank(&import).unwrap_or_else(|| panic!("{place}: `{import}` is no layer"));
            assert!(imported <= own, "{place}: `{}` imports `{import}`, which is above it", source.layer());
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} imports were found: does the check still see them?");
}

/// What the formatter sees to for code. A table's rows cannot be broken.
#[test]
fn comments_are_no_wider_than_code() {
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            let comment = line.trim_start();
            let is_text = comment.starts_with("//") && !comment.starts_with("/// |");
            assert!(!is_text || line.chars().count() <= 120, "{}:{} is too wide", source.path.display(), index + 1);
        }
    }
}

#[test]
fn atomics_and_cells_come_from_sync_alone() {
    for source in sources().iter().filter(|source| !source.is_test() && source.layer() != "sync") {
        source.assert_names_none_of(&["sync::atomic", "core::cell", "std::cell", "loom::"], "sync.rs");
    }
}

#[test]
fn operating_systems_are_told_apart_in_one_file() {
    for source in sources().iter().filter(|source| source.path != Path::new("os/mod.rs")) {
        source.assert_names_none_of(&["target_os"], "os/mod.rs");
    }
}

#[test]
fn the_c_library_is_called_from_os_alone() {
    for source in sources().iter().filter(|source| !source.is_test() && source.layer() != "os") {
        source.assert_names_none_of(&["libc::"], "os/");
    }
}

#[test]
fn pure_arithmetic_forbids_unsafe_code() {
    let names = [
        "align.rs",
        "arena/bump.rs",
        "arena/hash.rs",
        "arena/likely.rs",
        "guarded/grid.rs",
        "number.rs",
        "sampling/levels.rs",
        "sampling/mix.rs",
        "sampling/throttle.rs",
        "segment/runs.rs",
        "size_class.rs",
    ];
    for name in names {
        let text = fs::read_to_string(src().join(name)).expect("the file can be read");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{name} does not forbid unsafe code");
    }
}
