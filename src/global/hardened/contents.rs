//! What free blocks contain: zeros, which is looked at before they are used again.

use core::ptr::NonNull;

/// From this length on, the C library's way to clear memory is the faster one.
const LONG: usize = 128;

/// Bytes that are wiped together or not at all: the smallest page that a system has, or a part of one.
const PIECE: usize = 4096;

/// From this length on there may be a whole page that nobody has written to.
const SPARSE: usize = 2 * PIECE;

/// True where `len` bytes from `start` on are zero; `len` is a multiple of 8, and not 0.
///
/// # Safety
/// - The bytes can be read, and `start` is a multiple of 8. Nobody is to write there, which is what is looked at.
#[inline(always)]
pub(super) unsafe fn is_zero(start: NonNull<u8>, len: usize) -> bool {
    let words = start.cast::<u64>();
    // SAFETY: the caller says so, of whole words up to `len`.
    let at = |offset: usize| unsafe { words.byte_add(offset).read() };
    let four = |offset: usize| (at(offset) | at(offset + 8)) | (at(offset + 16) | at(offset + 24));
    if len < 32 {
        // One word, two or three.
        return (at(0) | at((len / 2) & !7) | at(len - 8)) == 0;
    }
    let mut bits = four(len - 32);
    let mut next = 0;
    while next + 128 <= len {
        bits |= (four(next) | four(next + 32)) | (four(next + 64) | four(next + 96));
        next += 128;
    }
    while next + 32 < len {
        bits |= four(next);
        next += 32;
    }
    bits == 0
}

/// As [`is_zero`], of the first 32 of the bytes and the last 32 alone, which is where most that should not be is
/// written.
///
/// # Safety
/// - As for [`is_zero`].
#[inline(always)]
pub(super) unsafe fn has_zero_ends(start: NonNull<u8>, len: usize) -> bool {
    if len <= 64 {
        // SAFETY: passed on.
        return unsafe { is_zero(start, len) };
    }
    // SAFETY: passed on, of parts that are as aligned as the whole.
    unsafe { is_zero(start, 32) && is_zero(start.add(len - 32), 32) }
}

/// True where `len` bytes from `start` on, which may be none, are all `byte`.
///
/// # Safety
/// - The bytes can be read.
pub(super) unsafe fn is_filled(start: NonNull<u8>, len: usize, byte: u8) -> bool {
    let mut differs = 0;
    for at in 0..len {
        // SAFETY: the caller says so. Without a way out, the compiler compares many bytes at once.
        differs |= unsafe { start.add(at).read() } ^ byte;
    }
    differs == 0
}

/// The first and the last of `len` bytes from `start` on that are not zero, if there are any.
///
/// # Safety
/// - The bytes can be read.
#[cold]
pub(super) unsafe fn dirty(start: NonNull<u8>, len: usize) -> Option<(usize, usize)> {
    // SAFETY: the caller says so.
    let is_dirty = |&at: &usize| unsafe { start.add(at).read() } != 0;
    Some(((0..len).find(is_dirty)?, (0..len).rev().find(is_dirty)?))
}

/// Makes `len` bytes from `start` on zero; `len` is a multiple of 8.
///
/// # Safety
/// - The bytes are the caller's, who needs nothing of them, and `start` is a multiple of 8.
#[inline(always)]
pub(super) unsafe fn wipe(start: NonNull<u8>, len: usize) {
    let words = start.cast::<u64>();
    // SAFETY: the caller says so, of whole words up to `len`.
    let put = |offset: usize| unsafe { words.byte_add(offset).write(0) };
    // SAFETY: as above.
    let four = |offset: usize| unsafe { words.byte_add(offset).cast::<[u64; 4]>().write([0; 4]) };
    if len == 0 {
        return;
    }
    if len < 32 {
        put(0);
        put((len / 2) & !7);
        put(len - 8);
    } else if len <= LONG {
        four(0);
        four(len - 32);
        if len > 64 {
            four(32);
            four(len - 64);
        }
    } else if len < SPARSE {
        // SAFETY: as above.
        unsafe { start.write_bytes(0, len) };
    } else {
        // SAFETY: passed on.
        unsafe { wipe_written(start, len) };
    }
}

