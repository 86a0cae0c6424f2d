//! What the workloads have in common: their input, made from fixed seeds, and the checksum of their results.

mod checksum;
mod crew;
mod words;

use std::hash::{BuildHasherDefault, DefaultHasher};

pub use checksum::{Checksum, checksum_of};
pub use crew::sum_of_jobs;
pub use words::Words;

/// The standard library's hash with the same key in every process: a map's order is the same, too, and with it the
/// order of its blocks.
pub type FixedHash = BuildHasherDefault<DefaultHasher>;
