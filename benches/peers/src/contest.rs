//! A contest: contenders take turns at every task, so that what a machine does besides falls on all of them. Rounds go
//! over all tasks: a spell of noise spoils one sample of each contender rather than all samples of a task.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::builder;
use crate::catalogue::Allocator;
use crate::measure;
use crate::options::Command;
use crate::process;
use crate::progress::Progress;
use crate::results::{Contender, Contest, Kind, Sample, Series, Task};

/// How a contender runs a task.
enum Means {
    /// A program that has the workloads in it.
    Linked(PathBuf),
    /// A library for commands; or none.
    Preloaded(Option<PathBuf>),
}

/// What is measured, and how often.
#[derive(Clone, Copy)]
pub struct Terms {
    pub runs: u32,
    pub share: f64,
    pub timeout: Duration,
}

/// A contender that can run.
pub struct Entrant {
    contender: Contender,
    means: Means,
}

impl Entrant {
    pub fn linked(allocator: &Allocator, built: &builder::Built) -> Self {
        let (name, label) = (allocator.name.to_owned(), allocator.label.to_owned());
        let contender = Contender { name, label, about: built.about.clone() };
        Self { contender, means: Means::Linked(built.program.clone()) }
    }

    pub fn preloaded(name: &str, label: &str, library: Option<PathBuf>) -> Self {
        let about = match &library {
            Some(library) => library.display().to_string(),
            None => "the program's own".to_owned(),
        };
        let contender = Contender { name: name.to_owned(), label: label.to_owned(), about };
        Self { contender, means: Means::Preloaded(library) }
    }

    fn run(&self, task: &Task, line: &str, terms: Terms) -> Result<Sample, String> {
        match &self.means {
            Means::Linked(program) => {
                let (threads, share) = (task.threads.unwrap_or(1).to_string(), terms.share.to_string());
                let mut command = process::command(program);
                command.args(["run", &task.name, &threads, &share]);
                let text = process::output(&mut command, terms.timeout)?;
                let answer: Answer = parse(&text)?;
                if answer.allocator == self.contender.name {
                    Ok(answer.sample)
                } else {
                    Err(format!("the program is on {}", answer.allocator))
                }
            }
            Means::Preloaded(library) => {
                let mut command = measure::measuring(line, library.as_deref(), terms.timeout)?;
                // It stops what takes too long by itself.
                parse(&process::output(&mut command, terms.timeout + Duration::from_secs(10))?)
            }
        }
    }
}

/// What a contender prints.
#[derive(Deserialize)]
struct Answer {
    allocator: String,
    #[serde(flatten)]
    sample: Sample,
}

fn parse<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("printed no sample: {error}"))
}

/// What a contender says of a workload.
#[derive(Debug, Clone, Deserialize)]
pub struct Workload {
    pub name: String,
    pub about: String,
    pub threaded: bool,
}

/// The workloads that a contender has in it.
pub fn workloads(built: &builder::Built) -> Result<Vec<Workload>, String> {
    parse(&process::output(process::command(&built.program).arg("list"), Duration::from_secs(60))?)
}

/// A task, and for a command its line.
pub struct Job {
    task: Task,
    line: String,
}

impl Job {
    pub fn command(command: &Command) -> Self {
        let task = Task {
            name: command.name.clone(),
            about: command.line.clone(),
            threads: None,
            counts: true,
            series: BTreeMap::new(),
        };
        Self { task, line: command.line.clone() }
    }

    /// A workload: once, or once for each number of threads, of which the first counts.
    pub fn workload<'a>(workload: &'a Workload, threads: &'a [u32]) -> impl Iterator<Item = Self> + 'a {
        let threads = if workload.threaded { threads } else { &[][..] };
        let numbers = threads.iter().copied().map(Some).chain(threads.is_empty().then_some(None));
        numbers.enumerate().map(|(index, threads)| Self {
            task: Task {
                name: workload.name.clone(),
                about: workload.about.clone(),
                threads,
                counts: index == 0,
                series: BTreeMap::new(),
            },
            line: String::new(),
        })
    }
}

