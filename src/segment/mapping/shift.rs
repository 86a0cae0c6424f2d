//! Shift: the block of a mapping that is used again starts at another page than the last ones.
//!
//! Between a mapping's head and its block there are pages that nobody uses. A block that stands some of them further in
//! front has another address than its last owner may still have, which is nobody's then: who frees that one is noticed.

use crate::sync::Cell;

/// Pages that a block may be shifted by, at most. Each of them is touched for the first time once.
const MOST: usize = 7;

/// How far in front of its place the block of a mapping stands.
pub(super) struct Shift {
    bytes: Cell<usize>,
}

impl Shift {
    /// Moves the block on, where `align` allows that; `room` bytes are between the head's start and the block's place.
    /// The block is as large as ever.
    pub(super) fn advance(&self, room: usize, align: usize, page_size: usize) {
        let most = (room / page_size).saturating_sub(1).min(MOST);
        // A hardened build has a guard there, and a quarantine.
        if cfg!(feature = "hardened") || align > page_size || most == 0 {
            return self.bytes.set(0);
        }
        let last = self.bytes.get() / page_size;
        self.bytes.set((last % most + 1) * page_size);
    }

    /// Bytes between where the block stands and its place.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }
}
