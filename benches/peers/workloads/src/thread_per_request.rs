//! A thread for every request: thousands of short-lived heaps, whose answers outlive them.

use crate::input::{FixedHash, Words, checksum_of, sum_of_jobs};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use std::collections::HashMap;
use std::thread;

pub const WORKLOAD: Workload = Workload {
    name: "thread-per-request",
    about: "starts a thread for each request, which builds an answer that another thread frees (std::thread)",
    threads: Threads::Many,
    run,
};

const REQUESTS: usize = 10_000;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(18, 4000);
    sum_of_jobs(scale.threads, scale.of(REQUESTS), |number| {
        let answer =
            thread::scope(|scope| scope.spawn(|| answer(&words, number)).join().expect("a request does not panic"));
        checksum_of(answer)
    })
}

/// The most frequent words of a text, with their places.
fn answer(words: &Words, number: usize) -> Vec<(String, Vec<usize>)> {
    let text = words.text(&mut Rng::with_seed(number as u64), 400);
    let mut places: HashMap<String, Vec<usize>, FixedHash> = HashMap::default();
    for (place, word) in text.split(' ').enumerate() {
        places.entry(word.to_lowercase()).or_default().push(place);
    }
    let mut answer: Vec<_> = places.into_iter().collect();
    answer.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    answer.truncate(50);
    answer
}
