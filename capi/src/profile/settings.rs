//! Settings: what the environment says of a profile, read while it is there.

use crate::output::complain;
use core::ffi::{CStr, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use tenure::preloaded::Path;
use tenure::profile::{Options, Unwinder, arm_with, split_setting};
use tenure::profile_dumps::KeptStderr;

/// What the environment says under this name.
fn variable(name: &CStr) -> Option<&[u8]> {
    // SAFETY: a text that ends in a null.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: the C library's text, which nobody changes while libraries are loaded.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes())
}

/// What is wrong with a path.
const NO_PATH: &str = "must be a path of 1 to 4095 bytes";

/// What the environment says of a profile.
pub(super) struct ProfileSettings {
    pub(super) file: Path,
    /// Bytes from one sample to the next, where a file is to be written.
    rate: usize,
    is_leaks: bool,
    /// Where leaks are told.
    stderr: Option<KeptStderr>,
    pub(super) command: Path,
    /// The only process that is to write.
    pid: Option<libc::pid_t>,
    /// True once samples are taken.
    pub(super) is_started: bool,
}

/// Ends of files' names for which the command knows what to write.
const ENDS: [&[u8]; 3] = [b".pb.gz", b".folded", b".svg"];

/// Where the command is, seen from the library: where builds put it, and where installations do.
const PLACES: [&[u8]; 2] = [b"tenure", b"../bin/tenure"];

impl ProfileSettings {
    pub(super) const DEFAULT: Self = Self {
        file: Path::NONE,
        rate: 0,
        is_leaks: false,
        stderr: None,
        command: Path::NONE,
        pid: None,
        is_started: false,
    };

    pub(super) fn concerns_this_process(&self) -> bool {
        // SAFETY: no preconditions.
        self.pid.is_none_or(|only| only == unsafe { libc::getpid() })
    }

    /// Reads what there is while it is there: programs write their title over the environment.
    pub(super) fn read(&mut self) {
        // A wrong number is complained of by those who report statistics.
        self.pid = variable(c"TENURE_STATS_PID").and_then(|text| core::str::from_utf8(text).ok()?.parse().ok());
        let mut take = |name: &CStr, set: fn(&mut Self, &[u8]) -> Option<&'static str>| {
            if let Some(what) = variable(name).and_then(|value| set(self, value)) {
                complain(format_args!("{}: {what}; the value is ignored", name.to_str().unwrap_or_default()));
            }
        };
        take(c"TENURE_PROFILE", Self::set_file);
        take(c"TENURE_LEAKS", Self::set_leaks);
        take(c"TENURE_COMMAND", Self::set_command);
    }

    fn set_file(&mut self, value: &[u8]) -> Option<&'static str> {
        let Some((file, rate)) = split_setting(value) else {
            return Some("the rate must be from 1 byte to a tebibyte");
        };
        if !ENDS.iter().any(|end| file.ends_with(end)) {
            return Some("the file's name must end in .pb.gz, .folded or .svg");
        }
        self.rate = rate;
        self.file.set(file).is_none().then_some(NO_PATH)
    }

    fn set_leaks(&mut self, value: &[u8]) -> Option<&'static str> {
        self.is_leaks = match value {
            b"0" => false,
            b"1" => true,
            _ => return Some("must be 0 or 1"),
        };
        None
    }

    fn set_command(&mut self, value: &[u8]) -> Option<&'static str> {
        self.command.set(value).is_none().then_some(NO_PATH)
    }

    /// Begins to sample, if anybody wants to know.
    pub(super) fn start(&mut self) {
        let is_profile = self.file.get().is_some();
        if !is_profile && !self.is_leaks {
            return;
        }
        if self.is_leaks {
            self.stderr = KeptStderr::new();
        }
        if self.command.get().is_none() {
            self.find_command();
        }
        // A leak is to be found whatever its size, unless the program is to run at its usual pace.
        let rate = if is_profile { self.rate } else { 1 };
        let options = Options { rate, unwinder: Unwinder::Tables, seed: None };
        // Most C libraries have no frame pointers, but where there is nothing else they tell something.
        let armed = arm_with(options).or_else(|_| arm_with(Options { unwinder: Unwinder::FramePointers, ..options }));
        match armed {
            Ok(()) => self.is_started = true,
            Err(error) => complain(format_args!("TENURE_PROFILE: {error}; there is no profile")),
        }
    }

    /// Standard error as it was at the start, where leaks are told, if that was asked for and it is open still: what the
    /// program has in its place is no place for them.
    pub(super) fn stderr(&self) -> Option<c_int> {
        self.stderr.as_ref().and_then(KeptStderr::descriptor)
    }

    /// Looks for the command while the folder is known in which the library was found.
    fn find_command(&mut self) {
        let mut found = MaybeUninit::<libc::Dl_info>::uninit();
        let here: *const c_void = ptr::from_ref(&PLACES).cast();
        // SAFETY: a valid place for the answer.
        if unsafe { libc::dladdr(here, found.as_mut_ptr()) } == 0 {
            return;
        }
        // SAFETY: filled in by the successful call.
        let file = unsafe { found.assume_init() }.dli_fname;
        let mut path = [0; libc::PATH_MAX as usize];
        // SAFETY: a text that ends in a null, and room for any path.
        if file.is_null() || unsafe { libc::realpath(file, path.as_mut_ptr()) }.is_null() {
            return;
        }
        // SAFETY: the successful call has written a text that ends in a null.
        let library = unsafe { CStr::from_ptr(path.as_ptr()) }.to_bytes();
        let folder = &library[..library.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1)];
        for place in PLACES {
            let mut name = Path::NONE;
            if name.push(folder).and_then(|()| name.push(place)).is_none() {
                return;
            }
            let name = name.as_c_str();
            // SAFETY: a text that ends in a null.
            if unsafe { libc::access(name.as_ptr(), libc::X_OK) } == 0 {
                self.command.set(name.to_bytes());
                return;
            }
        }
    }

    /// The name of the profile's file; that of a dump has its number before the end which says in what form it is.
    pub(super) fn name(&self, number: Option<u32>) -> Option<Path> {
        let pattern = self.file.get().unwrap_or_default();
        let end = ENDS.into_iter().find(|end| pattern.ends_with(end)).unwrap_or_default();
        let mut name = Path::NONE;
        // SAFETY: no preconditions.
        let process = unsafe { libc::getpid() } as u32;
        let fits = name.push_numbered(process, pattern, end, number).is_some();
        if !fits {
            complain(format_args!("TENURE_PROFILE: the file's name is too long"));
        }
        fits.then_some(name)
    }
}
