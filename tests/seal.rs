//! The end of the start-up phase: what is static stays, nothing is added, the rest goes back, and forked children share
//! what is there.

mod support;

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use support::memory::{KIB, MIB, resident};
use support::process::{self, alone};
use tenure::{StaticScope, Tenure, seal, seal_read_only, static_scope};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// What a start-up phase may build.
fn table(entries: usize) -> HashMap<u64, Box<[u64; 30]>> {
    (0..entries as u64).map(|n| (n, Box::new([n; 30]))).collect()
}

#[test]
fn after_sealing_scopes_are_served_by_the_heap_and_counted() {
    alone(60, || {
        let before = static_scope(|| table(1000));
        let sealed = seal();
        assert_eq!(GLOBAL.stats().scopes.fallbacks, 0);
        let scopes = GLOBAL.stats().scopes;
        let after = static_scope(|| (vec![1_u8; 100], vec![0_u8; 1 << 20], Box::new(7)));
        assert_eq!(GLOBAL.stats().scopes.fallbacks, 3);
        assert_eq!(GLOBAL.stats().scopes.blocks, scopes.blocks);
        drop(after);
        assert_eq!((before.len(), before[&999][29]), (1000, 999));
        assert_eq!(sealed.used, scopes.used);
        assert_eq!(seal().returned, 0, "a second time nothing is left to do");
    });
}

#[test]
fn what_was_static_may_be_freed_and_grow_after_sealing_and_on_other_threads() {
    alone(60, || {
        let mut vectors: Vec<Vec<u32>> = static_scope(|| (0..1000).map(|n| vec![n; 10]).collect());
        let scope = StaticScope::enter();
        seal();
        // Still in a scope: what grows has no static memory to grow into.
        vectors[3].extend([1; 100]);
        drop(scope);
        vectors[4].extend([2; 100]);
        assert_eq!((vectors[3][9], vectors[3][109], vectors[4][9], vectors[4][109]), (3, 1, 4, 2));
        thread::spawn(move || drop(vectors)).join().unwrap();
        let stats = GLOBAL.stats();
        assert!(stats.is_balanced(), "{stats}");
        assert_eq!((stats.scopes.blocks, stats.scopes.live(), stats.scopes.dead), (0, 0, stats.scopes.used));
    });
}

#[test]
fn the_rest_goes_back_to_the_system() {
    alone(60, || {
        static_scope(|| {
            let temporary = std::hint::black_box(vec![1_u8; 24 * MIB]);
            // The last block, so its bytes are taken up again; but its pages were touched.
            drop(temporary);
            vec![1_u8; MIB].leak();
        });
        let before = resident();
        let stats = GLOBAL.stats();
        let sealed = seal();
        assert!(before.saturating_sub(resident()) > 20 * MIB, "{before} bytes were resident, now {}", resident());
        assert!(sealed.returned >= 23 * MIB && stats.reserved - GLOBAL.stats().reserved == sealed.returned);
        let scopes = GLOBAL.stats().scopes;
        assert!(scopes.slack < 4 * KIB && scopes.capacity < MIB + 8 * KIB, "{scopes:?}");
    });
}

#[test]
fn a_stray_write_to_read_only_static_memory_faults_and_reading_and_dropping_do_not() {
    if let Some(part) = process::part() {
        let (mut text, numbers) = static_scope(|| ("constant".repeat(1000), vec![1_u64; 100_000]));
        // SAFETY: nothing below writes to these blocks, but for the write in question.
        let sealed = unsafe { seal_read_only() };
        assert!(sealed.read_only >= sealed.used && sealed.used >= 808_000);
        assert_eq!((text.len(), numbers.iter().sum::<u64>()), (8000, 100_000));
        if part == "writes" {
            // SAFETY: valid text; the fault is what is tested.
            unsafe { text.as_bytes_mut()[17] = b'!' };
        }
        text.push_str("grows on the heap");
        drop((text, numbers));
        return println!("reached the end");
    }
    let run = |part: &str| process::command(part).output().unwrap();
    let reads = run("reads");
    assert!(String::from_utf8_lossy(&reads.stdout).contains("reached the end"), "{reads:?}");
    assert_eq!(run("writes").status.signal(), Some(libc::SIGSEGV));
}

/// Kibibytes of private and of shared pages among the read-only ones in `range`, by the system's account.
fn pages(range: Range<usize>) -> (usize, usize) {
    let (mut private, mut shared, mut is_inside) = (0, 0, false);
    for line in fs::read_to_string("/proc/self/smaps").unwrap().lines() {
        let mut words = line.split_whitespace();
        let (name, value) = (words.next().unwrap(), words.next().unwrap_or_default());
        if let Some((start, end)) = name.split_once('-') {
            let [start, end] = [start, end].map(|text| usize::from_str_radix(text, 16).unwrap());
            is_inside = start < range.end && range.start < end && value == "r--p";
        } else if is_inside && name.starts_with("Private_") {
            private += value.parse::<usize>().unwrap();
        } else if is_inside && name.starts_with("Shared_") {
            shared += value.parse::<usize>().unwrap();
        }
    }
    (private, shared)
}

#[test]
fn a_forked_child_shares_every_page_of_static_memory_however_long_it_works() {
    alone(120, || {
        const ENTRIES: usize = 100_000;
        let table = static_scope(|| table(ENTRIES));
        // Read-only, so that the system lists these pages apart from the heap's, which may lie beside and between them.
        // SAFETY: the table is only read from here on.
        unsafe { seal_read_only() };
        let addresses = table.values().map(|entry| (&raw const **entry).addr());
        let span = addresses.clone().min().unwrap()..addresses.max().unwrap() + 240;
        // SAFETY: the child works on its own copy, and leaves by `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let mut sum = 0;
            for round in 0..20_u64 {
                for n in 0..ENTRIES as u64 {
                    // Looks up, and makes and frees blocks of the same sizes meanwhile.
                    sum += table[&n][0] + Box::new([n * round; 30])[29];
                }
            }
            let (private, shared) = pages(span);
            println!("static memory in the child: {shared} KiB shared, {private} KiB private; {sum}");
            let shares = private == 0 && shared >= ENTRIES * 240 / KIB;
            // SAFETY: ends the child alone.
            unsafe { libc::_exit(if shares { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child has pages of its own");
        assert_eq!(table.len(), ENTRIES);
    });
}
