//! Throttle: a thread that would spend much of its time on samples takes fewer, each of which stands for more.
//!
//! What a thread allocates and touches for the first time comes to a gigabyte or two in a second, which at the usual
//! rate are two to four thousand samples. Large blocks that come and go are another matter: ten times as many samples
//! of them tell hardly more. So the bytes between samples are doubled while these come too fast, and halved when they
//! no longer do. A gap is drawn before what it passes over is known, so what comes behind it is as likely to be a
//! sample as the gap's own rate says, and estimates stay without bias.

#![forbid(unsafe_code)]

use crate::sync::Cell;

/// Samples that a thread takes in a second, at most and but for the first of a burst. At some microseconds each, a
/// hundredth of its time.
const MOST_PER_SECOND: u64 = 2500;

/// Samples whose time is taken: enough of them for a clock that is coarse.
const WINDOW: u64 = 64;

/// How long they are to take at least.
const WINDOW_MS: u64 = WINDOW * 1000 / MOST_PER_SECOND;

/// Samples are at most so many doublings further apart.
const MOST: u8 = 16;

/// The rate below which nothing is held back, in bytes, which is the usual one: who asks for less wants many samples,
/// or all.
const LEAST_RATE: u64 = 512 * 1024;

/// By how many doublings the bytes between samples are more than was asked for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Stretch(u8);

impl Stretch {
    /// So many bytes between samples, where `rate` were asked for.
    pub(crate) fn of(self, rate: u64) -> u64 {
        rate << self.0
    }
}

/// By how much samples are to be further apart. Touched by one thread at a time.
pub(crate) struct Throttle {
    stretch: Cell<Stretch>,
    /// Samples of this window so far, and when the first was taken.
    taken: Cell<u64>,
    since_ms: Cell<u64>,
}

impl Throttle {
    pub(crate) fn start(&self) {
        self.stretch.set(Stretch::default());
        self.taken.set(0);
    }

    /// By how much the next gap is to be longer.
    pub(crate) fn stretch(&self) -> Stretch {
        self.stretch.get()
    }

    /// A sample is taken, where samples would be `rate` bytes apart.
    pub(crate) fn note(&self, rate: u64, now_ms: u64) {
        if rate < LEAST_RATE {
            return;
        }
        let taken = self.taken.get() + 1;
        if taken == 1 {
            self.since_ms.set(now_ms);
        }
        let elapsed_ms = now_ms.saturating_sub(self.since_ms.get());
        if taken < WINDOW && elapsed_ms < WINDOW_MS {
            return self.taken.set(taken);
        }
        self.taken.set(0);
        let Stretch(doublings) = self.stretch.get();
        // As many as would have been taken in that time at the bound, over those that were.
        let spare = elapsed_ms * WINDOW / (WINDOW_MS * taken);
        self.stretch.set(Stretch(match spare.checked_ilog2() {
            None => (doublings + 1).min(MOST),
            Some(halvings) => doublings.saturating_sub(halvings as u8),
        }));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const RATE: u64 = 512 * 1024;

    fn throttle() -> Throttle {
        Throttle { stretch: Cell::default(), taken: Cell::new(0), since_ms: Cell::new(0) }
    }

    /// Samples of a second in which `bytes` are allocated, of the `nth` second.
    fn samples_of_a_second(throttle: &Throttle, nth: u64, rate: u64, bytes: u64) -> u64 {
        let (mut allocated, mut samples) = (0, 0);
        while allocated < bytes {
            allocated += throttle.stretch().of(rate);
            samples += 1;
            throttle.note(rate, (nth * bytes + allocated) * 1000 / bytes);
        }
        samples
    }

    #[test]
    fn a_usual_program_is_not_held_back() {
        let throttle = throttle();
        assert!((0..10).all(|nth| samples_of_a_second(&throttle, nth, RATE, 2000 * RATE) == 2000));
    }

    #[test]
    fn who_allocates_a_great_deal_takes_no_more_than_a_bounded_number() {
        for factor in [10, 100, 1000] {
            let throttle = throttle();
            // It begins with one window for each doubling.
            assert!(samples_of_a_second(&throttle, 0, RATE, factor * 2500 * RATE) < 2500 + 18 * WINDOW);
            assert!(samples_of_a_second(&throttle, 1, RATE, factor * 2500 * RATE) < 2600);
            // Calm again, and soon as before, though a gap may be a second long by then.
            (2..5).for_each(|nth| _ = samples_of_a_second(&throttle, nth, RATE, 1000 * RATE));
            assert_eq!(samples_of_a_second(&throttle, 5, RATE, 1000 * RATE), 1000);
        }
    }

    #[test]
    fn a_pause_ends_it() {
        let throttle = throttle();
        samples_of_a_second(&throttle, 0, RATE, 1_000_000 * RATE);
        assert!(throttle.stretch().of(RATE) >= 128 * RATE);
        throttle.note(RATE, 1001);
        (0..WINDOW).for_each(|_| throttle.note(RATE, 100_000));
        assert_eq!(throttle.stretch().of(RATE), RATE);
    }

    #[test]
    fn a_profile_that_was_told_to_take_more_takes_all() {
        let throttle = throttle();
        (0..100_000).for_each(|_| throttle.note(LEAST_RATE - 1, 5));
        assert_eq!(throttle.stretch().of(LEAST_RATE - 1), LEAST_RATE - 1);
    }
}
