//! Bytes that are written to a block after it was freed.

use super::case::{Case, Expected, HARMED_BY_DEFAULT_ALONE, SEEN_WHEN_HARDENED, STOPPED};
use super::program::{allocate, announce, free, go_on, harmed, layout};
use super::{GLOBAL, SIZES, is_in_a_slab};
use crate::support::memory::{KIB, MIB};
use std::alloc::GlobalAlloc;
use std::ops::Range;

/// Writes to a part of a freed block, then goes on; blocks that are to be zero have to be so.
fn write(kind: &'static str, size: usize, part: fn(usize) -> Range<usize>, between: fn(), expected: Expected) -> Case {
    let run = Box::new(move || {
        let block = allocate(layout(size));
        let _neighbour = allocate(layout(size));
        free(block, layout(size));
        between();
        announce(block);
        let part = part(size);
        // SAFETY: none. The block is free, which is what this program is about.
        unsafe { block.add(part.start).write_bytes(0x5A, part.len()) };
        let zeroed: Vec<_> = (0..4)
            .map(|_| {
                // SAFETY: a layout of a size that is not zero.
                let block = unsafe { GLOBAL.alloc_zeroed(layout(size)) };
                assert!(!block.is_null());
                for at in (0..size).step_by(if size > 64 * KIB { 512 } else { 1 }) {
                    // SAFETY: inside the block, which is initialised.
                    if unsafe { block.add(at).read() } != 0 {
                        harmed(format_args!("{block:p} is not zero at {at}"));
                    }
                }
                (block, layout(size))
            })
            .collect();
        go_on(&[size], &zeroed);
    });
    Case { kind, size, says: "of 0x", expected, run }
}

pub fn cases() -> Vec<Case> {
    let nothing = || {};
    let mut cases = Vec::new();
    let expected = |size| if is_in_a_slab(size) { STOPPED } else { SEEN_WHEN_HARDENED };
    let first = |size| write("write after free: the first 8 bytes", size, |_| 0..8, nothing, expected(size));
    let whole = |size| write("write after free: the whole block", size, |size| 0..size, nothing, expected(size));
    cases.extend(SIZES.map(first));
    cases.extend(SIZES.map(whole));
    let purge = || {
        GLOBAL.purge();
    };
    cases.extend(
        [64, 4096, 64 * KIB, 4 * MIB]
            .map(|size| write("write after free: after a purge", size, |_| 0..8, purge, HARMED_BY_DEFAULT_ALONE)),
    );
    cases
}
