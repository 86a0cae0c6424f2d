//! Misuse of guarded blocks: what ends the process, and what is said.

use crate::report;
use crate::sites::{
    At, allocates, announce, frees, frees_untyped, guarded, is_guarded, reads, resizes, resizes_untyped, writes,
};
use std::alloc::Layout;
use std::time::{Duration, Instant};
use std::{ptr, thread};
use tenure::{Tenure, guard};

/// Of a size that no class has, and that ends where the page does.
fn bytes(size: usize) -> Layout {
    Layout::from_size_align(size, 1).unwrap()
}

/// A pointer that may go to another thread.
struct Sent(*mut u8);

// SAFETY: what it points at is used by one thread at a time.
unsafe impl Send for Sent {}

impl Sent {
    fn get(self) -> *mut u8 {
        self.0
    }
}

#[test]
fn a_write_one_byte_behind_a_block_is_told_of_where_it_happens() {
    let report = report::of(|| {
        let block = guarded(bytes(49), At::End);
        announce(block);
        writes(block.wrapping_add(48));
        writes(block.wrapping_add(49));
    });
    report.assert_says(libc::SIGSEGV, &["buffer overflow: ", "at offset 49 of a guarded block of 49 bytes"]);
    if cfg!(target_arch = "x86_64") {
        report.assert_says(libc::SIGSEGV, &["buffer overflow: write of "]);
    }
    report.assert_stacks(&[("access was made", "writes"), ("allocated by thread", "allocates")]);
}

#[test]
fn a_read_behind_a_block_is_told_of_where_it_happens() {
    let report = report::of(|| {
        let block = guarded(bytes(1001), At::End);
        announce(block);
        reads(block.wrapping_add(1001 + 17));
    });
    report.assert_says(libc::SIGSEGV, &["buffer overflow: ", "at offset 1018 of a guarded block of 1001 bytes"]);
    report.assert_stacks(&[("access was made", "reads"), ("allocated by thread", "allocates")]);
}

#[test]
fn an_access_in_front_of_a_block_is_told_of_where_it_happens() {
    let report = report::of(|| {
        let block = guarded(bytes(33), At::Start);
        announce(block);
        writes(block.wrapping_sub(1));
    });
    report.assert_says(libc::SIGSEGV, &["buffer underflow: ", "at offset -1 of a guarded block of 33 bytes"]);
    report.assert_stacks(&[("access was made", "writes"), ("allocated by thread", "allocates")]);
}

#[test]
fn a_read_after_the_free_is_told_of_with_both_stacks() {
    let report = report::of(|| {
        let block = guarded(bytes(77), At::End);
        announce(block);
        reads(block);
        frees(block, bytes(77));
        reads(block.wrapping_add(5));
    });
    report.assert_says(libc::SIGSEGV, &["use after free: ", "at offset 5 of a guarded block of 77 bytes"]);
    report.assert_stacks(&[("access was made", "reads"), ("allocated by", "allocates"), ("freed by", "frees")]);
}

#[test]
fn a_write_after_a_free_by_another_thread_is_told_of_with_both_threads() {
    let report = report::of(|| {
        let block = guarded(bytes(77), At::Start);
        announce(block);
        let sent = Sent(block);
        thread::spawn(move || frees_untyped(sent.get())).join().unwrap();
        writes(block);
    });
    report.assert_says(libc::SIGSEGV, &["use after free: ", "at offset 0 of a guarded block of 77 bytes"]);
    let expected = [("access was made", "writes"), ("allocated by", "allocates"), ("freed by", "frees_untyped")];
    report.assert_stacks(&expected);
    let threads: Vec<_> = report.stacks.iter().filter_map(|(heading, _)| heading.split_once(" thread ")).collect();
    assert!(threads.len() == 2 && threads[0].1 != threads[1].1, "{}", report.all);
    assert!(report.lines[0].ends_with(&format!("by thread {}", threads[0].1)), "{}", report.all);
}

