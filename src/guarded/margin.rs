//! Margin: the bytes of a slot's page around its block, in which nobody has to write.
//!
//! An alignment may keep a block away from the guard, and the other end of the page always lies open. What is written
//! there does not fault, and is noticed when the block is freed.

use core::ops::Range;
use core::ptr;

/// What the bytes at an address are. Not the same everywhere, so that a run of one value is noticed at the second byte
/// at the latest.
fn pattern(address: usize) -> u8 {
    0xa5 ^ address as u8
}

/// Fills the margin of `block` on `page`.
///
/// # Safety
/// - The page can be written, and is the caller's alone; `block` is a part of it.
pub(super) unsafe fn fill(page: &Range<usize>, block: &Range<usize>) {
    for address in (page.start..block.start).chain(block.end..page.end) {
        // SAFETY: on the caller's page.
        unsafe { ptr::with_exposed_provenance_mut::<u8>(address).write(pattern(address)) };
    }
}

/// The byte of the margin that is nearest to the block of those that were written to, if any was.
///
/// # Safety
/// - [`fill`] has been there with the same ranges, and the page can be read.
pub(super) unsafe fn find_written(page: &Range<usize>, block: &Range<usize>) -> Option<usize> {
    // Others may still write there, though they must not.
    // SAFETY: on the page that can be read.
    let is_written =
        |&address: &usize| unsafe { ptr::with_exposed_provenance::<u8>(address).read_volatile() != pattern(address) };
    let behind = (block.end..page.end).find(is_written);
    let before = (page.start..block.start).rev().find(is_written);
    let distance =
        |&address: &usize| if address < block.start { block.start - address } else { address + 1 - block.end };
    behind.into_iter().chain(before).min_by_key(distance)
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn a_byte_that_was_written_is_found_and_of_several_the_nearest() {
        let mut memory = vec![0_u8; 256];
        let start = memory.as_mut_ptr().expose_provenance();
        let (page, block) = (start..start + 256, start + 100..start + 149);
        // SAFETY: memory of the test.
        unsafe { fill(&page, &block) };
        memory[100..149].fill(7);
        // SAFETY: as above.
        let found = || unsafe { find_written(&page, &block) };
        assert_eq!(found(), None);
        for (offset, nearest) in [(255, 255), (0, 0), (160, 160), (90, 90), (149, 149)] {
            memory[offset] ^= 1;
            assert_eq!(found(), Some(start + nearest), "{offset}");
        }
        memory[149] ^= 1;
        assert_eq!(found(), Some(start + 90));
    }

    #[test]
    fn a_run_of_any_one_value_is_noticed_within_two_bytes() {
        for value in 0..=255 {
            for address in 0..256 {
                assert!(pattern(address) != value || pattern(address + 1) != value);
            }
        }
    }
}
