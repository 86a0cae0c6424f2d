//! The heap profile of a process, from its start to its end.
//!
//! The library samples and, at the end and when a signal asks for it, writes what it has found as text to a file
//! without a name. What needs the standard library, names and formats, is done by the command `tenure`, which is
//! started with that file as its input; so it takes neither memory nor a lock of this process, and should it fail, the
//! program's exit is as it would have been.

use crate::output::complain;
use crate::unnoticed::{self, Ended};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::{self, Display, Formatter};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};
use tenure::preloaded::Path;
use tenure::profile::{self, Options, Unwinder, arm_with, split_setting};
use tenure::profile_dumps;

/// What only the functions of this file touch.
struct Own(UnsafeCell<ProfileSettings>);

// SAFETY: the loader runs a library's constructor, which alone writes. Its destructor and the thread that writes dumps
// only read, and know of this after that.
unsafe impl Sync for Own {}

static SETTINGS: Own = Own(UnsafeCell::new(ProfileSettings::DEFAULT));

/// The library is loaded: begins to sample, if the environment says so; true where it does.
pub(crate) fn start() -> bool {
    // SAFETY: no preconditions.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        // The user has fewer rights than the program.
        return false;
    }
    // SAFETY: the constructor alone, see `Own`.
    let settings = unsafe { &mut *SETTINGS.0.get() };
    settings.read();
    if settings.concerns_this_process() {
        settings.start();
    }
    if settings.is_started && settings.file.get().is_some() {
        profile_dumps::on_signal(dump, 0);
    }
    settings.is_started
}

/// A signal has asked for a profile: writes one, on the thread of reports.
fn dump() {
    static DUMPS: AtomicU32 = AtomicU32::new(0);
    // SAFETY: called after the constructor alone, see `Own`.
    let settings = unsafe { &*SETTINGS.0.get() };
    if settings.concerns_this_process() {
        settings.dump(DUMPS.fetch_add(1, Ordering::Relaxed) + 1);
    }
}

/// The process ends: writes what was asked for.
pub(crate) fn finish() {
    finish_at(When::AtEnd);
}

/// A forked child ends without destructors, and so without having freed what it has from its parent: writes a profile,
/// where it has a file of its own.
pub(crate) fn finish_child() {
    finish_at(When::AtEndOfChild);
}

fn finish_at(when: When) {
    // SAFETY: after the constructor, see `Own`.
    let settings = unsafe { &*SETTINGS.0.get() };
    if settings.is_started && settings.concerns_this_process() {
        settings.finish(when);
    }
}

/// When a profile is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// While the program goes on.
    Meanwhile,
    /// When the process ends.
    AtEnd,
    /// When a forked child ends that has freed nothing of what it has from its parent.
    AtEndOfChild,
}

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
struct ProfileSettings {
    file: Path,
    /// Bytes from one sample to the next, where a file is to be written.
    rate: usize,
    is_leaks: bool,
    command: Path,
    /// The only process that is to write.
    pid: Option<libc::pid_t>,
    /// True once samples are taken.
    is_started: bool,
}

/// Ends of files' names for which the command knows what to write.
const ENDS: [&[u8]; 3] = [b".pb.gz", b".folded", b".svg"];

/// Where the command is, seen from the library: where builds put it, and where installations do.
const PLACES: [&[u8]; 2] = [b"tenure", b"../bin/tenure"];

/// Added to the file's name where the command is missing or fails and the text is kept.
const TEXT: &[u8] = b".heap";

impl ProfileSettings {
    const DEFAULT: Self =
        Self { file: Path::NONE, rate: 0, is_leaks: false, command: Path::NONE, pid: None, is_started: false };

    fn concerns_this_process(&self) -> bool {
        // SAFETY: no preconditions.
        self.pid.is_none_or(|only| only == unsafe { libc::getpid() })
    }

