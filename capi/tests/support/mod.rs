//! Building the library as it ships, compiling test programs, and running them on it.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Where the test programs are.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c")
}

/// Where what is built for a test goes.
fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// Builds the library of `package` as it ships; the folder with what is built in the release profile.
fn build(package: &str) -> PathBuf {
    let target = scratch().parent().expect("the folder is inside of the target folder").to_owned();
    let mut cargo = Command::new(env::var_os("CARGO").expect("the tests are run by cargo"));
    cargo.args(["build", "--release", "--quiet", "--package", package, "--lib", "--target-dir"]).arg(&target);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(cargo.status().expect("cargo starts").success(), "{package} cannot be built");
    target.join("release")
}

/// The folder with the library, which this process has built.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("tenure-malloc"))
}

/// The shared library.
pub fn library() -> PathBuf {
    built().join("libtenure_malloc.so")
}

/// The shared library that is hardened, which this process has built.
pub fn hardened_library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("tenure-malloc-hardened").join("libtenure_malloc_hardened.so"))
}

/// The library to be linked into a program.
pub fn archive() -> PathBuf {
    built().join("libtenure_malloc.a")
}

/// Says once that there is no such compiler, in place of what it was needed for.
pub fn has_compiler(name: &str) -> bool {
    let is_there = Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        println!("{name} is missing: what it compiles is not tested");
    }
    is_there
}

/// Compiles a program or, with `-shared` among the options, a library; where it is then. Each source is compiled once.
pub fn compile(source: &'static str, options: &[&OsStr]) -> PathBuf {
    static COMPILED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // Each test binary has its own.
    let target = scratch().join(format!("{}-{source}.out", env!("CARGO_CRATE_NAME")));
    if !compiled.contains(source) {
        let is_cxx = source.ends_with(".cpp");
        let mut command = Command::new(if is_cxx { "g++" } else { "cc" });
        command.arg(if is_cxx { "-std=c++17" } else { "-std=gnu11" });
        // Without its knowledge of allocation functions the compiler leaves all calls in place.
        command.args(["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fno-builtin", "-pthread", "-I"]);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"));
        command.arg(sources().join(source)).arg("-o").arg(&target).args(options).arg("-ldl");
        let output = command.output().expect("the compiler starts");
        assert!(output.status.success(), "{source} does not compile:\n{}", String::from_utf8_lossy(&output.stderr));
        compiled.insert(source);
    }
    target
}

/// A program to be run.
pub struct Run {
    command: Command,
}

impl Run {
    /// `program` on the library.
    pub fn on_tenure(program: &Path) -> Self {
        let mut run = Self::on_system(program);
        run.command.env("LD_PRELOAD", library()).env("ON_TENURE", "1");
        run
    }

    /// `program` on the hardened library.
    pub fn on_hardened(program: &Path) -> Self {
        let mut run = Self::on_system(program);
        run.command.env("LD_PRELOAD", hardened_library()).env("ON_TENURE", "1");
        run
    }

    /// `program` on the system's allocator.
    pub fn on_system(program: &Path) -> Self {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("TENURE_") {
                command.env_remove(name);
            }
        }
        command.env_remove("LD_PRELOAD").env_remove("ON_TENURE");
        Self { command }
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it. What it says on standard error goes to `stderr`.
    pub fn spawn(mut self, stderr: Stdio) -> Child {
        self.command.stdout(Stdio::null()).stderr(stderr).spawn().expect("the program starts")
    }

    pub fn output(mut self) -> Output {
        self.command.output().expect("the program starts")
    }

    /// Runs it, for a minute at most: many times what it takes. Panics where it has not ended by then. What it says is
    /// short.
    pub fn output_in_time(mut self) -> Output {
        let (begun, piped) = (Instant::now(), Stdio::piped);
        let mut child = self.command.stdout(piped()).stderr(piped()).spawn().expect("the program starts");
        while child.try_wait().expect("it can be asked").is_none() {
            if begun.elapsed() > Duration::from_secs(60) {
                child.kill().expect("it can be ended");
                panic!("it does not end: {:?}", self.command);
            }
            thread::sleep(Duration::from_millis(10));
        }
        child.wait_with_output().expect("what it said can be read")
    }

    /// Runs it. Panics unless it succeeds and says nothing on standard error.
    pub fn succeeds(self) {
        let output = self.output();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", output.status);
        assert_eq!(stderr, "", "standard error");
    }

    /// Runs it. Panics unless the library stops it, with one line that contains `reason`.
    pub fn assert_stopped(self, reason: &str) {
        let output = self.output();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}: {stderr}", output.status);
        let lines: Vec<_> = stderr.lines().collect();
        assert!(matches!(lines[..], [line] if line.starts_with("tenure: ") && line.contains(reason)), "{stderr}");
        assert!(!stderr.contains(" 0-byte block"), "a size that nobody has told: {stderr}");
    }
}

/// Asserts that the command has printed nothing, and that one line says why.
#[track_caller]
pub fn assert_refused(output: &Output, status: i32, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert_eq!(said.lines().count(), 1, "not one line: {said}");
    assert!(said.starts_with("tenure: "), "{said}");
    for part in parts {
        assert!(said.contains(part), "`{part}` is missing: {said}");
    }
    assert_eq!(output.stdout, b"");
}
