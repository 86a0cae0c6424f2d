//! Hands the process over to the program. Success does not return.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::environment;
use crate::failure::Failure;
use crate::library;
use crate::options::Run;
use crate::program;
use crate::say::say;

/// Becomes the program; returns only why that failed.
pub fn launch(run: &Run) -> Failure {
    let library = match library::find(run.lib.as_deref()) {
        Ok(library) => library,
        Err(failure) => return failure,
    };
    let (name, arguments) = run.program.split_first().expect("the parser asks for a program");
    let mut command = Command::new(name);
    command.args(arguments);
    if let Err(error) = environment::prepare(&mut command, run, &library) {
        return Failure::ProgramUnusable(name.to_string_lossy().into_owned(), error);
    }
    say_beforehand(run);
    let error = command.exec();
    let is_missing = error.kind() == ErrorKind::NotFound && program::locate(name).is_none();
    let name = name.to_string_lossy().into_owned();
    if is_missing { Failure::ProgramNotFound(name) } else { Failure::ProgramUnusable(name, error) }
}

/// What the user should know and the program will not say.
fn say_beforehand(run: &Run) {
    let name = &run.program[0];
    let file = program::locate(name);
    if run.python && file.is_some() {
        say("PYTHONMALLOC=malloc is set, so that Python's objects come from Tenure");
    }
    let why = file.as_deref().filter(|_| run.asks()).and_then(program::ignores_preloading);
    if let Some(why) = why {
        let name = name.to_string_lossy();
        say(format_args!("{name}: nothing is reported, since the library cannot be preloaded: {why}"));
    }
}
