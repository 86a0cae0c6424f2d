//! What the fuzz targets share: the operations that the input's bytes stand for, and a model of an allocator.

#[path = "../../tests/support/intervals.rs"]
pub mod intervals;
#[path = "../../tests/support/pattern.rs"]
pub mod pattern;

pub mod held;
pub mod operations;
pub mod player;
pub mod sampled;