/// Who is the how-manieth in a round: everybody comes first once before anybody does so again, and nobody follows the
/// same one twice until everybody has followed everybody.
///
/// What ran before matters where memory is touched for the first time: memory that a process has just given back is at
/// hand, and other memory may have to be had from the host of a virtual machine, which takes ten times as long. This is
/// the design of E. J. Williams, "Experimental designs balanced for the estimation of residual effects of treatments"
/// (1949); an odd number needs twice as many rounds, half of them backwards.
fn order(contenders: usize, round: usize) -> impl Iterator<Item = usize> {
    let is_backwards = contenders % 2 == 1 && round / contenders % 2 == 1;
    (0..contenders).map(move |place| {
        let place = if is_backwards { contenders - 1 - place } else { place };
        // 0, 1, -1, 2, -2, ...
        let zigzag = if place % 2 == 1 { place.div_ceil(2) } else { contenders - place / 2 };
        (zigzag + round) % contenders
    })
}

/// Runs all jobs on all entrants. One that fails is not asked again for that task; the others go on.
pub fn hold(
    kind: Kind,
    entrants: &[Entrant],
    left_out: BTreeMap<String, String>,
    jobs: Vec<Job>,
    terms: Terms,
    progress: &Progress,
) -> Contest {
    let (mut tasks, lines): (Vec<Task>, Vec<String>) = jobs.into_iter().map(|job| (job.task, job.line)).unzip();
    for task in &mut tasks {
        let names = entrants.iter().map(|entrant| entrant.contender.name.clone());
        task.series = names.map(|name| (name, Series::default())).collect();
    }
    let mut bar = progress.runs(terms.runs as usize * tasks.len() * entrants.len());
    for round in 0..terms.runs as usize {
        for (task, line) in tasks.iter_mut().zip(&lines) {
            let title = task.title();
            bar.next_task(round, &title);
            for entrant in order(entrants.len(), round).map(|index| &entrants[index]) {
                bar.next_run(&entrant.contender.label);
                let name = &entrant.contender.name;
                if task.series[name].failure.is_some() {
                    continue;
                }
                let outcome = entrant.run(task, line, terms);
                let series = task.series.get_mut(name).expect("each entrant has a series");
                match outcome {
                    Ok(sample) => series.samples.push(sample),
                    Err(why) => {
                        bar.note(&format!("{title}: {} failed: {why}", entrant.contender.label));
                        series.failure = Some(why);
                    }
                }
            }
        }
    }
    bar.end();
    let contenders = entrants.iter().map(|entrant| entrant.contender.clone()).collect();
    Contest { kind, contenders, left_out, tasks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_first_once_before_anybody_is_so_again() {
        for contenders in 1..12 {
            let mut first: Vec<_> = (0..contenders).filter_map(|round| order(contenders, round).next()).collect();
            first.sort();
            assert_eq!(first, (0..contenders).collect::<Vec<_>>());
        }
    }

    #[test]
    fn everybody_follows_everybody_as_often() {
        for contenders in 2..12 {
            let (rounds, times) = if contenders % 2 == 0 { (contenders, 1) } else { (2 * contenders, 2) };
            let mut followed = vec![vec![0; contenders]; contenders];
            for round in 0..rounds {
                let turns: Vec<_> = order(contenders, round).collect();
                for pair in turns.windows(2) {
                    followed[pair[0]][pair[1]] += 1;
                }
            }
            for (one, others) in followed.iter().enumerate() {
                assert!(others.iter().enumerate().all(|(other, &count)| count == if one == other { 0 } else { times }));
            }
        }
    }

    #[test]
    fn of_several_numbers_of_threads_the_first_counts() {
        let workload = Workload { name: "w".into(), about: String::new(), threaded: true };
        let jobs: Vec<_> =
            Job::workload(&workload, &[2, 1, 8]).map(|job| (job.task.threads, job.task.counts)).collect();
        assert_eq!(jobs, [(Some(2), true), (Some(1), false), (Some(8), false)]);
        let alone = Workload { threaded: false, ..workload };
        let jobs: Vec<_> = Job::workload(&alone, &[2, 1]).map(|job| (job.task.threads, job.task.counts)).collect();
        assert_eq!(jobs, [(None, true)]);
    }

    #[test]
    fn a_command_that_fails_on_one_library_goes_on_with_the_others() {
        let entrants = [
            Entrant::preloaded("none", "none", None),
            Entrant::preloaded("broken", "broken", Some("/there/is/no.so".into())),
        ];
        let terms = Terms { runs: 2, share: 1.0, timeout: Duration::from_secs(60) };
        // The test program is not the one that measures, so all runs fail alike; each only once.
        let command = Command { name: "c".into(), line: "true".into() };
        let contest =
            hold(Kind::Preloaded, &entrants, BTreeMap::new(), vec![Job::command(&command)], terms, &Progress::silent());
        assert_eq!(contest.failures().len(), 2);
        assert!(contest.tasks[0].series.values().all(|series| series.samples.is_empty()));
    }
}
