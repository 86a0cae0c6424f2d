//! What an arena's cursor does not know yet of a piece that a thread has set aside.
//!
//! The figures of an arena are those of its cursor and, for the thread that asks, these.

/// Of the calling thread's piece. All zero where it has none.
#[derive(Clone, Copy, Default)]
pub(super) struct Unpublished {
    /// Blocks beside the one that the cursor counts for the whole piece.
    pub(super) blocks: isize,
    /// Bytes of it that no block holds.
    pub(super) dead: usize,
    /// Bytes at its end in which nothing is placed. The cursor counts them as used.
    pub(super) left: usize,
}
