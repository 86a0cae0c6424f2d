//! A full-text index in memory: lists of places for each word, the words in a finite-state transducer.

use crate::input::{Checksum, FixedHash, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use fst::automaton::{Automaton, Str, Subsequence};
use fst::{IntoStreamer, Map, MapBuilder, Streamer};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

pub const WORKLOAD: Workload = Workload {
    name: "search-index",
    about: "indexes 30 000 documents and answers exact, prefix and subsequence queries by rank (fst, own postings)",
    threads: Threads::One,
    run,
};

const DOCUMENTS: usize = 30_000;
const QUERIES: usize = 4000;

/// One word's documents, with how often it is in each.
type Postings = Vec<(u32, u32)>;

struct Index {
    words: Map<Vec<u8>>,
    postings: Vec<Postings>,
}

impl Index {
    fn new(documents: &[String]) -> Self {
        let mut found: HashMap<String, Postings, FixedHash> = HashMap::default();
        for (number, document) in (0..).zip(documents) {
            for word in document.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
                let postings = found.entry(word.to_lowercase()).or_default();
                match postings.last_mut() {
                    Some((last, count)) if *last == number => *count += 1,
                    _ => postings.push((number, 1)),
                }
            }
        }
        let mut sorted: Vec<(String, Postings)> = found.into_iter().collect();
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut words = MapBuilder::memory();
        for (place, (word, _)) in (0..).zip(&sorted) {
            words.insert(word, place).expect("words are in order");
        }
        Self { words: words.into_map(), postings: sorted.into_iter().map(|(_, postings)| postings).collect() }
    }

    /// The ten documents in which words that the automaton accepts weigh most.
    fn search(&self, automaton: impl Automaton) -> Vec<(u64, u32)> {
        let mut scores: HashMap<u32, u64, FixedHash> = HashMap::default();
        let mut words = self.words.search(automaton).into_stream();
        while let Some((_, place)) = words.next() {
            let postings = &self.postings[place as usize];
            let rarity = 1_000_000 / postings.len() as u64;
            for (document, count) in postings.iter().take(500) {
                *scores.entry(*document).or_default() += rarity * u64::from(*count);
            }
        }
        let mut best = BinaryHeap::new();
        for (document, score) in scores {
            best.push((Reverse(score), document));
            if best.len() > 10 {
                best.pop();
            }
        }
        best.into_sorted_vec().into_iter().map(|(Reverse(score), document)| (score, document)).collect()
    }
}

fn run(scale: &Scale) -> u64 {
    let words = Words::new(27, 10_000);
    let mut random = Rng::with_seed(28);
    let documents: Vec<String> = (0..scale.of(DOCUMENTS))
        .map(|number| {
            format!("{} {number:x}", {
                let length = random.usize(10..60);
                words.text(&mut random, length)
            })
        })
        .collect();
    let index = Index::new(&documents);
    drop(documents);
    let mut checksum = Checksum::new();
    for query in 0..scale.of(QUERIES) {
        let word = words.pick(&mut random);
        checksum.add(match query % 8 {
            0..5 => index.search(Str::new(word)),
            5 | 6 => index.search(Str::new(&word[..word.len().min(3)]).starts_with()),
            _ => index.search(Subsequence::new(word)),
        });
    }
    checksum.value()
}
