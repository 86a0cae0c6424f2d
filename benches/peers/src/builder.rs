//! Builds programs with Cargo: the contender once for each allocator, and the library that is preloaded.

use std::env;
use std::fs;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::{Artifact, BuildScript, Message};

use crate::catalogue::Allocator;
use crate::options::Profile;

/// A contender that has been built.
#[derive(Debug, Clone)]
pub struct Built {
    pub program: PathBuf,
    /// What the allocator is, with the versions of its crates.
    pub about: String,
}

const CONTENDER: &str = "tenure-peers-contender";

/// The folder of the workspace that this program was built from.
pub fn workspace() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).expect("the package is two folders below the workspace")
}

/// The contender on an allocator, copied to where the next build leaves it alone.
pub fn contender(allocator: &Allocator, profile: Profile) -> Result<Built, String> {
    let mut arguments = vec!["--profile", profile.cargo_name(), "--package", CONTENDER];
    if let Some(feature) = allocator.feature() {
        arguments.extend(["--features", feature]);
    }
    let output = build(&arguments)?;
    if let Some(script) = output.scripts.iter().find(|script| script.package_id.repr.contains("snmalloc-sys")) {
        verify_optimised(script)?;
    }
    let is_program = |artifact: &&Artifact| artifact.target.name == CONTENDER;
    let program = output.artifacts.iter().filter(is_program).find_map(|artifact| artifact.executable.as_ref());
    let program = program.ok_or("cargo names no program")?.as_std_path();
    let target = program.ancestors().nth(2).ok_or("the program is in no folder")?;
    let folder = target.join("peers").join(profile.cargo_name());
    let copy = folder.join(allocator.name);
    fs::create_dir_all(&folder)
        .and_then(|()| fs::copy(program, &copy))
        .map_err(|error| format!("{}: {error}", copy.display()))?;
    Ok(Built { program: copy, about: about(allocator, &output.artifacts) })
}

/// The shared library of Tenure.
pub fn library() -> Result<PathBuf, String> {
    let output = build(&["--release", "--package", "tenure-malloc", "--lib"])?;
    let files = output.artifacts.iter().flat_map(|artifact| &artifact.filenames);
    let library = files.map(|file| file.as_std_path()).find(|file| file.ends_with("libtenure_malloc.so"));
    library.map(Path::to_owned).ok_or_else(|| "cargo names no library".to_owned())
}

/// What Cargo says that it has built.
struct Output {
    artifacts: Vec<Artifact>,
    scripts: Vec<BuildScript>,
}

fn build(arguments: &[&str]) -> Result<Output, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut errors = tempfile::tempfile().map_err(|error| format!("a temporary file: {error}"))?;
    let stderr = errors.try_clone().map_err(|error| format!("a temporary file: {error}"))?;
    let mut child = Command::new(cargo)
        .arg("build")
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .map_err(|error| format!("cargo: {error}"))?;
    let mut output = Output { artifacts: Vec::new(), scripts: Vec::new() };
    let stdout = child.stdout.take().ok_or("cargo has no output")?;
    for message in Message::parse_stream(BufReader::new(stdout)) {
        match message.map_err(|error| format!("cargo: {error}"))? {
            Message::CompilerArtifact(artifact) => output.artifacts.push(artifact),
            Message::BuildScriptExecuted(script) => output.scripts.push(script),
            _ => {}
        }
    }
    let status = child.wait().map_err(|error| format!("cargo: {error}"))?;
    if status.success() {
        return Ok(output);
    }
    let mut text = String::new();
    let _ = errors.rewind().and_then(|()| errors.read_to_string(&mut text));
    Err(format!("not built: {}", gist(&text)))
}

/// What a failed build says of its cause, on one line: its first error, and the last lines, in which C compilers and
/// their kin have their say.
fn gist(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let first = lines.iter().position(|line| line.starts_with("error"));
    let telling =
        first.map_or(&lines[lines.len().saturating_sub(1)..], |first| &lines[first..lines.len().min(first + 1)]);
    let cause = lines.iter().rev().find(|line| line.contains("is `cmake` not installed") || line.contains("not found"));
    let parts: Vec<_> = telling.iter().chain(cause.filter(|cause| !telling.contains(cause))).copied().collect();
    parts.join("; ")
}

/// snmalloc's build takes the least debug information for a wish for a debugging build, whose figures would be
/// nobody's.
fn verify_optimised(script: &BuildScript) -> Result<(), String> {
    let cache = script.out_dir.as_std_path().join("build").join("CMakeCache.txt");
    let text = fs::read_to_string(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    if is_optimised(&text) { Ok(()) } else { Err(format!("{}: not an optimised build", cache.display())) }
}

fn is_optimised(cache: &str) -> bool {
    let value = |name: &str| cache.lines().find_map(|line| line.strip_prefix(name)?.split_once('=').map(|pair| pair.1));
    value("CMAKE_BUILD_TYPE:") == Some("Release")
        && value("CMAKE_CXX_FLAGS_RELEASE:").is_some_and(|flags| flags.contains("-O3") && flags.contains("-DNDEBUG"))
}

/// What an allocator is, with the versions of its crates among what was built.
fn about(allocator: &Allocator, artifacts: &[Artifact]) -> String {
    let version = |name: &&str| {
        let ids = artifacts.iter().filter(|artifact| {
            // Libraries have the crate's name with underscores.
            artifact.target.name == name.replace('-', "_") && artifact.executable.is_none()
        });
        let version = ids.filter_map(|artifact| artifact.package_id.repr.rsplit(['@', '#']).next()).next()?;
        Some(format!("{name} {version}"))
    };
    let versions: Vec<_> = allocator.crates.iter().filter_map(version).collect();
    if versions.is_empty() {
        allocator.about.to_owned()
    } else {
        format!("{}; {}", allocator.about, versions.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_with_assertions_is_not_taken_for_an_optimised_one() {
        let cache = |kind: &str, flags: &str| {
            format!("CMAKE_BUILD_TYPE:STRING={kind}\nCMAKE_CXX_FLAGS_RELEASE:STRING={flags}\n")
        };
        assert!(is_optimised(&cache("Release", "-O3 -DNDEBUG")));
        assert!(!is_optimised(&cache("Debug", "-O3 -DNDEBUG")));
        assert!(!is_optimised(&cache("Release", "-O2")));
        assert!(!is_optimised(""));
    }

    #[test]
    fn a_failed_build_is_told_in_one_line_with_its_cause() {
        let text = "   Compiling a\nerror: failed to run custom build command for `x`\n\n  thread panicked:\n  is `cmake` not installed?\n";
        assert_eq!(gist(text), "error: failed to run custom build command for `x`; is `cmake` not installed?");
        assert_eq!(gist("nothing known\n"), "nothing known");
        assert_eq!(gist(""), "");
    }

    #[test]
    fn the_workspace_has_this_package() {
        assert!(workspace().join("benches/peers/Cargo.toml").is_file());
    }
}
