//! Misuse that is noticed: the process ends by `abort`, after one line on standard error that starts with `tenure: `.
//!
//! Small blocks that are freed wrongly wait in a magazine first; they are noticed when it is flushed, which each test forces.
#![cfg(not(loom))]

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::os::unix::process::ExitStatusExt;
use std::ptr;
use std::thread;
use support::block::layout;
use support::memory::{KIB, MIB};
use support::process::{command, end_after, part, set_limit};
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

const SMALL: Layout = Layout::new::<[u64; 6]>();

/// Runs `misuse` in a process of its own and checks how that ends.
fn stops(misuse: impl FnOnce()) {
    if part().is_some() {
        end_after(30);
        // No core dumps of what is meant to happen.
        set_limit(libc::RLIMIT_CORE, 0).unwrap();
        misuse();
        return;
    }
    let output = command("misuse").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}, after: {stderr}", output.status);
    let lines: Vec<_> = stderr.lines().collect();
    assert!(matches!(lines[..], [line] if line.starts_with("tenure: ")), "not one line of Tenure's: {stderr}");
}

fn allocate(layout: Layout) -> *mut u8 {
    // SAFETY: no test asks for a size of zero.
    let block = unsafe { GLOBAL.alloc(layout) };
    assert!(!block.is_null());
    block
}

/// Frees `block`, rightly or wrongly.
fn free(block: *mut u8, layout: Layout) {
    // SAFETY: none. What a wrong free does is what these tests are about; each runs in a process that ends there.
    unsafe { GLOBAL.dealloc(block, layout) };
}

/// Frees `block` on another thread, which ends.
fn free_elsewhere(block: *mut u8, layout: Layout) {
    let address = block.expose_provenance();
    thread::spawn(move || {
        // A thread that has allocated has a heap, and so an outbox, in which blocks wait.
        free(allocate(SMALL), SMALL);
        free(ptr::with_exposed_provenance_mut(address), layout);
    })
    .join()
    .unwrap();
}

#[test]
fn a_double_free_stops_the_process_when_the_magazine_is_flushed() {
    stops(|| {
        let block = allocate(SMALL);
        free(block, SMALL);
        free(block, SMALL);
        GLOBAL.purge();
    });
}

#[test]
fn a_double_free_stops_the_process_when_the_magazine_overflows() {
    stops(|| {
        let blocks: Vec<_> = (0..1000).map(|_| allocate(SMALL)).collect();
        free(blocks[0], SMALL);
        blocks.into_iter().for_each(|block| free(block, SMALL));
    });
}

#[test]
fn a_second_free_after_the_first_was_flushed_stops_the_process() {
    stops(|| {
        let _neighbour = allocate(SMALL);
        let block = allocate(SMALL);
        free(block, SMALL);
        GLOBAL.purge();
        free(block, SMALL);
        GLOBAL.purge();
    });
}

#[test]
fn a_second_free_after_the_slab_was_given_up_stops_the_process() {
    stops(|| {
        let blocks: Vec<_> = (0..1000).map(|_| allocate(layout(16 * KIB, 8))).collect();
        blocks.iter().for_each(|&block| free(block, layout(16 * KIB, 8)));
        GLOBAL.purge();
        free(blocks[500], layout(16 * KIB, 8));
        GLOBAL.purge();
    });
}

#[test]
fn a_double_free_on_another_thread_stops_the_process() {
    stops(|| {
        let block = allocate(SMALL).expose_provenance();
        thread::spawn(move || {
            free(allocate(SMALL), SMALL);
            free(ptr::with_exposed_provenance_mut(block), SMALL);
            free(ptr::with_exposed_provenance_mut(block), SMALL);
        })
        .join()
        .unwrap();
        GLOBAL.purge();
    });
}

#[test]
fn a_block_freed_by_two_other_threads_stops_the_process() {
    stops(|| {
        let block = allocate(SMALL);
        free_elsewhere(block, SMALL);
        free_elsewhere(block, SMALL);
        GLOBAL.purge();
    });
}

#[test]
fn a_block_freed_by_its_own_thread_and_by_another_stops_the_process() {
    stops(|| {
        let block = allocate(SMALL);
        free(block, SMALL);
        free_elsewhere(block, SMALL);
        GLOBAL.purge();
    });
}

#[test]
fn a_block_of_a_dead_thread_that_is_freed_twice_stops_the_process() {
    stops(|| {
        let block = thread::spawn(|| allocate(SMALL).expose_provenance()).join().unwrap();
        let block = ptr::with_exposed_provenance_mut(block);
        free(block, SMALL);
        free(block, SMALL);
        GLOBAL.purge();
    });
}

#[test]
fn a_double_free_of_a_large_block_stops_the_process() {
    stops(|| {
        let block = allocate(layout(100 * KIB, 8));
        free(block, layout(100 * KIB, 8));
        GLOBAL.purge();
        free(block, layout(100 * KIB, 8));
        GLOBAL.purge();
    });
}

