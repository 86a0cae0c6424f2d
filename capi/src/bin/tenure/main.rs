//! `tenure`: starts any program on Tenure, and shows what became of its memory. To start one it replaces itself by the
//! program, so signals, standard input and the exit status are the program's own, and nothing of this command is left
//! while the program runs.
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
#[cfg(feature = "view")]
mod report;
mod say;
#[cfg(feature = "view")]
mod series;
#[cfg(feature = "view")]
mod text;
#[cfg(feature = "view")]
mod top;

use std::fmt::Display;
use std::process::ExitCode;

use options::Action;

fn main() -> ExitCode {
    let options = match options::parse() {
        Ok(options) => options,
        Err(status) => return status,
    };
    match &options.action {
        Action::Run(run) => {
            let failure = launch::launch(run);
            fail(&failure, failure.status())
        }
        Action::Profile(wanted) => {
            profile::write(wanted).map_or_else(|failure| fail(&failure, failure.status()), |()| ExitCode::SUCCESS)
        }
        #[cfg(feature = "view")]
        Action::Report(options) => match report::report(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.is_of_reader() => ExitCode::FAILURE,
            Err(error) => fail(&error, 1),
        },
        #[cfg(feature = "view")]
        Action::Top(options) => top::top(options).map_or_else(|error| fail(&error, 1), |()| ExitCode::SUCCESS),
    }
}

/// Says why, and gives the status to exit with.
fn fail(why: &dyn Display, status: u8) -> ExitCode {
    say::say(why);
    ExitCode::from(status)
}
