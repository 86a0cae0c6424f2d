//! Functions to be read as machine code, as fat LTO lays them into a program: an allocation and a free of 32 bytes, and
//! the placing of 8 bytes in a static arena.
//!
//! `ci/count-instructions` builds and counts them.

use std::alloc::{Layout, alloc, dealloc};

#[global_allocator]
static GLOBAL: tenure::Tenure = tenure::Tenure::new();

static ARENA: tenure::StaticArena<4096> = tenure::StaticArena::new();

const LAYOUT: Layout = Layout::new::<[u64; 4]>();

/// An allocation, and nothing else.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn probe_alloc() -> *mut u8 {
    // SAFETY: the layout's size is not zero.
    unsafe { alloc(LAYOUT) }
}

/// A free, and nothing else.
///
/// # Safety
/// - `block` came from `probe_alloc`, and is given up.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn probe_free(block: *mut u8) {
    // SAFETY: the caller's block, allocated with this layout.
    unsafe { dealloc(block, LAYOUT) }
}

/// The placing of a value, and nothing else. Null where there is no room.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn probe_place(value: u64) -> *mut u64 {
    ARENA.try_alloc(value).map_or(core::ptr::null_mut(), |placed| placed)
}

fn main() {
    assert!(!probe_place(7).is_null());

    let block = probe_alloc();
    assert!(!block.is_null());
    // SAFETY: allocated above.
    unsafe { probe_free(block) };
    println!("{block:p} came and went");
}
