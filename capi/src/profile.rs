//! The heap profile of a process, from its start to its end.
//!
//! The library samples and, at the end, writes what it has found as text to a file without a name. What needs the standard library, names and formats, is done by the
//! command `tenure`, which is started with that file as its input; so it takes neither memory nor a lock of this process, and should it fail, the program's exit is as it would have been.

use crate::name::Name;
use crate::output::{Output, complain};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::Write;
use core::mem::MaybeUninit;
use core::ptr;
use tenure::profile::{self, Options, Text, Unwinder, arm_with, split_setting};

/// What only the functions of this file touch.
struct Own(UnsafeCell<ProfileSettings>);

// SAFETY: the loader runs a library's constructor and its destructor on one thread each, the one after the other, and nobody else has access.
unsafe impl Sync for Own {}

static SETTINGS: Own = Own(UnsafeCell::new(ProfileSettings::DEFAULT));

/// The library is loaded: begins to sample, if the environment says so.
pub(crate) fn start() {
    // SAFETY: no preconditions.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        // The user has fewer rights than the program.
        return;
    }
    // SAFETY: the constructor alone, see `Own`.
    let settings = unsafe { &mut *SETTINGS.0.get() };
    settings.read();
    if settings.concerns_this_process() {
        settings.start();
    }
}

/// The process ends in an orderly way: writes what was asked for.
pub(crate) fn finish() {
    // SAFETY: the destructor alone, see `Own`.
    let settings = unsafe { &*SETTINGS.0.get() };
    if settings.is_started && settings.concerns_this_process() {
        settings.finish();
    }
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
    file: Name,
    /// Bytes from one sample to the next, where a file is to be written.
    rate: usize,
    is_leaks: bool,
    command: Name,
    /// The only process that is to write.
    pid: Option<libc::pid_t>,
    /// True once samples are taken.
    is_started: bool,
}

/// Ends of files' names for which the command knows what to write.
const ENDS: [&[u8]; 3] = [b".pb.gz", b".folded", b".svg"];

/// Where the command is, seen from the library: where builds put it, and where installations do.
const PLACES: [&[u8]; 2] = [b"tenure", b"../bin/tenure"];

/// Added to the file's name where the command is missing and the text is kept.
const TEXT: &[u8] = b".heap";

impl ProfileSettings {
    const DEFAULT: Self =
        Self { file: Name::EMPTY, rate: 0, is_leaks: false, command: Name::EMPTY, pid: None, is_started: false };

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
        (!self.file.set(file)).then_some(NO_PATH)
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
        (!self.command.set(value)).then_some(NO_PATH)
    }

    /// Begins to sample, if anybody wants to know.
    fn start(&mut self) {
        let is_profile = !self.file.is_empty();
        if !is_profile && !self.is_leaks {
            return;
        }
        if self.command.is_empty() {
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
            let Some(mut name) = Name::of(b"", 0) else { return };
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

    /// Writes what was asked for.
    fn finish(&self) {
        profile::disarm();
        // SAFETY: no preconditions.
        let pid = unsafe { libc::getpid() };
        let pattern = self.file.as_c_str().to_bytes();
        let file = match (!pattern.is_empty()).then(|| Name::of(pattern, pid)) {
            Some(None) => return complain(format_args!("TENURE_PROFILE: the file's name is too long")),
            Some(Some(name)) => Some(name),
            None => None,
        };
        let Some(text) = write_text() else {
            return complain(format_args!("TENURE_PROFILE: there is no memory for the profile"));
        };
        if !self.hand_over(text, file.as_ref()) {
            keep_text(text, file);
        }
        // SAFETY: opened above.
        unsafe { libc::close(text) };
    }

    /// Has the command write a profile from its text, and waits for it; false where it cannot be started. What the command cannot do it says itself.
    fn hand_over(&self, text: c_int, file: Option<&Name>) -> bool {
        if self.command.is_empty() {
            return false;
        }
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
            // At the end of a process little is in use.
            add(c"--value");
            add(c"bytes");
        }
        if self.is_leaks {
            add(c"--leaks");
        }
        run(command, &arguments, text)
    }
}

