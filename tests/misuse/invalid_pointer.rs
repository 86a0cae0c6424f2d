//! Pointers that are not the start of a block.

use super::case::{Case, HARMED_BY_DEFAULT, STOPPED};
use super::program::{allocate, announce, elsewhere, free, go_on, layout, misuse, misuse_elsewhere, use_much};
use super::{GLOBAL, MUCH_USED, SIZES};
use crate::support::memory::{KIB, MIB};
use std::alloc::GlobalAlloc;
use std::ptr;

/// Where no block is.
type Nowhere = fn() -> *mut u8;

/// A pointer into a block of a size.
type Inside = fn(*mut u8, usize) -> *mut u8;

static NUMBERS: [u64; 1024] = [1; 1024];

fn foreign() -> *mut u8 {
    // SAFETY: an anonymous mapping wherever there is room.
    let start = unsafe { libc::mmap(ptr::null_mut(), 8 * MIB, 3, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
    start.cast::<u8>().wrapping_add(4 * MIB)
}

/// The allocator's own description of the 2 MiB around a small block, that far behind its start.
fn description(offset: usize) -> *mut u8 {
    allocate(layout(48)).map_addr(|address| (address & !(2 * MIB - 1)) + offset)
}

fn freed_large_block() -> *mut u8 {
    let block = allocate(layout(5 * MIB));
    free(block, layout(5 * MIB));
    block.wrapping_add(4096)
}

fn inside(kind: &'static str, size: usize, pointer: Inside) -> Case {
    let run = Box::new(move || {
        let block = allocate(layout(size));
        misuse(pointer(block, size), layout(size));
        go_on(&[size], &[(block, layout(size))]);
    });
    Case { kind, size, says: "invalid free of", expected: STOPPED, run }
}

/// What is said of the middle of a block of `size` bytes.
fn of_the_middle(size: usize) -> &'static str {
    // Of mappings it is known what lies in their first 2 MiB.
    if size <= MIB { "bytes inside a block of" } else { "inside a block of" }
}

fn middle(size: usize) -> Case {
    Case {
        says: of_the_middle(size),
        ..inside("invalid free: the middle", size, |block, size| block.wrapping_add(size / 2))
    }
}

/// As [`inside`], of a pointer that is resized and not freed.
fn inside_resized(kind: &'static str, says: &'static str, size: usize, pointer: Inside) -> Case {
    let run = Box::new(move || {
        let block = allocate(layout(size));
        let pointer = pointer(block, size);
        announce(pointer);
        // SAFETY: none. No block starts there, which is what this program is about.
        let moved = unsafe { GLOBAL.realloc(pointer, layout(size), 3 * size) };
        go_on(&[size], &[(block, layout(size)), (moved, layout(3 * size))]);
    });
    Case { kind, size, says, expected: STOPPED, run }
}

fn inside_elsewhere(size: usize) -> Case {
    let run = Box::new(move || {
        let block = allocate(layout(size));
        misuse_elsewhere(block.wrapping_add(size / 2), layout(size));
        go_on(&[size], &[(block, layout(size))]);
    });
    Case { kind: "invalid free: the middle, on another thread", size, says: "invalid free of", expected: STOPPED, run }
}

fn inside_much_used(size: usize) -> Case {
    let run = Box::new(move || {
        let kept = use_much(size);
        let block = kept[0].0;
        misuse(block.wrapping_add(size / 2), layout(size));
        go_on(&[size], &kept);
    });
    Case {
        kind: "invalid free, size much used: the middle",
        size,
        says: "invalid free of",
        expected: HARMED_BY_DEFAULT,
        run,
    }
}

fn no_block(kind: &'static str, size: usize, pointer: Nowhere) -> Case {
    let run = Box::new(move || {
        // What is freed before anything was allocated breaks another promise.
        allocate(layout(size));
        misuse(pointer(), layout(size));
        go_on(&[size], &[]);
    });
    Case { kind, size, says: "invalid free of", expected: STOPPED, run }
}

fn no_block_much_used(kind: &'static str, size: usize, pointer: Nowhere) -> Case {
    let run = Box::new(move || {
        let kept = use_much(size);
        misuse(pointer(), layout(size));
        go_on(&[size], &kept);
    });
    Case { kind, size, says: "invalid free of", expected: STOPPED, run }
}

fn on_the_stack(size: usize) -> Case {
    let run = Box::new(move || {
        allocate(layout(size));
        let mut local = [0_u64; 8];
        misuse(local.as_mut_ptr().cast(), layout(size));
        go_on(&[size], &[]);
    });
    Case { kind: "invalid free: stack", size, says: "invalid free of", expected: STOPPED, run }
}

fn on_the_stack_elsewhere(size: usize) -> Case {
    let run = Box::new(move || {
        elsewhere(|| {
            let mut local = [0_u64; 8];
            misuse(local.as_mut_ptr().cast(), layout(size));
        });
        go_on(&[size], &[]);
    });
    Case { kind: "invalid free: stack, on another thread", size, says: "invalid free of", expected: STOPPED, run }
}

pub fn cases() -> Vec<Case> {
    let pointers: [(&str, Inside); 3] = [
        ("invalid free: 1 byte inside", |block, _| block.wrapping_add(1)),
        ("invalid free: 8 bytes before the end", |block, size| block.wrapping_add(size.saturating_sub(8).max(4))),
        ("invalid free: 4 bytes before the start", |block, _| block.wrapping_sub(4)),
    ];
    let places: [(&str, Nowhere); 7] = [
        ("invalid free: static", || NUMBERS.as_ptr().cast_mut().cast()),
        ("invalid free: foreign mapping", foreign),
        ("invalid free: code", || on_the_stack as *mut u8),
        ("invalid free: a small number", || ptr::without_provenance_mut(4096)),
        ("invalid free: no address", || ptr::without_provenance_mut(1 << 46)),
        ("invalid free: description of a segment", || description(0)),
        ("invalid free: description of a slab", || description(4 * KIB + 128)),
    ];
    let mut cases = Vec::new();
    for (kind, pointer) in pointers {
        cases.extend(SIZES.map(|size| inside(kind, size, pointer)));
    }
    cases.extend(SIZES.map(middle));
    cases.extend(SIZES.map(|size| {
        let says = "4 bytes inside a block of";
        inside_resized("realloc of no block: 4 bytes inside", says, size, |block, _| block.wrapping_add(4))
    }));
    cases.extend(SIZES.map(|size| {
        let says = of_the_middle(size);
        inside_resized("realloc of no block: the middle", says, size, |block, size| block.wrapping_add(size / 2))
    }));
    for (kind, place) in places {
        cases.extend([8, 64, 100 * KIB, 3 * MIB].map(|size| no_block(kind, size, place)));
    }
    cases.extend(
        [64, 100 * KIB, 5 * MIB].map(|size| no_block("invalid free: in a freed large block", size, freed_large_block)),
    );
    cases.extend([8, 64, 100 * KIB, 3 * MIB].map(on_the_stack));
    cases.extend([64, 3 * MIB].map(on_the_stack_elsewhere));
    cases.extend(SIZES.map(inside_elsewhere));
    cases.extend(MUCH_USED.map(inside_much_used));
    for (kind, place) in [
        ("invalid free, size much used: static", (|| NUMBERS.as_ptr().cast_mut().cast()) as Nowhere),
        ("invalid free, size much used: foreign mapping", foreign),
    ] {
        cases.extend(MUCH_USED.map(|size| no_block_much_used(kind, size, place)));
    }
    cases
}
