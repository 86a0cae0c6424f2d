//! The command line. A wrong one is answered in one line; where the parser would print a page, its first paragraph is
//! folded.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use tenure_profile::Setting;

use crate::environment;
use crate::help;
use crate::say::say;

/// Starts any program on Tenure, a memory allocator, without rebuilding it, and shows what became of its memory.
#[derive(Parser)]
#[command(name = "tenure", version, after_help = help::COMMAND)]
pub struct Options {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Subcommand)]
pub enum Action {
    Run(Run),
    Profile(Profile),
    #[cfg(feature = "view")]
    Report(Report),
    #[cfg(feature = "view")]
    Top(Top),
}

/// Read the text of a heap profile, and write it in another form.
///
/// The library starts this by itself at the end of a program that runs with TENURE_PROFILE or TENURE_LEAKS. The text
/// names the files in which the names of functions are looked for, so it is best read where it was written.
#[derive(Args)]
pub struct Profile {
    /// The text: FILE.heap, where the library could not start this command, or - for standard input.
    #[arg(value_name = "TEXT")]
    pub text: PathBuf,

    /// Write the profile to this file, in the form that the end of its name stands for: .pb.gz for pprof, .folded for
    /// folded stacks, .svg for a flame graph.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// What folded stacks and flame graphs show.
    #[arg(long, value_name = "VALUE", value_enum, default_value = "live-bytes")]
    pub value: Value,

    /// Print what is still in use, by call stack, to standard error.
    #[arg(long)]
    pub leaks: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Value {
    /// Bytes that are in use.
    LiveBytes,
    /// Blocks that are in use.
    LiveBlocks,
    /// All bytes that were allocated.
    Bytes,
    /// All blocks that were allocated.
    Blocks,
}

/// Run a program on Tenure: malloc, free, new, delete and their kin come from libtenure_malloc.so.
///
/// The program takes this command's place. Its process id, signals, standard input and exit status are as if it had
/// been started directly.
#[derive(Args)]
#[command(after_help = help::RUN)]
pub struct Run {
    /// Print statistics when the program ends; with FILE, append them there (%p stands for the process id).
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub stats: Option<Option<PathBuf>>,

    /// How statistics are printed.
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text", requires = "stats")]
    pub format: Format,

    /// Print and write all that, and what the environment asks for, for the program's children too.
    #[arg(long)]
    pub children: bool,

    /// Write a heap profile when the program ends: pprof, folded stacks or a flame graph, as FILE ends in .pb.gz,
    /// .folded or .svg. RATE is the number of bytes from one sample to the next, 524288 unless given; %p stands for the
    /// process id.
    #[arg(long, value_name = "FILE[:RATE]", value_parser = OsStringValueParser::new().try_map(profile_setting))]
    pub profile: Option<PathBuf>,

    /// Print what is still in use when the program ends, by call stack. Without --profile each allocation is looked at,
    /// which takes time.
    #[arg(long)]
    pub leaks: bool,

    /// For Python programs: set PYTHONMALLOC=malloc, without which Python keeps its objects in a heap of its own.
    #[arg(long)]
    pub python: bool,

    /// Preload this library instead of the libtenure_malloc.so beside this command or in ../lib.
    #[arg(long, value_name = "PATH")]
    pub lib: Option<PathBuf>,

    /// The program, looked for in PATH unless it has a slash, and its arguments.
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    pub program: Vec<OsString>,
}

impl Run {
    /// True where the options ask the program to print or write something.
    pub fn asks(&self) -> bool {
        self.stats.is_some() || self.profile.is_some() || self.leaks
    }
}

/// Make a page of what processes have said of their memory.
///
/// The page is one file, which fetches nothing. It has memory over time, the balance of the last snapshot, the
/// utilisation of size classes, all figures, and flame graphs where there are profiles. It needs no JavaScript.
#[cfg(feature = "view")]
#[derive(Args)]
#[command(after_help = help::REPORT)]
pub struct Report {
    /// Statistics in JSON, one snapshot or any number of them, of one process or several; or profiles as flame graphs
    /// (.svg) or folded stacks (.folded). A file that is given twice counts once.
    #[arg(value_name = "STATS.json", required = true)]
    pub files: Vec<PathBuf>,

    /// Where the page goes; - stands for standard output.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub output: PathBuf,
}

/// Watch a process's memory in the terminal, from the file that TENURE_STATS_EVERY has written.
///
/// q or Ctrl-C ends it.
#[cfg(feature = "view")]
#[derive(Args)]
#[command(after_help = help::TOP)]
pub struct Top {
    /// The id of a process, whose environment names the file; or the file. A file whose name is a number is written as
    /// ./NUMBER.
    #[arg(value_name = "PID|FILE")]
    pub target: OsString,

    /// Print the latest snapshot as text and end, as is done where standard output is no terminal.
    #[arg(long)]
    pub once: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    /// A table for people.
    Text,
    /// One JSON object for each process.
    Json,
    /// Prometheus' text format; the file is replaced.
    Prom,
}

impl Format {
    /// As `TENURE_STATS` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Prom => "prom",
        }
    }
}

