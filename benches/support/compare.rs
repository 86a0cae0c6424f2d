//! The ratio of the two allocators, from rounds that alternate between them. On a machine whose speed
//! drifts, two numbers taken a second apart can be compared; two taken a minute apart cannot.

use super::{Effort, Routine, Row};
use std::time::Duration;

/// How long one measurement of one allocator takes, about.
const TURN: Duration = Duration::from_millis(5);

/// How often each allocator has its turn. Odd, so that the median is one of the measurements.
const TURNS: usize = 61;

/// Nanoseconds per operation.
pub struct Times {
    pub median: f64,
    pub min: f64,
}

impl Times {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self { median: times[times.len() / 2], min: times[0] }
    }
}

/// One row of the table.
pub struct Comparison {
    name: &'static str,
    tenure: Times,
    system: Times,
}

/// Measures both allocators on `row`, in turn: A B A B.
pub fn compare(row: &Row, effort: Effort) -> Comparison {
    let mut tenure = Player::new((row.tenure)(), row.operations, effort);
    let mut system = Player::new((row.system)(), row.operations, effort);
    let turns = match effort {
        Effort::Measure => TURNS,
        Effort::Try => 1,
    };
    for _ in 0..turns {
        tenure.play();
        system.play();
    }
    Comparison { name: row.name, tenure: tenure.times(), system: system.times() }
}

/// One allocator at one workload.
pub struct Player {
    routine: Routine,
    operations: u64,
    rounds: u64,
    times: Vec<f64>,
}

impl Player {
    pub fn new(mut routine: Routine, operations: u64, effort: Effort) -> Self {
        let rounds = match effort {
            Effort::Measure => rounds_per_turn(&mut routine),
            Effort::Try => 1,
        };
        Self { routine, operations, rounds, times: Vec::with_capacity(TURNS) }
    }

    pub fn times(self) -> Times {
        Times::of(self.times)
    }

    pub fn play(&mut self) {
        let elapsed = (self.routine)(self.rounds);
        self.times.push(elapsed.as_nanos() as f64 / (self.rounds * self.operations) as f64);
    }
}

/// How many rounds take one `TURN`. Finding out warms the allocator up.
fn rounds_per_turn(routine: &mut Routine) -> u64 {
    let mut rounds = 1;
    loop {
        let elapsed = routine(rounds);
        if elapsed >= TURN / 4 {
            let wanted = rounds as f64 * TURN.as_secs_f64() / elapsed.as_secs_f64();
            return (wanted as u64).max(1);
        }
        rounds *= 2;
    }
}

/// Prints the table, and what to bear in mind when reading it.
pub fn print_table(title: &str, comparisons: &[Comparison]) {
    println!("\n{title}: ns per operation, median (min) of {TURNS} alternating turns");
    println!("{:<26} | {:>23} | {:>23} | {:>13} | {:>6}", "row", "tenure ns", "system ns", "system/tenure", "of min");
    for comparison in comparisons {
        println!("{}", line(comparison));
    }
    println!("Both allocators run in this one process, row after row, and are warm: each has served the rows above.");
    println!("The benchmark's own memory (vectors, channels, threads) is the system allocator's in both columns.");
}

fn line(Comparison { name, tenure, system }: &Comparison) -> String {
    let ratio = system.median / tenure.median;
    let of_min = system.min / tenure.min;
    // As printed: a ratio shown as 1.00 is not called slower.
    let verdict = if ratio < 0.995 { " slower" } else { "" };
    let (tenure, system) = (cell(tenure), cell(system));
    format!("{name:<26} | {tenure:>23} | {system:>23} | {ratio:>13.2} | {of_min:>6.2}{verdict}")
}

fn cell(Times { median, min }: &Times) -> String {
    format!("{median:.2} ({min:.2})")
}
