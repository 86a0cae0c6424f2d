//! What a block is filled with: a pattern that no other block has.

use std::iter;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a block that are filled without a gap.
const WHOLE: usize = 128 * 1024;
/// Beyond that, one word in so many bytes.
const STRIDE: usize = 16 * 1024;
/// And these last bytes.
const TAIL: usize = 64;

const WORD: usize = size_of::<u64>();

static PATTERNS: AtomicU64 = AtomicU64::new(1);

/// A pattern of its own.
#[derive(Debug)]
pub struct Pattern(u64);

impl Pattern {
    /// Writes a new pattern into the `size` bytes at `start`: all of them in a block of ordinary size, samples in a
    /// large one.
    ///
    /// # Safety
    /// - The bytes are the caller's.
    pub unsafe fn write(start: NonNull<u8>, size: usize) -> Self {
        let pattern = Self(PATTERNS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for at in filled(size).flat_map(|range| range.step_by(WORD)) {
            // SAFETY: among the caller's bytes.
            unsafe { write(start, at, size, pattern.word(at)) };
        }
        pattern
    }

    fn word(&self, at: usize) -> u64 {
        self.0.wrapping_add((at as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    /// Panics unless the first `kept` bytes at `start` hold what was written when they were the first of `size`.
    ///
    /// # Safety
    /// - The bytes are the caller's, and `size` bytes of this pattern were written there, or where they came from.
    pub unsafe fn check(&self, start: NonNull<u8>, size: usize, kept: usize) {
        for range in filled(size) {
            for at in (range.start..range.end.min(kept)).step_by(WORD) {
                // SAFETY: among the caller's bytes, in a part that was filled.
                let word = unsafe { read(start, at, kept) };
                let expected = first_bytes(self.word(at), kept - at);
                assert_eq!(word, expected, "{kept} of {size} bytes at {start:p} were changed at {at}");
            }
        }
    }
}

/// Panics unless the bytes that would be filled read as zero.
///
/// # Safety
/// - The `size` bytes at `start` are the caller's, and initialised.
pub unsafe fn check_zero(start: NonNull<u8>, size: usize) {
    for at in filled(size).flat_map(|range| range.step_by(WORD)) {
        // SAFETY: among the caller's bytes.
        let word = unsafe { read(start, at, size) };
        assert_eq!(word, 0, "{size} bytes at {start:p} are not zero at {at}");
    }
}

/// The parts of a block of `size` bytes that are filled. Each starts at a multiple of a word.
fn filled(size: usize) -> impl Iterator<Item = Range<usize>> {
    let whole = size.min(WHOLE);
    let samples = (whole..size).step_by(STRIDE).map(move |at| at..(at + WORD).min(size));
    let tail = (size.saturating_sub(TAIL) & !(WORD - 1)).max(whole);
    iter::once(0..whole).chain(samples).chain(iter::once(tail..size))
}

/// The low `len` bytes of a word, where there are so many.
fn first_bytes(word: u64, len: usize) -> u64 {
    if len >= WORD { word } else { word & ((1 << (8 * len)) - 1) }
}

/// The word at `at`, or what of it lies before `end`.
///
/// # Safety
/// - `start + at` to `start + end` lie in a block and are initialised as far as a word reaches; `at < end`.
unsafe fn read(start: NonNull<u8>, at: usize, end: usize) -> u64 {
    if end - at >= WORD {
        // SAFETY: the caller says so. A block of a small alignment may start anywhere.
        return unsafe { start.add(at).cast::<u64>().read_unaligned() };
    }
    let mut bytes = [0; WORD];
    for (nth, byte) in bytes[..end - at].iter_mut().enumerate() {
        // SAFETY: before `end`.
        *byte = unsafe { start.add(at + nth).read() };
    }
    u64::from_le_bytes(bytes)
}

/// Writes the word at `at`, or what of it lies before `end`.
///
/// # Safety
/// - `start + at` to `start + end` lie in a block of the caller's; `at < end`.
unsafe fn write(start: NonNull<u8>, at: usize, end: usize, word: u64) {
    if end - at >= WORD {
        // SAFETY: the caller says so. A block of a small alignment may start anywhere.
        return unsafe { start.add(at).cast::<u64>().write_unaligned(word) };
    }
    for (nth, byte) in word.to_le_bytes()[..end - at].iter().enumerate() {
        // SAFETY: before `end`.
        unsafe { start.add(at + nth).write(*byte) };
    }
}
