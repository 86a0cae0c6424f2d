//! Functions that allocate, free and access, in which a report has to find them.

use crate::GLOBAL;
use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;
use std::io::{Write, stdout};
use tenure::guard;

pub const PAGE: usize = 4096;

#[inline(never)]
pub fn allocates(layout: Layout) -> *mut u8 {
    // SAFETY: no layout of the tests has a size of zero.
    let block = unsafe { alloc(layout) };
    // Not a jump: the function has to be found on the stack.
    black_box(block)
}

#[inline(never)]
pub fn frees(block: *mut u8, layout: Layout) {
    // SAFETY: none, where the test is about a wrong free: the process ends there.
    unsafe { dealloc(block, layout) };
    black_box(());
}

#[inline(never)]
pub fn frees_untyped(block: *mut u8) {
    // SAFETY: as above.
    unsafe { GLOBAL.free_untyped(block) };
    black_box(());
}

#[inline(never)]
pub fn reads(place: *const u8) {
    // SAFETY: none, where the test is about a fault: the process ends there.
    black_box(unsafe { place.read_volatile() });
}

#[inline(never)]
pub fn writes(place: *mut u8) {
    // SAFETY: as above.
    unsafe { place.write_volatile(1) };
    black_box(());
}

#[inline(never)]
pub fn resizes(block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    // SAFETY: as above.
    black_box(unsafe { std::alloc::realloc(block, layout, size) })
}

#[inline(never)]
pub fn resizes_untyped(block: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: as above.
    black_box(unsafe { GLOBAL.realloc_untyped(block, size) })
}

/// Tells the parent where the functions are.
pub fn announce(block: *mut u8) {
    let sites: [(&str, usize); 6] = [
        ("allocates", allocates as *const () as usize),
        ("frees", frees as *const () as usize),
        ("frees_untyped", frees_untyped as *const () as usize),
        ("reads", reads as *const () as usize),
        ("writes", writes as *const () as usize),
        ("resizes", resizes as *const () as usize),
    ];
    println!("\nblock {block:p}");
    for (name, address) in sites {
        println!("site {name} {address:#x}");
    }
    stdout().flush().unwrap();
}

/// At which side of its page a block is to stand.
#[derive(Clone, Copy, PartialEq)]
pub enum At {
    Start,
    End,
}

/// True where `block` is guarded: its size is exact, which no class with this size is.
pub fn is_guarded(block: *mut u8, size: usize) -> bool {
    // SAFETY: a block in use.
    unsafe { GLOBAL.usable_size(block) == size }
}

/// A guarded block of `layout`, whose size is that of no class.
pub fn guarded(layout: Layout, at: At) -> *mut u8 {
    guard::arm(1).unwrap();
    for _ in 0..10_000 {
        let block = allocates(layout);
        let is_at_start = block.addr().is_multiple_of(PAGE);
        if is_guarded(block, layout.size()) && is_at_start == (at == At::Start) {
            return block;
        }
        frees(block, layout);
    }
    panic!("no block is guarded");
}
