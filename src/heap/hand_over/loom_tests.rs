//! Loom models of hand-overs. Each ordering above `Relaxed` has one that goes red when it is weakened.

use super::*;
use crate::sync::AtomicU64;
use loom::sync::Arc;
use loom::thread;

/// Seven, in one of two places.
struct Figures {
    hand_overs: HandOvers,
    here: AtomicU64,
    there: AtomicU64,
}

impl Figures {
    fn new() -> Arc<Self> {
        Arc::new(Self { hand_overs: HandOvers::new(), here: AtomicU64::new(7), there: AtomicU64::new(0) })
    }

    fn move_there(&self) {
        self.hand_overs.during(|| {
            self.here.store(0, Ordering::Relaxed);
            self.there.store(7, Ordering::Relaxed);
        });
    }

    /// The sum, where it is one.
    fn sum(&self) -> Option<u64> {
        let before = self.hand_overs.count();
        let sum = self.there.load(Ordering::Relaxed) + self.here.load(Ordering::Relaxed);
        end_of_sum();
        (before.is_multiple_of(2) && before == self.hand_overs.count()).then_some(sum)
    }
}

/// Red where either fence is missing, and where the load in `count` or the last store of `during` is `Relaxed`.
///
/// Explored twice, with who moves on the last thread and on the first: of a load that comes before another thread's
/// store, loom does not always see that it might have come after.
#[test]
fn loom_what_is_handed_over_is_found_once() {
    loom::model(|| {
        let figures = Figures::new();
        let moving = figures.clone();
        let moves = thread::spawn(move || moving.move_there());
        assert!(figures.sum().is_none_or(|sum| sum == 7));
        moves.join().unwrap();
        assert_eq!(figures.sum(), Some(7));
    });
    loom::model(|| {
        let figures = Figures::new();
        let reading = figures.clone();
        let reads = thread::spawn(move || assert!(reading.sum().is_none_or(|sum| sum == 7)));
        figures.move_there();
        reads.join().unwrap();
    });
}
