//! Blocks of one class: where in a slab they lie, and how many there are.

use super::MAX_BLOCKS;
use super::lines::LINE_BLOCKS;
use crate::size_class::{self, SLOT_SIZE, STEP, SizeClass};

/// The arithmetic of each class: one line of the processor's cache has four.
static BLOCKS: [Blocks; size_class::SLABS] = {
    let mut blocks = [Blocks::new(0); size_class::SLABS];
    let mut index = 1;
    while index < blocks.len() {
        blocks[index] = Blocks::new(index);
        index += 1;
    }
    blocks
};

/// Number of blocks of a slab of `class`.
pub(crate) fn capacity(class: SizeClass) -> usize {
    usize::from(BLOCKS[class.index()].count)
}

/// Bytes at the end of a slab of `class` that are too few for a block.
pub(crate) fn end(class: SizeClass) -> usize {
    SLOT_SIZE - capacity(class) * class.size()
}

/// Number of lines of the bitmap that a slab of `class` needs.
pub(crate) fn lines(class: SizeClass) -> usize {
    capacity(class).div_ceil(LINE_BLOCKS)
}

/// Arithmetic on the blocks of one class, with its constants at hand.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(crate) struct Blocks {
    size: u32,
    /// The multiplier that turns an offset into a block's index: `offset * magic >> 32`.
    ///
    /// With `magic = 2^32 / size + 1`, `magic * size` exceeds `2^32` by at most `size`, so the quotient of an offset
    /// below `2^16` is exact as long as `offset < 2^32 / size`: a test goes through them all.
    magic: u32,
    /// Number of blocks of a slab.
    count: u16,
    class: SizeClass,
}

impl Blocks {
    const fn new(index: usize) -> Self {
        let size = size_class::size_of(index);
        let fitting = SLOT_SIZE / size;
        Self {
            size: size as u32,
            magic: ((1 << 32) / size as u64 + 1) as u32,
            count: if fitting < MAX_BLOCKS { fitting } else { MAX_BLOCKS } as u16,
            class: SizeClass::from_index(index),
        }
    }

    #[inline]
    pub(crate) fn of(class: SizeClass) -> Self {
        BLOCKS[class.index()]
    }

    /// Those of the class with this code; `None` of a class of spans, and of 0.
    #[inline]
    pub(crate) fn of_code(code: usize) -> Option<&'static Self> {
        BLOCKS.get((code / STEP).wrapping_sub(1))
    }

    #[inline]
    pub(crate) fn class(self) -> SizeClass {
        self.class
    }

    #[inline]
    pub(crate) fn size(self) -> usize {
        self.size as usize
    }

    /// Number of blocks of a slab.
    #[inline]
    pub(super) fn count(self) -> usize {
        self.count.into()
    }

    /// Index of the block at `block`, if one starts there in a slab of the class.
    ///
    /// The product's lower half is what is left of the division, in units of `2^-32` of a block: less than `magic` at
    /// multiples of the size alone (Lemire, Kaser and Kurz, "Faster remainder by direct computation", 2019).
    #[inline(always)]
    pub(crate) fn locate(self, block: *const u8) -> Option<usize> {
        let product = (block.addr() % SLOT_SIZE) as u64 * u64::from(self.magic);
        let index = (product >> 32) as u32;
        // A slot's end may have bytes left over, where no block starts.
        if (product as u32) < self.magic && index < u32::from(self.count) { Some(index as usize) } else { None }
    }

    /// False where the first of `others` is not the neighbour of `block` for sure: one test for both directions, which
    /// lets some others through.
    #[inline(always)]
    pub(crate) fn may_be_neighbours(self, block: *mut u8, others: &[*mut u8]) -> bool {
        let Some(next) = others.first() else { return false };
        let step = next.addr().wrapping_sub(block.addr());
        step.wrapping_add(self.size as usize) & !(2 * self.size as usize) == 0
    }

    /// How many of `others`, from the first on, go on from the block with this index, upwards or downwards, each the
    /// neighbour of the one before; with the lowest index of them all.
    #[inline(never)]
    pub(crate) fn run(self, index: usize, block: *mut u8, others: &[*mut u8]) -> (usize, usize) {
        let step = others.first().map_or(0, |next| next.addr().wrapping_sub(block.addr()));
        if step == self.size as usize {
            (self.steps(block, step, &others[..others.len().min(usize::from(self.count) - 1 - index)]), index)
        } else if step == (self.size as usize).wrapping_neg() {
            let count = self.steps(block, step, &others[..others.len().min(index)]);
            (count, index - count)
        } else {
            (0, index)
        }
    }

    /// How many of `others`, from the first on, lie `step` behind the one before, the first of them behind `block`.
    #[inline(always)]
    fn steps(self, block: *mut u8, step: usize, others: &[*mut u8]) -> usize {
        let mut expected = block.addr();
        let follows = |other: &*mut u8| {
            expected = expected.wrapping_add(step);
            other.addr() == expected
        };
        others.iter().copied().take_while(follows).count()
    }
}
