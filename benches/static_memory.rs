//! Arenas beside other arenas and the heap; and a start-up phase, in static memory and on the heap.
//!
//! ```text
//! cargo bench --bench static_memory             # criterion, then the tables; about 4 minutes
//! cargo bench --bench static_memory -- phase    # the tasks whose name contains `phase`
//! cargo bench --bench static_memory -- --test   # everything once
//! ```
//!
//! A *phase* places values in 16 KiB of memory, as a request or a frame does, and then resets the arena; on the heap,
//! it frees them in the same order. To *fill* is to place values in 1 MiB of memory that was touched before, and then
//! to begin anew: a `StaticArena` is never emptied, so a new one is made over the same memory.
//!
//! The start-up phase runs in a process of its own each time, since static memory is not given back: it builds a map of
//! 100,000 entries, and the process says how long that took and how much memory it then has. In static memory, sealing
//! belongs to it.

#![warn(clippy::undocumented_unsafe_blocks)]

mod support;

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::process::Command;
use std::ptr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};
use support::contest::{Contest, Contestant, print_table};
use support::{Effort, Routine, timed};
use tenure::{Arena, StaticArena, Tenure, seal, static_scope};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Bytes of a phase.
const PHASE: usize = 16 << 10;

/// Bytes of an arena that is filled.
const FILL: usize = 1 << 20;

fn main() {
    if let Some(kind) = std::env::args().nth(1).filter(|arg| arg.starts_with("start-up-")) {
        return start_up(&kind);
    }
    let effort = Effort::from_args();
    let mut criterion = support::criterion();
    let contests = [
        phases::<1>("phase, 8 bytes"),
        phases::<8>("phase, 64 bytes"),
        phases::<64>("phase, 512 bytes"),
        fills::<1>("fill, 8 bytes"),
        fills::<8>("fill, 64 bytes"),
        fills::<64>("fill, 512 bytes"),
        threads(),
    ];
    let outcomes: Vec<_> = contests.iter().filter_map(|contest| contest.run(&mut criterion, effort)).collect();
    criterion.final_summary();
    print_table("static_memory", &outcomes);
    compare_start_up(effort);
}

/// So many words of 8 bytes.
type Value<const WORDS: usize> = [u64; WORDS];

fn phases<const WORDS: usize>(task: &'static str) -> Contest {
    let contestants = vec![
        Contestant::new("bumpalo", in_bumpalo::<WORDS, PHASE>),
        Contestant::new("Arena", in_arena::<WORDS, PHASE>),
        Contestant::new("heap of Tenure, freed", on_the_heap::<WORDS, PHASE>),
    ];
    Contest { task, operations: values::<WORDS>(PHASE) as u64, contestants }
}

fn fills<const WORDS: usize>(task: &'static str) -> Contest {
    let contestants = vec![
        Contestant::new("bumpalo", in_bumpalo::<WORDS, FILL>),
        Contestant::new("StaticArena", in_static_arena::<WORDS>),
        Contestant::new("Arena", in_arena::<WORDS, FILL>),
        Contestant::new("static-alloc", in_static_alloc::<WORDS>),
        Contestant::new("heap of Tenure, freed", on_the_heap::<WORDS, FILL>),
    ];
    Contest { task, operations: values::<WORDS>(FILL) as u64, contestants }
}

/// What is done with a value that was placed: of all addresses together the compiler has to know. To pass each on by
/// itself would be a store more in each step, which is what the fast paths wait for.
#[inline]
fn address<T>(value: &T) -> usize {
    ptr::from_ref(value).addr()
}

/// Values in so many bytes.
const fn values<const WORDS: usize>(bytes: usize) -> usize {
    bytes / size_of::<Value<WORDS>>()
}

fn in_bumpalo<const WORDS: usize, const BYTES: usize>() -> Routine {
    let mut arena = bumpalo::Bump::with_capacity(BYTES);
    Box::new(move |rounds| {
        timed(rounds, || {
            let mut all = 0;
            for n in 0..values::<WORDS>(BYTES) {
                all ^= address(arena.alloc([n as u64; WORDS]));
            }
            black_box(all);
            arena.reset();
        })
    })
}

fn in_arena<const WORDS: usize, const BYTES: usize>() -> Routine {
    let mut arena = Arena::with_capacity(BYTES);
    Box::new(move |rounds| {
        timed(rounds, || {
            let mut all = 0;
            for n in 0..values::<WORDS>(BYTES) {
                all ^= address(arena.alloc([n as u64; WORDS]));
            }
            black_box(all);
            arena.reset();
        })
    })
}

/// Memory that was touched, for one arena after the other.
struct Memory(&'static mut [MaybeUninit<u8>]);

impl Memory {
    fn new(bytes: usize) -> Self {
        // Aligned as a page is, since it is large.
        Self(vec![MaybeUninit::new(1); bytes].leak())
    }

    /// An arena over all of it.
    ///
    /// # Safety
    /// - No arena over this memory is used any more, nor what was placed in it.
    unsafe fn arena(&mut self) -> &'static StaticArena {
        // SAFETY: the caller says that nobody else uses these bytes, which are leaked.
        let memory = unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr(), self.0.len()) };
        Box::leak(Box::new(StaticArena::from_slice(memory)))
    }
}