/// As [`wipe`], of `len` bytes that may be many: writes to no page that reads as zero, so that a page that nobody has
/// written to is not resident because of this.
///
/// # Safety
/// - As for [`wipe`], and `len` is not 0.
#[inline(never)]
pub(super) unsafe fn wipe_written(start: NonNull<u8>, len: usize) {
    let mut done = 0;
    while done < len {
        // SAFETY: inside of the caller's bytes.
        let piece = unsafe { start.add(done) };
        let piece_len = (PIECE - piece.addr().get() % PIECE).min(len - done);
        // What was written to is not zero at its ends, as a rule.
        // SAFETY: passed on, of multiples of 8.
        if !unsafe { has_zero_ends(piece, piece_len) && is_zero(piece, piece_len) } {
            // SAFETY: as above.
            unsafe { piece.write_bytes(0, piece_len) };
        }
        done += piece_len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn the_ends_are_the_first_and_the_last_32_bytes() {
        for words in 1..80 {
            let (len, mut memory) = (words * 8, vec![0_u64; words]);
            let start = NonNull::from(&mut memory[0]).cast::<u8>();
            for at in 0..len {
                // SAFETY: the test's own memory.
                unsafe {
                    start.add(at).write(1);
                    assert_eq!(has_zero_ends(start, len), (32..len.max(32) - 32).contains(&at), "{at} of {len}");
                    start.add(at).write(0);
                }
            }
        }
    }

    #[test]
    fn every_byte_is_looked_at_and_wiped() {
        for words in 1..80 {
            let (len, mut memory) = (words * 8, vec![0_u64; words + 2]);
            let start = NonNull::from(&mut memory[1]).cast::<u8>();
            for at in 0..len {
                // SAFETY: the test's own memory.
                unsafe {
                    assert!(is_zero(start, len));
                    start.add(at).write(1);
                    assert!(!is_zero(start, len), "{at} of {len}");
                    assert_eq!(dirty(start, len), Some((at, at)));
                    start.write_bytes(0xFF, len);
                    wipe(start, len);
                    assert_eq!(dirty(start, len), None);
                }
            }
            memory.fill(u64::MAX);
            let start = NonNull::from(&mut memory[1]).cast::<u8>();
            // SAFETY: as above.
            unsafe { wipe(start, len) };
            assert!(memory[0] == u64::MAX && memory[words + 1] == u64::MAX, "{len}");
        }
    }

    #[test]
    fn one_word_anywhere_in_a_long_block_is_wiped_and_none_beside_it() {
        const WORDS: usize = 3 * SPARSE / 8;
        let mut memory = vec![0_u64; WORDS];
        for (first, len) in [(1, SPARSE), (7, SPARSE + 8), (500, SPARSE - 8 + PIECE), (1, 2 * SPARSE)] {
            for at in 0..WORDS {
                memory[at] = 1 << (at % 64);
                let start = NonNull::from(&mut memory[first]).cast::<u8>();
                // SAFETY: the test's own memory.
                unsafe { wipe(start, len) };
                let is_inside = (first..first + len / 8).contains(&at);
                assert_eq!(memory[at] == 0, is_inside, "{at}, of {len} bytes from {first} on");
                memory[at] = 0;
            }
            memory.fill(u64::MAX);
            let start = NonNull::from(&mut memory[first]).cast::<u8>();
            // SAFETY: as above.
            unsafe { wipe(start, len) };
            let is_right = |(at, &word): (usize, &u64)| (word == 0) == (first..first + len / 8).contains(&at);
            assert!(memory.iter().enumerate().all(is_right), "{len} bytes from {first} on");
            memory.fill(0);
        }
    }
}
