//! A cache that threads share: what one of them puts in, another one evicts and frees.

use crate::input::{FixedHash, Words, checksum_of, sum_of_jobs};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::sync::Arc;

pub const WORKLOAD: Workload = Workload {
    name: "shared-cache",
    about: "threads look up reports in one bounded cache of 20 000 and make those that are missing (quick_cache)",
    threads: Threads::Many,
    run,
};

const JOBS: usize = 800;
const LOOKUPS: usize = 1500;
const CAPACITY: usize = 20_000;

struct Report {
    title: String,
    lines: Vec<String>,
}

fn run(scale: &Scale) -> u64 {
    let words = Words::new(16, 4000);
    let capacity = scale.of(CAPACITY).max(200);
    let cache: Cache<String, Arc<Report>, UnitWeighter, FixedHash> =
        Cache::with(capacity, capacity as u64, UnitWeighter, FixedHash::default(), DefaultLifecycle::default());
    sum_of_jobs(scale.threads, scale.of(JOBS), |job| {
        let mut random = Rng::with_seed(job as u64);
        let mut sum = 0u64;
        for _ in 0..LOOKUPS {
            let numbers = capacity as u64 * if random.bool() { 1 } else { 8 };
            let number = random.u64(..numbers);
            let key = format!("report/{number}");
            let report = cache.get(&key).unwrap_or_else(|| {
                let report = Arc::new(make(&words, number));
                cache.insert(key, Arc::clone(&report));
                report
            });
            // A report depends on its number alone: whether it was found does not show.
            sum = sum.wrapping_add(checksum_of((&report.title, report.lines.len())));
        }
        sum
    })
}

fn make(words: &Words, number: u64) -> Report {
    let mut random = Rng::with_seed(number);
    let title = words.text(&mut random, 4);
    Report { title, lines: (0..random.usize(1..8)).map(|_| words.text(&mut random, 6)).collect() }
}
