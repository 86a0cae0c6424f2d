//! What a hardened build does beyond stopping misuse, which `tests/misuse` is about: sizes, contents, places,
//! quarantine and guards.
#![cfg(not(loom))]

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};
use support::memory::{KIB, MIB, resident};
use support::process::{alone, command, end_after, part, set_limit};
use tenure::{Limit, Tenure};

/// Not the allocator of the test itself, so that nobody else's blocks are among those that are looked at.
static GLOBAL: Tenure = Tenure::new();

const SIZES: [usize; 13] = [1, 7, 8, 24, 60, 64, 1000, 4096, 20 * KIB, 32 * KIB, 100 * KIB, MIB, 3 * MIB];

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

fn allocate(layout: Layout) -> *mut u8 {
    // SAFETY: a layout of a size that is not zero.
    let block = unsafe { GLOBAL.alloc(layout) };
    assert!(!block.is_null());
    block
}

fn free(block: *mut u8, layout: Layout) {
    // SAFETY: the tests' own blocks, each of which is freed once.
    unsafe { GLOBAL.dealloc(block, layout) };
}

/// Asserts that all of a block's bytes are `byte`.
fn assert_filled(block: *const u8, size: usize, byte: u8) {
    // SAFETY: a block of that size, which is initialised: the allocator has cleared it.
    assert!(unsafe { std::slice::from_raw_parts(block, size) }.iter().all(|&found| found == byte));
}

