//! A bounded cache of rendered pages: under constant load a page comes in and the one that was used longest ago goes.

use crate::input::{Checksum, FixedHash, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use lru::LruCache;
use std::num::NonZero;

pub const WORKLOAD: Workload = Workload {
    name: "lru-cache",
    about: "looks up pages by path in a cache of 20 000, renders those that are missing (lru)",
    threads: Threads::One,
    run,
};

const LOOKUPS: usize = 700_000;
const CAPACITY: usize = 20_000;

struct Page {
    title: String,
    body: Vec<u8>,
    links: Vec<Box<str>>,
}

fn run(scale: &Scale) -> u64 {
    let words = Words::new(14, 4000);
    let mut random = Rng::with_seed(15);
    let capacity = NonZero::new(scale.of(CAPACITY)).expect("a share is at least one");
    let mut cache: LruCache<String, Page, FixedHash> = LruCache::with_hasher(capacity, FixedHash::default());
    let mut checksum = Checksum::new();
    let mut hits = 0u32;
    for _ in 0..scale.of(LOOKUPS) {
        // Eight times as many pages as there is room for, half of the lookups for an eighth of them.
        let numbers = capacity.get() as u64 * if random.bool() { 1 } else { 8 };
        let number = random.u64(..numbers);
        let path = format!("/wiki/{}/{number}", number % 100);
        if let Some(page) = cache.get(&path) {
            hits += 1;
            checksum.add((&page.title, page.body.len(), page.links.len()));
        } else {
            cache.put(path, render(&words, number));
        }
    }
    checksum.add((hits, cache.len()));
    checksum.value()
}

/// The page of a number, always the same.
fn render(words: &Words, number: u64) -> Page {
    let mut random = Rng::with_seed(number);
    let title = words.text(&mut random, 3);
    let paragraph = words.text(&mut random, 10);
    let body = paragraph.repeat(random.usize(1..=8) * random.usize(1..=8)).into_bytes();
    let links = (0..random.usize(..8)).map(|_| words.pick(&mut random).into()).collect();
    Page { title, body, links }
}
