//! Bytes that are written beyond a block's end or before its start, where a free block is; then the block is freed.

use super::case::{Case, Expected, SEEN_BY_DEFAULT, SEEN_WHEN_HARDENED, STOPPED, USUALLY_SEEN_WHEN_HARDENED};
use super::program::{allocate, announce, free, go_on, layout};
use super::{GLOBAL, is_in_a_slab};
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

fn over(kind: &'static str, size: usize, count: usize) -> Case {
    // What fills the rest of the block's own place is seen by the hardened build alone.
    let leaves_the_block = size + count > GLOBAL.good_size(size);
    let expected = if is_in_a_slab(size) && leaves_the_block { STOPPED } else { SEEN_WHEN_HARDENED };
    write(kind, size, |size| size as isize, count, expected)
}

fn under(kind: &'static str, size: usize, place: fn(usize) -> isize, count: usize) -> Case {
    let expected = if is_in_a_slab(size) { SEEN_BY_DEFAULT } else { USUALLY_SEEN_WHEN_HARDENED };
    write(kind, size, place, count, expected)
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(SIZES.map(|size| over("overflow: 1 byte", size, 1)));
    cases.extend(SIZES.map(|size| over("overflow: 8 bytes", size, 8)));
    cases.extend(SIZES.map(|size| over("overflow: 64 bytes", size, 64)));
    cases.extend(SIZES.map(|size| over("overflow: 4,096 bytes", size, 4096)));
    cases.extend(SIZES.map(|size| under("underflow: 1 byte", size, |_| -1, 1)));
    cases.extend(SIZES.map(|size| under("underflow: 16 bytes", size, |_| -16, 16)));
    cases
}
