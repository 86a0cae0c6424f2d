//! Pace: where huge pages come slowly, they are taken at a rate that the program does not feel.
//!
//! The system has to find, and to clear, 2 MiB at once. Mostly that takes a third of the time of the page faults that it saves. In a virtual machine whose free memory was lent back to its host it takes six times as
//! long as these, which a program that runs for a second does not get back; and joining waits for the other processors, where these are at work. So what huge pages have taken beyond what small ones would have is
//! held below a part of the time that has passed since the first. A program that goes on growing has them in the end.

use crate::os::Platform;
use crate::sync::{AtomicI64, AtomicU64, Ordering, constructor};

/// Nanoseconds that small pages take for as much memory as a huge one, on an Intel Xeon.
const SMALL_NS: i64 = 750_000;

/// Huge pages may have taken one part of the time in so many beyond that.
const SHARE: i64 = 50;

/// What huge pages have taken, in a process.
pub(super) struct Pace {
    /// When the first was there, in nanoseconds of the platform's clock; 0 before.
    since_ns: AtomicU64,
    /// What all of them took beyond what small ones would have, in nanoseconds; negative where they took less.
    lost_ns: AtomicI64,
}

impl Pace {
    constructor! {
        pub(super) fn new() -> Self {
            Self { since_ns: AtomicU64::new(0), lost_ns: AtomicI64::new(0) }
        }
    }

    /// True where another may be slow. Threads that ask at once are told the same, so there may be one more for each.
    pub(super) fn allows_another(&self, os: &dyn Platform) -> bool {
        let lost = self.lost_ns.load(Ordering::Relaxed);
        lost <= 0 || os.now_ns().wrapping_sub(self.since_ns.load(Ordering::Relaxed)) as i64 / SHARE >= lost
    }

    /// Has `step` done, which brings a huge page, and takes note of the time.
    pub(super) fn time<T>(&self, os: &dyn Platform, step: impl FnOnce() -> T) -> T {
        let (result, lost) = self.measure(os, step);
        self.lost_ns.fetch_add(lost, Ordering::Relaxed);
        result
    }

    /// Has `step` done, which brings the first of `count` huge pages; true where it took no longer than small ones, which is taken to be so of the others, too. Otherwise they are not to be asked for.
    pub(super) fn is_quick(&self, os: &dyn Platform, count: usize, step: impl FnOnce()) -> bool {
        let ((), lost) = self.measure(os, step);
        let is_quick = lost <= 0;
        self.lost_ns.fetch_add(if is_quick { lost * count as i64 } else { lost }, Ordering::Relaxed);
        is_quick
    }

    /// Has `step` done; the time that it took beyond what small pages would have.
    fn measure<T>(&self, os: &dyn Platform, step: impl FnOnce() -> T) -> (T, i64) {
        let begun = os.now_ns();
        let result = step();
        let ended = os.now_ns();
        if self.since_ns.load(Ordering::Relaxed) == 0 {
            self.since_ns.store(ended, Ordering::Relaxed);
        }
        (result, ended.wrapping_sub(begun) as i64 - SMALL_NS)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::os::mock::Mock;

    /// How many of `count` steps are allowed, where so many nanoseconds pass between two looks at the clock.
    fn allowed(pace: &Pace, mock: &Mock, step_ns: i64, count: usize) -> i64 {
        mock.set_tick_ns(step_ns as u64);
        (0..count).filter(|_| pace.allows_another(mock) && pace.time(mock, || true)).count() as i64
    }

    #[test]
    fn what_takes_no_longer_than_small_pages_is_always_allowed() {
        assert_eq!(allowed(&Pace::new(), Mock::new(), SMALL_NS, 1000), 1000);
    }

    #[test]
    fn slow_ones_take_their_share_of_the_time() {
        const STEP_NS: i64 = 8 * SMALL_NS;
        let (pace, mock) = (Pace::new(), Mock::new());
        let lost = allowed(&pace, mock, STEP_NS, 10_000) * (STEP_NS - SMALL_NS);
        let share = mock.now_ns() as i64 / SHARE;
        assert!((share * 9 / 10..=share + STEP_NS).contains(&lost), "{lost} of {share}");
    }

    #[test]
    fn one_that_was_slow_is_made_up_for_by_time() {
        let (pace, mock) = (Pace::new(), Mock::new());
        assert_eq!(allowed(&pace, mock, 2 * SMALL_NS, 10), 1);
        assert_eq!(allowed(&pace, mock, SHARE * SMALL_NS, 1), 1);
    }

    #[test]
    fn one_that_was_slow_is_made_up_for_by_quick_ones() {
        let (pace, mock) = (Pace::new(), Mock::new());
        assert_eq!(allowed(&pace, mock, 0, 10), 10);
        assert_eq!(allowed(&pace, mock, 6 * SMALL_NS, 10), 3, "the third costs more than was left");
    }
}
