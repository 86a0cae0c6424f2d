//! What fragments a heap: results that stay for long between blocks of requests that go at once.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use std::collections::VecDeque;

pub const WORKLOAD: Workload = Workload {
    name: "request-cache",
    about: "serves requests with short-lived blocks, keeps some results for long, sizes drift over time (own code)",
    threads: Threads::One,
    run,
};

const REQUESTS: usize = 200_000;

/// Bytes of results that stay.
const KEPT: usize = 100 << 20;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(19, 4000);
    let mut random = Rng::with_seed(20);
    let mut kept: VecDeque<Vec<String>> = VecDeque::new();
    let (mut bytes, limit) = (0, scale.of(KEPT));
    let requests = scale.of(REQUESTS);
    let mut checksum = Checksum::new();
    for request in 0..requests {
        // Results grow from about a hundred bytes to a few thousand while the program runs.
        let phase = 1 + request * 6 / requests;
        let result = serve(&words, &mut random, phase);
        checksum.add(result.len());
        bytes += size(&result);
        if random.bool() {
            kept.push_back(result)
        } else {
            kept.push_front(result)
        }
        while bytes > limit {
            // Not the oldest one: whichever comes, so that holes are everywhere.
            let place = random.usize(..kept.len());
            let gone = kept.swap_remove_back(place).expect("the place is one of them");
            bytes -= size(&gone);
            checksum.add(gone.first());
        }
    }
    checksum.add((kept.len(), bytes));
    checksum.value()
}

fn size(result: &[String]) -> usize {
    result.iter().map(String::len).sum()
}

/// Reads, splits and joins; what it returns is a small part of what it allocates.
fn serve(words: &Words, random: &mut Rng, phase: usize) -> Vec<String> {
    let lines: Vec<String> = (0..random.usize(2..8)).map(|_| words.text(random, 2 << phase.min(5))).collect();
    let parsed: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    let mut fields: Vec<String> = parsed.iter().map(|parts| parts.join("&")).collect();
    fields.sort_unstable();
    fields.truncate(random.usize(1..3));
    fields
}
