//! What the workloads have in common: their input, made from fixed seeds, and the checksum of their results.

mod checksum;
mod words;

pub use checksum::Checksum;
pub use words::Words;
