//! Balance: where every committed byte is.

/// A line of a [`Balance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BalanceLine {
    /// The field of [`Balance`] that this is, which is also the name in JSON.
    pub name: &'static str,
    /// What is there.
    pub meaning: &'static str,
    /// How much of it.
    pub bytes: usize,
}

macro_rules! lines {
    ($($name:ident: $meaning:literal,)+) => {
        /// Where the committed memory is: each byte in one of these lines, which add up to
        /// [`Stats::committed`](super::Stats::committed). Bytes.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Balance {
            $(#[doc = $meaning] pub $name: usize,)+
        }

        impl Balance {
            /// Nothing.
            pub(super) const EMPTY: Self = Self { $($name: 0,)+ };

            /// The lines, in an order that stays: what the program has first, then what waits for it, then what
            /// describes both.
            #[must_use]
            pub const fn lines(&self) -> [BalanceLine; [$(stringify!($name)),+].len()] {
                [$(BalanceLine { name: stringify!($name), meaning: $meaning, bytes: self.$name }),+]
            }
        }
    };
}

lines! {
    live_in_slabs: "live blocks up to 32 KiB, at the size of their class",
    live_spans: "live blocks up to 1 MiB, in whole slots of 64 KiB",
    live_mappings: "live blocks with a mapping of their own, in whole pages",
    static_live: "blocks of static memory",
    static_dead: "used static memory that holds nothing any more, or never did",
    in_magazines: "free blocks at threads' hands",
    in_outboxes: "blocks of other heaps that wait to be sent home",
    returned: "blocks that were sent home and not collected yet",
    free_in_slabs: "free blocks in slabs, without pages of theirs that were given back",
    slab_ends: "ends of slabs that are too short for a block",
    free_slots: "unused slots of heaps' segments, kept for a while",
    free_segments: "slots of segments that no heap has, kept for a while",
    cached_mappings: "freed mappings, kept for a while",
    metadata: "what describes the rest",
}

impl Balance {
    /// The sum of all lines.
    #[must_use]
    pub fn total(&self) -> usize {
        self.lines().iter().map(|line| line.bytes).sum()
    }

    /// Bytes of live blocks, at the size of their class, span or mapping.
    #[must_use]
    pub const fn live(&self) -> usize {
        self.live_in_slabs + self.live_spans + self.live_mappings
    }

    /// Bytes in which there is no block, and which no slab has: unused slots and freed mappings that are kept for a
    /// while.
    #[must_use]
    pub const fn retained(&self) -> usize {
        self.free_slots + self.free_segments + self.cached_mappings
    }
}