/// Writes the profile to a file without a name, and goes back to its start.
fn write_text() -> Option<c_int> {
    // SAFETY: a text that ends in a null.
    let file = unsafe { libc::memfd_create(c"tenure-profile".as_ptr(), libc::MFD_CLOEXEC) };
    if file < 0 {
        return None;
    }
    let mut buffer = [0; 4096];
    let mut output = Output::new(file, &mut buffer);
    // What fails is known to `finish`.
    let _ = writeln!(output, "{Text}\nMAPPED_LIBRARIES:");
    let is_whole = output.finish();
    // SAFETY: a text that ends in a null.
    let maps = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if maps >= 0 {
        // Without it there are addresses in place of names.
        copy(maps, file);
        // SAFETY: opened above.
        unsafe { libc::close(maps) };
    }
    // SAFETY: opened above.
    let is_whole = is_whole && unsafe { libc::lseek(file, 0, libc::SEEK_SET) } == 0;
    if !is_whole {
        // SAFETY: opened above.
        unsafe { libc::close(file) };
    }
    is_whole.then_some(file)
}

/// Copies what is left of a file; true where all of it could be read and written.
fn copy(from: c_int, to: c_int) -> bool {
    let mut buffer = [0_u8; 4096];
    loop {
        // SAFETY: the buffer is valid for its length.
        let read = unsafe { libc::read(from, buffer.as_mut_ptr().cast(), buffer.len()) };
        let Ok(count) = usize::try_from(read) else { return false };
        if count == 0 {
            return true;
        }
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            // SAFETY: the buffer is valid for its length.
            let written = unsafe { libc::write(to, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(written) {
                Ok(count) if count > 0 => rest = &rest[count..],
                _ => return false,
            }
        }
    }
}

/// Runs `command` with `input` as its standard input and nothing in its environment; false where it cannot be started.
fn run(command: &CStr, arguments: &[*const c_char; 9], input: c_int) -> bool {
    let mut actions = MaybeUninit::<libc::posix_spawn_file_actions_t>::uninit();
    // SAFETY: a valid place for the answer.
    if unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) } != 0 {
        return false;
    }
    let environment = [ptr::null_mut::<c_char>()];
    let mut child = 0;
    // SAFETY: the actions are initialised; the lists end in nulls, and their texts too, which are not written to.
    let is_started = unsafe {
        libc::posix_spawn_file_actions_adddup2(actions.as_mut_ptr(), input, libc::STDIN_FILENO) == 0
            && libc::posix_spawn(
                &mut child,
                command.as_ptr(),
                actions.as_ptr(),
                ptr::null(),
                arguments.as_ptr().cast(),
                environment.as_ptr(),
            ) == 0
    };
    // SAFETY: initialised above.
    unsafe { libc::posix_spawn_file_actions_destroy(actions.as_mut_ptr()) };
    if is_started {
        // SAFETY: the child is this process's; a place for its status is not needed. Where nobody is to be told of children, it has ended when this fails.
        while unsafe { libc::waitpid(child, ptr::null_mut(), 0) } < 0
            // SAFETY: the C library gives every thread an `errno`.
            && unsafe { *libc::__errno_location() } == libc::EINTR
        {}
    }
    is_started
}

/// Keeps the profile's text, as the command cannot be had, in a file beside the one that was asked for.
fn keep_text(text: c_int, file: Option<Name>) {
    let missing = "the command `tenure` is neither beside the library nor in ../bin";
    let Some(mut name) = file else {
        return complain(format_args!("TENURE_LEAKS: {missing}; TENURE_COMMAND may name it"));
    };
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
    let kept = match name.push(TEXT) {
        // SAFETY: a name that ends in a null.
        Some(()) => unsafe { libc::open(name.as_c_str().as_ptr(), flags, 0o666) },
        None => -1,
    };
    let is_kept = kept >= 0 && copy(text, kept);
    if kept >= 0 {
        // SAFETY: opened above.
        unsafe { libc::close(kept) };
    }
    let name = name.as_c_str().to_str().unwrap_or("a file of that name");
    match is_kept {
        true => complain(format_args!("TENURE_PROFILE: {missing}; `tenure profile {name}` reads what was found")),
        false => complain(format_args!("TENURE_PROFILE: {missing}, and {name} cannot be written")),
    }
}
