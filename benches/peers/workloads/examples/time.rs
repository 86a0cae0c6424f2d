//! Runs one workload on the system allocator and prints its checksum, its time, and what it asked of the allocator.
//!
//! `cargo run --release -p tenure-workloads --example time -- NAME [THREADS [SHARE]]`; without a name all workloads,
//! one after another in the same process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tenure_workloads::{Scale, Workload, all};

/// The system allocator, with a count of blocks and bytes that are asked of it.
struct Counting;

static BLOCKS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

fn count(bytes: usize) {
    BLOCKS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

// SAFETY: every request goes to the system allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's duties are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's duties are the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties are the same.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's duties are the same.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// What the process has used so far: seconds in itself, seconds in the kernel, and the most that was resident, in KiB.
fn usage() -> (f64, f64, i64) {
    // SAFETY: all its bytes may be zero.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is writable and lives over the call.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (seconds(usage.ru_utime), seconds(usage.ru_stime), usage.ru_maxrss)
}

fn run(workload: &Workload, scale: &Scale) {
    let (user, system, _) = usage();
    let (blocks, bytes) = (BLOCKS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    let start = Instant::now();
    let checksum = (workload.run)(scale);
    let elapsed = start.elapsed().as_secs_f64();
    let (blocks, bytes) = (BLOCKS.load(Ordering::Relaxed) - blocks, BYTES.load(Ordering::Relaxed) - bytes);
    let (user_now, system_now, peak) = usage();
    println!(
        "{:20} {checksum:016x} {elapsed:7.3} s elapsed {:7.3} s user {:7.3} s system {:5} MiB peak {blocks:11} blocks {:7} MiB asked",
        workload.name,
        user_now - user,
        system_now - system,
        peak >> 10,
        bytes >> 20,
    );
}

fn main() {
    let mut arguments = env::args().skip(1);
    let name = arguments.next();
    let threads = arguments.next().map_or(2, |threads| threads.parse().expect("a number of threads"));
    let share = arguments.next().map_or(1.0, |share| share.parse().expect("a share of the whole"));
    let scale = Scale { threads, share };
    let chosen = all().iter().filter(|workload| name.as_deref().is_none_or(|name| name == workload.name));
    let mut found = false;
    for workload in chosen {
        run(workload, &scale);
        found = true;
    }
    assert!(found, "no such workload; known are {:?}", all().iter().map(|workload| workload.name).collect::<Vec<_>>());
}
