//! Running a test in a process of its own, in which nothing else goes on.
//!
//! The process is this very test binary, told to run the same test once more and, by an environment variable, to take
//! the part of the child.

use std::env;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::thread;

/// Name of the environment variable that tells a child its part.
const PART: &str = "TENURE_TEST_PART";

/// A limit on a resource: its name, as `libc` knows it, and a number of bytes.
pub type Limit = (libc::__rlimit_resource_t, u64);

/// Runs `body` in a process of its own, for so many seconds of each of two processors' time at most. Panics unless it
/// succeeds.
pub fn alone(seconds: u32, body: impl FnOnce()) {
    alone_under(None, seconds, body);
}

/// As [`alone`], under `limit` from the process's first moment on.
pub fn alone_under(limit: Option<Limit>, seconds: u32, body: impl FnOnce()) {
    let prepare = |command: &mut Command| {
        if let Some((resource, bytes)) = limit {
            // The C library's own allocator, which its loader uses, would reserve 64 MiB for a second thread, wherever
            // these happen to fit.
            command.env("MALLOC_ARENA_MAX", "1");
            // SAFETY: `setrlimit` may be called between fork and exec.
            unsafe { command.pre_exec(move || set_limit(resource, bytes)) };
        }
    };
    alone_after(prepare, seconds, body);
}

/// As [`alone`], in a process that `prepare` has made ready.
pub fn alone_after(prepare: impl FnOnce(&mut Command), seconds: u32, body: impl FnOnce()) {
    if part().is_some() {
        end_after(seconds);
        wait_for_harness();
        return body();
    }
    let mut command = command("alone");
    prepare(&mut command);
    let output = command.output().unwrap();
    show(&output);
    assert!(output.status.success(), "in a process of its own: {}", output.status);
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the test did not run");
}

/// Waits until the test harness's own thread, which is the process's first, sleeps: on the way there it allocates,
/// which would be counted in the midst of a test. Allocates nothing, for the same reason.
fn wait_for_harness() {
    loop {
        let mut text = [0; 256];
        let len = File::open("/proc/self/stat").and_then(|mut file| file.read(&mut text)).unwrap();
        // The state comes behind the name, which is in parentheses.
        let name_end = text[..len].iter().rposition(|&byte| byte == b')').unwrap();
        if text[name_end..].starts_with(b") S") {
            return;
        }
        thread::yield_now();
    }
}

/// The part that this process has to take, if it is a child.
pub fn part() -> Option<String> {
    env::var(PART).ok()
}

/// A command that runs the calling test once more, in `part`.
pub fn command(part: &str) -> Command {
    let thread = thread::current();
    // The test harness names a test's thread after the test.
    let test = thread.name().expect("called on the test's own thread");
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(PART, part);
    command
}

/// Has the system end this process, should it hang: after so many seconds of each of two processors' time, in case that
/// it is busy, or after twenty minutes, in case that it waits. How long a process takes that has to share the machine
/// says nothing about it.
pub fn end_after(seconds: u32) {
    set_limit(libc::RLIMIT_CPU, 2 * u64::from(seconds)).unwrap();
    // SAFETY: no preconditions. The signal ends the process, for which `main` of a test has no handler.
    unsafe { libc::alarm(1200) };
}

/// Limits a resource of the calling process.
pub fn set_limit(resource: libc::__rlimit_resource_t, bytes: u64) -> std::io::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: a valid limit.
    if unsafe { libc::setrlimit(resource, &limit) } == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Shows what a child wrote, as output of this test.
fn show(output: &Output) {
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
}
