//! The preload library, built once for each test binary. Cargo builds the commands of a package for its tests, but not a library that no Rust
//! program can link to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of `libtenure_malloc.so`, optimised, as its users have it.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder of the target directory");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--package", "tenure-malloc", "--lib", "--target-dir"])
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo can be run");
        assert!(status.success(), "the library cannot be built");
        target.join("release/libtenure_malloc.so")
    })
}
