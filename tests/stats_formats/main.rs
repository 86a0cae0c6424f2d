//! The formats of the statistics, read back by those for whom they are meant.
#![cfg(not(any(loom, miri)))]

mod json;
mod prometheus;
#[path = "../support/python.rs"]
mod python;
mod table;

use std::hint::black_box;
use std::thread;
use tenure::{Tenure, static_scope};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Blocks of every kind, live, freed elsewhere and static.
fn busy() -> Vec<Vec<u8>> {
    let mut blocks: Vec<Vec<u8>> = (0..400).map(|nth| vec![nth as u8; 1 << (nth % 23)]).collect();
    let (gone, kept) = (blocks.split_off(200), blocks);
    thread::spawn(move || drop(gone)).join().unwrap();
    black_box(static_scope(|| vec![7u8; 5000]).leak());
    kept
}
