//! What single operations cost on Tenure as it was built: nanoseconds, the least of five turns. `ci/hardened-cost`
//! compares two builds by it.
//!
//! ```text
//! cargo run --release --example cost
//! ```

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::time::Instant;

use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

const KIB: usize = 1024;

/// Blocks that live at the same time in a churn.
const LIVE: usize = 50_000;

/// Does something so many times.
type Row = fn(usize);

fn layout(size: usize) -> Layout {
    Layout::from_size_align(black_box(size), 8).expect("a size that is possible")
}

fn allocate(layout: Layout) -> *mut u8 {
    // SAFETY: no row is about a size of zero.
    let block = unsafe { GLOBAL.alloc(layout) };
    assert!(!block.is_null(), "no memory");
    // SAFETY: a block of at least one byte.
    unsafe { block.write(1) };
    black_box(block)
}

fn free(block: *mut u8, layout: Layout) {
    // SAFETY: from `allocate`, with the layout, and freed once.
    unsafe { GLOBAL.dealloc(block, layout) };
}

/// A block that comes and goes.
fn pairs(size: usize, count: usize) {
    for _ in 0..count {
        let layout = layout(size);
        free(allocate(layout), layout);
    }
}

/// A thousand blocks, freed last to first.
fn batches(size: usize, count: usize) {
    let mut blocks = Vec::with_capacity(1000);
    for _ in 0..count / 1000 {
        blocks.extend((0..1000).map(|_| allocate(layout(size))));
        while let Some(block) = blocks.pop() {
            free(block, layout(size));
        }
    }
}

/// Random replacement among blocks of 8 to 263 bytes, of which nobody has looked at most for a while.
fn churn(count: usize) {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let mut blocks: Vec<_> =
        (0..LIVE).map(|_| layout(8 + random(256))).map(|layout| (allocate(layout), layout)).collect();
    for _ in 0..count {
        let (place, layout) = (random(LIVE), layout(8 + random(256)));
        let (block, old) = std::mem::replace(&mut blocks[place], (allocate(layout), layout));
        free(block, old);
    }
    blocks.into_iter().for_each(|(block, layout)| free(block, layout));
}

fn main() {
    let rows: [(&str, usize, Row); 10] = [
        ("pair of 32 B", 3_000_000, |count| pairs(32, count)),
        ("pair of 100 B", 3_000_000, |count| pairs(100, count)),
        ("pair of 512 B", 1_000_000, |count| pairs(512, count)),
        ("pair of 4 KiB", 300_000, |count| pairs(4 * KIB, count)),
        ("pair of 20 KiB", 50_000, |count| pairs(20 * KIB, count)),
        ("pair of 100 KiB", 5_000, |count| pairs(100 * KIB, count)),
        ("pair of 2 MiB", 500, |count| pairs(2048 * KIB, count)),
        ("batch of 32 B", 3_000_000, |count| batches(32, count)),
        ("batch of 256 B", 1_000_000, |count| batches(256, count)),
        ("churn of 8 to 263 B", 500_000, churn),
    ];
    for (name, count, row) in rows {
        row(count);
        let turn = |_| {
            let begun = Instant::now();
            row(count);
            begun.elapsed().as_nanos() as f64 / count as f64
        };
        let least = (0..5).map(turn).fold(f64::MAX, f64::min);
        println!("{name}\t{least:.2}");
    }
}