    /// Reads what there is while it is there: programs write their title over the environment.
    fn read(&mut self) {
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
    fn start(&mut self) {
        let is_profile = self.file.get().is_some();
        if !is_profile && !self.is_leaks {
            return;
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

    /// Writes what was asked for at the end.
    fn finish(&self, when: When) {
        if when == When::AtEndOfChild && !self.file.names_process() {
            return;
        }
        profile::disarm();
        if self.file.get().is_none() {
            self.write(None, when);
        } else if let Some(name) = self.name(None) {
            self.write(Some(name), when);
        }
    }

    /// Writes a profile while the program goes on, to a file with a number of its own.
    fn dump(&self, number: u32) {
        if let Some(name) = self.name(Some(number)) {
            self.write(Some(name), When::Meanwhile);
        }
    }

    /// The name of the profile's file; that of a dump has its number before the end which says in what form it is.
    fn name(&self, number: Option<u32>) -> Option<Path> {
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

    /// Has the command write what was found to a file of this name; and print what is in use where the process ends, if
    /// that was asked for.
    fn write(&self, file: Option<Path>, when: When) {
        // SAFETY: a text that ends in a null.
        let text = unsafe { libc::memfd_create(c"tenure-profile".as_ptr(), libc::MFD_CLOEXEC) };
        let is_written = text >= 0
            && match profile_dumps::without_signals(|| profile_dumps::copy_text(text)) {
                // SAFETY: opened above.
                Ok(()) => unsafe { libc::lseek(text, 0, libc::SEEK_SET) == 0 },
                Err(failure) => {
                    complain(format_args!("TENURE_PROFILE: {failure}; there is no profile"));
                    // SAFETY: opened above.
                    unsafe { libc::close(text) };
                    return;
                }
            };
        let ended = if is_written { self.hand_over(text, file.as_ref(), when) } else { None };
        if text >= 0 {
            // SAFETY: opened above.
            unsafe { libc::close(text) };
        }
        match ended {
            Some(Ended::WithStatus(0)) => {}
            Some(Ended::WithStatus(NOT_LOADED)) => keep_text("the command `tenure` cannot be loaded", file),
            Some(Ended::WithStatus(_)) => keep_text_if_possible(file),
            Some(Ended::BySignal(signal)) => keep_text(Ending(signal), file),
            Some(Ended::NotStarted) => keep_text("the command `tenure` cannot be started", file),
            None if is_written => keep_text("the command `tenure` is neither beside the library nor in ../bin", file),
            None => keep_text("there is no file in memory to be had", file),
        }
    }

    /// Has the command write a profile from its text, and waits for it; `None` where there is no command. What the
    /// command cannot do it says itself.
    fn hand_over(&self, text: c_int, file: Option<&Path>, when: When) -> Option<Ended> {
        self.command.get()?;
        let command = self.command.as_c_str();
        let mut arguments = [ptr::null::<c_char>(); 9];
        let mut count = 0;
        let mut add = |argument: &CStr| {
            arguments[count] = argument.as_ptr();
            count += 1;
        };
        add(command);
        add(c"profile");
        add(c"-");
        if let Some(file) = file {
            add(c"--output");
            add(file.as_c_str());
            add(c"--value");
            // At the end of a process little is in use.
            add(if when == When::Meanwhile { c"live-bytes" } else { c"bytes" });
        }
        if self.is_leaks && when == When::AtEnd {
            add(c"--leaks");
        }
        Some(unnoticed::run(command, &arguments, text))
    }
}

/// The status of a command whose libraries cannot be loaded.
const NOT_LOADED: c_int = 127;

/// Says that the command was ended.
struct Ending(c_int);

impl Display for Ending {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "the command `tenure` was ended by signal {}", self.0)
    }
}

/// Keeps the profile's text, if there is a place for it: the command has failed, and has said why.
fn keep_text_if_possible(file: Option<Path>) {
    if let Some(mut name) = file
        && name.push(TEXT).is_some()
        && profile_dumps::save_text(name.as_c_str().to_bytes()).is_ok()
    {
        let shown = name.as_c_str().to_str().unwrap_or("the file with `.heap` behind its name");
        complain(format_args!("TENURE_PROFILE: `tenure profile {shown}` reads what was found"));
    }
}

/// Keeps the profile's text, as the command cannot be had, in a file beside the one that was asked for.
fn keep_text(why: impl Display, file: Option<Path>) {
    let Some(mut name) = file else {
        return complain(format_args!("TENURE_LEAKS: {why}; TENURE_COMMAND may name it"));
    };
    if name.push(TEXT).is_none() {
        return complain(format_args!("TENURE_PROFILE: {why}, and the file's name is too long"));
    }
    let name = name.as_c_str();
    let shown = name.to_str().unwrap_or("a file of that name");
    match profile_dumps::save_text(name.to_bytes()) {
        Ok(()) => complain(format_args!("TENURE_PROFILE: {why}; `tenure profile {shown}` reads what was found")),
        Err(failure) => complain(format_args!("TENURE_PROFILE: {why}, and {shown} cannot be written: {failure}")),
    }
}
