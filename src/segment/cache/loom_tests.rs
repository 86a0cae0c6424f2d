//! Loom models of a slot of the cache. Each ordering above `Relaxed` has one that goes red when it is weakened.

use super::*;
use core::cell::Cell;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A slot, and mappings whose heads loom watches: using one that another thread has used, without having heard of it,
/// fails the model. A head holds the mapping's length, or 0 while the mapping is not in the slot.
struct Shelf {
    slot: Slot,
    heads: [UnsafeCell<usize>; 2],
}

/// Where mapping 0 starts, and how far it is to the next.
const STEP: usize = 4096;

impl Shelf {
    fn new() -> Arc<Self> {
        Arc::new(Self { slot: Slot::new(), heads: [UnsafeCell::new(0), UnsafeCell::new(0)] })
    }

    fn set_head(&self, nth: usize, len: usize) -> usize {
        // SAFETY: the caller holds mapping `nth`; loom fails the model if another thread is at it.
        self.heads[nth].with_mut(|head| unsafe { head.replace(len) })
    }

    /// Puts mapping `nth` in, which the calling thread holds; false where it still does.
    fn put(&self, nth: usize, len: usize) -> bool {
        self.set_head(nth, len);
        self.slot.fill(Range { start: (nth + 1) * STEP, len, kind: Kind::Whole }, Age { turn: 0, found: 0 }, || {})
    }

    /// Takes what is in: its length, which is to be that of the mapping. 0 where there is nothing.
    fn take(&self) -> usize {
        let Some((range, _)) = self.slot.take(|_, _| true, || {}) else { return 0 };
        assert_ne!(range.len, 0);
        assert_eq!(self.set_head(range.start / STEP - 1, 0), range.len);
        range.len
    }

    /// Takes what is in, finds that it is not wanted after all, and leaves it there.
    fn reject(&self) {
        let is_wanted = Cell::new(false);
        let changes_its_mind = |_: &Slot, _| {
            is_wanted.set(!is_wanted.get());
            is_wanted.get()
        };
        assert_eq!(self.slot.take(changes_its_mind, || {}), None);
    }
}

/// Three threads that are interrupted three times at most.
fn explore(model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Red where `fill` publishes with `Relaxed`, and where `take` takes with `Relaxed`.
#[test]
fn loom_a_mapping_is_taken_once_and_as_it_was_put() {
    loom::model(|| {
        let shelf = Shelf::new();
        let (putting, taking) = (shelf.clone(), shelf.clone());
        let puts = thread::spawn(move || assert!(putting.put(0, 16)));
        let takes = thread::spawn(move || taking.take());
        let taken = shelf.take();
        puts.join().unwrap();
        assert_eq!(taken + takes.join().unwrap() + shelf.take(), 16);
    });
}

/// Needs no ordering: it is the exchange that picks one thread. Red where `fill` stores `BUSY` instead.
#[test]
fn loom_a_slot_holds_one_mapping() {
    loom::model(|| {
        let shelf = Shelf::new();
        let other = shelf.clone();
        let thread = thread::spawn(move || other.put(0, 16));
        let is_second_in = shelf.put(1, 32);
        let is_first_in = thread.join().unwrap();
        assert_ne!(is_first_in, is_second_in);
        assert_eq!(shelf.take(), if is_first_in { 16 } else { 32 });
    });
}

/// Red where `fill` begins with `Relaxed`, and where `take` empties the slot with `Relaxed`: the earlier mapping's
/// length could be taken for the later one's.
#[test]
fn loom_the_length_is_that_of_the_mapping_that_was_put_last() {
    explore(|| {
        let shelf = Shelf::new();
        let (first, second, taking) = (shelf.clone(), shelf.clone(), shelf.clone());
        let puts_first = thread::spawn(move || if first.put(0, 16) { 16 } else { 0 });
        let takes = thread::spawn(move || taking.take());
        let puts_second = thread::spawn(move || if second.put(1, 32) { 32 } else { 0 });
        let put = puts_first.join().unwrap() + puts_second.join().unwrap();
        let taken = takes.join().unwrap();
        assert_eq!(taken + shelf.take(), put);
    });
}

/// Red where `take` leaves the mapping there with `Relaxed`: what its first holder did would be lost on the way.
#[test]
fn loom_a_mapping_that_was_looked_at_is_taken_as_it_was_put() {
    explore(|| {
        let shelf = Shelf::new();
        let (putting, rejecting, taking) = (shelf.clone(), shelf.clone(), shelf.clone());
        let puts = thread::spawn(move || assert!(putting.put(0, 16)));
        let rejects = thread::spawn(move || rejecting.reject());
        let takes = thread::spawn(move || taking.take());
        puts.join().unwrap();
        rejects.join().unwrap();
        assert_eq!(takes.join().unwrap() + shelf.take(), 16);
    });
}

fn range(nth: usize) -> Range {
    Range { start: nth * STEP, len: STEP, kind: Kind::Whole }
}

/// How many mappings a cache gives out.
fn taken(cache: &RangeCache) -> usize {
    (0..CACHED_RANGES).filter(|_| cache.take(STEP).is_some()).count()
}

/// Red where a bit is cleared after the slot has been emptied: it could be that of the next mapping in the slot, which
/// nobody would find.
#[test]
fn loom_what_is_in_a_slot_is_found() {
    loom::model(|| {
        let cache = Arc::new(RangeCache::new());
        let other = cache.clone();
        let puts = thread::spawn(move || assert!(other.put(range(1))));
        assert!(cache.put(range(2)));
        let first = taken(&cache);
        puts.join().unwrap();
        assert_eq!(first + taken(&cache), 2);
    });
}
