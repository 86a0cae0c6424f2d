//! What the benchmarks share: each workload is written once, generic over the allocator, and runs both
//! under criterion and in the table of ratios.

#![allow(dead_code, reason = "each benchmark uses its part")]

pub mod block;
mod compare;
pub mod contest;
pub mod one_thread;
pub mod random;

pub use compare::compare;

use criterion::{Criterion, SamplingMode, Throughput};
use std::alloc::{GlobalAlloc, System};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tenure::Tenure;

/// An allocator under measurement. Called through the trait and known at compile time, so the compiler
/// may inline it, as it may inline the global allocator.
pub trait Contender: GlobalAlloc + Send + Sync + 'static {
    /// The one instance that hands out blocks and takes them back.
    fn shared() -> &'static Self;
}

impl Contender for Tenure {
    #[inline]
    fn shared() -> &'static Self {
        static TENURE: Tenure = Tenure::new();
        &TENURE
    }
}

impl Contender for System {
    #[inline]
    fn shared() -> &'static Self {
        &System
    }
}

/// Does so many rounds and says how long they took.
pub type Routine = Box<dyn FnMut(u64) -> Duration>;

/// Something to do with an allocator, over and over.
pub trait Workload: Copy + 'static {
    /// How many operations a round has. The table gives the time of one.
    const OPERATIONS: u64 = 1;

    /// Sets up what a round needs; none of it is timed.
    fn prepare<A: Contender>(self) -> Routine;
}

/// Times `rounds` calls of `round`.
#[inline]
pub fn timed(rounds: u64, mut round: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..rounds {
        round();
    }
    start.elapsed()
}

/// One workload, ready to run on either allocator.
pub struct Row {
    pub name: &'static str,
    pub operations: u64,
    pub tenure: Rc<dyn Fn() -> Routine>,
    system: Rc<dyn Fn() -> Routine>,
}

impl Row {
    pub fn new<W: Workload>(name: &'static str, workload: W) -> Self {
        Self {
            name,
            operations: W::OPERATIONS,
            tenure: Rc::new(move || workload.prepare::<Tenure>()),
            system: Rc::new(move || workload.prepare::<System>()),
        }
    }
}

/// Whether to measure, or only to see that everything runs.
#[derive(Clone, Copy)]
pub enum Effort {
    Measure,
    Try,
}

impl Effort {
    /// Criterion's rule: measure under `cargo bench`, which passes `--bench`, unless told `--test`.
    pub fn from_args() -> Self {
        let has = |flag| std::env::args().any(|arg| arg == flag);
        if has("--bench") && !has("--test") { Self::Measure } else { Self::Try }
    }
}

/// Runs `rows` under criterion, and then prints the table of those that criterion's filter let through.
pub fn run(title: &str, rows: &[Row]) {
    let mut criterion = criterion();
    let chosen: Vec<&Row> = rows.iter().filter(|row| measure(&mut criterion, row)).collect();
    criterion.final_summary();

    if !chosen.is_empty() {
        let effort = Effort::from_args();
        let comparisons: Vec<_> = chosen.into_iter().map(|row| compare(row, effort)).collect();
        match effort {
            Effort::Measure => compare::print_table(title, &comparisons),
            Effort::Try => println!("\n{title}: {} rows ran once; `cargo bench` measures them", comparisons.len()),
        }
    }
}

pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(20)
        .nresamples(10_000)
        .configure_from_args()
}

/// Runs one row under criterion, and says whether criterion ran it.
fn measure(criterion: &mut Criterion, row: &Row) -> bool {
    let mut is_chosen = false;
    let mut group = criterion.benchmark_group(row.name);
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(row.operations));
    for (id, prepare) in [("tenure", &*row.tenure), ("system", &*row.system)] {
        let mut routine = None;
        group.bench_function(id, |bencher| bencher.iter_custom(routine.get_or_insert_with(prepare)));
        is_chosen |= routine.is_some();
    }
    group.finish();
    is_chosen
}
