//! Loom models of the seat. Each ordering above `Relaxed` has one that goes red when it is weakened.

use super::*;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A seat, and the tops of two borrowers: memory that loom watches, so that reading it while it begins or ends fails
/// the model.
struct Loans {
    seat: Seat<UnsafeCell<bool>>,
    tops: [UnsafeCell<bool>; 2],
}

impl Loans {
    fn new() -> Arc<Self> {
        Arc::new(Self { seat: Seat::new(), tops: [UnsafeCell::new(false), UnsafeCell::new(false)] })
    }

    /// A borrower takes the seat and leaves it. Its tops are there in between alone.
    fn borrow(&self, nth: usize) {
        let set = |is_there| {
            // SAFETY: the borrower's own memory; loom fails the model if a reader is at it.
            self.tops[nth].with_mut(|tops| unsafe { *tops = is_there });
        };
        set(true);
        self.seat.take(&self.tops[nth]);
        self.seat.leave(thread::yield_now);
        set(false);
    }

    fn read(&self) {
        // SAFETY: `read` says that the tops are there; loom fails the model if the borrower begins or ends.
        let is_there = self.seat.read(|tops| tops.with(|tops| unsafe { *tops }));
        assert_ne!(is_there, Some(false));
    }
}

/// Red where `take` or the loads of `leave` and `read` or the end of `read` are `Relaxed`, and where either fence is
/// `AcqRel` or missing.
///
/// Explored twice, with the borrower on the first thread and on the last: of a load that comes before another thread's
/// store, loom does not always see that it might have come after.
#[test]
fn loom_nobody_reads_the_tops_of_a_borrower_that_has_left() {
    loom::model(|| {
        let loans = Loans::new();
        let reading = loans.clone();
        let reads = thread::spawn(move || reading.read());
        loans.borrow(0);
        reads.join().unwrap();
    });
    loom::model(|| {
        let loans = Loans::new();
        let borrowing = loans.clone();
        let borrows = thread::spawn(move || borrowing.borrow(0));
        loans.read();
        borrows.join().unwrap();
    });
}

/// Red as above.
#[test]
fn loom_two_readers_are_both_waited_for() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let loans = Loans::new();
        let readers = [(); 2].map(|()| {
            let loans = loans.clone();
            thread::spawn(move || loans.read())
        });
        loans.borrow(0);
        for reads in readers {
            reads.join().unwrap();
        }
    });
}

/// A reader that announced itself to the first borrower may find the second one's tops.
#[test]
fn loom_a_reader_finds_the_tops_of_the_first_borrower_or_of_the_second() {
    loom::model(|| {
        let loans = Loans::new();
        let reading = loans.clone();
        let reads = thread::spawn(move || reading.read());
        loans.borrow(0);
        loans.borrow(1);
        reads.join().unwrap();
    });
}
