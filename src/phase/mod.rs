//! Memory for phases that end: an arena of dynamic memory, owned by one thread at a time, whose values all go at once.
//!
//! It lies above `global`, for its chunks are blocks of Tenure, which is asked for them by name: an arena works
//! whatever the program's allocator is.
//!
//! Bottom-up: `chunk` (one piece of memory), `chunks` (all of an arena's), `arena` (the blocks in them), `figures`
//! (what it counts), `scope` (phases within phases), `values` (typed values in both), `global_alloc` (the arena as an
//! allocator).

mod arena;
mod chunk;
mod chunks;
mod figures;
mod global_alloc;
mod scope;
#[cfg(test)]
mod tests;
mod values;

pub use arena::Arena;
pub use scope::Scope;

/// Blocks of an arena start and end at multiples of this, so that a value of an alignment up to it costs no rounding.
const GRAIN: usize = 8;