/// Runs `misuse` in a process of its own; the signal that has ended it, and what it said.
fn ending(name: &str, misuse: impl FnOnce()) -> (Option<i32>, String) {
    if part().is_some_and(|part| part == name) {
        end_after(60);
        set_limit(libc::RLIMIT_CORE, 0).unwrap();
        misuse();
        std::process::exit(0);
    }
    let output = command(name).output().unwrap();
    (output.status.signal(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn every_block_reads_as_zero_when_it_is_handed_out() {
    alone(60, || {
        for size in SIZES {
            for _ in 0..100.min(64 * MIB / size) {
                let block = allocate(layout(size));
                assert_filled(block, size, 0);
                // SAFETY: the test's own block.
                unsafe { block.write_bytes(0xFF, size) };
                free(block, layout(size));
            }
        }
    });
}

#[test]
fn a_block_can_be_used_to_the_last_byte_that_was_asked_for() {
    for size in (0..2000).chain(SIZES) {
        let block = GLOBAL.alloc_untyped(size);
        assert!(!block.is_null());
        // SAFETY: the test's own block, as large as it says.
        unsafe {
            assert_eq!(GLOBAL.usable_size(block), size);
            assert_eq!(GLOBAL.good_size(size), size);
            block.write_bytes(0xFF, size);
            GLOBAL.free_untyped(block);
        }
    }
}

#[test]
fn every_alignment_is_honoured() {
    for shift in 0..=22 {
        for size in SIZES {
            let layout = Layout::from_size_align(size, 1 << shift).unwrap();
            let blocks: Vec<_> = (0..3).map(|_| allocate(layout)).collect();
            for block in blocks {
                assert!(block.addr().is_multiple_of(1 << shift), "{layout:?}");
                // SAFETY: the test's own block.
                unsafe { block.write_bytes(0xFF, size) };
                free(block, layout);
            }
        }
    }
}

#[test]
fn a_block_that_is_resized_keeps_its_contents_and_is_as_large_as_was_asked_for() {
    let sizes =
        [1, 8, 20, 23, 24, 25, 900, 910, 4000, 4096, 33 * KIB, 60 * KIB, 300 * KIB, 290 * KIB, MIB, 2 * MIB, 5 * MIB];
    for from in sizes {
        for to in sizes {
            let block = allocate(layout(from));
            // SAFETY: the test's own block, of the sizes that are told.
            unsafe {
                block.write_bytes(0xA5, from);
                let block = GLOBAL.realloc(block, layout(from), to);
                assert_filled(block, from.min(to), 0xA5);
                block.write_bytes(0x5A, to);
                free(block, layout(to));

                let block = GLOBAL.alloc_untyped(from);
                block.write_bytes(0xA5, from);
                let block = GLOBAL.realloc_untyped(block, to);
                assert_filled(block, from.min(to), 0xA5);
                assert_eq!(GLOBAL.usable_size(block), to);
                block.write_bytes(0x5A, to);
                GLOBAL.free_untyped(block);
            }
        }
    }
}

#[test]
fn blocks_are_placed_in_another_order_than_that_of_addresses_and_in_each_process_in_another() {
    let places = || {
        let blocks: Vec<usize> = (0..64).map(|_| allocate(layout(64)).addr() % (64 * KIB)).collect();
        assert!(!blocks.is_sorted() && !blocks.iter().rev().is_sorted());
        println!("\nplaces {blocks:?}");
    };
    if part().is_some() {
        return places();
    }
    let outputs: Vec<_> = (0..2).map(|_| command("places").output().unwrap()).collect();
    let lines: Vec<_> = outputs
        .iter()
        .map(|output| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{text}");
            text.lines().find(|line| line.starts_with("places")).expect("a line").to_owned()
        })
        .collect();
    assert_ne!(lines[0], lines[1]);
}

#[test]
fn a_freed_block_is_used_again_by_no_number_of_allocations_alone() {
    alone(60, || {
        for size in [16, 64, 4096, 20 * KIB, 100 * KIB, MIB, 3 * MIB] {
            let block = allocate(layout(size));
            free(block, layout(size));
            let others: Vec<_> = (0..200.min(256 * MIB / size)).map(|_| allocate(layout(size))).collect();
            assert!(!others.contains(&block), "{size}");
            others.into_iter().for_each(|other| free(other, layout(size)));
        }
    });
}

#[test]
fn a_mapping_that_a_thread_frees_before_anything_else_is_not_the_next_that_it_gets() {
    alone(60, || {
        for size in [3 * MIB, 5 * MIB] {
            // Its place may be at any of seven pages, so it takes several to tell.
            for _ in 0..20 {
                let block = allocate(layout(size)).expose_provenance();
                let next = std::thread::spawn(move || {
                    free(std::ptr::with_exposed_provenance_mut(block), layout(size));
                    let next = allocate(layout(size));
                    free(next, layout(size));
                    next.addr()
                });
                assert!(next.join().unwrap().abs_diff(block) >= size, "{size}");
            }
        }
    });
}

#[test]
fn none_of_16_large_blocks_that_were_freed_is_used_again_before_more_are() {
    alone(60, || {
        for size in [33 * KIB, 40_000, 60_000] {
            GLOBAL.purge();
            let blocks: Vec<_> = (0..16).map(|_| allocate(layout(size))).collect();
            blocks.iter().for_each(|&block| free(block, layout(size)));
            let others: Vec<_> = (0..40).map(|_| allocate(layout(size))).collect();
            assert!(!others.iter().any(|other| blocks.contains(other)), "{size}");
            others.into_iter().for_each(|other| free(other, layout(size)));
        }
    });
}

#[test]
fn the_quarantine_holds_what_is_said_of_it_at_most_and_nothing_after_a_purge() {
    alone(60, || {
        let (mut bytes, sizes) = (0, [16, 100, 1000, 8000, 30 * KIB, 100 * KIB, 500 * KIB]);
        for size in sizes {
            let blocks: Vec<_> = (0..40).map(|_| allocate(layout(size))).collect();
            let before = GLOBAL.stats();
            blocks.into_iter().for_each(|block| free(block, layout(size)));
            let after = GLOBAL.stats();
            assert!(after.is_balanced());
            assert_eq!(before.live_blocks() - after.live_blocks(), 40, "what is in quarantine is not live");
            bytes += size;
        }
        assert!(bytes > 0);
        GLOBAL.purge();
        let stats = GLOBAL.stats();
        assert_eq!((stats.live_blocks(), stats.balance.in_magazines), (0, 0), "{stats}");
    });
}

#[test]
fn the_quarantine_gives_way_where_memory_is_limited() {
    alone(60, || {
        let big = layout(MIB - 64 * KIB);
        let blocks: Vec<_> = (0..8).map(|_| allocate(big)).collect();
        GLOBAL.set_limit(Limit::hard(GLOBAL.stats().committed));
        // SAFETY: a layout of a size that is not zero.
        assert!(unsafe { GLOBAL.alloc(big) }.is_null(), "all that may be had is in use");
        blocks.into_iter().for_each(|block| free(block, big));
        // All of it is needed, for something else.
        let again: Vec<_> = (0..7).map(|_| allocate(big)).collect();
        again.into_iter().for_each(|block| free(block, big));
        free(allocate(layout(5 * MIB)), layout(5 * MIB));
    });
}

#[test]
fn what_another_thread_has_freed_can_be_had_where_memory_is_limited() {
    alone(60, || {
        let large = layout(100 * MIB);
        GLOBAL.set_limit(Limit::hard(150 * MIB));
        let (freed, go_on) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                free(allocate(large), large);
                freed.wait();
                go_on.wait();
            });
            freed.wait();
            free(allocate(large), large);
            go_on.wait();
        });
    });
}

