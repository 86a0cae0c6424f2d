//! The figures of arenas, of one arena or summed over all.
//!
//! Blocks and bytes in use are taken from one word, so they agree; all else may be a moment older or newer.

/// Figures of a [`StaticArena`](crate::StaticArena) or an [`Arena`](crate::Arena), or the sum over several.
///
/// `used == live() + dead` and `capacity == used + remaining() + slack`, once no other thread is at work in the arena.
/// A thread that places many values in an arena sets up to an eighth of what it has placed there aside, 64 KiB at most:
/// to others these bytes count as used, and as one block, until it has filled them or has ended. What the calling
/// thread has set aside is counted as it is. A thread has ended when its thread-local destructors have run, which
/// [`join`] waits for and the end of `std::thread::scope` does not: right after a scope, what its threads have set
/// aside may still be counted so, unless each was joined.
///
/// [`join`]: https://doc.rust-lang.org/std/thread/struct.ScopedJoinHandle.html#method.join
///
/// `Display` prints a table for people, in which dead bytes come first where they are more than a tenth of those used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct ArenaStats {
    /// Number of arenas these figures are of.
    pub arenas: usize,
    /// Separate ranges of memory that the bytes are in: one for each `StaticArena`; blocks of dynamic memory for an
    /// `Arena`.
    pub chunks: usize,
    /// Bytes the arenas have; of an `Arena`, bytes of its chunks.
    pub capacity: usize,
    /// Bytes handed out, skipped for alignment, or dead.
    pub used: usize,
    /// Used bytes that hold nothing and never will: skipped for alignment, given back too late to be taken up again,
    /// left over where a thread has set bytes aside, or lost to a panic.
    pub dead: usize,
    /// Bytes that are not used and never will be: what was left when memory was sealed, or in a chunk that was full for
    /// some request.
    pub slack: usize,
    /// Blocks that are handed out and not given back. Zero-sized values are none.
    pub blocks: usize,
    /// Largest number of bytes that were ever in use. More than `used` where blocks were given back.
    pub high_water: usize,
    /// Requests that were not served from here: they got an error or null, or memory from the heap.
    pub fallbacks: usize,
}

impl ArenaStats {
    /// No arena.
    pub(crate) const EMPTY: Self =
        Self { arenas: 0, chunks: 0, capacity: 0, used: 0, dead: 0, slack: 0, blocks: 0, high_water: 0, fallbacks: 0 };

    /// Bytes that hold something: `used - dead`.
    #[must_use]
    pub const fn live(&self) -> usize {
        self.used.saturating_sub(self.dead)
    }

    /// Bytes in which something can be placed: `capacity - used - slack`.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.capacity.saturating_sub(self.used).saturating_sub(self.slack)
    }

    /// Both together.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            arenas: self.arenas + other.arenas,
            chunks: self.chunks + other.chunks,
            capacity: self.capacity + other.capacity,
            used: self.used + other.used,
            dead: self.dead + other.dead,
            slack: self.slack + other.slack,
            blocks: self.blocks + other.blocks,
            high_water: self.high_water + other.high_water,
            fallbacks: self.fallbacks + other.fallbacks,
        }
    }
}
