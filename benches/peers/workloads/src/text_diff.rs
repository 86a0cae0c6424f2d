//! Two versions of a text, compared by lines and by words.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use similar::{ChangeTag, TextDiff};

pub const WORKLOAD: Workload = Workload {
    name: "text-diff",
    about: "compares versions of a text of 1000 lines by lines and by words, prints the differences (similar)",
    threads: Threads::One,
    run,
};

const ROUNDS: usize = 150;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(33, 3000);
    let mut random = Rng::with_seed(34);
    let mut lines: Vec<String> = (0..1000).map(|_| words.text(&mut random, 10)).collect();
    let mut old = lines.join("\n");
    let mut checksum = Checksum::new();
    for _ in 0..scale.of(ROUNDS) {
        edit(&words, &mut random, &mut lines);
        let new = lines.join("\n");
        let by_lines = TextDiff::from_lines(&old, &new);
        checksum.add(by_lines.unified_diff().context_radius(3).header("old", "new").to_string());
        let by_words = TextDiff::from_words(&old, &new);
        for change in by_words.iter_all_changes().filter(|change| change.tag() != ChangeTag::Equal) {
            checksum.add(change.value());
        }
        old = new;
    }
    checksum.value()
}

/// Some lines go, some come, some change a word.
fn edit(words: &Words, random: &mut Rng, lines: &mut Vec<String>) {
    for _ in 0..20 {
        let place = random.usize(..lines.len());
        match random.u8(..4) {
            0 => drop(lines.remove(place)),
            1 => lines.insert(place, words.text(random, 10)),
            _ => {
                let (from, to) = (words.pick(random), words.pick(random));
                lines[place] = lines[place].replacen(from, to, 1) + words.pick(random);
            }
        }
    }
}
