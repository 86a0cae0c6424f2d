//! `tenure`: starts any program on Tenure. It replaces itself by the program, so signals, standard input and the exit status are the
//! program's own, and nothing of this command is left while the program runs.
#![forbid(unsafe_code)]

mod environment;
mod failure;
mod help;
mod image;
mod launch;
mod library;
mod options;
mod profile;
mod program;

use std::process::ExitCode;

use options::Action;

fn main() -> ExitCode {
    let options = match options::parse() {
        Ok(options) => options,
        Err(status) => return status,
    };
    let failure = match &options.action {
        Action::Run(run) => launch::launch(run),
        Action::Profile(wanted) => match profile::write(wanted) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(failure) => failure,
        },
    };
    eprintln!("tenure: {failure}");
    ExitCode::from(failure.status())
}
