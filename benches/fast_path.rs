//! One thread: what a block costs when nothing is in its way, and what the slow paths cost.
//!
//! ```text
//! cargo bench --bench fast_path             # criterion, then the table; under 3 minutes
//! cargo bench --bench fast_path -- churn    # the rows whose name contains `churn`
//! cargo bench --bench fast_path -- --test   # every row once
//! ```
//!
//! Each row runs on Tenure and on `std::alloc::System`. The table gives nanoseconds per operation:
//! a block allocated, written and freed; for `realloc`, one doubling. Criterion gives the time of a
//! round, which for a batch is 10,000 blocks and for `realloc` is all 22 doublings.
//!
//! Both allocators are warm, and glibc's adapts: the first large block freed raises the size from
//! which it maps blocks, so its large rows depend on the rows before them. Its pairs aligned
//! to 64 and 256 change speed from turn to turn and run to run, by up to a factor of two; look at the
//! least time too.
//!
//! The benchmark's own share, measured with an allocator that does nothing: 0.5 ns in a pair of constant
//! layout, 1 to 2.5 ns in the batches and the random pair, 4 to 6 ns in the churn.

#![warn(clippy::undocumented_unsafe_blocks)]

mod support;

fn main() {
    support::run("fast_path", &support::one_thread::rows());
}
