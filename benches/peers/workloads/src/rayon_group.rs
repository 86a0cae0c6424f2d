//! Records grouped by a key on all threads: each thread has a map of its own, and maps are joined in pairs.

use crate::input::{FixedHash, Words, checksum_of};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use std::collections::HashMap;

pub const WORKLOAD: Workload = Workload {
    name: "rayon-group",
    about: "groups 6 000 000 records by owned strings in maps that threads fill and join (rayon)",
    threads: Threads::Many,
    run,
};

const RECORDS: usize = 6_000_000;

type Groups = HashMap<String, Vec<u64>, FixedHash>;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(47, 4000);
    let pool = ThreadPoolBuilder::new().num_threads(scale.threads).build().expect("threads can be started");
    let groups = pool.install(|| {
        (0..scale.of(RECORDS) as u64)
            .into_par_iter()
            .fold(Groups::default, |mut groups, number| {
                let mut random = Rng::with_seed(number);
                let key = format!("{} {}", words.pick(&mut random), random.u8(..16));
                groups.entry(key).or_default().push(number);
                groups
            })
            .reduce(Groups::default, join)
    });
    // Neither the map's order nor who joined what with what shows in a sum.
    groups
        .into_iter()
        .map(|(key, numbers)| checksum_of((key, numbers.len(), numbers.iter().sum::<u64>())))
        .fold(0, u64::wrapping_add)
}

fn join(mut groups: Groups, others: Groups) -> Groups {
    if groups.len() < others.len() {
        return join(others, groups);
    }
    for (key, mut numbers) in others {
        groups.entry(key).or_default().append(&mut numbers);
    }
    groups
}
