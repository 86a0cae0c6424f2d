//! What a command takes that knows nothing of this program. A small process of its own starts it: the system hands the
//! peak of a process's memory on to those that it starts, and counts for a process what its children have used.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use wait_timeout::ChildExt;

use crate::process;
use crate::results::Sample;

/// The command that measures another one. Its output is a sample.
pub fn measuring(line: &str, preload: Option<&Path>, timeout: Duration) -> Result<Command, String> {
    let own = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let mut command = process::command(own);
    command.arg("measure").arg("--timeout").arg(humantime::format_duration(timeout).to_string());
    if let Some(library) = preload {
        command.arg("--preload").arg(library);
    }
    command.arg("--").arg(line);
    Ok(command)
}

/// Runs a line of a shell, with a library preloaded, and takes what it and all its children used.
pub fn measure(line: &str, preload: Option<&OsStr>, timeout: Duration) -> Result<Sample, String> {
    let mut shell = process::command("sh");
    shell.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    if let Some(library) = preload {
        shell.env("LD_PRELOAD", library);
    }
    let begun = Instant::now();
    let mut child = shell.spawn().map_err(|error| format!("sh: {error}"))?;
    let status = child.wait_timeout(timeout).map_err(|error| format!("sh: {error}"))?;
    let wall_s = begun.elapsed().as_secs_f64();
    match status {
        None => {
            // What the shell has started is in its group.
            let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
            let _ = child.wait();
            Err(format!("stopped after {}", humantime::format_duration(timeout)))
        }
        Some(status) if !status.success() => Err(status.to_string()),
        Some(_) => {
            let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| format!("getrusage: {error}"))?;
            let count = |number: i64| u64::try_from(number).unwrap_or(0);
            Ok(Sample {
                checksum: None,
                wall_s,
                user_s: seconds(usage.user_time()),
                system_s: seconds(usage.system_time()),
                peak_rss_kib: count(usage.max_rss()),
                minor_faults: count(usage.minor_page_faults()),
                voluntary_switches: count(usage.voluntary_context_switches()),
            })
        }
    }
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn what_a_shell_has_started_is_stopped_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let mut reader = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&fifo).unwrap();
        // It has the other end until it ends.
        let line = format!("sleep 600 > '{}'; true", fifo.display());
        let failure = measure(&line, None, Duration::from_millis(500)).unwrap_err();
        assert_eq!(failure, "stopped after 500ms");
        let begun = Instant::now();
        while !matches!(reader.read(&mut [0]), Ok(0)) {
            assert!(begun.elapsed() < Duration::from_secs(60), "what the shell has started goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
