//! A block that is resized after it was freed.

use super::case::{Case, STOPPED};
use super::program::{allocate, announce, free, go_on, layout};
use super::{GLOBAL, SIZES};
use std::alloc::GlobalAlloc;

fn to(kind: &'static str, size: usize, new_size: usize) -> Case {
    let run = Box::new(move || {
        let block = allocate(layout(size));
        let _neighbour = allocate(layout(size));
        free(block, layout(size));
        announce(block);
        // SAFETY: none. The block is free, which is what this program is about.
        let moved = unsafe { GLOBAL.realloc(block, layout(size), new_size) };
        go_on(&[size, new_size], &[(moved, layout(new_size))]);
    });
    Case { kind, size, says: "of 0x", expected: STOPPED, run }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(SIZES.map(|size| to("realloc of a freed block: to the same size", size, size)));
    cases.extend(SIZES.map(|size| to("realloc of a freed block: larger", size, 2 * size + 1)));
    cases.extend(SIZES[1..].iter().map(|&size| to("realloc of a freed block: smaller", size, size / 2)));
    cases
}
