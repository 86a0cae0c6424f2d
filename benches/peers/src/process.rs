//! Runs one program to its end, or to the end of its time.

use std::env;
use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::Duration;

use wait_timeout::ChildExt;

/// What settings of allocators in the environment begin with. A program that is measured sees none of them.
const SETTINGS: [&str; 6] = ["LD_PRELOAD", "MALLOC_", "MIMALLOC_", "_RJEM_MALLOC_", "GLIBC_TUNABLES", "TENURE_"];

/// A program in an environment that says nothing to allocators.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| SETTINGS.iter().any(|setting| name.starts_with(setting))) {
            command.env_remove(name);
        }
    }
    command
}

/// What a program prints, if it succeeds in time; or why there is nothing, on one line.
pub fn output(command: &mut Command, timeout: Duration) -> Result<String, String> {
    // Files, since pipes that nobody reads fill up.
    let (mut output, mut errors) = (file()?, file()?);
    command.stdin(Stdio::null()).stdout(share(&output)?).stderr(share(&errors)?);
    let mut child = command.spawn().map_err(|error| format!("cannot be run: {error}"))?;
    let status = child.wait_timeout(timeout).map_err(|error| format!("cannot be waited for: {error}"))?;
    let Some(status) = status else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("stopped after {}", humantime::format_duration(timeout)));
    };
    if status.success() {
        return text(&mut output);
    }
    let said = text(&mut errors)?;
    let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("note: "));
    Err(match last {
        Some(last) => format!("{status}: {last}"),
        None => status.to_string(),
    })
}

fn file() -> Result<File, String> {
    tempfile::tempfile().map_err(|error| format!("a temporary file: {error}"))
}

fn share(file: &File) -> Result<File, String> {
    file.try_clone().map_err(|error| format!("a temporary file: {error}"))
}

fn text(file: &mut File) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    read.map_err(|error| format!("a temporary file: {error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str, timeout: Duration) -> Result<String, String> {
        output(command("sh").args(["-c", line]), timeout)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn more_than_a_pipe_holds_is_read() {
        assert_eq!(shell("head -c 300000 /dev/zero | tr '\\0' x", LONG).unwrap().len(), 300_000);
    }

    #[test]
    fn a_failure_is_told_with_its_status_and_the_last_line() {
        assert_eq!(shell("echo one >&2; echo two >&2; echo >&2; exit 3", LONG).unwrap_err(), "exit status: 3: two");
        assert_eq!(shell("kill -SEGV $$", LONG).unwrap_err(), "signal: 11 (SIGSEGV)");
        assert!(output(&mut command("/there/is/none"), LONG).unwrap_err().starts_with("cannot be run: "));
    }

    #[test]
    fn a_program_that_hangs_is_stopped() {
        let begun = std::time::Instant::now();
        assert_eq!(shell("exec sleep 60", Duration::from_millis(200)).unwrap_err(), "stopped after 200ms");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
