//! What the environment has asked for: written when the process ends, and when a signal asks for it.
//!
//! To find names takes memory, and a program in Rust ends where it has none. So what that takes is asked for first;
//! where it is not to be had, what was found is written as text, which takes none.

use crate::environment::Setting;
use crate::profile::{Profile, Value};
use std::env;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tenure::preloaded;
use tenure::profile::{Options, Unwinder, arm_with, each_stack, unsampled};
use tenure::profile_dumps;

/// What is to be done.
struct Plan {
    profile: Option<Setting>,
    is_leaks: bool,
    /// The only process that is to write.
    pid: Option<u32>,
}

impl Plan {
    fn concerns_this_process(&self) -> bool {
        self.pid.is_none_or(|only| only == process::id())
    }
}

static PLAN: OnceLock<Plan> = OnceLock::new();

/// Does as the environment says: to be called at the start of `main`.
///
/// | variable | values | meaning |
/// |---|---|---|
/// | `TENURE_PROFILE` | `FILE[:RATE]` | write a profile when the process ends, in the form that the end of the name stands for: `.pb.gz`, `.folded` or `.svg`; samples are `RATE` bytes apart, 512 KiB unless said otherwise; `%p` stands for the process's id |
/// | `TENURE_LEAKS` | `1` | print to standard error what is still in use when the process ends; with no profile asked for, every allocation is a sample |
/// | `TENURE_STATS_PID` | a process's id | write and print all this in that process alone |
///
/// Folded stacks and flame graphs are of all bytes that were allocated: at the end little is in use. Callers are found
/// with tables, and with frame pointers where there are none.
///
/// Where `TENURE_STATS_SIGNAL` names a signal, each such signal has a profile written as well, to a file with a number:
/// `heap.0001.svg`, `heap.0002.svg` and so on beside `heap.svg`. Folded stacks and flame graphs of these are of what is
/// in use.
///
/// Where memory is short, what was found is kept as text, in a file of the same name with `.heap` behind it, which
/// `tenure profile` and `pprof` read. That is where there are not 32 MiB to be had, or as much as the program's file
/// has, and 128 bytes for each address in the profile.
///
/// What is wrong is said in a line on standard error, and the program goes on.
/// What [`tenure::from_env`] reads is read, too.
pub fn from_env() {
    if env::var_os("TENURE_PROFILE").is_some() {
        profile_dumps::on_signal(dump, STACK);
    }
    profile_dumps::from_env();
    let profile = env::var_os("TENURE_PROFILE").and_then(|text| {
        let parsed = Setting::parse(text);
        parsed.map_err(|wrong| complain("TENURE_PROFILE", &wrong)).ok()
    });
    let leaks = env::var_os("TENURE_LEAKS").filter(|text| text != "0");
    if leaks.as_ref().is_some_and(|text| text != "1") {
        complain("TENURE_LEAKS", &"must be 0 or 1");
    }
    let is_leaks = leaks.is_some_and(|text| text == "1");
    if profile.is_none() && !is_leaks {
        return;
    }
    let rate = profile.as_ref().map_or(1, |setting| setting.rate);
    // A wrong number is complained of by what reports statistics.
    let pid = env::var_os("TENURE_STATS_PID").and_then(|text| text.to_str()?.parse().ok());
    let plan = Plan { profile, is_leaks, pid };
    if !plan.concerns_this_process() || PLAN.set(plan).is_err() {
        return;
    }
    let options = Options { rate, unwinder: Unwinder::Tables, seed: None };
    let armed = arm_with(options).or_else(|_| arm_with(Options { unwinder: Unwinder::FramePointers, ..options }));
    match armed {
        Ok(()) => at_exit(),
        Err(error) => complain("TENURE_PROFILE", &error),
    }
}

#[allow(unsafe_code, reason = "the standard library has no hook for the end of a process")]
fn at_exit() {
    extern "C" fn end() {
        finish();
    }
    // SAFETY: the function has no preconditions.
    if unsafe { libc::atexit(end) } != 0 {
        complain("TENURE_PROFILE", &"the system has no room for what is to be done at the end");
    }
}

/// Bytes of stack for finding names: as much as threads in Rust have.
const STACK: usize = 2 << 20;

/// Bytes that a profile may take when it is written, beside those for each address in it and for what the program's
/// file tells of functions. Names of a program of 33 MiB, with debug information, take 17 MiB.
const RESERVE: usize = 32 << 20;

/// Bytes that an address may take in a profile that is written: 45 were measured.
const FOR_ADDRESS: usize = 128;

/// A signal has asked for a profile.
fn dump() {
    static DUMPS: AtomicU32 = AtomicU32::new(0);
    if let Some(plan @ Plan { profile: Some(setting), .. }) = PLAN.get()
        && plan.concerns_this_process()
    {
        let number = DUMPS.fetch_add(1, Ordering::Relaxed) + 1;
        unsampled(|| write_profile(setting, Some(number), Value::LiveBytes));
    }
}

fn finish() {
    let Some(plan) = PLAN.get().filter(|plan| plan.concerns_this_process()) else { return };
    unsampled(|| {
        if let Some(setting) = &plan.profile {
            write_profile(setting, None, Value::Bytes);
        }
        if plan.is_leaks && has_memory() {
            // A standard error that is closed is no reason to stop.
            let _ = write!(io::stderr(), "tenure: {}", Profile::take().leaks());
        } else if plan.is_leaks {
            complain("TENURE_LEAKS", &"there is no memory for the report");
        }
    });
}

/// Writes a profile, or keeps what was found as text where there is no memory for that.
fn write_profile(setting: &Setting, number: Option<u32>, value: Value) {
    let Some(name) = setting.name(number) else {
        return complain("TENURE_PROFILE", &"the file's name is too long");
    };
    if !has_memory() {
        return keep_text(name);
    }
    let file = path(&name);
    if let Err(error) = Profile::take().save(file, value) {
        complain("TENURE_PROFILE", &format_args!("{}: {error}", file.display()));
    }
}

/// True where a profile can be written without the program running out of memory, unless others take it meanwhile. What
/// is given back here the allocator keeps for a while, so files that are mapped next do not take it.
fn has_memory() -> bool {
    let mut addresses = 0;
    each_stack(|stack| addresses += stack.frames.len());
    let program = fs::metadata("/proc/self/exe").map_or(0, |file| file.len() as usize);
    Vec::<u8>::new().try_reserve_exact(RESERVE.max(program) + addresses * FOR_ADDRESS).is_ok()
}

fn path(name: &preloaded::Path) -> &Path {
    Path::new(OsStr::from_bytes(name.get().unwrap_or_default()))
}

/// Writes what was found as text, without memory, to a file beside the one that was asked for.
fn keep_text(mut name: preloaded::Path) {
    let why = "there is no memory for the profile";
    if name.push(b".heap").is_none() {
        return complain("TENURE_PROFILE", &format_args!("{why}, and the file's name is too long"));
    }
    let file = path(&name);
    let shown = file.display();
    match profile_dumps::save_text(file.as_os_str().as_bytes()) {
        Ok(()) => complain("TENURE_PROFILE", &format_args!("{why}; `tenure profile {shown}` reads what was found")),
        Err(failure) => {
            complain("TENURE_PROFILE", &format_args!("{why}, and {shown} cannot be written: {failure}"));
        }
    }
}

fn complain(variable: &str, what: &dyn Display) {
    let _ = writeln!(io::stderr(), "tenure: {variable}: {what}");
}