fn in_static_arena<const WORDS: usize>() -> Routine {
    let mut memory = Memory::new(FILL);
    Box::new(move |rounds| {
        timed(rounds, || {
            // SAFETY: the last round is over.
            let arena = unsafe { memory.arena() };
            let mut all = 0;
            for n in 0..values::<WORDS>(FILL) {
                all ^= address(arena.alloc([n as u64; WORDS]));
            }
            black_box(all);
        })
    })
}

fn in_static_alloc<const WORDS: usize>() -> Routine {
    type Bump = static_alloc::Bump<[u8; FILL + 64]>;
    let arena: &'static mut Bump = Bump::from_maybe_uninit(Box::leak(Box::<Bump>::new_uninit()));
    Box::new(move |rounds| {
        timed(rounds, || {
            let mut all = 0;
            for n in 0..values::<WORDS>(FILL) {
                all ^= arena.leak([n as u64; WORDS]).map_or(0, |value| address(value));
            }
            black_box(all);
            arena.reset();
        })
    })
}

fn on_the_heap<const WORDS: usize, const BYTES: usize>() -> Routine {
    let mut boxes: Vec<Box<Value<WORDS>>> = Vec::with_capacity(values::<WORDS>(BYTES));
    Box::new(move |rounds| {
        timed(rounds, || {
            for n in 0..values::<WORDS>(BYTES) {
                boxes.push(Box::new([n as u64; WORDS]));
            }
            black_box(&mut boxes).clear();
        })
    })
}

/// Values that each thread places in an arena that is shared.
const SHARED_VALUES: usize = 1 << 17;

fn threads() -> Contest {
    let contestants = vec![Contestant::new("one thread", || shared(1)), Contestant::new("two threads", || shared(2))];
    Contest {
        task: "StaticArena, 64 bytes, ns per value that each thread places",
        operations: SHARED_VALUES as u64,
        contestants,
    }
}

/// One arena, in which so many threads place values at the same time.
fn shared(threads: usize) -> Routine {
    // What threads have set aside and not filled in the end is an eighth at most.
    let mut memory = Memory::new(threads * SHARED_VALUES * 64 * 5 / 4);
    Box::new(move |rounds| {
        let mut elapsed = Duration::ZERO;
        for _ in 0..rounds {
            // SAFETY: the threads of the last round have ended.
            let arena = unsafe { memory.arena() };
            let start = Barrier::new(threads);
            let place = || {
                start.wait();
                let begin = Instant::now();
                let mut all = 0;
                for n in 0..SHARED_VALUES as u64 {
                    all ^= address(arena.alloc([n; 8]));
                }
                black_box(all);
                begin.elapsed()
            };
            elapsed += thread::scope(|scope| {
                let others: Vec<_> = (1..threads).map(|_| scope.spawn(place)).collect();
                let own = place();
                others
                    .into_iter()
                    .map(|other| other.join().expect("a thread places its values"))
                    .fold(own, Duration::max)
            });
        }
        elapsed
    })
}

/// What a start-up phase builds.
fn table() -> HashMap<String, Vec<u64>> {
    let mut table = HashMap::with_capacity(ENTRIES);
    for n in 0..ENTRIES as u64 {
        table.insert(format!("entry {n}"), vec![n; 1 + n as usize % 4]);
    }
    table
}

const ENTRIES: usize = 100_000;

/// Builds the table in this process, and prints nanoseconds and KiB.
fn start_up(kind: &str) {
    let before = resident();
    let start = Instant::now();
    let table = if kind == "start-up-static" {
        let table = static_scope(table);
        seal();
        table
    } else {
        table()
    };
    let elapsed = start.elapsed();
    println!("{} {}", elapsed.as_nanos(), resident() - before);
    assert_eq!(black_box(&table).len(), ENTRIES);
    std::mem::forget(table);
}

/// Resident KiB of this process.
fn resident() -> usize {
    let text = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux says what is resident");
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).expect("a line says what is resident");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn compare_start_up(effort: Effort) {
    let turns = match effort {
        Effort::Measure => 31,
        Effort::Try => 1,
    };
    let mut found = [(); 2].map(|()| (Vec::new(), Vec::new()));
    for _ in 0..turns {
        for (kind, (times, sizes)) in ["start-up-heap", "start-up-static"].into_iter().zip(&mut found) {
            let output = Command::new(std::env::current_exe().expect("this program has a path")).arg(kind).output();
            let output = String::from_utf8(output.expect("this program starts").stdout).expect("it prints numbers");
            let (time, size) = output.trim().split_once(' ').expect("two numbers");
            times.push(time.parse::<f64>().expect("nanoseconds") / 1e6);
            sizes.push(size.parse::<f64>().expect("KiB"));
        }
    }
    let [heap, in_static] = found.map(|(times, sizes)| (median(times), median(sizes)));
    println!("\nstart-up phase: a map of {ENTRIES} entries, median of {turns} alternating processes");
    println!("    on the heap       {:>8.2} ms {:>8.0} KiB", heap.0, heap.1);
    println!("    in static memory  {:>8.2} ms {:>8.0} KiB", in_static.0, in_static.1);
    println!("    static / heap     {:>8.2}    {:>8.2}", in_static.0 / heap.0, in_static.1 / heap.1);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
