//! The purger: a thread of the allocator's own that gives memory back in a process that does nothing.
#![cfg(all(not(loom), target_os = "linux"))]

mod support;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use support::block::Block;
use support::memory::{MIB, resident};
use support::process::alone;
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// The system's folders of threads that are purgers.
fn purgers() -> Vec<PathBuf> {
    let is_purger =
        |folder: &PathBuf| fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.trim() == "tenure-purger");
    fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path()).filter(is_purger).collect()
}

/// A line of what the system says of the purger.
fn status(name: &str) -> String {
    let text = fs::read_to_string(purgers()[0].join("status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

/// How often the thread has slept whose status that file tells. Allocates nothing: a thread that allocates may come by
/// the purger.
fn sleeps(status: &Path) -> u32 {
    let mut text = [0; 4096];
    let len = File::open(status).and_then(|mut file| file.read(&mut text)).unwrap();
    let text = std::str::from_utf8(&text[..len]).unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.unwrap().trim().parse().unwrap()
}

/// Waits for at most so many seconds until `is_so`.
fn await_that(seconds: u64, is_so: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !is_so() && begun.elapsed() < Duration::from_secs(seconds) {
        thread::sleep(Duration::from_millis(50));
    }
    is_so()
}

/// Blocks of several kinds, of 64 MiB in all, written to.
fn blocks() -> Vec<Block> {
    let sizes = [100, 1000, 10_000, 100_000, 3_000_000];
    let mut left = 64 * MIB as isize;
    let mut blocks = Vec::with_capacity(200_000);
    for size in sizes.into_iter().cycle() {
        // As many bytes of each kind.
        for _ in 0..3_000_000 / size {
            blocks.push(Block::of(size));
            left -= size as isize;
        }
        if left <= 0 {
            break;
        }
    }
    blocks
}

#[test]
fn what_was_freed_goes_back_while_the_process_does_nothing() {
    alone(60, || {
        assert!(GLOBAL.start_purger() && GLOBAL.start_purger());
        assert!(await_that(5, || purgers().len() == 1), "one, however often it is started");
        let before = resident();
        let blocks = blocks();
        let with = resident();
        assert!(with - before > 60 * MIB);
        blocks.into_iter().for_each(Block::free);
        let is_back = await_that(10, || resident() < before + 6 * MIB);
        assert!(is_back, "{} of {} bytes are still resident\n{}", resident() - before, with - before, GLOBAL.stats());
    });
}

#[test]
fn a_purger_that_finds_nothing_sleeps_until_a_thread_comes_by() {
    alone(60, || {
        GLOBAL.set_purge_delay(Duration::from_millis(100));
        assert!(GLOBAL.start_purger() && await_that(5, || purgers().len() == 1));
        let status = purgers()[0].join("status");
        // It goes to sleep a while after there is nothing left to do, and on a busy machine that may take longer.
        let mut meanwhile = 0;
        let sleeps_soundly = (0..10).any(|_| {
            let before = sleeps(&status);
            thread::sleep(Duration::from_secs(3));
            meanwhile = sleeps(&status) - before;
            meanwhile <= 2
        });
        assert!(
            sleeps_soundly,
            "it has woken {meanwhile} times in three seconds, and 60 times while there is something to do"
        );
        let resident_before = resident();
        blocks().into_iter().for_each(Block::free);
        assert!(await_that(5, || resident() < resident_before + 6 * MIB));
    });
}

#[test]
fn the_purger_takes_no_signals() {
    alone(60, || {
        assert!(GLOBAL.start_purger());
        assert!(await_that(5, || purgers().len() == 1));
        let blocked = u64::from_str_radix(&status("SigBlk"), 16).unwrap();
        // Two that cannot be blocked, and the C library's own two.
        let exceptions = [libc::SIGKILL, libc::SIGSTOP, 32, 33].iter().fold(0, |mask, signal| mask | 1 << (signal - 1));
        assert_eq!(blocked | exceptions, u64::MAX);
        assert_eq!(blocked & !exceptions, !exceptions);
        // SAFETY: a valid place for the mask.
        let mine = unsafe {
            let mut mask = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &mut mask);
            libc::sigismember(&mask, libc::SIGTERM)
        };
        assert_eq!(mine, 0, "the thread that started it takes its own as before");
    });
}

#[test]
fn a_forked_child_has_no_purger_and_may_start_one() {
    alone(60, || {
        assert!(GLOBAL.start_purger());
        assert!(await_that(5, || purgers().len() == 1));
        // SAFETY: the child does what a child of a process with threads can do with this allocator.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_right = purgers().is_empty() && GLOBAL.start_purger() && await_that(5, || purgers().len() == 1);
            // SAFETY: ends the child without the parent's destructors.
            unsafe { libc::_exit(i32::from(!is_right)) };
        }
        let mut status = 0;
        // SAFETY: a valid place for the status.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
    });
}

#[test]
fn without_a_purger_an_idle_process_keeps_its_memory_and_with_one_a_thread_does_not_purge() {
    alone(60, || {
        let before = resident();
        blocks().into_iter().for_each(Block::free);
        thread::sleep(Duration::from_secs(3));
        assert!(resident() > before + 30 * MIB, "nobody has come by");
        assert!(GLOBAL.start_purger());
        assert!(await_that(10, || resident() < before + 6 * MIB));
    });
}
