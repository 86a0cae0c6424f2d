//! Bytes that are written beyond a block's end or before its start, where nobody else's block is; then the block is freed.

use super::case::{Case, Expected, SEEN_WHEN_HARDENED, USUALLY_SEEN_WHEN_HARDENED};
use super::program::{allocate, announce, free, go_on, layout};
use crate::support::memory::KIB;

/// Sizes that are a class's own, and sizes that are not.
const SIZES: [usize; 8] = [8, 24, 64, 100, 1000, 4096, 20 * KIB, 300 * KIB];

fn write(kind: &'static str, size: usize, place: fn(usize) -> isize, count: usize, expected: Expected) -> Case {
    let run = Box::new(move || {
        // Not the first of its slab, and free blocks around it.
        let around: Vec<_> = (0..3).map(|_| allocate(layout(size))).collect();
        let block = around[1];
        free(around[0], layout(size));
        free(around[2], layout(size));
        announce(block);
        for at in 0..count {
            // SAFETY: none. The bytes are not this block's, which is what this program is about.
            unsafe {
                let place = block.offset(place(size)).add(at);
                // Not what is there already.
                place.write(!place.read());
            }
        }
        free(block, layout(size));
        go_on(&[size], &[]);
    });
    Case { kind, size, says: "0x", expected, run }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let end = |size: usize| size as isize;
    cases.extend(SIZES.map(|size| write("overflow: 1 byte", size, end, 1, SEEN_WHEN_HARDENED)));
    cases.extend(SIZES.map(|size| write("overflow: 8 bytes", size, end, 8, SEEN_WHEN_HARDENED)));
    cases.extend(SIZES.map(|size| write("overflow: 64 bytes", size, end, 64, SEEN_WHEN_HARDENED)));
    cases.extend(SIZES.map(|size| write("overflow: 4,096 bytes", size, end, 4096, SEEN_WHEN_HARDENED)));
    cases.extend(SIZES.map(|size| write("underflow: 1 byte", size, |_| -1, 1, USUALLY_SEEN_WHEN_HARDENED)));
    cases.extend(SIZES.map(|size| write("underflow: 16 bytes", size, |_| -16, 16, USUALLY_SEEN_WHEN_HARDENED)));
    cases
}
