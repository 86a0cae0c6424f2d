//! The figures of static memory, of one arena or summed over all.
//!
//! Blocks and bytes in use are taken from one word, so they agree; all else may be a moment older or newer.

/// Figures of a [`StaticArena`](crate::StaticArena), or the sum over several.
///
/// `used == live() + dead`, once no other thread is at work in the arena.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct ArenaStats {
    /// Number of arenas these figures are of.
    pub arenas: usize,
    /// Bytes the arenas were declared with.
    pub capacity: usize,
    /// Bytes below the cursor: handed out, skipped for alignment, or dead.
    pub used: usize,
    /// Used bytes that hold nothing and never will: skipped for alignment, given back too late to be taken up again, or lost
    /// to a panic.
    pub dead: usize,
    /// Blocks that are handed out and not given back. Zero-sized values are none.
    pub blocks: usize,
    /// Largest number of bytes that were ever in use. More than `used` where blocks were given back.
    pub high_water: usize,
    /// Bytes that belong to the arenas and in which nothing more will be placed: what is left in chunks that were full for some request, or were sealed.
    pub slack: usize,
    /// Number of requests that were not served from here: answered with an error or a null, or by the heap.
    pub fallbacks: usize,
    /// Number of separate ranges of memory.
    pub chunks: usize,
}

impl ArenaStats {
    /// Bytes that hold something: `used - dead`.
    #[must_use]
    pub const fn live(&self) -> usize {
        self.used.saturating_sub(self.dead)
    }

    /// Bytes not in use: `capacity - used`.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.capacity.saturating_sub(self.used)
    }

    /// Both together.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            arenas: self.arenas + other.arenas,
            capacity: self.capacity + other.capacity,
            used: self.used + other.used,
            dead: self.dead + other.dead,
            blocks: self.blocks + other.blocks,
            high_water: self.high_water + other.high_water,
            slack: self.slack + other.slack,
            fallbacks: self.fallbacks + other.fallbacks,
            chunks: self.chunks + other.chunks,
        }
    }
}