/// Makes standard error so full that whoever writes there waits until somebody has read.
fn fill_stderr() {
    let set_flags = |flags: libc::c_int| {
        // SAFETY: flags of the test's own file.
        assert_eq!(unsafe { libc::fcntl(libc::STDERR_FILENO, libc::F_SETFL, flags) }, 0);
    };
    // SAFETY: no preconditions.
    let flags = unsafe { libc::fcntl(libc::STDERR_FILENO, libc::F_GETFL) };
    set_flags(flags | libc::O_NONBLOCK);
    for size in [4096, 1] {
        let lines = [b'\n'; 4096];
        // SAFETY: as many bytes as there are, at most.
        while unsafe { libc::write(libc::STDERR_FILENO, lines.as_ptr().cast(), size) } > 0 {}
    }
    set_flags(flags);
}

#[test]
fn the_first_of_two_faults_is_told_of_in_full_however_long_that_takes() {
    let report = report::of_unread(|| {
        let block = guarded(bytes(49), At::End);
        guard::disarm();
        fill_stderr();
        for _ in 0..2 {
            let sent = Sent(block);
            thread::spawn(move || writes(sent.get().wrapping_add(49)));
        }
        // As long as the other thread may need to lose its patience, if it had little.
        let begun = Instant::now();
        (0..400_000).take_while(|_| begun.elapsed() < Duration::from_secs(3)).for_each(|_| thread::yield_now());
        // SAFETY: one byte.
        unsafe { libc::write(libc::STDOUT_FILENO, [report::READ].as_ptr().cast(), 1) };
        thread::sleep(Duration::from_secs(100));
    });
    assert_eq!((report.signal, report.lines.len()), (Some(libc::SIGSEGV), 1), "{}", report.all);
    assert!(report.lines[0].contains("buffer overflow: "), "{}", report.all);
    let headings: Vec<_> = report.stacks.iter().map(|(heading, frames)| (heading.as_str(), frames.len() > 2)).collect();
    assert!(
        matches!(headings[..], [("the access was made", true), (allocated, true)] if allocated.contains("allocated by")),
        "{}",
        report.all
    );
}

#[test]
fn the_second_of_two_frees_is_told_of_with_both_stacks() {
    let body = |&is_untyped: &bool| {
        let block = guarded(bytes(100), At::End);
        announce(block);
        frees(block, bytes(100));
        if is_untyped { frees_untyped(block) } else { frees(block, bytes(100)) }
    };
    report::of_each(&[false, true], body, |&is_untyped, report| {
        report.assert_says(libc::SIGABRT, &["double free of ", "a guarded block of 100 bytes"]);
        let second = if is_untyped { "frees_untyped" } else { "frees" };
        report.assert_stacks(&[("noticed in", second), ("allocated by", "allocates"), ("freed by", "frees")]);
    });
}

#[test]
fn a_free_of_what_lies_inside_a_block_is_told_of() {
    let report = report::of(|| {
        let block = guarded(bytes(100), At::End);
        announce(block);
        frees(block.wrapping_add(8), bytes(92));
    });
    assert!(report.lines[0].contains("invalid free of") && report.lines[0].contains("inside a guarded block"));
    report.assert_stacks(&[("noticed in", "frees"), ("allocated by", "allocates")]);
    assert_eq!(report.signal, Some(libc::SIGABRT));
}

#[test]
fn a_free_with_another_layout_is_told_of() {
    let report = report::of(|| {
        let block = guarded(bytes(100), At::End);
        announce(block);
        frees(block, bytes(101));
    });
    report.assert_says(libc::SIGABRT, &["invalid free of ", "as a 101-byte block: it is a guarded block of 100 bytes"]);
    report.assert_stacks(&[("noticed in", "frees"), ("allocated by", "allocates")]);
}

#[test]
fn a_free_with_a_large_layout_is_told_of() {
    let report = report::of(|| {
        let block = guarded(bytes(100), At::End);
        announce(block);
        frees(block, bytes(100_000));
    });
    report.assert_says(libc::SIGABRT, &["invalid free of "]);
    report.assert_stacks(&[("noticed in", "frees"), ("allocated by", "allocates")]);
}

