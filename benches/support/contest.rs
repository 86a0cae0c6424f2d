//! Several contestants at one task, in rounds that alternate between them: A B C A B C. The first is what the others
//! are held against.

use super::compare::Player;
use super::{Effort, Routine};
use criterion::{Criterion, SamplingMode, Throughput};

pub use super::compare::Times;

/// How often each has its turn. Odd, so that the median is one of the measurements.
const TURNS: usize = 61;

/// One contestant.
pub struct Contestant {
    name: &'static str,
    prepare: Box<dyn Fn() -> Routine>,
}

impl Contestant {
    pub fn new(name: &'static str, prepare: impl Fn() -> Routine + 'static) -> Self {
        Self { name, prepare: Box::new(prepare) }
    }
}

/// One task, of so many operations to a round.
pub struct Contest {
    pub task: &'static str,
    pub operations: u64,
    pub contestants: Vec<Contestant>,
}

/// Nanoseconds per operation of each contestant.
pub struct Outcome {
    pub task: &'static str,
    pub times: Vec<(&'static str, Times)>,
}

impl Contest {
    /// Runs the contest under criterion, and then in turns, if criterion's filter lets it through.
    pub fn run(&self, criterion: &mut Criterion, effort: Effort) -> Option<Outcome> {
        let mut is_chosen = false;
        let mut group = criterion.benchmark_group(self.task);
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(self.operations));
        for contestant in &self.contestants {
            let mut routine = None;
            group.bench_function(contestant.name, |bencher| {
                bencher.iter_custom(routine.get_or_insert_with(&contestant.prepare));
            });
            is_chosen |= routine.is_some();
        }
        group.finish();
        is_chosen.then(|| self.take_turns(effort))
    }

    fn take_turns(&self, effort: Effort) -> Outcome {
        let player = |contestant: &Contestant| Player::new((contestant.prepare)(), self.operations, effort);
        let mut players: Vec<_> = self.contestants.iter().map(player).collect();
        let turns = match effort {
            Effort::Measure => TURNS,
            Effort::Try => 1,
        };
        for _ in 0..turns {
            players.iter_mut().for_each(Player::play);
        }
        let names = self.contestants.iter().map(|contestant| contestant.name);
        Outcome { task: self.task, times: names.zip(players.into_iter().map(Player::times)).collect() }
    }
}

/// Prints the outcomes as a table.
pub fn print_table(title: &str, outcomes: &[Outcome]) {
    println!(
        "\n{title}: ns per operation, median (min) of {TURNS} alternating turns, and the median beside that of the first"
    );
    for Outcome { task, times } in outcomes {
        println!("{task}");
        let first = times[0].1.median;
        for (name, Times { median, min }) in times {
            println!("    {name:<24} {median:>10.2} ({min:.2})  {:>6.2} x", median / first);
        }
    }
}
