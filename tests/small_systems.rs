//! Systems with little memory, for real: a small control group, and a system that commits no more memory than it has.
//!
//! Where the system does not let a test make such surroundings, the test says why, and that is no failure. Some change
//! the whole machine for a moment; they run where `TENURE_TEST_MACHINE` is set.
#![cfg(all(not(loom), target_os = "linux"))]

mod support;

use std::env;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use support::block::{Block, layout};
use support::cgroup::Group;
use support::errno::keeping_errno;
use support::memory::{KIB, MIB, resident};
use support::process::{alone, alone_after, part};
use tenure::{Limit, Tenure};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Sizes of every kind: two of slabs, a span, a mapping.
const KINDS: [usize; 4] = [64, 5000, 100 * KIB, 3 * MIB];

fn one_of_each() {
    KINDS.into_iter().for_each(|size| Block::of(size).free());
}

/// Runs `body` in a process of its own, in a control group with so many bytes.
fn alone_in_group(bytes: usize, body: impl FnOnce()) {
    if part().is_some() {
        return alone(120, body);
    }
    match Group::new(bytes) {
        Ok(group) => alone_after(|command| group.contain(command), 120, body),
        Err(reason) => println!("left out, for there is no control group to be had: {reason}"),
    }
}

const GROUP: usize = 96 * MIB;

#[test]
fn in_a_small_control_group_requests_are_null_before_the_system_ends_the_process() {
    alone_in_group(GROUP, || {
        let limit = Limit::of_cgroup().expect("the group has a limit");
        assert_eq!((limit.hard_bytes(), limit.soft_bytes()), (Some(GROUP / 16 * 15), Some(GROUP / 8 * 7)));
        GLOBAL.set_limit(limit);
        for size in KINDS {
            // All of it written to, so that it is resident.
            let mut blocks = Vec::with_capacity(GROUP / size);
            let mut counts = [0; 2];
            for count in &mut counts {
                while let Some(block) = keeping_errno(|| Block::new(layout(size, 8))) {
                    blocks.push(block);
                }
                *count = blocks.len();
                blocks.drain(..).for_each(Block::free);
            }
            println!("{counts:?} blocks of {size} bytes");
            assert!(counts[0] * size > GROUP / 4 && counts[1] >= counts[0] - counts[0] / 50);
            drop(blocks);
            one_of_each();
            let threads: Vec<_> = (0..2).map(|_| thread::spawn(one_of_each)).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
        let stats = GLOBAL.stats();
        assert!(stats.is_balanced(), "{stats}");
    });
}

#[test]
fn in_a_small_control_group_the_program_is_called_in_time_to_make_room() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    static CACHE: Mutex<Vec<Block>> = Mutex::new(Vec::new());
    alone_in_group(GROUP, || {
        GLOBAL.set_limit(Limit::of_cgroup().expect("the group has a limit"));
        CACHE.lock().unwrap().reserve(GROUP / 5000);
        // A cache that lets go of what is old when it is told to: four times the group's memory goes through it.
        GLOBAL.on_pressure(Some(|_| {
            CALLS.fetch_add(1, Ordering::Relaxed);
            let mut cache = CACHE.lock().unwrap();
            let half = cache.len() / 2;
            cache.drain(..half).for_each(Block::free);
        }));
        for nth in 0..4 * GROUP / 5000 {
            let block = Block::of(5000);
            CACHE.lock().unwrap().push(block);
            if nth % 1000 == 0 {
                assert!(resident() < GROUP);
            }
        }
        let calls = CALLS.load(Ordering::Relaxed);
        assert!(calls > 3, "{calls} calls");
        CACHE.lock().unwrap().drain(..).for_each(Block::free);
    });
}

/// What the machine says of memory, in bytes.
fn meminfo(name: &str) -> usize {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * KIB
}

/// A setting of the machine, which is as it was once this ends.
struct Setting {
    file: &'static str,
    before: String,
}

impl Setting {
    fn new(file: &'static str, value: &str) -> Result<Self, String> {
        let before = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        fs::write(file, value).map_err(|error| format!("{file}: {error}"))?;
        Ok(Self { file, before })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        fs::write(self.file, self.before.trim()).unwrap_or_else(|error| {
            panic!("{} is to be {} again: {error}", self.file, self.before.trim());
        });
    }
}

/// Settings under which the system commits no more than nine tenths of its memory, unless so much is committed that
/// others might suffer.
fn commit_strictly() -> Result<[Setting; 2], String> {
    if env::var_os("TENURE_TEST_MACHINE").is_none() {
        return Err("TENURE_TEST_MACHINE is not set".to_owned());
    }
    if meminfo("Committed_AS") > meminfo("MemTotal") / 3 {
        return Err(format!("{} MiB are committed already", meminfo("Committed_AS") / MIB));
    }
    Ok([Setting::new("/proc/sys/vm/overcommit_ratio", "90")?, Setting::new("/proc/sys/vm/overcommit_memory", "2")?])
}

#[test]
fn a_system_that_commits_no_more_than_it_has_starts_the_program_and_refuses_what_is_too_much() {
    let is_child = part().is_some();
    let settings = if is_child { None } else { Some(commit_strictly()) };
    if let Some(Err(reason)) = &settings {
        println!("left out: {reason}");
        return;
    }
    alone(60, || {
        assert_eq!(fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap().trim(), "2");
        let kept: Vec<_> = KINDS.into_iter().cycle().take(200).map(Block::of).collect();
        // A block that nobody touches counts there, too.
        assert!(keeping_errno(|| Block::new(layout(meminfo("CommitLimit"), 8))).is_none());
        one_of_each();
        for mut block in kept {
            assert!(block.resize(2 * block.size()));
            block.free();
        }
        GLOBAL.purge();
        let stats = GLOBAL.stats();
        assert!(stats.is_balanced(), "{stats}");
    });
}
