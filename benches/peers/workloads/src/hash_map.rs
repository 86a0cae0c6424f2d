//! A hash map that owns its strings, under insertion, change and removal.

use crate::input::{Checksum, FixedHash, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use std::collections::HashMap;

pub const WORKLOAD: Workload = Workload {
    name: "hash-map",
    about: "inserts, changes, looks up and removes up to 300 000 owned strings by owned strings (std HashMap)",
    threads: Threads::One,
    run,
};

const STEPS: usize = 2_500_000;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(3, 4000);
    let mut random = Rng::with_seed(4);
    let mut map: HashMap<String, String, FixedHash> = HashMap::default();
    let mut checksum = Checksum::new();
    let steps = scale.of(STEPS);
    let keys = steps as u32 / 8 + 1;
    for _ in 0..steps {
        let number = random.u32(..keys);
        let key = format!("user/{number}/{}", number % 17);
        match random.u8(..8) {
            0..4 => drop(map.insert(key, words.text(&mut random, 1 + number as usize % 7))),
            4 => map.entry(key).or_default().push_str(words.pick(&mut random)),
            5 | 6 => checksum.add(map.remove(&key)),
            _ => checksum.add(map.get(&key)),
        }
    }
    checksum.add(map.len());
    checksum.value()
}
