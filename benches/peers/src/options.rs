//! The command line. A wrong one is answered in one line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand, ValueEnum};

use crate::catalogue::{ALLOCATORS, Allocator};

const EXAMPLES: &str = "\
Written to DIR: table.md, results.json (all samples) and report.html (one file that fetches nothing).

Exit status: 0, or 1 where an allocator was not built, a run failed, or checksums differ, or 2 where the command line is wrong.

Examples:
  cargo run --release -p tenure-peers
  cargo run --release -p tenure-peers -- --allocators tenure,mimalloc3,jemalloc --profile lto
  cargo run --release -p tenure-peers -- --cmd sort='seq 3000000 | sort -R --random-source=/dev/zero'";

/// Run the same workloads on Tenure and on other allocators, and make a table and a page of what they took.
///
/// Each run is a process of its own. Allocators take turns, in another order each round.
#[derive(Parser, Debug)]
#[command(name = "tenure-peers", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// These workloads alone; --list names them. All unless given, or none where there is a --cmd.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub workloads: Vec<String>,

    /// These allocators alone; --list names them.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = allocator)]
    pub allocators: Vec<&'static Allocator>,

    /// How often each workload runs on each allocator.
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,

    /// How programs are built.
    #[arg(long, value_enum, default_value = "default")]
    pub profile: Profile,

    /// Threads of the workloads that have several. Of a list, the first number is the one that means are made of. As
    /// many as processors unless given.
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Vec<u32>,

    /// How much of its work each workload does: 1 is one half to three seconds.
    #[arg(long, value_name = "F", default_value = "1", value_parser = share)]
    pub share: f64,

    /// The folder that is written to.
    #[arg(long, value_name = "DIR", default_value = "target/peers/report")]
    pub out: PathBuf,

    /// Run this command of a shell as well, once on each allocator that can be preloaded. May be repeated.
    #[arg(long = "cmd", value_name = "NAME=COMMAND", value_parser = command)]
    pub commands: Vec<Command>,

    /// How long a run may take before it is stopped, such as 90s or 10m.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub timeout: Duration,

    /// Name the allocators, libraries to preload and workloads that there are.
    #[arg(long)]
    pub list: bool,

    #[command(subcommand)]
    pub step: Option<Step>,
}

/// What this program starts itself for.
#[derive(Subcommand, Debug)]
pub enum Step {
    /// Run a command of a shell, and print what it took.
    #[command(hide = true)]
    Measure {
        /// A library that is preloaded into it.
        #[arg(long)]
        preload: Option<PathBuf>,
        /// How long it may take.
        #[arg(long, value_parser = humantime::parse_duration)]
        timeout: Duration,
        command: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// The workspace's profile `lto`: link-time optimisation of all crates, in one piece.
    Lto,
    /// Cargo's profile `release`.
    Default,
}

impl Profile {
    /// What Cargo calls it.
    pub fn cargo_name(self) -> &'static str {
        match self {
            Self::Lto => "lto",
            Self::Default => "release",
        }
    }
}

/// A program of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub name: String,
    pub line: String,
}

fn allocator(name: &str) -> Result<&'static Allocator, String> {
    let known = || ALLOCATORS.map(|allocator| allocator.name).join(", ");
    Allocator::named(name).ok_or_else(|| format!("no such allocator; there are {}", known()))
}

fn command(text: &str) -> Result<Command, String> {
    match text.split_once('=') {
        Some((name, line)) if !name.trim().is_empty() && !line.trim().is_empty() => {
            Ok(Command { name: name.trim().to_owned(), line: line.to_owned() })
        }
        _ => Err("a name, an equals sign and a command are needed, such as sort='sort words.txt'".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 100.0 => Ok(share),
        _ => Err("a number above 0, and at most 100, is needed".to_owned()),
    }
}

/// The command line of this process; or the status with which to exit, everything having been printed.
pub fn parse() -> Result<Options, ExitCode> {
    Options::try_parse().and_then(consistent).map_err(|error| {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // A reader that has gone away does not make the command line any worse.
                let _ = error.print();
            }
            _ => eprintln!("tenure-peers: {}; see --help", one_line(&error.render().to_string())),
        }
        ExitCode::from(if error.use_stderr() { 2 } else { 0 })
    })
}

/// Refuses what no option is wrong about on its own. What is named twice is taken once.
fn consistent(mut options: Options) -> Result<Options, clap::Error> {
    let refuse = |why: String| Err(clap::Error::raw(ErrorKind::ValueValidation, why));
    for (index, command) in options.commands.iter().enumerate() {
        if options.commands[..index].iter().any(|earlier| earlier.name == command.name) {
            return refuse(format!("two commands have the name {}", command.name));
        }
    }
    if options.workloads.iter().any(|name| name.is_empty()) {
        return refuse("--workloads: a name is empty".to_owned());
    }
    once(&mut options.workloads);
    once(&mut options.allocators);
    once(&mut options.threads);
    Ok(options)
}

fn once<T: PartialEq + Clone>(list: &mut Vec<T>) {
    let mut seen = Vec::new();
    list.retain(|item| {
        let is_new = !seen.contains(item);
        seen.push(item.clone());
        is_new
    });
}

/// The first paragraph of the parser's message, on one line.
fn one_line(message: &str) -> String {
    let paragraph = message.lines().map(str::trim).take_while(|line| !line.is_empty());
    let line = paragraph.collect::<Vec<_>>().join(" ");
    line.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let parsed = Options::try_parse_from(["tenure-peers"].iter().chain(arguments)).and_then(consistent);
        parsed.map_err(|error| one_line(&error.render().to_string()))
    }

    #[test]
    fn the_definition_of_the_options_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn lists_are_separated_by_commas_and_hold_each_name_once() {
        let options = parse(&["--workloads", "a,b,a", "--allocators", "talc,tenure", "--threads", "2,1,2"]).unwrap();
        assert_eq!(options.workloads, ["a", "b"]);
        assert_eq!(options.allocators.iter().map(|allocator| allocator.name).collect::<Vec<_>>(), ["talc", "tenure"]);
        assert_eq!(options.threads, [2, 1]);
    }

    #[test]
    fn a_command_has_a_name_and_may_have_equals_signs_of_its_own() {
        let options = parse(&["--cmd", "mine=A=1 env", "--cmd", "other=true"]).unwrap();
        assert_eq!(options.commands[0], Command { name: "mine".into(), line: "A=1 env".into() });
        assert_eq!(options.commands.len(), 2);
    }

    #[test]
    fn a_wrong_command_line_is_answered_in_one_line() {
        let cases: [(&[&str], &str); 9] = [
            (&["--bogus"], "--bogus"),
            (&["--allocators", "jemaloc"], "there are tenure, system"),
            (&["--runs", "0"], "1..=1000"),
            (&["--threads", "two"], "two"),
            (&["--share=-1"], "above 0"),
            (&["--share=0"], "above 0"),
            (&["--profile", "fast"], "lto, default"),
            (&["--cmd", "true"], "equals sign"),
            (&["--cmd", "a=true", "--cmd", "a=false"], "two commands have the name a"),
        ];
        for (arguments, expected) in cases {
            let message = parse(arguments).err().unwrap_or_else(|| panic!("{arguments:?} is taken"));
            assert!(message.contains(expected), "{arguments:?}: {message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
