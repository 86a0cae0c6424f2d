//! Static memory: placed once, there until the process ends.
//!
//! An arena comes with the program, as zeros in `.bss`, or is given its memory, so nothing here ever asks the operating
//! system for any.
//!
//! Bottom-up: `bump` (arithmetic), `cursor` (the lock-free protocol), `memory` (where the bytes are), `piece` and
//! `set_aside` (parts of it for single threads), `arena_list` (which arenas there are), `static_arena` (raw blocks),
//! `place` (how a value is made in place), `values` (typed values), `hash` and `intern` (words), `global_alloc` (as an
//! allocator).

mod arena_full;
mod arena_list;
mod arena_stats;
mod arena_table;
mod bump;
mod cursor;
mod global_alloc;
mod hash;
mod intern;
mod likely;
mod memory;
mod piece;
mod place;
mod static_arena;
mod unpublished;
mod values;

/// Pieces of an arena for single threads.
#[cfg_attr(any(not(feature = "std"), loom), path = "shared_cursor.rs")]
mod set_aside;

#[cfg(fuzzing)]
pub(crate) use bump::{place as place_block, skip};
pub(crate) use cursor::{Cursor, MAX_CAPACITY};
pub(crate) use piece::Piece;

pub use arena_full::ArenaFull;
pub use arena_stats::ArenaStats;
pub use static_arena::StaticArena;

#[cfg(not(loom))]
pub(crate) use arena_full::or_panic;
#[cfg(not(loom))]
pub(crate) use global_alloc::move_to_larger;
#[cfg(not(loom))]
pub(crate) use place::Place;
#[cfg(not(loom))]
pub(crate) use static_arena::dangling;

/// Every static arena of the process that has been used.
#[cfg(not(loom))]
static ARENAS: arena_list::ArenaList = arena_list::ArenaList::new();

/// The sum of the figures of every static arena of the process that has been used.
///
/// Walks the list of arenas: a few loads for each. Takes no lock.
#[cfg(not(loom))]
pub(crate) fn registered_totals() -> ArenaStats {
    ARENAS.totals()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_arena_counts_in_the_process_totals_from_its_first_use() {
        static ARENA: StaticArena<100_000> = StaticArena::new();
        // At least, for other tests may use arenas meanwhile. None gives bytes back, so that is all they can change.
        let before = registered_totals();
        ARENA.alloc([1_u8; 90_000]);
        let after = registered_totals();
        assert!(after.arenas > before.arenas);
        assert!(after.capacity >= before.capacity + 100_000);
        assert!(after.used >= before.used + 90_000);
        assert!(after.blocks > before.blocks);
    }
}
