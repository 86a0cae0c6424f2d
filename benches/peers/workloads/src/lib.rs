//! Real things that people do, with real libraries, on whichever allocator the program has chosen.
//!
//! A program that declares a `#[global_allocator]` runs a [`Workload`] and compares its time and memory with those of the same program on another
//! allocator. Every workload makes its own input from a fixed seed and returns a checksum of its results: that is equal over all allocators, all runs
//! and all numbers of threads, so a difference means that an allocator has handed out bad memory.
//!
//! ```
//! use tenure_workloads::{Scale, all};
//!
//! let json = all().iter().find(|workload| workload.name == "json-value").expect("the workload is known");
//! let scale = Scale { threads: 1, share: 0.001 };
//! assert_eq!((json.run)(&scale), (json.run)(&scale));
//! ```

mod input;

mod ast_fold;
mod hash_map;
mod json_value;

/// A real thing that people do, with real libraries.
pub struct Workload {
    /// Unique, lower-case words with dashes.
    pub name: &'static str,
    /// What it does, with which library, in one line.
    pub about: &'static str,
    /// How many threads it takes.
    pub threads: Threads,
    /// Does it, and returns a checksum of the results, which depends on `share` alone.
    pub run: fn(&Scale) -> u64,
}

/// How many threads a workload takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threads {
    /// One, whatever the scale says.
    One,
    /// As many as [`Scale::threads`] says, and sometimes one that hands out the work.
    Many,
}

/// How much is done, and on how many threads.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Threads that share the work. The work does not grow with them. At least 1.
    pub threads: usize,
    /// 1.0 is 0.5 to 3 seconds of one core; smaller for a quick run. More than 0.
    pub share: f64,
}

impl Scale {
    /// This scale's share of `whole`, and at least 1.
    fn of(&self, whole: usize) -> usize {
        ((whole as f64 * self.share) as usize).max(1)
    }
}

/// All workloads, in the order of their names.
///
/// Costs nothing: they are constants.
pub fn all() -> &'static [Workload] {
    &[ast_fold::WORKLOAD, json_value::WORKLOAD, hash_map::WORKLOAD]
}
