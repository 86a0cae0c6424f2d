//! Misuse of the C library: small programs, each of which misuses a block of a size, under the library as it ships.
//!
//! `cargo test -p tenure-malloc --test misuse -- --nocapture` prints how many of each kind were stopped, went on
//! unharmed, and went on with two blocks in use that overlap.

mod support;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use support::{Run, compile};

const SIZES: [usize; 14] =
    [8, 16, 24, 64, 100, 512, 1024, 4096, 20 << 10, 32 << 10, 64 << 10, 300 << 10, 1 << 20, 4 << 20];

/// What the line says, of a size where that is known beforehand.
const KINDS: [(&str, &str); 16] = [
    ("twice", "free"),
    ("twice-after-another", "free"),
    ("twice-after-a-purge", "free"),
    ("second-elsewhere", "free"),
    ("first-elsewhere", "free"),
    ("twice-elsewhere", "free"),
    ("stale", "free"),
    ("write", "write after free of"),
    ("inside", "invalid free of"),
    ("misaligned", "invalid free of"),
    ("stack", "no memory of this allocator"),
    ("static", "no memory of this allocator"),
    ("foreign-mapping", "no memory of this allocator"),
    ("near-null", "no memory of this allocator"),
    ("realloc-larger", "of 0x"),
    ("realloc-same", "of 0x"),
];

/// The size of the largest blocks of which free ones are looked at before they are used again.
const LOOKED_AT: usize = 32 << 10;

#[test]
fn a_misuse_is_stopped_with_one_line_but_for_a_write_to_a_large_block() {
    assert_stopped(Run::on_tenure, |kind, size| match kind {
        "write" => size <= LOOKED_AT,
        _ => true,
    });
}

#[test]
fn every_misuse_is_stopped_by_the_hardened_library() {
    assert_stopped(Run::on_hardened, |_, _| true);
}

/// Runs every program, and panics where one that `has_to_be` is not stopped.
fn assert_stopped(run: fn(&Path) -> Run, has_to_be: fn(&str, usize) -> bool) {
    let program = compile("misuses.c", &[]);
    let mut wrong = Vec::new();
    println!("| misuse | stopped | unharmed | harmed |\n|---|---|---|---|");
    let mut sums = [0; 3];
    for (kind, says) in KINDS {
        let mut counts = [0; 3];
        for size in SIZES {
            let output = run(&program).arg(kind).arg(size.to_string()).output();
            let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let address = stdout.trim_start_matches("misuse of ").trim_end();
            let is_line = |line: &str| line.starts_with("tenure: ") && line.contains(says) && line.contains(address);
            let lines: Vec<_> = stderr.lines().collect();
            let ending = match (output.status.signal(), output.status.code()) {
                (Some(libc::SIGABRT), _) if matches!(lines[..], [line] if is_line(line)) => 0,
                // A page that may not be touched any more.
                (Some(libc::SIGSEGV), _) if kind == "write" && stderr.is_empty() => 0,
                (None, Some(0)) if stderr.is_empty() => 1,
                (None, Some(10)) if stderr.is_empty() => 2,
                _ => {
                    wrong.push(format!("{kind} {size}: {}, after: {stdout}{stderr}", output.status));
                    continue;
                }
            };
            counts[ending] += 1;
            if ending > 0 && has_to_be(kind, size) {
                wrong.push(format!("{kind} {size}: not stopped"));
            }
        }
        println!("| {kind} | {} | {} | {} |", counts[0], counts[1], counts[2]);
        counts.iter().zip(&mut sums).for_each(|(count, sum)| *sum += count);
    }
    println!("| all {} | {} | {} | {} |", KINDS.len() * SIZES.len(), sums[0], sums[1], sums[2]);
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
