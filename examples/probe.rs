//! Two functions to be read as machine code: an allocation and a free of 32 bytes, as fat LTO lays them into a program.
//!
//! `ci/count-instructions` builds and counts them.

use std::alloc::{Layout, alloc, dealloc};

#[global_allocator]
static GLOBAL: tenure::Tenure = tenure::Tenure::new();

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

fn main() {
    let block = probe_alloc();
    assert!(!block.is_null());
    // SAFETY: allocated above.
    unsafe { probe_free(block) };
    println!("{block:p} came and went");
}
