//! Pace: where huge pages come slowly, they are taken at a rate that the program does not feel.
//!
//! The system has to find, and to clear, 2 MiB at once. Mostly that takes a third of the time of the page faults that
//! it saves. In a virtual machine whose free memory was lent back to its host it takes six times as long as these,
//! which a program that runs for a second does not get back; and joining waits for the other processors, where these
//! are at work. So after one that took longer than small pages would have, the next waits, for so many times what was
//! lost. Where one is slow the next is likely to be: a program that has grown little for long, and then grows fast,
//! does not lose more at once than another. One that goes on growing has them in the end.

use crate::os::Platform;
use crate::sync::{AtomicU64, Ordering, constructor};

/// Nanoseconds that small pages take for as much memory as a huge one, on an Intel Xeon.
const SMALL_NS: i64 = 750_000;

/// How many times as long as what was lost the next one waits, of those that memory begins with: at most one part of
/// the time in so many is lost.
pub(super) const WAIT_TO_BEGIN: i64 = 50;

/// The same where small pages are joined. These are there already, so that less is won: no page faults, and some misses
/// of the translation cache.
pub(super) const WAIT_TO_JOIN: i64 = 200;

/// When a process may have another huge page.
pub(super) struct Pace {
    /// From when on, in nanoseconds of the platform's clock; 0 where none was slow.
    due_ns: AtomicU64,
    /// One of the factors above.
    wait: i64,
}

impl Pace {
    constructor! {
        pub(super) fn new(wait: i64) -> Self {
            Self { due_ns: AtomicU64::new(0), wait }
        }
    }

    /// True where another may be slow. Threads that ask at once are told the same, so there may be one more for each.
    pub(super) fn allows_another(&self, os: &dyn Platform) -> bool {
        let due = self.due_ns.load(Ordering::Relaxed);
        due == 0 || due <= os.now_ns()
    }

    /// Has `step` done, which brings a huge page, and takes note of the time.
    pub(super) fn time<T>(&self, os: &dyn Platform, step: impl FnOnce() -> T) -> T {
        let (result, lost_ns, ended) = measure(os, step);
        self.note(lost_ns, ended);
        result
    }

    /// Has `step` done, which brings the first of `count` huge pages; true where it took no longer than small ones,
    /// which is taken to be so of the others, too. Otherwise they are not to be asked for.
    pub(super) fn is_quick(&self, os: &dyn Platform, count: usize, step: impl FnOnce()) -> bool {
        let ((), lost_ns, ended) = measure(os, step);
        let is_quick = lost_ns <= 0;
        self.note(if is_quick { lost_ns * count as i64 } else { lost_ns }, ended);
        is_quick
    }

    /// What was lost is waited for, from `now` or from when all before it is; what was won shortens the wait that there
    /// is.
    fn note(&self, lost_ns: i64, now: u64) {
        let due = self.due_ns.load(Ordering::Relaxed);
        if lost_ns > 0 || due > now {
            // Threads that do so at once may forget one.
            self.due_ns.store(due.max(now).saturating_add_signed(lost_ns.saturating_mul(self.wait)), Ordering::Relaxed);
        }
    }
}

/// Has `step` done, which brings a huge page: the nanoseconds that it took beyond what small ones would have, negative
/// where it took less; and when it had ended.
fn measure<T>(os: &dyn Platform, step: impl FnOnce() -> T) -> (T, i64, u64) {
    let begun = os.now_ns();
    let result = step();
    let ended = os.now_ns();
    (result, ended.wrapping_sub(begun) as i64 - SMALL_NS, ended)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::os::mock::Mock;

    const WAIT: i64 = WAIT_TO_BEGIN;

    /// How many of `count` steps are allowed, where so many nanoseconds pass between two looks at the clock.
    fn allowed(pace: &Pace, mock: &Mock, step_ns: i64, count: usize) -> i64 {
        mock.set_tick_ns(step_ns as u64);
        (0..count).filter(|_| pace.allows_another(mock) && pace.time(mock, || true)).count() as i64
    }

    #[test]
    fn what_takes_no_longer_than_small_pages_is_always_allowed() {
        assert_eq!(allowed(&Pace::new(WAIT), Mock::new(), SMALL_NS, 1000), 1000);
    }

    #[test]
    fn slow_ones_take_their_share_of_the_time() {
        const STEP_NS: i64 = 8 * SMALL_NS;
        for wait in [WAIT_TO_BEGIN, WAIT_TO_JOIN] {
            let (pace, mock) = (Pace::new(wait), Mock::new());
            let lost = allowed(&pace, mock, STEP_NS, 10_000) * (STEP_NS - SMALL_NS);
            let share = mock.now_ns() as i64 / wait;
            assert!((share * 9 / 10..=share + STEP_NS).contains(&lost), "{lost} of {share}");
        }
    }

    #[test]
    fn one_that_was_slow_is_waited_for_and_no_longer() {
        let (pace, mock) = (Pace::new(WAIT), Mock::new());
        assert_eq!(allowed(&pace, mock, 2 * SMALL_NS, 10), 1);
        assert_eq!(allowed(&pace, mock, WAIT * SMALL_NS, 1), 1);
    }

    #[test]
    fn time_in_which_none_is_asked_for_saves_nothing_for_later() {
        let (pace, mock) = (Pace::new(WAIT), Mock::new());
        assert_eq!(allowed(&pace, mock, 2 * SMALL_NS, 1), 1);
        mock.set_tick_ns(1000 * (WAIT * SMALL_NS) as u64);
        mock.now_ns();
        assert_eq!(allowed(&pace, mock, 2 * SMALL_NS, 10), 1);
    }

    #[test]
    fn a_wait_is_shortened_by_what_is_won_meanwhile() {
        let (pace, mock) = (Pace::new(WAIT), Mock::new());
        mock.set_tick_ns(4 * SMALL_NS as u64);
        assert!(!pace.is_quick(mock, 8, || ()));
        mock.set_tick_ns(0);
        assert!(!pace.allows_another(mock));
        // Three are lost; each of those that another thread has begun before wins one.
        for is_enough in [false, false, true] {
            pace.time(mock, || ());
            assert_eq!(pace.allows_another(mock), is_enough);
        }
    }
}
