//! Sampled guard pages in programs in C, under the library as it ships.

mod support;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use support::{Run, compile};

/// What is said of each kind of misuse, how the process ends, and of what stacks are shown.
const KINDS: [(&str, &str, i32, &[&str]); 6] = [
    ("overflow", "buffer overflow: ", libc::SIGSEGV, &["access was made", "allocated by thread"]),
    ("underflow", "buffer underflow: ", libc::SIGABRT, &["noticed in thread", "allocated by thread"]),
    (
        "use-after-free",
        "use after free: ",
        libc::SIGSEGV,
        &["access was made", "allocated by thread", "freed by thread"],
    ),
    ("double-free", "double free of ", libc::SIGABRT, &["noticed in thread", "allocated by thread", "freed by thread"]),
    ("inside", "inside a guarded block", libc::SIGABRT, &["noticed in thread", "allocated by thread"]),
    ("realloc", "freed already", libc::SIGABRT, &["noticed in thread", "allocated by thread", "freed by thread"]),
];

#[test]
fn a_misuse_is_told_of_with_the_stacks_in_the_program() {
    let program = compile("guarded.c", &[]);
    for (kind, says, signal, stacks) in KINDS {
        let output = Run::on_tenure(&program).arg(kind).env("TENURE_GUARD", "1").output();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.signal(), Some(signal), "{kind}: {stderr}");
        let said: Vec<_> = stderr.lines().filter(|line| line.starts_with("tenure: ")).collect();
        assert!(matches!(said[..], [line] if line.contains(says)), "{kind}: {stderr}");
        if kind != "inside" {
            let block = stdout.lines().last().unwrap().trim_start_matches("block ");
            assert!(said[0].contains(block), "{kind}: {block} is not named: {stderr}");
        }
        let headings: Vec<_> =
            stderr.lines().filter(|line| line.starts_with("  the ") || line.starts_with("  this ")).collect();
        assert_eq!(headings.len(), stacks.len(), "{kind}: {stderr}");
        let parts: Vec<_> = stderr.split("\n  t").skip(1).collect();
        for (stack, part) in stacks.iter().zip(parts) {
            assert!(part.contains(stack), "{kind}: no '{stack}': {stderr}");
            let is_there = part.lines().any(|line| line.contains(&format!(" {}+0x", program.display())));
            assert!(is_there, "{kind}: no function of the program in '{stack}': {stderr}");
        }
    }
}

#[test]
fn programs_that_do_nothing_wrong_do_not_notice() {
    let program = compile("guarded.c", &[]);
    for one_in in ["1", "3", "1000"] {
        Run::on_tenure(&program).arg("work").env("TENURE_GUARD", one_in).succeeds();
    }
    for program in ["/bin/ls", "/bin/true"] {
        let output = Run::on_tenure(Path::new(program)).env("TENURE_GUARD", "1").output();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn wrong_settings_are_told_of_and_ignored() {
    for wrong in ["0", "", "-1", "often", "1099511627777", "1 "] {
        let output = Run::on_tenure(Path::new("/bin/true")).env("TENURE_GUARD", wrong).output();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        let expected = format!(
            "tenure: TENURE_GUARD: must be a number N, of which one in N allocations is guarded, from 1 to 1099511627776; '{wrong}' is ignored\n"
        );
        assert_eq!(stderr, expected);
    }
}
