//! What a program does that misuses its allocator: it allocates, frees rightly and wrongly, and goes on.

use std::alloc::{GlobalAlloc, Layout};
use std::io::{Write, stdout};
use std::{process, ptr, thread};

use crate::GLOBAL;
use crate::support::memory::KIB;

/// The status of a process that went on and found that it had been harmed.
pub const HARMED: i32 = 10;

/// A block and its layout.
pub type Block = (*mut u8, Layout);

/// The layout of `size` bytes that most blocks have.
pub fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

pub fn allocate(layout: Layout) -> *mut u8 {
    // SAFETY: no misuse is about a size of zero.
    let block = unsafe { GLOBAL.alloc(layout) };
    assert!(!block.is_null());
    block
}

/// Frees `block`, rightly or wrongly.
pub fn free(block: *mut u8, layout: Layout) {
    // SAFETY: none. What a wrong free does is what these programs are about; each runs in a process that ends there.
    unsafe { GLOBAL.dealloc(block, layout) };
}

/// Frees `block` wrongly: whoever stops the process has to name its address.
pub fn misuse(block: *mut u8, layout: Layout) {
    announce(block);
    free(block, layout);
}

/// Says of which block a line will have to speak.
pub fn announce(block: *mut u8) {
    println!("\nmisuse of {block:p}");
    stdout().flush().unwrap();
}

/// Runs `work` on another thread, which has a heap of its own, and waits until the thread has ended and its heap with
/// it: a heap that ends looks at what was freed to it.
pub fn elsewhere(work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            free(allocate(layout(40)), layout(40));
            work();
        });
        // The end of the scope waits for the work alone.
        thread.join().unwrap();
    });
}

/// As [`free`], on another thread.
pub fn free_elsewhere(block: *mut u8, layout: Layout) {
    let address = block.expose_provenance();
    elsewhere(move || free(ptr::with_exposed_provenance_mut(address), layout));
}

/// As [`misuse`], on another thread.
pub fn misuse_elsewhere(block: *mut u8, layout: Layout) {
    announce(block);
    free_elsewhere(block, layout);
}

/// Uses blocks of `size` bytes much, so that they are not looked at one by one any more; some of them stay in use.
pub fn use_much(size: usize) -> Vec<Block> {
    let layout = layout(size);
    for _ in 0..5000 {
        free(allocate(layout), layout);
    }
    let mut blocks: Vec<Block> = (0..count_of(size)).map(|_| (allocate(layout), layout)).collect();
    for (block, layout) in blocks.split_off(blocks.len() / 2) {
        free(block, layout);
    }
    blocks
}

/// By how much longer programs go on where a block leaves the quarantine by chance, so that one in 10^12 ends before it
/// has left.
const LONGER: usize = if cfg!(feature = "hardened") { 4 } else { 1 };

/// Number of blocks of `size` bytes that a program has which goes on.
fn count_of(size: usize) -> usize {
    match size {
        0..=4096 => 300 * LONGER,
        4097..=65536 => 40 * LONGER,
        65537..=1_048_576 => 10,
        _ => 4,
    }
}

/// Goes on as if nothing had happened: allocates blocks of these sizes, uses them, looks whether any two of those in
/// use overlap, `kept` ones included, and frees what it has allocated. Ends the process, unless that is stopped on the
/// way.
pub fn go_on(sizes: &[usize], kept: &[Block]) -> ! {
    let fresh: Vec<Block> = sizes
        .iter()
        .flat_map(|&size| (0..count_of(size)).map(move |_| layout(size)))
        .map(|layout| (allocate(layout), layout))
        .collect();
    let mut used: Vec<Block> = fresh.iter().chain(kept).copied().collect();
    used.sort_by_key(|&(block, _)| block);
    for pair in used.windows(2) {
        let [(first, layout), (second, _)] = pair else { unreachable!("windows of two") };
        if first.addr() + layout.size() > second.addr() {
            harmed(format_args!("{first:p} of {} bytes overlaps {second:p}", layout.size()));
        }
    }
    for &(block, layout) in &fresh {
        // SAFETY: blocks of this process's, as large as that; nobody else has them, as was just seen.
        unsafe { block.write_bytes(0xC5, layout.size().min(64 * KIB)) };
    }
    for &(block, layout) in &fresh {
        // SAFETY: written just now.
        if unsafe { block.read() } != 0xC5 || unsafe { block.add(layout.size().min(64 * KIB) - 1).read() } != 0xC5 {
            harmed(format_args!("{block:p} was changed"));
        }
    }
    // First what was allocated first, as from a queue.
    for (block, layout) in fresh {
        free(block, layout);
    }
    println!("went on");
    stdout().flush().unwrap();
    // As a program that ends: its first thread's magazines are not flushed.
    process::exit(0)
}

/// Ends the process, which goes on with harm.
pub fn harmed(how: std::fmt::Arguments<'_>) -> ! {
    println!("harmed: {how}");
    stdout().flush().unwrap();
    process::exit(HARMED)
}
