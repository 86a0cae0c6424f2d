//! A text editor's buffer: edits all over a long text, with every state kept for undoing.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use ropey::Rope;
use std::collections::VecDeque;

pub const WORKLOAD: Workload = Workload {
    name: "rope-edit",
    about: "edits a text of 4 MiB in random places, keeps the last 200 states and goes back to them (ropey)",
    threads: Threads::One,
    run,
};

const EDITS: usize = 250_000;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(37, 3000);
    let mut random = Rng::with_seed(38);
    let mut text = String::new();
    while text.len() < scale.of(4 << 20) {
        words.write(&mut random, 12, &mut text);
        text.push('\n');
    }
    let mut rope = Rope::from_str(&text);
    let mut states: VecDeque<Rope> = VecDeque::new();
    let mut checksum = Checksum::new();
    for edit in 0..scale.of(EDITS) {
        let place = random.usize(..rope.len_chars());
        match random.u8(..8) {
            0..4 => rope.insert(place, words.pick(&mut random)),
            4 => {
                let paragraph = words.text(&mut random, 40);
                rope.insert(place, &paragraph);
            }
            5 | 6 => rope.remove(place..(place + random.usize(1..40)).min(rope.len_chars())),
            _ => {
                let line = rope.char_to_line(place);
                checksum.add(rope.line(line).to_string());
            }
        }
        if edit % 10 == 0 {
            states.push_back(rope.clone());
        }
        if states.len() > 200 {
            states.pop_front();
        }
        if edit % 1000 == 999 {
            rope = states[random.usize(..states.len())].clone();
        }
    }
    checksum.add(rope.to_string());
    checksum.value()
}