#[test]
fn a_large_block_ends_at_a_guard() {
    for size in [64 * KIB, 100 * KIB, MIB, 3 * MIB] {
        let (signal, said) = ending(&format!("guard {size}"), || {
            let block = allocate(layout(size));
            let end = size.next_multiple_of(4 * KIB);
            // SAFETY: none. The byte is not the block's.
            unsafe { block.add(end).write_volatile(1) };
        });
        assert_eq!((signal, said.as_str()), (Some(libc::SIGSEGV), ""), "{size}");
    }
}

#[test]
fn a_mapping_has_a_guard_in_front_of_it() {
    let (signal, said) = ending("front", || {
        let block = allocate(layout(3 * MIB));
        // SAFETY: none. The byte is not the block's.
        unsafe { block.sub(1).write_volatile(1) };
    });
    assert_eq!((signal, said.as_str()), (Some(libc::SIGSEGV), ""));
}

#[test]
fn a_free_makes_no_memory_resident_that_its_program_has_not_written_to() {
    const BYTES: usize = 128 * MIB;
    alone(60, || {
        for size in [12 * KIB, 30_000, 70_000, 130_000, 300_000, 1_000_000] {
            for round in 0..3 {
                let blocks: Vec<_> = (0..BYTES / size).map(|_| allocate(layout(size))).collect();
                for &block in &blocks {
                    if round == 1 {
                        // What is only read is not written to.
                        assert_filled(block, size, 0);
                    }
                    // SAFETY: the test's own block.
                    unsafe { block.write(1) };
                }
                let in_use = resident();
                blocks.into_iter().for_each(|block| free(block, layout(size)));
                let freed = resident();
                println!("{size} bytes, round {round}: {} KiB, freed {} KiB", in_use / KIB, freed / KIB);
                assert!(freed < in_use + 2 * MIB, "{size} bytes, round {round}: {in_use} and then {freed}");
                // The next round may have other blocks' memory.
                assert!(in_use < BYTES, "{in_use}");
            }
            GLOBAL.purge();
        }
    });
}

