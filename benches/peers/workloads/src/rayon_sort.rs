//! Lines of a text, sorted on all threads.

use crate::input::{Words, checksum_of};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

pub const WORKLOAD: Workload = Workload {
    name: "rayon-sort",
    about: "makes 300 000 lines on all threads, sorts them, removes doubles and changes case, four times (rayon)",
    threads: Threads::Many,
    run,
};

const LINES: usize = 300_000;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(46, 4000);
    let pool = ThreadPoolBuilder::new().num_threads(scale.threads).build().expect("threads can be started");
    pool.install(|| {
        (0..4u64).fold(0, |sum, round| {
            let mut lines: Vec<String> = (0..scale.of(LINES) as u64)
                .into_par_iter()
                .map(|number| words.text(&mut Rng::with_seed(round << 32 | number), 2 + number as usize % 4))
                .collect();
            lines.par_sort();
            lines.dedup();
            let upper: Vec<String> = lines.par_iter().map(|line| line.to_uppercase()).collect();
            drop(lines);
            checksum_of((sum, upper))
        })
    })
}
