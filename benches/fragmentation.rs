//! Fragmentation: after a long random workload whose sizes change, what is committed for each byte that is live.
//!
//! `cargo bench --bench fragmentation` runs every workload on Tenure and on the system allocator, and on those of the
//! others whose libraries are installed, preloaded in place of the system's. Each runs in a process of its own.
//! *Committed* is resident memory beyond what the process had before: what all of them can be asked for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::env;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tenure::Tenure;

/// Tenure, or the system allocator, as the process is told.
struct Chosen;

static IS_TENURE: AtomicBool = AtomicBool::new(false);
static TENURE: Tenure = Tenure::new();

/// What the workload's blocks come from. All else in the process comes from the system.
impl Chosen {
    fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: sizes are not zero.
        unsafe { if IS_TENURE.load(Ordering::Relaxed) { TENURE.alloc(layout) } else { System.alloc(layout) } }
    }

    fn free(&self, block: *mut u8, layout: Layout) {
        // SAFETY: allocated by the same with the same layout.
        unsafe {
            if IS_TENURE.load(Ordering::Relaxed) {
                TENURE.dealloc(block, layout)
            } else {
                System.dealloc(block, layout)
            }
        }
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// As many sizes from 16 to 32 as from 32 to 64, and so on.
    fn log_uniform(&mut self, low: usize, high: usize) -> usize {
        let part = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (low as f64 * (high as f64 / low as f64).powf(part)) as usize
    }
}

/// Bounds of the sizes in each phase of a workload.
const WORKLOADS: [(&str, &[(usize, usize)]); 4] = [
    ("small to larger", &[(16, 64), (32, 256), (100, 1000), (500, 8000)]),
    ("large to smaller", &[(4000, 200_000), (500, 20_000), (50, 2000), (16, 200)]),
    ("to and fro", &[(16, 128), (1000, 30_000), (16, 128), (1000, 30_000), (16, 128)]),
    ("one mix", &[(16, 30_000), (16, 30_000), (16, 30_000), (16, 30_000)]),
];

/// Live bytes at each phase's end.
const LIVE: usize = 64 << 20;

fn resident() -> usize {
    let text = fs::read_to_string("/proc/self/smaps_rollup").expect("a system that tells what is resident");
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).expect("a line of resident memory");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

/// Goes through the phases. In each, blocks of the last phase are replaced by new ones at random, until nine in ten are
/// gone; then the same number of bytes again is turned over. Prints bytes resident and live.
fn work(phases: &[(usize, usize)]) {
    let mut random = Random(7);
    // Room for all that is noted, before anything is counted.
    let mut blocks: Vec<(*mut u8, usize)> = Vec::with_capacity(4 << 20);
    blocks.resize(blocks.capacity(), (std::ptr::dangling_mut(), 1));
    // Else the compiler leaves out what is overwritten before it is read.
    std::hint::black_box(&mut blocks).clear();
    let before = resident();
    let layout = |size| Layout::from_size_align(size, 8).expect("a size");
    let mut live = 0;
    for &(low, high) in phases {
        let mut turned_over = 0;
        while turned_over < 4 * LIVE {
            while live > LIVE - high {
                let nth = random.next() as usize % blocks.len();
                let (block, size) = blocks.swap_remove(nth);
                Chosen.free(block, layout(size));
                live -= size;
            }
            let size = random.log_uniform(low, high);
            let block = Chosen.alloc(layout(size));
            assert!(!block.is_null());
            // SAFETY: a block of this size.
            unsafe { block.write_bytes(1, size) };
            blocks.push((block, size));
            live += size;
            turned_over += size;
        }
    }
    // What is kept for a while only is not counted, as far as the allocator has such a time.
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(100));
        for _ in 0..2000 {
            let nth = random.next() as usize % blocks.len();
            let (block, size) = blocks[nth];
            Chosen.free(block, layout(size));
            blocks[nth].0 = Chosen.alloc(layout(size));
            // SAFETY: a block of this size.
            unsafe { blocks[nth].0.write_bytes(1, size) };
        }
    }
    println!("{} {live}", resident() - before);
}

/// The path of a shared library that the loader knows.
fn installed(name: &str) -> Option<String> {
    let listing = Command::new("/sbin/ldconfig").arg("-p").output().ok()?;
    let text = String::from_utf8_lossy(&listing.stdout).into_owned();
    let line = text.lines().find(|line| line.trim().starts_with(name) && line.contains("x86-64"))?;
    Some(line.split("=> ").nth(1)?.to_owned())
}

const PART: &str = "TENURE_BENCH_WORKLOAD";

/// Resident to live bytes after a workload on an allocator.
fn measure(workload: usize, allocator: &str, library: Option<&str>) -> Option<f64> {
    let mut command = Command::new(env::current_exe().ok()?);
    command.env(PART, format!("{workload} {allocator}"));
    if let Some(library) = library {
        command.env("LD_PRELOAD", library);
    }
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (resident, live) = text.trim().split_once(' ')?;
    Some(resident.parse::<f64>().ok()? / live.parse::<f64>().ok()?)
}

fn main() {
    if let Ok(part) = env::var(PART) {
        let (workload, allocator) = part.split_once(' ').expect("a number and a name");
        IS_TENURE.store(allocator.starts_with("tenure"), Ordering::Relaxed);
        if allocator == "tenure+purger" {
            assert!(TENURE.start_purger());
        }
        return work(WORKLOADS[workload.parse::<usize>().expect("a number")].1);
    }
    // `cargo test --benches` asks only whether it runs.
    let is_test = !env::args().any(|argument| argument == "--bench");
    let peers = [
        ("tenure", Some(None)),
        ("tenure+purger", Some(None)),
        ("system", Some(None)),
        ("jemalloc", installed("libjemalloc.so.2").map(Some)),
        ("mimalloc", installed("libmimalloc.so.2").map(Some)),
        ("tcmalloc", installed("libtcmalloc_minimal.so.4").map(Some)),
    ];
    let count = if is_test { 1 } else { WORKLOADS.len() };
    println!("resident to live bytes at the end, {} MiB live", LIVE >> 20);
    for (nth, (name, _)) in WORKLOADS.iter().enumerate().take(count) {
        print!("{name:>18}");
        for (allocator, library) in peers.iter().take(if is_test { 1 } else { peers.len() }) {
            match library.as_ref().and_then(|library| measure(nth, allocator, library.as_deref())) {
                Some(ratio) => print!("   {allocator} {ratio:.3}"),
                None => print!("   {allocator} –"),
            }
        }
        println!();
    }
}
