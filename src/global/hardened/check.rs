//! Check words: the last eight bytes of every block of a slab say how much of it was asked for, in a way that depends
//! on its address and on the process's secret. What lies between is slack, and filled with a pattern. A block in
//! quarantine has a word there that says whose quarantine it is; one that is free has zeros, as everywhere.
//!
//! ```text
//! block                  size          room       class size
//!   | what was asked for   | slack        | check word |
//! ```
//!
//! So one comparison tells whether a block starts at an address, is in use, has the size that is told, and was not
//! written beyond.

use super::size::{CHECK, room};
use crate::secret;
use crate::segment::Owner;
use crate::size_class::SizeClass;
use crate::sync::{AtomicU64, Ordering};
use core::ptr::NonNull;

/// Spreads a size over a word: the lower 16 bits stay, and any two sizes below 2^16 differ above.
const SPREAD: u64 = 0x9E37_79B9_7F4B_0001;

const _: () = assert!(SPREAD & 0xFFFF == 1 && SPREAD >> 16 & 1 == 1);

/// What check word and slack of the block at `address` depend on.
#[inline(always)]
pub(super) fn key(address: usize) -> u64 {
    secret::number_of(address)
}

/// The check word of a block in use of which `size` bytes were asked for.
#[inline(always)]
pub(super) fn word(key: u64, size: usize) -> u64 {
    key ^ (size as u64).wrapping_mul(SPREAD)
}

/// The size that a check word tells; `None` where it is none.
#[inline(always)]
pub(super) fn size_of(key: u64, word: u64) -> Option<usize> {
    let spread = word ^ key;
    let size = (spread & 0xFFFF) as usize;
    (spread == (size as u64).wrapping_mul(SPREAD)).then_some(size)
}

/// A size that no block of a slab has: that of a block in quarantine.
const NO_SIZE: u64 = 0xFFFF;

const _: () = assert!(crate::size_class::MAX_SIZE < NO_SIZE as usize);

/// The check word of a block in the quarantine of `holder`.
#[inline(always)]
pub(super) fn word_in_quarantine(key: u64, holder: Owner) -> u64 {
    key ^ (u64::from(holder.0) << 16 | NO_SIZE)
}

/// True for the check word of a block in some quarantine.
pub(super) fn is_in_quarantine(key: u64, word: u64) -> bool {
    (word ^ key) & NO_SIZE == NO_SIZE && (word ^ key) >> 32 == 0
}

/// Eight bytes of slack, of which none is zero: the byte that is written beyond an end by mistake most often.
#[inline(always)]
fn slack(key: u64) -> u64 {
    key | 0x0101_0101_0101_0101
}

/// One byte of slack.
pub(super) fn slack_byte(key: u64) -> u8 {
    slack(key) as u8
}

/// Where the check word of `block` is.
///
/// # Safety
/// - `class` bytes from `block` on, which is a multiple of 8, lie in a slab.
#[inline(always)]
pub(super) unsafe fn place<'a>(block: NonNull<u8>, class: SizeClass) -> &'a AtomicU64 {
    // SAFETY: passed on; slabs are mapped while anybody has a block there.
    unsafe { AtomicU64::from_ptr(block.as_ptr().wrapping_add(room(class)).cast()) }
}

/// The word that holds the first byte of slack behind `size` bytes of `block`, and what of it is slack.
#[inline(always)]
fn first_slack(block: NonNull<u8>, size: usize) -> (*mut u64, u64) {
    let place = block.as_ptr().wrapping_add(size & !(CHECK - 1)).cast();
    (place, u64::MAX << (8 * (size % CHECK)))
}

/// Fills what lies between `size` bytes of `block` and its check word.
///
/// # Safety
/// - `block` is the caller's, a block of `class` with room for `size` bytes.
#[inline(always)]
pub(super) unsafe fn fill(block: NonNull<u8>, class: SizeClass, size: usize, key: u64) {
    if size == room(class) {
        return;
    }
    let (mut place, mask) = first_slack(block, size);
    let end = block.as_ptr().wrapping_add(room(class)).cast();
    // SAFETY: in the caller's block. Its size, and so `end`, is a multiple of 8.
    unsafe {
        place.write((place.read() & !mask) | (slack(key) & mask));
        place = place.add(1);
        while place < end {
            place.write(slack(key));
            place = place.add(1);
        }
    }
}

/// True where nobody has written between `size` bytes of `block` and its check word.
///
/// # Safety
/// - `block` is the caller's, a block of `class` with room for `size` bytes.
#[inline(always)]
pub(super) unsafe fn is_filled(block: NonNull<u8>, class: SizeClass, size: usize, key: u64) -> bool {
    if size == room(class) {
        return true;
    }
    let (mut place, mask) = first_slack(block, size);
    let end = block.as_ptr().wrapping_add(room(class)).cast();
    // SAFETY: as in `fill`.
    unsafe {
        let mut differs = (place.read() ^ slack(key)) & mask;
        place = place.add(1);
        while place < end {
            differs |= place.read() ^ slack(key);
            place = place.add(1);
        }
        differs == 0
    }
}

/// Makes a free block, which reads as zero, one in use of which `size` bytes were asked for.
///
/// # Safety
/// - `block` is the caller's, a block of `class` with room for `size` bytes.
#[inline(always)]
pub(super) unsafe fn set(block: NonNull<u8>, class: SizeClass, size: usize) {
    let key = key(block.addr().get());
    // SAFETY: passed on.
    unsafe { fill(block, class, size, key) };
    // SAFETY: passed on. Relaxed: who frees the block has got it from its owner.
    unsafe { place(block, class) }.store(word(key, size), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_word_tells_the_size_and_no_other_word_does() {
        crate::secret::ensure();
        let key = key(0x7f00_0000_1000);
        for size in 0..1 << 16 {
            let word = word(key, size);
            assert_eq!(size_of(key, word), Some(size));
            for byte in 0..8 {
                assert_eq!(size_of(key, word ^ 0x5A << (8 * byte)), None, "{size}");
            }
        }
        assert_ne!(self::key(0x7f00_0000_1008), key);
    }

    #[test]
    fn every_byte_that_is_written_into_the_slack_is_noticed() {
        crate::secret::ensure();
        let mut memory = [0_u64; 8];
        let block = NonNull::from(&mut memory).cast::<u8>();
        let class = SizeClass::of_size(64).unwrap();
        for size in 0..=room(class) {
            memory.fill(0);
            // SAFETY: the test's own memory, as large as the class.
            unsafe { set(block, class, size) };
            let key = key(block.addr().get());
            // SAFETY: as above.
            assert!(unsafe { (0..size).all(|at| block.add(at).read() == 0) });
            for at in size..room(class) {
                // SAFETY: as above.
                unsafe {
                    assert!(is_filled(block, class, size, key));
                    let place = block.add(at);
                    let byte = place.read();
                    place.write(0);
                    assert!(!is_filled(block, class, size, key), "{at} behind {size}");
                    place.write(byte);
                }
            }
            // SAFETY: as above.
            assert_eq!(size_of(key, unsafe { place(block, class) }.load(Ordering::Relaxed)), Some(size));
        }
    }
}
