//! Writing: the command is given what was found, as text. Where it cannot be had, the text is kept.

use super::settings::ProfileSettings;
use crate::output::complain_to;
use crate::unnoticed::{self, Ended};
use core::ffi::{CStr, c_char, c_int};
use core::fmt::{self, Arguments, Display, Formatter};
use core::ptr;
use tenure::preloaded::Path;
use tenure::{profile, profile_dumps};

/// When a profile is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// While the program goes on.
    Meanwhile,
    /// When the process ends.
    AtEnd,
    /// When a forked child ends that has freed nothing of what it has from its parent.
    AtEndOfChild,
}

/// Added to the file's name where the command is missing or fails and the text is kept.
const TEXT: &[u8] = b".heap";

/// A file in memory, without a name, which is closed when this is dropped.
struct Unnamed(c_int);

impl Unnamed {
    /// An empty one; `None` where the system refuses.
    fn new() -> Option<Self> {
        // SAFETY: a text that ends in a null.
        let descriptor = unsafe { libc::memfd_create(c"tenure-profile".as_ptr(), libc::MFD_CLOEXEC) };
        (descriptor >= 0).then_some(Self(descriptor))
    }

    /// Has it read from its start; false where the system refuses.
    fn rewind(&self) -> bool {
        // SAFETY: no preconditions.
        unsafe { libc::lseek(self.0, 0, libc::SEEK_SET) == 0 }
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        // SAFETY: opened by `new`.
        unsafe { libc::close(self.0) };
    }
}

impl ProfileSettings {
    /// Writes what was asked for at the end.
    pub(super) fn finish(&self, when: When) {
        if when == When::AtEndOfChild && !self.file.names_process() {
            return;
        }
        profile::disarm();
        if self.file.get().is_none() {
            // Leaks alone, for which there has to be a place.
            if self.stderr().is_some() {
                self.write(None, when);
            }
        } else if let Some(name) = self.name(None) {
            self.write(Some(name), when);
        }
    }

    /// Writes a profile while the program goes on, to a file with a number of its own.
    pub(super) fn dump(&self, number: u32) {
        if let Some(name) = self.name(Some(number)) {
            self.write(Some(name), When::Meanwhile);
        }
    }

    /// Has the command write what was found to a file of this name; and print what is in use where the process ends, if
    /// that was asked for.
    fn write(&self, file: Option<Path>, when: When) {
        const NO_FILE: &str = "there is no file in memory to be had";
        let errors = self.stderr().unwrap_or(libc::STDERR_FILENO);
        let Some(text) = Unnamed::new() else { return keep_text(errors, &NO_FILE, file) };
        if let Err(failure) = profile_dumps::without_write_signals(|| profile_dumps::copy_text(text.0)) {
            return complain_to(errors, format_args!("TENURE_PROFILE: {failure}; there is no profile"));
        }
        if !text.rewind() {
            return keep_text(errors, &NO_FILE, file);
        }
        match self.hand_over(text, errors, file.as_ref(), when) {
            Some(Ended::WithStatus(0)) => {}
            Some(Ended::WithStatus(NOT_LOADED)) => keep_text(errors, &"the command `tenure` cannot be loaded", file),
            Some(Ended::WithStatus(_)) => keep_text_if_possible(errors, file),
            Some(Ended::BySignal(signal)) => keep_text(errors, &Ending(signal), file),
            Some(Ended::NotStarted) => keep_text(errors, &"the command `tenure` cannot be started", file),
            None => keep_text(errors, &"the command `tenure` is neither beside the library nor in ../bin", file),
        }
    }

    /// Has the command write a profile from its text, and waits for it; `None` where there is no command. What the
    /// command cannot do it says itself.
    fn hand_over(&self, text: Unnamed, errors: c_int, file: Option<&Path>, when: When) -> Option<Ended> {
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
        if when == When::AtEnd && self.stderr().is_some() {
            add(c"--leaks");
        }
        Some(unnoticed::run(command, &arguments, text.0, errors))
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
fn keep_text_if_possible(errors: c_int, file: Option<Path>) {
    if let Some(mut name) = file
        && name.push(TEXT).is_some()
        && profile_dumps::save_text(name.as_c_str().to_bytes()).is_ok()
    {
        let shown = name.as_c_str().to_str().unwrap_or("the file with `.heap` behind its name");
        complain_to(errors, format_args!("TENURE_PROFILE: `tenure profile {shown}` reads what was found"));
    }
}

/// Keeps the profile's text, as the command cannot be had, in a file beside the one that was asked for.
fn keep_text(errors: c_int, why: &dyn Display, file: Option<Path>) {
    let complain = |message: Arguments<'_>| complain_to(errors, message);
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