#[test]
fn what_was_written_where_no_guard_is_near_is_told_of_when_the_block_is_freed() {
    let layout = Layout::from_size_align(20, 8).unwrap();
    let cases =
        [(At::End, 21, "buffer overflow"), (At::End, -1, "buffer underflow"), (At::Start, 20, "buffer overflow")];
    let body = |&(at, offset, _): &(At, isize, &str)| {
        let block = guarded(layout, at);
        announce(block);
        writes(block.wrapping_offset(offset));
        frees(block, layout);
    };
    report::of_each(&cases, body, |(_, offset, kind), report| {
        report.assert_says(libc::SIGABRT, &[kind, "has written to", &format!("at offset {offset} of a guarded block")]);
        report.assert_stacks(&[("noticed in", "frees"), ("allocated by", "allocates")]);
    });
}

#[test]
fn a_resize_of_a_freed_block_is_told_of() {
    let report = report::of(|| {
        let block = guarded(bytes(100), At::End);
        announce(block);
        frees(block, bytes(100));
        resizes(block, bytes(100), 101);
    });
    report.assert_says(libc::SIGABRT, &["realloc of ", "that is free already"]);
    report.assert_stacks(&[("noticed in", "resizes"), ("allocated by", "allocates"), ("freed by", "frees")]);
}

#[test]
fn a_resize_without_a_layout_of_a_freed_block_is_told_of() {
    let report = report::of(|| {
        let block = guarded(bytes(100), At::End);
        announce(block);
        frees_untyped(block);
        resizes_untyped(block, 5000);
    });
    report.assert_says(libc::SIGABRT, &["invalid use of ", "the guarded block there has been freed already"]);
}

#[test]
fn a_block_that_was_resized_is_another_and_the_old_one_faults() {
    let report = report::of(|| {
        let block = guarded(bytes(50), At::End);
        announce(block);
        let moved = resizes(block, bytes(50), 51);
        assert!(moved != block && is_guarded(moved, 51));
        writes(block);
    });
    report.assert_says(libc::SIGSEGV, &["use after free: ", "at offset 0 of a guarded block of 50 bytes"]);
    report.assert_stacks(&[("access was made", "writes"), ("allocated by", "allocates"), ("freed by", "resizes")]);
}

#[test]
fn a_thread_with_the_smallest_stack_for_its_handlers_tells_of_a_fault() {
    let report = report::of(|| {
        let block = guarded(bytes(49), At::End);
        announce(block);
        // What the standard library gives its threads, with a page in front that nobody may touch.
        let size = libc::SIGSTKSZ;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a mapping of its own.
        let start = unsafe { libc::mmap(ptr::null_mut(), 4096 + size, rights, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: the first page of it.
        assert_eq!(unsafe { libc::mprotect(start, 4096, libc::PROT_NONE) }, 0);
        let stack = libc::stack_t { ss_sp: start.wrapping_add(4096), ss_flags: 0, ss_size: size };
        // SAFETY: a valid stack that stays.
        assert_eq!(unsafe { libc::sigaltstack(&stack, ptr::null_mut()) }, 0);
        writes(block.wrapping_add(49));
    });
    report.assert_says(libc::SIGSEGV, &["buffer overflow: "]);
    report.assert_stacks(&[("access was made", "writes"), ("allocated by", "allocates")]);
}

#[test]
fn a_program_is_guarded_that_is_told_so_by_its_environment() {
    let report = report::of_with(&[("TENURE_GUARD", "1")], || {
        tenure::from_env();
        assert_eq!(guard::one_in(), Some(1));
        let block = (0..1000).map(|_| allocates(bytes(49))).find(|&block| block.addr() % 4096 != 0).unwrap();
        announce(block);
        frees(block, bytes(49));
        reads(block);
    });
    report.assert_says(libc::SIGSEGV, &["use after free: "]);
    report.assert_stacks(&[("access was made", "reads"), ("allocated by", "allocates"), ("freed by", "frees")]);
}

#[test]
fn a_wrong_setting_is_told_of_and_ignored() {
    let report = report::of_with(&[("TENURE_GUARD", "often")], || {
        tenure::from_env();
        assert_eq!(guard::one_in(), None);
        let _ = Tenure::new();
    });
    assert_eq!(report.code, Some(0), "{}", report.all);
    let [line] = &report.lines[..] else { panic!("{}", report.all) };
    assert!(line.starts_with("TENURE_GUARD: must be a number N") && line.ends_with("'often' is ignored"), "{line}");
}