/// The command line of this process; or the status with which to exit, everything having been printed: 0 after `--help`
/// and `--version`, and 2 where the command line is wrong.
pub fn parse() -> Result<Options, ExitCode> {
    Options::try_parse().and_then(check).map_err(|error| {
        match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                // A reader that has gone away does not make the command line any worse.
                let _ = error.print();
            }
            _ => say(format_args!(
                "{}; see `{}`",
                one_line(&error.render().to_string()),
                help_for(env::args_os().nth(1))
            )),
        }
        ExitCode::from(if error.use_stderr() { 2 } else { 0 })
    })
}

/// Refuses to ask a program's children for what nobody asks of the program.
fn check(options: Options) -> Result<Options, clap::Error> {
    match &options.action {
        Action::Run(run) if run.children && !run.asks() && !environment::asks() => Err(Options::command().error(
            ErrorKind::MissingRequiredArgument,
            "--children: nothing is asked for, by --stats, --profile, --leaks or the environment",
        )),
        _ => Ok(options),
    }
}

/// A setting that the library will understand, of a file in a folder that is there; or what is wrong with it.
fn profile_setting(text: OsString) -> Result<PathBuf, String> {
    let setting = Setting::parse(&text).map_err(|wrong| wrong.to_string())?;
    let folder = setting.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // One that is named by a process cannot be looked at before there is the process.
    if !folder.as_os_str().as_bytes().windows(2).any(|pair| pair == b"%p") {
        let found = fs::metadata(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        if !found.is_dir() {
            return Err(format!("{}: not a folder", folder.display()));
        }
    }
    Ok(text.into())
}

/// The command line that explains the subcommand of this name.
fn help_for(name: Option<OsString>) -> String {
    let command = Options::command();
    let known = name.and_then(|name| command.find_subcommand(name).map(|subcommand| subcommand.get_name().to_owned()));
    known.map_or_else(|| "tenure --help".to_owned(), |name| format!("tenure {name} --help"))
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

    fn run(arguments: &[&str]) -> Result<Run, String> {
        match Options::try_parse_from(["tenure", "run"].iter().chain(arguments)).and_then(check) {
            Ok(Options { action: Action::Run(run) }) => Ok(run),
            Ok(_) => unreachable!("the subcommand is `run`"),
            Err(error) => Err(one_line(&error.render().to_string())),
        }
    }

    #[test]
    fn the_definition_of_the_options_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn statistics_may_be_asked_for_with_and_without_a_file() {
        assert!(run(&["--", "true"]).ok().unwrap().stats.is_none());
        assert!(matches!(run(&["--stats", "--", "true"]).ok().unwrap().stats, Some(None)));
        let stats = run(&["--stats=out.%p", "--", "true"]).ok().unwrap().stats;
        assert_eq!(stats, Some(Some(PathBuf::from("out.%p"))));
    }

    #[test]
    fn a_profile_goes_to_a_folder_that_is_there() {
        let wrong = |setting: &str| run(&["--profile", setting, "--", "true"]).err();
        for setting in ["heap.svg", "./heap.folded:4K", "/heap.pb.gz", "/no/such/%p/heap.svg"] {
            assert_eq!(wrong(setting), None);
        }
        let cases = [
            ("heap.txt", "must end in"),
            ("heap.svg:0", "the rate must be"),
            ("/no/such/heap.svg", "/no/such: "),
            ("/dev/null/heap.svg:64K", "/dev/null: not a folder"),
        ];
        for (setting, why) in cases {
            let wrong = wrong(setting).unwrap();
            assert!(wrong.contains("--profile") && wrong.contains(why), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_command_line_is_referred_to_the_help_of_its_subcommand() {
        assert_eq!(help_for(Some("run".into())), "tenure run --help");
        assert_eq!(help_for(Some("dance".into())), "tenure --help");
        assert_eq!(help_for(None), "tenure --help");
    }

    #[test]
    fn what_follows_the_program_belongs_to_the_program() {
        for arguments in [&["--", "ls", "--stats", "--", "-x"][..], &["ls", "--stats", "--", "-x"][..]] {
            let run = run(arguments).ok().unwrap();
            assert_eq!(run.program, ["ls", "--stats", "--", "-x"]);
            assert!(run.stats.is_none());
        }
    }

    #[test]
    fn a_wrong_command_line_is_answered_in_one_line() {
        let wrong = |arguments: &[&str]| run(arguments).err().unwrap();
        assert!(wrong(&["--bogus", "--", "true"]).contains("--bogus"));
        assert!(wrong(&["--stats"]).contains("CMD"));
        assert!(wrong(&["--stats", "--format", "xml", "--", "true"]).contains("text, json"));
        assert!(wrong(&["--children", "--", "true"]).contains("--stats"));
        assert!(wrong(&["--profile", "heap.txt", "--", "true"]).contains("must end in"));
        assert!(!wrong(&["--stats", "--format", "xml", "--", "true"]).contains('\n'));
    }
}