#[test]
fn what_was_freed_goes_back_to_the_system_in_time_where_a_thread_has_large_blocks_alone() {
    alone(60, || {
        GLOBAL.set_purge_delay(Duration::from_millis(50));
        let big = layout(70_000);
        let blocks: Vec<_> = (0..500).map(|_| allocate(big)).collect();
        // SAFETY: the test's own blocks.
        blocks.iter().for_each(|&block| unsafe { block.write_bytes(1, big.size()) });
        let in_use = resident();
        blocks.into_iter().for_each(|block| free(block, big));
        let began = Instant::now();
        while resident() + 20 * MIB > in_use {
            assert!(began.elapsed() < Duration::from_secs(20), "{} of {in_use} bytes are still there", resident());
            (0..500).for_each(|_| free(allocate(big), big));
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

#[test]
fn a_large_block_that_is_free_cannot_be_read() {
    for size in [300 * KIB, MIB, 3 * MIB] {
        let (signal, said) = ending(&format!("read {size}"), || {
            let block = allocate(layout(size));
            free(block, layout(size));
            // SAFETY: none. The block is free.
            std::hint::black_box(unsafe { block.add(size / 2).read_volatile() });
        });
        assert_eq!((signal, said.as_str()), (Some(libc::SIGSEGV), ""), "{size}");
    }
}

#[test]
fn what_describes_a_segment_ends_at_guards() {
    for (name, place) in [("behind", 64 * KIB - 1), ("end", 2 * MIB - 1)] {
        let (signal, said) = ending(name, || {
            let segment = allocate(layout(64)).map_addr(|address| address & !(2 * MIB - 1));
            // SAFETY: none. No block is there.
            unsafe { segment.add(place).write_volatile(1) };
        });
        assert_eq!((signal, said.as_str()), (Some(libc::SIGSEGV), ""), "{name}");
    }
}

#[test]
fn a_size_that_a_free_is_told_has_to_be_exact() {
    for (size, told) in
        [(20, 24), (64, 60), (1000, 1001), (4096, 4095), (100 * KIB, 100 * KIB - 1), (3 * MIB, 3 * MIB + 1)]
    {
        let (signal, said) = ending(&format!("size {size}"), || free(allocate(layout(size)), layout(told)));
        assert_eq!(signal, Some(libc::SIGABRT), "{size}: {said}");
        assert!(said.contains(&format!("as a {told}-byte block: it has {size} bytes")), "{said}");
    }
}

#[test]
fn a_byte_that_is_written_beyond_the_end_is_noticed_even_if_it_is_zero() {
    for size in [1, 7, 9, 20, 100, 1001, 4090, 100 * KIB + 1, 3 * MIB - 1] {
        let (signal, said) = ending(&format!("zero {size}"), || {
            let block = allocate(layout(size));
            // SAFETY: none. The byte is not the block's.
            unsafe { block.add(size).write_volatile(0) };
            free(block, layout(size));
        });
        assert_eq!(signal, Some(libc::SIGABRT), "{size}: {said}");
        assert!(said.contains("write beyond the end of") && said.contains(&format!("{size}-byte block")), "{said}");
    }
}

#[test]
fn a_block_of_another_threads_that_shrinks_keeps_its_contents_where_there_is_no_memory() {
    alone(60, || {
        let (old, new) = (layout(300 * KIB), 200 * KIB);
        free(allocate(layout(8)), layout(8));
        // That thread's heap has the span, so it cannot be cut in place here.
        let address = std::thread::spawn(move || {
            let block = allocate(old);
            // SAFETY: a block of that size.
            unsafe { block.write_bytes(0x5A, old.size()) };
            block.expose_provenance()
        });
        let block: *mut u8 = std::ptr::with_exposed_provenance_mut(address.join().unwrap());
        GLOBAL.set_limit(Limit::hard(GLOBAL.stats().committed));
        // SAFETY: the test's own block.
        let shrunk = unsafe { GLOBAL.realloc(block, old, new) };
        let (block, size) = if shrunk.is_null() { (block, old.size()) } else { (shrunk, new) };
        assert_filled(block, size, 0x5A);
        free(block, layout(size));
    });
}

#[test]
fn a_realloc_notices_what_was_written_beyond_the_end() {
    for size in [20, 1001, 100 * KIB + 1, 3 * MIB - 1] {
        let (signal, said) = ending(&format!("realloc {size}"), || {
            let block = allocate(layout(size));
            // SAFETY: none. The byte is not the block's.
            unsafe {
                block.add(size).write_volatile(0x5A);
                GLOBAL.realloc(block, layout(size), size + 1);
            }
        });
        assert_eq!(signal, Some(libc::SIGABRT), "{size}: {said}");
        assert!(said.contains("write beyond the end of"), "{said}");
    }
}

#[cfg(all(feature = "profile", target_os = "linux"))]
#[test]
fn sampled_guards_are_refused() {
    assert_eq!(tenure::guard::arm(100), Err(tenure::guard::CannotArm::Hardened));
}
