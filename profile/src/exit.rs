//! The end of the process: what the environment has asked for is written then.

use crate::environment::Setting;
use crate::profile::{Profile, Value};
use std::env;
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::OnceLock;
use tenure::profile::{Options, Unwinder, arm_with, unsampled};

/// What is to be done.
struct Plan {
    profile: Option<Setting>,
    is_leaks: bool,
}

static PLAN: OnceLock<Plan> = OnceLock::new();

/// Does as the environment says: to be called at the start of `main`.
///
/// | variable | values | meaning |
/// |---|---|---|
/// | `TENURE_PROFILE` | `FILE[:RATE]` | write a profile when the process ends, in the form that the end of the name stands for: `.pb.gz`, `.folded` or `.svg`; samples are `RATE` bytes apart, 512 KiB unless said otherwise; `%p` stands for the process's id |
/// | `TENURE_LEAKS` | `1` | print to standard error what is still in use when the process ends; with no profile asked for, every allocation is a sample |
///
/// Folded stacks and flame graphs are of all bytes that were allocated: at the end little is in use. Callers are found with tables, and with frame pointers where there are none.
/// What is wrong is said in a line on standard error, and the program goes on.
/// What [`tenure::from_env`] reads is read, too.
pub fn from_env() {
    tenure::from_env();
    let profile = env::var_os("TENURE_PROFILE").and_then(|text| {
        let parsed = Setting::parse(&text.to_string_lossy());
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
    if PLAN.set(Plan { profile, is_leaks }).is_err() {
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

fn finish() {
    let Some(plan) = PLAN.get() else { return };
    unsampled(|| {
        let profile = Profile::take();
        if let Some(Setting { file, .. }) = &plan.profile
            && let Err(error) = profile.save(file, Value::Bytes)
        {
            complain("TENURE_PROFILE", &format_args!("{}: {error}", file.display()));
        }
        if plan.is_leaks {
            // A standard error that is closed is no reason to stop.
            let _ = write!(io::stderr(), "tenure: {}", profile.leaks());
        }
    });
}

fn complain(variable: &str, what: &dyn Display) {
    let _ = writeln!(io::stderr(), "tenure: {variable}: {what}");
}
