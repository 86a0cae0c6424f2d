//! The reference model of an allocator: which addresses are in use.
//!
//! Kept in pieces of 2 MiB of address space, each under one of a few locks, so that threads seldom wait for each other.

use std::collections::BTreeMap;
use std::iter;
use std::ops::Range;
use std::sync::Mutex;

const PIECE: usize = 2 * 1024 * 1024;

/// Sets of addresses in use, as start and end.
pub struct Intervals([Mutex<BTreeMap<usize, usize>>; 64]);

impl Intervals {
    pub fn new() -> Self {
        Self([const { Mutex::new(BTreeMap::new()) }; 64])
    }

    /// Enters `range`. Panics where some of it is in use.
    pub fn claim(&self, range: Range<usize>) {
        for piece in pieces(range) {
            let mut map = self.shard(&piece).lock().unwrap();
            if let Some((start, end)) = map.range(..piece.end).next_back() {
                assert!(*end <= piece.start, "{piece:x?} was handed out while {start:x}..{end:x} is in use");
            }
            map.insert(piece.start, piece.end);
        }
    }

    /// Takes out `range`, which was entered. To be called before the block is freed.
    pub fn release(&self, range: Range<usize>) {
        for piece in pieces(range) {
            let removed = self.shard(&piece).lock().unwrap().remove(&piece.start);
            assert_eq!(removed, Some(piece.end), "{piece:x?} was not in use");
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|shard| shard.lock().unwrap().is_empty())
    }

    fn shard(&self, piece: &Range<usize>) -> &Mutex<BTreeMap<usize, usize>> {
        &self.0[piece.start / PIECE % self.0.len()]
    }
}

/// The parts of `range` in each piece of the address space.
fn pieces(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut start = range.start;
    iter::from_fn(move || {
        let piece = start..range.end.min((start / PIECE + 1) * PIECE);
        start = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}
