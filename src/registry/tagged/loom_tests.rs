//! Loom models of a tag's heaps. Each ordering above `Relaxed` has one that goes red when it is weakened.

use super::*;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::boxed::Box;

/// A heap whose contents loom watches: using one that another thread has used, without having heard of it, fails the
/// model.
type Contents = UnsafeCell<u32>;

fn tagged() -> Arc<Tagged<Contents>> {
    Arc::new(Tagged::new())
}

fn create(_number: u8) -> Option<&'static Contents> {
    Some(Box::leak(Box::new(UnsafeCell::new(7))))
}

fn read(heap: &Contents) -> u32 {
    // SAFETY: loom fails the model if another thread writes meanwhile, or has written unheard.
    heap.with(|contents| unsafe { *contents })
}

fn add_one(heap: &Contents) {
    // SAFETY: the heap is lent to the caller; loom fails the model if another thread is at it.
    heap.with_mut(|contents| unsafe { *contents += 1 });
}

/// Red where the store in `lend` is `Relaxed`, and where the load in `heap` is.
#[test]
fn loom_a_heap_that_is_shared_is_found_as_it_was_made() {
    loom::model(|| {
        let tagged = tagged();
        let other = tagged.clone();
        let makes = thread::spawn(move || other.lend(create).map(read));
        if let Some(heap) = tagged.any(0, |_| true) {
            assert_eq!(read(heap), 7);
        }
        assert_eq!(makes.join().unwrap(), Some(7));
    });
}

/// Red where `Parked::clear` is `Relaxed`, or `Parked::park` is.
#[test]
fn loom_a_heap_that_is_borrowed_to_empty_it_has_no_other_borrower() {
    loom::model(|| {
        let tagged = tagged();
        add_one(tagged.lend(create).unwrap());
        tagged.park(0);
        let other = tagged.clone();
        let empties = thread::spawn(move || other.with_parked(add_one));
        // A second heap where the first is being emptied.
        add_one(tagged.lend(create).unwrap());
        empties.join().unwrap();
    });
}
