//! Buffers that grow to hundreds of MiB, one push at a time: the allocator may move them by page tables or by copying.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;

pub const WORKLOAD: Workload = Workload {
    name: "vec-growth",
    about: "grows vectors and strings to 400 MiB by pushing, several at a time (std Vec and String)",
    threads: Threads::One,
    run,
};

const MIB: usize = 1 << 20;

fn run(scale: &Scale) -> u64 {
    let mut checksum = Checksum::new();
    for round in 0..3 {
        checksum.add(numbers(scale.of(400 * MIB), round));
        checksum.add(texts(scale.of(150 * MIB)));
        checksum.add(doublings(scale.of(96 * MIB)));
    }
    checksum.value()
}

/// One vector, as a program that reads all of its input.
fn numbers(bytes: usize, first: u64) -> u64 {
    let mut numbers = Vec::new();
    numbers.extend((0..bytes / 8).map(|number| first.wrapping_add(number as u64)).filter(|number| number % 16 != 0));
    numbers.iter().step_by(97).fold(0, |sum, number| sum.wrapping_mul(31).wrapping_add(*number))
}

/// Four strings that grow in turn, so that none has room behind it.
fn texts(bytes: usize) -> u64 {
    let words = Words::new(21, 4000);
    let mut random = Rng::with_seed(22);
    let paragraphs: Vec<String> = (0..64).map(|_| words.text(&mut random, 200)).collect();
    let mut texts = vec![String::new(); 4];
    let mut written = 0;
    while written < bytes {
        let paragraph = &paragraphs[random.usize(..paragraphs.len())];
        texts[random.usize(..4)].push_str(paragraph);
        written += paragraph.len();
    }
    texts
        .iter()
        .flat_map(|text| text.bytes().step_by(997))
        .fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

/// Many vectors that go from nothing to a few MiB and away again.
fn doublings(bytes: usize) -> u64 {
    let mut random = Rng::with_seed(23);
    let (mut made, mut sum) = (0, 0u64);
    while made < bytes {
        let length = 1 << random.u32(10..22);
        let mut bytes = Vec::new();
        for number in 0..length / 4 {
            bytes.extend_from_slice(&(number as u32).to_le_bytes());
        }
        made += bytes.len();
        sum = sum.wrapping_mul(31).wrapping_add(bytes.iter().step_by(61).map(|byte| u64::from(*byte)).sum());
    }
    sum
}
