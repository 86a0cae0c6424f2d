//! Two workloads in the shape of the library's.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;

pub struct Workload {
    pub name: &'static str,
    pub about: &'static str,
    pub threads: Threads,
    pub run: fn(&Scale) -> u64,
}
pub enum Threads {
    One,
    Many,
}
pub struct Scale {
    pub threads: usize,
    pub share: f64,
}

pub fn all() -> &'static [Workload] {
    const ALL: &[Workload] = &[
        Workload { name: "words", about: "a BTreeMap of strings", threads: Threads::One, run: words },
        Workload { name: "channel", about: "boxes through channels", threads: Threads::Many, run: channel },
    ];
    ALL
}

fn words(scale: &Scale) -> u64 {
    let mut map = BTreeMap::new();
    let mut sum = 0_u64;
    let mut state = 1_u64;
    for _ in 0..(2_000_000.0 * scale.share) as usize {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let key = format!("word {}", state >> 45);
        if let Some(old) = map.insert(key, vec![0_u8; (state >> 58) as usize]) {
            sum = sum.wrapping_add(old.len() as u64);
        }
    }
    sum + map.len() as u64
}

fn channel(scale: &Scale) -> u64 {
    let each = (1_000_000.0 * scale.share) as u64;
    let (sender, receiver) = mpsc::channel::<Vec<u64>>();
    for _ in 0..scale.threads {
        let sender = sender.clone();
        thread::spawn(move || {
            for number in 0..each {
                sender.send(vec![number; 8]).unwrap();
            }
        });
    }
    drop(sender);
    receiver.iter().map(|list| list[7]).fold(0, u64::wrapping_add)
}
