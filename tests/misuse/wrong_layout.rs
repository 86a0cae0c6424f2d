//! A block that is freed with another layout than it was allocated with.

use super::SIZES;
use super::case::{Case, Expected, STOPPED, UNHARMED};
use super::program::{allocate, go_on, layout, misuse, misuse_elsewhere};
use crate::support::memory::{KIB, MIB};
use std::alloc::Layout;

fn sized(kind: &'static str, size: usize, told: usize, is_elsewhere: bool) -> Case {
    let run = Box::new(move || {
        let block = allocate(layout(size));
        if is_elsewhere {
            misuse_elsewhere(block, layout(told))
        } else {
            misuse(block, layout(told))
        }
        go_on(&[size, told], &[]);
    });
    // A mapping may be longer than was asked for, so a smaller size says nothing.
    let expected: Expected = if size > MIB && told > MIB && told < size { UNHARMED } else { STOPPED };
    Case { kind, size, says: "invalid free of", expected, run }
}

fn aligned(size: usize, align: usize) -> Case {
    let run = Box::new(move || {
        misuse(allocate(layout(size)), Layout::from_size_align(size, align).unwrap());
        go_on(&[size], &[]);
    });
    Case { kind: "wrong layout: a stricter alignment", size, says: "invalid free of", expected: STOPPED, run }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(SIZES.map(|size| sized("wrong layout: twice the size", size, 2 * size, false)));
    cases.extend(SIZES[1..].iter().map(|&size| sized("wrong layout: half of the size", size, size / 2, false)));
    cases.extend(SIZES[..10].iter().map(|&size| sized("wrong layout: a large block", size, 100 * KIB, false)));
    cases.extend([64 * KIB, 300 * KIB, MIB, 4 * MIB].map(|size| sized("wrong layout: a small block", size, 64, false)));
    cases.extend(
        [16, 100, 4096, 64 * KIB, 4 * MIB]
            .map(|size| sized("wrong layout: twice the size, on another thread", size, 2 * size, true)),
    );
    cases.extend(
        [(8, 64), (24, 64), (100, 256), (512, 4096), (4096, 16 * KIB)].map(|(size, align)| aligned(size, align)),
    );
    cases
}
