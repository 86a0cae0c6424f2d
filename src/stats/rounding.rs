//! Rounding: how much was asked for of what was given.

/// What was asked for and what was given, of the blocks that were allocated while [exact
/// bytes](crate::Tenure::count_exact_bytes) were counted. What has been freed since is among it. Bytes, unless said
/// otherwise.
///
/// A block that grows or shrinks without being allocated anew is as it was allocated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rounding {
    /// Number of allocations.
    pub blocks: u64,
    /// Asked for.
    pub requested: u64,
    /// Given: the sizes of the blocks' classes, spans and mappings.
    pub granted: u64,
}

impl Rounding {
    pub(super) const NONE: Self = Self { blocks: 0, requested: 0, granted: 0 };

    /// Bytes that were given and not asked for.
    #[must_use]
    pub const fn waste(&self) -> u64 {
        self.granted.saturating_sub(self.requested)
    }

    /// The figures, where anything was counted.
    pub(super) fn known(&self) -> Option<&Self> {
        Some(self).filter(|rounding| rounding.blocks > 0)
    }

    pub(super) fn add(&mut self, [blocks, requested, granted]: [u64; 3]) {
        self.blocks += blocks;
        self.requested += requested;
        self.granted += granted;
    }
}
