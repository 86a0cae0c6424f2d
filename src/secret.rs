//! The process's secret, and numbers that follow from it.
//!
//! What is written behind blocks, and where blocks are placed, depends on a number that differs from process to
//! process. It is no key of a cipher: who reads a check word and knows its address can reckon it out. It keeps those
//! from hitting by chance, or by a plan made beforehand, who cannot read.

use crate::os;
use crate::sync::{AtomicU64, Cell, Ordering};

/// The secret; 0 until it is made.
static SECRET: AtomicU64 = AtomicU64::new(0);

/// The secret. 0 before the process has allocated anything, when nothing depends on it.
#[inline(always)]
pub(crate) fn get() -> u64 {
    // Relaxed: whoever has a block has got it from a thread that knew the secret.
    SECRET.load(Ordering::Relaxed)
}

/// Makes the secret, where there is none yet.
#[inline]
pub(crate) fn ensure() {
    if get() == 0 {
        make();
    }
}

#[cold]
#[inline(never)]
fn make() {
    // Of two threads, the first one's stays.
    let _ = SECRET.compare_exchange(0, os::random() | 1, Ordering::Relaxed, Ordering::Relaxed);
}

/// A number for `what`, the same whenever it is asked for in this process.
#[inline(always)]
pub(crate) fn number_of(what: usize) -> u64 {
    let mixed = (what as u64 ^ get()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ mixed >> 32
}

/// Numbers one after the other, for one thread at a time. Zeros, as in fresh memory, are a valid beginning.
pub(crate) struct Dice(Cell<u64>);

impl Dice {
    /// Dice whose numbers are those of `what`.
    pub(crate) fn of(what: usize) -> Self {
        Self(Cell::new(number_of(what)))
    }

    /// The next number.
    #[inline(always)]
    pub(crate) fn throw(&self) -> u32 {
        // Knuth's linear congruential generator, begun by the secret: the upper half is the better one.
        let next = self.0.get().wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(get());
        self.0.set(next);
        (next >> 32) as u32
    }

    /// As [`Dice::throw`], below `count`.
    #[inline(always)]
    pub(crate) fn below(&self, count: u32) -> usize {
        ((u64::from(self.throw()) * u64::from(count)) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_made_once() {
        ensure();
        let secret = get();
        assert_ne!(secret, 0);
        ensure();
        assert_eq!(get(), secret);
    }

    #[test]
    fn dice_fall_on_every_side() {
        ensure();
        let dice = Dice(Cell::new(0));
        let mut seen = [0; 6];
        for _ in 0..6000 {
            seen[dice.below(6)] += 1;
        }
        assert!(seen.iter().all(|&count| (700..1300).contains(&count)), "{seen:?}");
    }

    #[test]
    fn two_addresses_have_two_numbers() {
        ensure();
        assert_ne!(number_of(4096), number_of(4104));
        assert_eq!(number_of(4096), number_of(4096));
    }
}
