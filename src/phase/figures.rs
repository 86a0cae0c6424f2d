//! What an arena counts.
//!
//! The path of a block counts blocks, and dead bytes where there are any. Everything else is derived from where the
//! cursor stands.

use super::arena::Arena;
use crate::arena::ArenaStats;

/// Sums over a part of what an arena has placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sums {
    /// Bytes of chunks, and those of them in which something was placed.
    pub(super) capacity: usize,
    pub(super) used: usize,
    /// Blocks in use, and bytes that no block holds. Modulo 2^64: a block of one part may be given back in another.
    pub(super) blocks: usize,
    pub(super) dead: usize,
}

impl Sums {
    pub(super) const ZERO: Self = Self { capacity: 0, used: 0, blocks: 0, dead: 0 };

    /// With so many blocks and dead bytes more.
    pub(super) fn with(self, blocks: usize, dead: usize) -> Self {
        Self { blocks: self.blocks.wrapping_add(blocks), dead: self.dead.wrapping_add(dead), ..self }
    }
}

impl Arena {
    /// The arena's figures. `fallbacks` are the requests that were refused.
    ///
    /// `high_water` is the most that was in use at once, in any phase. Takes a few loads.
    ///
    /// ```
    /// let mut arena = tenure::Arena::new();
    /// arena.alloc([0_u8; 13]);
    /// arena.reset();
    /// arena.alloc(1_u8);
    /// let stats = arena.stats();
    /// assert_eq!((stats.blocks, stats.used, stats.high_water), (1, 8, 16));
    /// ```
    #[must_use]
    pub fn stats(&self) -> ArenaStats {
        let (apart, counted) = (self.apart.get(), self.piece().figures());
        let all = apart.with(counted.blocks, counted.dead);
        ArenaStats {
            arenas: 1,
            capacity: self.chunks().capacity(),
            used: apart.used + self.used_of_current(self.piece().next()),
            dead: all.dead,
            blocks: all.blocks,
            high_water: self.high_water(),
            slack: apart.capacity - apart.used,
            fallbacks: self.refused(),
            chunks: self.chunks().count(),
        }
    }

    /// The sums, if the arena now goes on to another chunk.
    pub(super) fn all_before_the_next_chunk(&self) -> Sums {
        let (apart, counted) = (self.apart.get(), self.piece().figures());
        let Some(current) = self.chunks().current() else { return apart };
        Sums {
            capacity: apart.capacity + current.capacity(),
            used: apart.used + self.used_of_current(self.piece().next()),
            ..apart.with(counted.blocks, counted.dead)
        }
    }

    /// The most bytes that were ever in use at once.
    #[inline]
    pub(super) fn high_water(&self) -> usize {
        self.noted_high_water().max(self.apart.get().used + self.used_of_current(self.piece().highest()))
    }

    /// Bytes of the current chunk before `end`.
    #[inline]
    pub(super) fn used_of_current(&self, end: *mut u8) -> usize {
        self.chunks().current().map_or(0, |chunk| end.addr() - chunk.start().addr().get())
    }
}
