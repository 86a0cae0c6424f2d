//! `tenure-peers`: the same workloads on Tenure and on other allocators. Allocators are linked into programs of their
//! own, which this one builds, runs in turns and compares; it is itself on none of them.
#![forbid(unsafe_code)]

mod builder;
mod catalogue;
mod contest;
mod failure;
mod machine;
mod measure;
mod options;
mod preload;
mod process;
mod progress;
mod report;
mod results;
mod summary;
mod table;
mod tables;
mod verdict;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

use builder::Built;
use catalogue::{ALLOCATORS, Allocator, SYSTEM, TENURE};
use contest::{Entrant, Job, Terms, Workload};
use failure::Failure;
use options::{Options, Step};
use progress::Progress;
use results::{Contest, Kind, Results, Settings};

fn main() -> ExitCode {
    let options = match options::parse() {
        Ok(options) => options,
        Err(status) => return status,
    };
    let outcome = match &options.step {
        Some(Step::Measure { preload, timeout, command }) => {
            let preload = preload.as_ref().map(|path| path.as_os_str());
            let sample = measure::measure(command, preload, *timeout).map_err(Failure::Tool);
            sample.and_then(|sample| print_json(&sample)).map(|()| true)
        }
        None if options.list => list().map(|()| true),
        None => compare(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("tenure-peers: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(value).map_err(|error| Failure::Tool(error.to_string()))?);
    Ok(())
}

/// Names what there is.
fn list() -> Result<(), Failure> {
    let progress = Progress::new();
    let system = Allocator::named(SYSTEM).expect("the catalogue has the system's");
    let built = build(system, options::Profile::Default, &progress).map_err(Failure::Tool)?;
    println!("allocators:");
    for allocator in &ALLOCATORS {
        println!("  {:<24} {}", allocator.name, allocator.about);
    }
    println!("libraries for --cmd:");
    println!("  {:<24} the program's own malloc", "none");
    println!("  {:<24} built when it is needed", TENURE);
    let (installed, missing) = preload::installed();
    for library in installed {
        println!("  {:<24} {}", library.name, library.path.display());
    }
    for (name, why) in missing {
        println!("  {name:<24} {why}");
    }
    println!("workloads:");
    for workload in contest::workloads(&built).map_err(Failure::Tool)? {
        let threads = if workload.threaded { " [threads]" } else { "" };
        println!("  {:<24} {}{threads}", workload.name, workload.about);
    }
    Ok(())
}

/// Builds, runs and writes. True if everything that was asked for ran, with equal checksums.
fn compare(options: &Options) -> Result<bool, Failure> {
    let progress = Progress::new();
    let begun = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let threads = if options.threads.is_empty() { vec![processors()] } else { options.threads.clone() };
    let settings = Settings {
        profile: options.profile.cargo_name().to_owned(),
        runs: options.runs,
        threads,
        share: options.share,
    };
    let terms = Terms { runs: options.runs, share: options.share, timeout: options.timeout };
    // Builds load the machine; what is noted is the load that the user found.
    let machine = machine::Machine::this();
    let mut contests = Vec::new();
    // A program of one's own is a question of its own, unless more is asked for.
    if options.commands.is_empty() || !options.workloads.is_empty() || !options.allocators.is_empty() {
        contests.push(linked(options, &settings, terms, &progress)?);
    }
    if !options.commands.is_empty() {
        contests.push(preloaded(options, terms, &progress)?);
    }
    let commit = machine::commit(builder::workspace());
    let (format, version) = ("tenure-peers".to_owned(), results::VERSION);
    let results = Results { format, version, begun, commit, machine, settings, contests };
    report::write(&results, &options.out)?;
    print!("{}", report::terminal(&results));
    println!("written to {}: table.md, results.json, report.html", options.out.display());
    Ok(results.contests.iter().all(is_whole))
}

fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |number| u32::try_from(number.get()).unwrap_or(u32::MAX))
}

/// True if all took part that were asked for, none failed, and all computed the same.
fn is_whole(contest: &Contest) -> bool {
    contest.left_out.is_empty() && contest.failures().is_empty() && contest.disagreements().is_empty()
}

fn build(allocator: &'static Allocator, profile: options::Profile, progress: &Progress) -> Result<Built, String> {
    let what = format!("building {} ({})", allocator.label, profile.cargo_name());
    progress.during(&what, || builder::contender(allocator, profile))
}

/// The contest of allocators that programs are linked with.
fn linked(options: &Options, settings: &Settings, terms: Terms, progress: &Progress) -> Result<Contest, Failure> {
    let all: Vec<_> = ALLOCATORS.iter().collect();
    let wanted = if options.allocators.is_empty() { all } else { options.allocators.clone() };
    let (mut entrants, mut left_out, mut known) = (Vec::new(), BTreeMap::new(), None);
    for allocator in wanted {
        let built = build(allocator, options.profile, progress).and_then(|built| {
            // Before the next build: a wrong name is told as soon as it can be known to be wrong.
            let workloads = contest::workloads(&built)?;
            Ok((built, workloads))
        });
        match built {
            Ok((built, workloads)) => {
                if known.is_none() {
                    known = Some(chosen(workloads, &options.workloads)?);
                }
                entrants.push(Entrant::linked(allocator, &built));
            }
            Err(why) => {
                progress.note(&format!("{}: left out: {why}", allocator.name));
                left_out.insert(allocator.name.to_owned(), why);
            }
        }
    }
    let why = || left_out.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    let workloads = known.ok_or_else(|| Failure::NoContender(why()))?;
    let jobs = workloads.iter().flat_map(|workload| Job::workload(workload, &settings.threads)).collect();
    Ok(contest::hold(Kind::Linked, &entrants, left_out, jobs, terms, progress))
}

/// The workloads of these names, in the order in which they are named; all if none is.
fn chosen(known: Vec<Workload>, names: &[String]) -> Result<Vec<Workload>, Failure> {
    if names.is_empty() {
        return Ok(known);
    }
    let find = |name: &String| {
        let found = known.iter().find(|workload| workload.name == *name).cloned();
        let all = || known.iter().map(|workload| workload.name.clone()).collect();
        found.ok_or_else(|| Failure::NoSuchWorkload(name.clone(), all()))
    };
    names.iter().map(find).collect()
}

/// The contest of libraries that are preloaded into the user's commands.
fn preloaded(options: &Options, terms: Terms, progress: &Progress) -> Result<Contest, Failure> {
    let mut entrants = vec![Entrant::preloaded("none", "none", None)];
    let mut left_out = BTreeMap::new();
    let tenure = progress.during("building Tenure's library", builder::library);
    let (installed, missing) = preload::installed();
    for (name, why) in missing {
        progress.note(&format!("{name}: left out: {why}"));
    }
    let own = tenure.map(|path| preload::Library { name: TENURE, label: "Tenure", path });
    let libraries = std::iter::once(own).chain(installed.into_iter().map(Ok));
    for library in libraries {
        let usable = library.map_err(|why| (TENURE, why)).and_then(|library| match preload::verify(&library.path) {
            Ok(()) => Ok(library),
            Err(why) => Err((library.name, why)),
        });
        match usable {
            Ok(library) => entrants.push(Entrant::preloaded(library.name, library.label, Some(library.path))),
            Err((name, why)) => {
                progress.note(&format!("{name}: left out: {why}"));
                left_out.insert(name.to_owned(), why);
            }
        }
    }
    let jobs = options.commands.iter().map(Job::command).collect();
    Ok(contest::hold(Kind::Preloaded, &entrants, left_out, jobs, terms, progress))
}
