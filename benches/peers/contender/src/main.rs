//! One allocator, and all workloads. A process runs one of them and says in one line of JSON what it took, so that none
//! finds the memory that another left behind.
//!
//! ```text
//! tenure-peers-contender list
//! tenure-peers-contender run WORKLOAD THREADS SHARE
//! ```

mod allocator;
mod usage;

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;
use tenure_workloads::{Scale, Threads, Workload, all};

use usage::Usage;

/// What is known of a workload before it runs.
#[derive(Serialize)]
struct Description {
    name: &'static str,
    about: &'static str,
    threaded: bool,
}

/// What a run took. Seconds on the clock are the workload's alone; all else is the process's, until the workload's end.
#[derive(Serialize)]
struct Outcome {
    allocator: &'static str,
    workload: &'static str,
    /// In hexadecimal: numbers of JSON do not hold 64 bits.
    checksum: String,
    wall_s: f64,
    #[serde(flatten)]
    usage: Usage,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = match arguments[..] {
        ["list"] => to_json(&all().iter().map(describe).collect::<Vec<_>>()),
        ["run", name, threads, share] => scale(threads, share).and_then(|scale| run(name, &scale)),
        _ => Err("usage: list, or run WORKLOAD THREADS SHARE".to_owned()),
    };
    match answer {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("tenure-peers-contender: {why}");
            ExitCode::from(2)
        }
    }
}

fn describe(workload: &Workload) -> Description {
    Description { name: workload.name, about: workload.about, threaded: matches!(workload.threads, Threads::Many) }
}

fn scale(threads: &str, share: &str) -> Result<Scale, String> {
    match (threads.parse(), share.parse()) {
        (Ok(threads), Ok(share)) if threads > 0 && share > 0.0 => Ok(Scale { threads, share }),
        _ => Err(format!("{threads} {share}: a number of threads and a share of the work are needed, both above 0")),
    }
}

fn run(name: &str, scale: &Scale) -> Result<String, String> {
    let workload = all().iter().find(|workload| workload.name == name);
    let workload = workload.ok_or_else(|| format!("{name}: no such workload"))?;
    let begun = Instant::now();
    let checksum = (workload.run)(scale);
    let wall_s = begun.elapsed().as_secs_f64();
    let usage = usage::of_this_process()?;
    let checksum = format!("{checksum:016x}");
    to_json(&Outcome { allocator: allocator::NAME, workload: workload.name, checksum, wall_s, usage })
}

fn to_json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}
