//! A block that is freed or resized with another layout than it was allocated with.

use super::case::{Case, Expected, STOPPED, UNHARMED};
use super::program::{allocate, announce, go_on, layout, misuse, misuse_elsewhere};
use super::{GLOBAL, SIZES};
use crate::support::memory::{KIB, MIB};
use std::alloc::{GlobalAlloc, Layout};

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

/// A block that is made three times as large as it is said to be, with `told`, and not with its size.
fn resized(kind: &'static str, size: usize, told: usize) -> Case {
    let run = Box::new(move || {
        let block = allocate(layout(size));
        announce(block);
        // SAFETY: none. The layout is another one, which is what this program is about.
        let moved = unsafe { GLOBAL.realloc(block, layout(told), 3 * told) };
        go_on(&[size, told], &[(moved, layout(3 * told))]);
    });
    // As for a free.
    let expected: Expected = if size > MIB && told > MIB && told < size { UNHARMED } else { STOPPED };
    Case { kind, size, says: "invalid use of", expected, run }
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
    cases.extend(SIZES.map(|size| resized("wrong layout in a realloc: four times the size", size, 4 * size)));
    cases.extend(SIZES[1..].iter().map(|&size| resized("wrong layout in a realloc: half of the size", size, size / 2)));
    cases.extend(
        [(8, 64), (24, 64), (100, 256), (512, 4096), (4096, 16 * KIB)].map(|(size, align)| aligned(size, align)),
    );
    cases
}
