//! Maps whose old states stay: every change makes a few new nodes and shares the others.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use imbl::{OrdMap, Vector};

pub const WORKLOAD: Workload = Workload {
    name: "persistent-map",
    about: "changes shared ordered maps and vectors of which 50 old states stay alive (imbl)",
    threads: Threads::One,
    run,
};

const STEPS: usize = 300_000;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(39, 4000);
    let mut random = Rng::with_seed(40);
    let mut map: OrdMap<String, Vector<u32>> = OrdMap::new();
    let mut states = vec![map.clone(); 50];
    let mut checksum = Checksum::new();
    let steps = scale.of(STEPS);
    for step in 0..steps {
        let key = format!("{} {}", words.pick(&mut random), random.u8(..8));
        match random.u8(..8) {
            0..5 => map.entry(key).or_default().push_back(step as u32),
            5 | 6 => drop(map.remove(&key)),
            _ => checksum.add(map.get(&key).map(Vector::len)),
        }
        if step % 20 == 0 {
            let place = random.usize(..states.len());
            states[place] = map.clone();
        }
        if step % 20_000 == 19_999 {
            map = states[random.usize(..states.len())].clone();
        }
    }
    for state in &states {
        checksum.add((state.len(), state.values().map(Vector::len).sum::<usize>()));
    }
    checksum.value()
}
