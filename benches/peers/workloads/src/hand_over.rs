//! A server's objects outlive its threads, as in the benchmark of Larson and Krishnan: each generation of threads
//! replaces some of the objects that it has from the one before and leaves them all to the next.

use crate::input::checksum_of;
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use std::thread;

pub const WORKLOAD: Workload = Workload {
    name: "hand-over",
    about: "threads replace objects of 16 to 1000 bytes that the threads before them have made, and end (own code, after Larson)",
    threads: Threads::Many,
    run,
};

const GENERATIONS: usize = 50;
const SHELVES: usize = 64;
const OBJECTS: usize = 1000;
const REPLACED: usize = 5000;

struct Shelf {
    random: Rng,
    objects: Vec<Box<[u8]>>,
    sum: u64,
}

impl Shelf {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let objects = (0..OBJECTS).map(|_| object(&mut random)).collect();
        Self { random, objects, sum: 0 }
    }

    fn work(&mut self) {
        for _ in 0..REPLACED {
            let place = self.random.usize(..OBJECTS);
            let old = std::mem::replace(&mut self.objects[place], object(&mut self.random));
            self.sum = self.sum.wrapping_add(u64::from(old[0]) * old.len() as u64);
        }
    }
}

fn object(random: &mut Rng) -> Box<[u8]> {
    // As many of 16 to 31 bytes as of 512 to 1023.
    let size = (16 << random.u32(..6)) + random.usize(..16);
    vec![random.u8(..); size].into()
}

fn run(scale: &Scale) -> u64 {
    let mut shelves: Vec<Shelf> = (0..SHELVES as u64).map(Shelf::new).collect();
    for _ in 0..scale.of(GENERATIONS) {
        thread::scope(|scope| {
            for part in shelves.chunks_mut(SHELVES.div_ceil(scale.threads)) {
                scope.spawn(|| part.iter_mut().for_each(Shelf::work));
            }
        });
        // The next generation's threads find other shelves than these did.
        shelves.rotate_left(SHELVES / 3);
    }
    shelves.iter().fold(0, |sum, shelf| sum.wrapping_add(checksum_of(shelf.sum)))
}
