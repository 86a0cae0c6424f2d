//! Grid: which pages are slots and which are guards, and where in its page a block stands.

#![forbid(unsafe_code)]

use crate::align;

/// Most blocks that are guarded at the same time.
pub const SLOTS: usize = 255;

/// The pages of a pool: a guard, a slot, a guard, and so on to a last guard.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    start: usize,
    page_size: usize,
}

/// At which side of its page a block stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// At the first byte: what is in front of the block is the guard.
    Start,
    /// As near to the last byte as its alignment lets it.
    End,
}

impl Grid {
    pub(super) fn new(start: usize, page_size: usize) -> Self {
        Self { start, page_size }
    }

    /// Bytes from the first guard to the last, for pages of this size.
    pub(super) const fn len(page_size: usize) -> usize {
        (2 * SLOTS + 1) * page_size
    }

    pub(super) fn page_size(self) -> usize {
        self.page_size
    }

    /// Where the page of a slot starts.
    pub(super) fn page(self, slot: usize) -> usize {
        self.start + (2 * slot + 1) * self.page_size
    }

    /// Where a block of `size` bytes, from 1 to a page, at a multiple of `align`, up to a page, stands in a slot.
    pub(super) fn place(self, slot: usize, size: usize, align: usize, side: Side) -> usize {
        debug_assert!(0 < size && size <= self.page_size && align <= self.page_size);
        match side {
            Side::Start => self.page(slot),
            Side::End => align::down(self.page(slot) + self.page_size - size, align),
        }
    }

    /// The slot whose page holds `address`.
    pub(super) fn slot_at(self, address: usize) -> Option<usize> {
        let page = self.page_at(address)?;
        (page % 2 == 1).then_some(page / 2)
    }

    /// The slots that `address` may belong to: the one whose page holds it, or those at both sides of the guard that
    /// does. `None` where it is on no page of the pool.
    pub(super) fn slots_near(self, address: usize) -> Option<[usize; 2]> {
        let page = self.page_at(address)?;
        let behind = page / 2;
        let before = if page % 2 == 1 { behind } else { behind.saturating_sub(1) };
        Some([before, behind.min(SLOTS - 1)])
    }

    /// The index of the page that holds `address`.
    fn page_at(self, address: usize) -> Option<usize> {
        let page = address.checked_sub(self.start)? / self.page_size;
        (page < 2 * SLOTS + 1).then_some(page)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const START: usize = 1 << 30;

    #[test]
    fn slots_lie_between_guards_and_every_address_is_near_one() {
        for page_size in [4096, 65536] {
            let grid = Grid::new(START, page_size);
            for slot in 0..SLOTS {
                let page = grid.page(slot);
                for inside in [page, page + page_size - 1] {
                    assert_eq!((grid.slot_at(inside), grid.slots_near(inside)), (Some(slot), Some([slot, slot])));
                }
                assert_eq!((grid.slot_at(page - 1), grid.slot_at(page + page_size)), (None, None));
                assert_eq!(grid.slots_near(page - 1), Some([slot.saturating_sub(1), slot]));
                assert_eq!(grid.slots_near(page + page_size), Some([slot, (slot + 1).min(SLOTS - 1)]));
            }
            for outside in [0, START - 1, START + Grid::len(page_size), usize::MAX] {
                assert_eq!((grid.slot_at(outside), grid.slots_near(outside)), (None, None));
            }
        }
    }

    #[test]
    fn blocks_stand_at_the_side_that_is_said_and_at_their_alignment() {
        let grid = Grid::new(START, 4096);
        let page = grid.page(7);
        for (size, align, behind) in
            [(1, 1, 0), (49, 1, 0), (49, 8, 7), (4096, 4096, 0), (1, 4096, 4095), (100, 64, 28)]
        {
            assert_eq!(grid.place(7, size, align, Side::Start), page);
            let block = grid.place(7, size, align, Side::End);
            assert_eq!((block % align, page + 4096 - (block + size)), (0, behind), "{size} at {align}");
        }
    }
}
