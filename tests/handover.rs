//! Blocks that change hands through nothing but atomic slots.
//!
//! No lock or channel of the standard library takes part, so ThreadSanitizer, which sees into this test and into Tenure
//! but not into a standard library that was built without it, sees every step that orders one thread's use of a block
//! before another's.
#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread;
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

const THREADS: u64 = 4;
const SLOTS: usize = 512;

/// Steps of each thread.
const STEPS: usize = if cfg!(debug_assertions) { 400_000 } else { 2_000_000 };

static SHARED: [AtomicPtr<u64>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];

/// A block says its own size in words in its first word, and repeats it in its last.
fn layout(words: usize) -> Layout {
    Layout::array::<u64>(words).expect("a small size")
}

fn place(words: usize) -> *mut u64 {
    // SAFETY: the size is not zero.
    let block = unsafe { GLOBAL.alloc(layout(words)) }.cast::<u64>();
    assert!(!block.is_null());
    // SAFETY: the first and the last word of a block of the caller's own.
    unsafe {
        block.write(words as u64);
        block.add(words - 1).write(words as u64);
    }
    block
}

/// Checks a block that came out of a slot, and frees it.
fn remove(block: *mut u64) {
    if block.is_null() {
        return;
    }
    // SAFETY: whoever takes a block out of a slot has it alone, and it was placed whole.
    let words = unsafe { block.read() } as usize;
    // SAFETY: as above; the first word says where the last is.
    assert_eq!(unsafe { block.add(words - 1).read() } as usize, words, "{block:p} was overwritten");
    // SAFETY: allocated by `place` with this layout.
    unsafe { GLOBAL.dealloc(block.cast(), layout(words)) };
}

fn play(seed: u64) {
    let mut state = seed;
    for _ in 0..STEPS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let slot = &SHARED[state as usize % SLOTS];
        // One in 64 is large: a span, now and then a mapping.
        let words = match state >> 32 & 0xfff {
            0 => 200_000,
            1..64 => 10_000,
            small => small as usize % 100 + 1,
        };
        let next = if state >> 60 == 0 { ptr::null_mut() } else { place(words) };
        remove(slot.swap(next, Ordering::AcqRel));
    }
}

#[test]
fn blocks_that_go_from_hand_to_hand_belong_to_one_thread_at_a_time() {
    let seed =
        std::env::var("TENURE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0x9E37_79B9_7F4A_7C15);
    println!("seed {seed}");
    let threads: Vec<_> =
        (1..=THREADS).map(|nth: u64| thread::spawn(move || play(nth.wrapping_mul(seed) | 1))).collect();
    for thread in threads {
        thread.join().expect("no block was damaged");
    }
    for slot in &SHARED {
        remove(slot.swap(ptr::null_mut(), Ordering::AcqRel));
    }
    assert!(GLOBAL.stats().live_bytes() < 1 << 20, "{}", GLOBAL.stats());
}
