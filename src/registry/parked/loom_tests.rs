//! Loom models of the parked set. Each ordering above `Relaxed` has one that goes red when it is weakened.

use super::*;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::vec::Vec;

/// Heaps whose contents loom watches: using one that another thread has used, without having heard of it, fails the
/// model.
struct Heaps {
    parked: Parked<1>,
    contents: [UnsafeCell<u32>; 2],
}

impl Heaps {
    /// `parked` of them are parked.
    fn new(parked: usize) -> Arc<Self> {
        let heaps = Self { parked: Parked::new(), contents: [UnsafeCell::new(0), UnsafeCell::new(0)] };
        (0..parked).for_each(|index| heaps.parked.park(index));
        Arc::new(heaps)
    }

    /// What a borrower does.
    fn work_with(&self, index: usize) {
        // SAFETY: heap `index` is lent to the caller; loom fails the model if another thread is at it.
        self.contents[index].with_mut(|contents| unsafe { *contents += 1 });
    }

    /// A thread's life: borrows a heap, works and leaves. How many heaps it got: one, if it is not too late or too
    /// early.
    fn live(&self) -> u32 {
        let Some(index) = self.parked.lend() else { return 0 };
        self.work_with(index);
        self.parked.park(index);
        1
    }

    /// How often the heaps were lent, all of which are parked again.
    fn assert_all_parked(&self, count: usize) -> u32 {
        let mut lent: Vec<_> = core::iter::from_fn(|| self.parked.lend()).collect();
        lent.sort_unstable();
        assert_eq!(lent, (0..count).collect::<Vec<_>>());
        // SAFETY: all of them are lent to this thread.
        lent.iter().map(|&index| self.contents[index].with(|contents| unsafe { *contents })).sum()
    }
}

/// Red where `park` is `Relaxed`, and where `lend` is.
#[test]
fn loom_a_heap_is_lent_as_it_was_parked() {
    loom::model(|| {
        let heaps = Heaps::new(0);
        let (leaving, coming) = (heaps.clone(), heaps.clone());
        let leaves = thread::spawn(move || {
            leaving.work_with(0);
            leaving.parked.park(0);
        });
        let comes = thread::spawn(move || coming.live());
        let lent = heaps.live();
        leaves.join().unwrap();
        let lent = lent + comes.join().unwrap();
        assert_eq!(heaps.assert_all_parked(1), 1 + lent);
    });
}

/// Needs no ordering: it is the read-modify-write that picks one thread. Red where `lend` does not look at what it
/// returned.
#[test]
fn loom_two_threads_are_lent_different_heaps() {
    loom::model(|| {
        let heaps = Heaps::new(2);
        let other = heaps.clone();
        let thread = thread::spawn(move || other.parked.lend());
        let lent = [heaps.parked.lend(), thread.join().unwrap()];
        assert!(matches!(lent, [Some(0), Some(1)] | [Some(1), Some(0)]), "{lent:?}");
        assert_eq!(heaps.parked.lend(), None);
    });
}

/// Red where `park` is `Relaxed`, and where `lend` is.
#[test]
fn loom_a_heap_that_comes_and_goes_has_one_borrower_at_a_time() {
    loom::model(|| {
        let heaps = Heaps::new(1);
        let others = [(); 2].map(|()| {
            let heaps = heaps.clone();
            thread::spawn(move || heaps.live())
        });
        let mut lent = heaps.live();
        for other in others {
            lent += other.join().unwrap();
        }
        assert_eq!(heaps.assert_all_parked(1), lent);
    });
}
