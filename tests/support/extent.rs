//! How many bytes blocks take.

use super::memory::{KIB, MIB};
use tenure::Tenure;

/// Bytes of a check word behind what was asked for, in the block of a slab.
const CHECK: usize = if cfg!(feature = "hardened") { 8 } else { 0 };

/// Bytes of a guard behind the block of a span or a mapping, on systems with the smallest pages.
const GUARD: usize = if cfg!(feature = "hardened") { 4 * KIB } else { 0 };

/// Bytes that a block of dynamic memory takes that was allocated with a layout of `size` bytes at the alignment of a
/// word or a smaller one, where no freed mapping was at hand for it. A hardened build counts what it puts behind the
/// block.
pub fn extent(size: usize) -> usize {
    let classes = Tenure::new().stats().classes;
    match classes.iter().map(|class| class.block_size).find(|&block| block >= size + CHECK) {
        Some(block) => block,
        None if size + GUARD <= MIB => (size + GUARD).next_multiple_of(64 * KIB),
        None => (size + GUARD).next_multiple_of(4 * KIB),
    }
}
