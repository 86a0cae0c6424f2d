//! Misuse of the allocator, one small program for each: what stops it, and what it goes on with otherwise.
//!
//! A program runs in a process of its own. Where it is stopped, that is by `abort` after one line on standard error
//! that starts with `tenure: `, and names the misuse and the address; or at a page that may not be touched. Where it is
//! not, it allocates more, and looks for blocks that overlap. `cargo test --test misuse -- --nocapture` prints how many
//! of each kind ended how: the table of `docs/hardening.md`.
#![cfg(not(loom))]

#[path = "../support/mod.rs"]
mod support;

mod case;
mod double_free;
mod forged_header;
mod invalid_pointer;
mod overflow;
mod program;
mod race;
mod realloc_of_freed;
mod stale_free;
mod write_after_free;
mod wrong_layout;

use case::{Case, Table};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use support::memory::{KIB, MIB};
use support::process::{command, end_after, part, set_limit};
use tenure::Tenure;

/// What is misused. Not the allocator of the test itself, so that nobody but the programs has used it before.
static GLOBAL: Tenure = Tenure::new();

/// Sizes that are tried: blocks of slabs, from the smallest to the largest; spans; and a block with a mapping of its
/// own.
const SIZES: [usize; 14] = [8, 16, 24, 64, 100, 512, 1024, 4096, 20 * KIB, 32 * KIB, 64 * KIB, 300 * KIB, MIB, 4 * MIB];

/// Of blocks of slabs, free ones are looked at before they are used again.
fn is_in_a_slab(size: usize) -> bool {
    size <= 32 * KIB
}

/// Sizes of which there is a magazine that many frees go to without a look at the block.
const MUCH_USED: [usize; 5] = [16, 64, 512, 4096, 20 * KIB];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(double_free::cases());
    cases.extend(stale_free::cases());
    cases.extend(invalid_pointer::cases());
    cases.extend(wrong_layout::cases());
    cases.extend(realloc_of_freed::cases());
    cases.extend(race::cases());
    cases.extend(overflow::cases());
    cases.extend(forged_header::cases());
    cases.extend(write_after_free::cases());
    cases
}

#[test]
fn every_misuse_ends_as_it_is_written_down_or_better() {
    let cases = cases();
    if let Some(nth) = part() {
        end_after(60);
        // No core dumps of what is meant to happen.
        set_limit(libc::RLIMIT_CORE, 0).unwrap();
        (cases[nth.parse::<usize>().unwrap()].run)();
        unreachable!("a program of this kind ends the process");
    }
    // A command names this test by its thread, so they are made here.
    let programs: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(nth, case)| (case, Mutex::new(command(&nth.to_string())), OnceLock::new()))
        .collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((_, command, output)) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    output.get_or_init(|| command.lock().unwrap().output().unwrap());
                }
            });
        }
    });
    let (mut table, mut wrong) = (Table::default(), Vec::new());
    for (case, _, output) in &programs {
        match case.ending(output.get().expect("each program has run")) {
            Ok(ending) => {
                table.add(case.kind, ending);
                if !case.is_as_expected(ending) {
                    wrong.push(format!("{}: {ending:?}, and not {:?}", case.name(), case.expected()));
                }
            }
            Err(how) => wrong.push(format!("{}: {how}", case.name())),
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
