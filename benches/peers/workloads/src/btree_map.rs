//! An ordered map from strings to lists of strings: the nodes, the keys and the lists are blocks of their own.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use std::collections::BTreeMap;

pub const WORKLOAD: Workload = Workload {
    name: "btree-map",
    about: "keeps lists of strings in order of string keys: inserts, scans ranges, splits, joins and removes (std BTreeMap)",
    threads: Threads::One,
    run,
};

const STEPS: usize = 1_200_000;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(6, 8000);
    let mut random = Rng::with_seed(7);
    let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut checksum = Checksum::new();
    let steps = scale.of(STEPS);
    let years = steps as u32 / 1500 + 1;
    let key = |random: &mut Rng| format!("{}/{}", words.pick(random), random.u32(..years));
    for step in 0..steps {
        match random.u8(..10) {
            0..6 => {
                let value = words.text(&mut random, 3);
                map.entry(key(&mut random)).or_default().push(value);
            }
            6..9 => checksum.add(map.remove(&key(&mut random))),
            _ => {
                let from = key(&mut random);
                let found = map.range(from..).take(20);
                checksum.add(found.map(|(key, values)| key.len() + values.len()).sum::<usize>());
            }
        }
        if step % 50_000 == 49_999 {
            // The middle of the alphabet is cut out and put back.
            let mut upper = map.split_off("g");
            let mut rest = upper.split_off("t");
            upper.retain(|_, values| values.len() > 1);
            map.append(&mut upper);
            map.append(&mut rest);
        }
    }
    checksum.add(map.len());
    checksum.value()
}