#[test]
fn a_double_free_of_a_large_block_on_another_thread_stops_the_process() {
    stops(|| {
        let block = allocate(layout(100 * KIB, 8));
        free_elsewhere(block, layout(100 * KIB, 8));
        free_elsewhere(block, layout(100 * KIB, 8));
        GLOBAL.purge();
    });
}

#[test]
fn a_double_free_of_a_block_with_a_mapping_of_its_own_stops_the_process() {
    stops(|| {
        let block = allocate(layout(3 * MIB, 8));
        free(block, layout(3 * MIB, 8));
        free(block, layout(3 * MIB, 8));
    });
}

#[test]
fn a_free_of_a_stack_address_stops_the_process() {
    stops(|| {
        let mut local = [0_u64; 6];
        free(local.as_mut_ptr().cast(), SMALL);
    });
}

#[test]
fn a_free_of_a_stack_address_as_a_large_block_stops_the_process() {
    stops(|| {
        let mut local = [0_u64; 6];
        free(local.as_mut_ptr().cast(), layout(3 * MIB, 8));
    });
}

#[test]
fn a_free_of_a_static_stops_the_process() {
    static NUMBERS: [u64; 6] = [1; 6];
    stops(|| free(NUMBERS.as_ptr().cast_mut().cast(), SMALL));
}

#[test]
fn a_free_of_memory_from_mmap_stops_the_process() {
    stops(|| {
        // SAFETY: an anonymous mapping wherever there is room.
        let start = unsafe { libc::mmap(ptr::null_mut(), 8 * MIB, 3, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
        free(start.cast::<u8>().wrapping_add(4 * MIB), SMALL);
    });
}

#[test]
fn a_free_of_the_inside_of_a_small_block_stops_the_process() {
    stops(|| {
        free(allocate(SMALL).wrapping_add(16), SMALL);
        GLOBAL.purge();
    });
}

#[test]
fn a_free_of_the_inside_of_a_small_block_on_another_thread_stops_the_process() {
    stops(|| {
        free_elsewhere(allocate(SMALL).wrapping_add(16), SMALL);
        GLOBAL.purge();
    });
}

#[test]
fn a_free_of_the_inside_of_a_large_block_stops_the_process() {
    stops(|| free(allocate(layout(200 * KIB, 8)).wrapping_add(64 * KIB), layout(200 * KIB, 8)));
}

#[test]
fn a_free_of_the_first_bytes_of_a_block_with_a_mapping_of_its_own_stops_the_process() {
    stops(|| free(allocate(layout(5 * MIB, 8)).wrapping_add(8), layout(5 * MIB, 8)));
}

#[test]
fn a_free_of_the_middle_of_a_block_with_a_mapping_of_its_own_stops_the_process() {
    stops(|| free(allocate(layout(5 * MIB, 8)).wrapping_add(3 * MIB), layout(5 * MIB, 8)));
}

/// The allocator's own description of the 2 MiB around a small block.
fn metadata() -> *mut u8 {
    allocate(SMALL).map_addr(|address| (address & !(2 * MIB - 1)) + 4 * KIB)
}

#[test]
fn a_free_of_metadata_stops_the_process() {
    stops(|| {
        free(metadata(), SMALL);
        GLOBAL.purge();
    });
}

#[test]
fn a_free_of_metadata_on_another_thread_stops_the_process() {
    stops(|| free_elsewhere(metadata(), SMALL));
}

#[test]
fn a_free_of_metadata_as_a_large_block_stops_the_process() {
    stops(|| free(metadata(), layout(100 * KIB, 8)));
}

#[test]
fn a_small_block_freed_as_a_larger_small_block_stops_the_process() {
    stops(|| {
        free(allocate(SMALL), layout(400, 8));
        GLOBAL.purge();
    });
}

#[test]
fn a_small_block_freed_as_a_larger_small_block_on_another_thread_stops_the_process() {
    stops(|| free_elsewhere(allocate(SMALL), layout(400, 8)));
}

#[test]
fn a_small_block_freed_as_a_large_block_stops_the_process() {
    stops(|| free(allocate(SMALL), layout(100 * KIB, 8)));
}

#[test]
fn a_large_block_freed_as_a_small_block_stops_the_process() {
    stops(|| {
        free(allocate(layout(100 * KIB, 8)), SMALL);
        GLOBAL.purge();
    });
}

#[test]
fn a_large_block_freed_as_a_small_block_on_another_thread_stops_the_process() {
    stops(|| free_elsewhere(allocate(layout(100 * KIB, 8)), SMALL));
}

#[test]
fn a_block_with_a_mapping_of_its_own_freed_as_a_small_block_stops_the_process() {
    stops(|| free(allocate(layout(3 * MIB, 8)), SMALL));
}
