//! A header as other allocators have in front of their blocks, forged where a block is to seem to start.

use super::case::{Case, SEEN_BY_DEFAULT, STOPPED, USUALLY_SEEN_WHEN_HARDENED};
use super::is_in_a_slab;
use super::program::{allocate, announce, free, go_on, layout, misuse};
use crate::support::memory::KIB;

/// Writes sizes and flags in front of `block`, such as glibc's: that of the block before, and the block's own with "the
/// one before is in use".
fn forge(block: *mut u8, size: usize) {
    let words: *mut usize = block.cast();
    // SAFETY: the callers' memory, or none: see there.
    unsafe {
        words.offset(-2).write_unaligned(size);
        words.offset(-1).write_unaligned((size + 16) & !15 | 1);
    }
}

fn in_a_block(size: usize) -> Case {
    let run = Box::new(move || {
        let block = allocate(layout(size));
        let inner = block.wrapping_add(16);
        forge(inner, size - 16);
        misuse(inner, layout(size));
        go_on(&[size], &[(block, layout(size))]);
    });
    Case { kind: "forged header: inside a block", size, says: "invalid free of", expected: STOPPED, run }
}

fn on_the_stack(size: usize) -> Case {
    let run = Box::new(move || {
        allocate(layout(size));
        let mut local = [0_usize; 32];
        let inner: *mut u8 = local[4..].as_mut_ptr().cast();
        forge(inner, size);
        misuse(inner, layout(size));
        go_on(&[size], &[]);
    });
    Case { kind: "forged header: on the stack", size, says: "invalid free of", expected: STOPPED, run }
}

fn before_a_block(size: usize) -> Case {
    let run = Box::new(move || {
        let around: Vec<_> = (0..3).map(|_| allocate(layout(size))).collect();
        free(around[0], layout(size));
        let block = around[1];
        announce(block);
        // Not memory of the block's, which is what this program is about.
        forge(block, 16 * size);
        free(block, layout(size));
        go_on(&[size], &[(around[2], layout(size))]);
    });
    let expected = if is_in_a_slab(size) { SEEN_BY_DEFAULT } else { USUALLY_SEEN_WHEN_HARDENED };
    Case { kind: "forged header: before a block", size, says: "0x", expected, run }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend([48, 100, 512, 4096, 20 * KIB, 100 * KIB].map(in_a_block));
    cases.extend([48, 4096, 100 * KIB].map(on_the_stack));
    cases.extend([48, 100, 512, 4096, 20 * KIB, 100 * KIB].map(before_a_block));
    cases
}
