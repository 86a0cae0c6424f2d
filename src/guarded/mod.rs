//! Guarded: sampled blocks that stand alone, each on a page between two that nobody may touch.
//!
//! What goes beyond such a block, or comes to it after it was freed, faults at that very moment, and both stacks are
//! known: of the allocation, and of the free.
//!
//! ```text
//! page   0       1       2       3       4              2n
//!        +-------+-------+-------+-------+-- ... --+-------+
//!        | guard | slot  | guard | slot  |         | guard |     slot k is page 2k + 1
//!        +-------+-------+-------+-------+-- ... --+-------+
//! ```

mod grid;
mod margin;
mod pool;
mod queue;
mod record;

pub use grid::SLOTS;
pub(crate) use pool::{Block, Pool, Wanted, Wrong};
pub(crate) use record::Deed;
