//! Heaps that are lent, parked and shared, and what a fork leaves of them.

use super::*;
use crate::heap::{Borrower, NONE, return_remotely};
use crate::os::mock::random::Random;
use crate::os::mock::{Call, Mock};
use crate::size_class::SizeClass;
use std::boxed::Box;
use std::collections::BTreeSet;
use std::vec::Vec;

/// A registry with a backend of its own. What they map is given back when they are dropped.
struct Sample {
    mock: &'static Mock,
    backend: &'static Backend,
    registry: &'static Registry,
}

impl Sample {
    fn new() -> Self {
        let mock = Mock::new();
        let backend = Box::leak(Box::new(Backend::new(mock)));
        Self { mock, backend, registry: Box::leak(Box::new(Registry::new())) }
    }

    fn borrow(&self) -> &'static Heap {
        self.registry.borrow(self.backend).expect("there are ids and memory")
    }

    /// A heap whose borrower has blocks at hand.
    fn borrow_and_use(&self) -> (&'static Heap, &'static Borrower) {
        let (heap, borrower): (_, &'static Borrower) = (self.borrow(), Box::leak(Box::new(Borrower::fresh())));
        borrower.take(heap);
        // SAFETY: the heap was just borrowed, and these are its borrower's tops.
        assert!(unsafe { heap.refill(&borrower.tops, class(), NONE) }.is_some());
        (heap, borrower)
    }

    fn shared(&self) -> &'static Heap {
        self.registry.shared(self.backend).expect("there are ids and memory")
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // SAFETY: tests keep heaps for as long as their registry at most.
        unsafe { self.mock.give_all_back() };
    }
}

fn class() -> SizeClass {
    SizeClass::of_size(64).unwrap()
}

/// Makes a heap take a segment, and so makes a system call while it is locked.
fn take_segment(heap: &Heap) {
    let largest = SizeClass::of_size(32 * 1024).unwrap();
    for _ in 0..70 {
        assert!(heap.take_one(largest).is_some());
    }
}

#[test]
fn a_parked_heap_is_lent_before_a_new_one_is_made_the_lowest_first() {
    let sample = Sample::new();
    let heaps: Vec<_> = (0..5).map(|_| sample.borrow()).collect();
    assert!(heaps.iter().map(|heap| heap.owner().0).eq(1..=5));
    for nth in [3, 0, 2] {
        sample.registry.park(heaps[nth]);
        assert!(sample.registry.is_parked(heaps[nth]));
    }
    let calls = sample.mock.calls(None);
    for nth in [0, 2, 3] {
        assert!(ptr::eq(sample.borrow(), heaps[nth]) && !sample.registry.is_parked(heaps[nth]));
    }
    assert_eq!(sample.mock.calls(None), calls);
    assert_eq!(sample.borrow().owner(), Owner(6));
    assert_eq!(sample.registry.heaps().count(), 6);
}

#[test]
fn the_last_id_is_kept_for_the_heap_that_threads_without_one_share() {
    let sample = Sample::new();
    let mut owners = BTreeSet::new();
    for _ in 1..MAX_HEAPS {
        owners.insert(sample.borrow().owner().0);
    }
    assert_eq!(owners.len(), MAX_HEAPS - 1);
    for _ in 0..3 {
        assert!(sample.registry.borrow(sample.backend).is_none());
    }
    let shared = sample.shared();
    assert_eq!(shared.owner(), Owner(MAX_HEAPS as u16));
    assert!(ptr::eq(sample.shared(), shared) && sample.registry.is_shared(shared));
    assert!(shared.take_one(class()).is_some());
    assert!(sample.registry.borrow(sample.backend).is_none(), "it is lent to nobody");
    let first = sample.registry.heaps().next().unwrap();
    sample.registry.park(first);
    assert!(ptr::eq(sample.borrow(), first));
}

#[test]
fn an_id_is_not_lost_when_there_is_no_memory_for_its_heap() {
    let sample = Sample::new();
    sample.borrow();
    sample.mock.fail_from(None, 1);
    for _ in 0..MAX_HEAPS + 10 {
        assert!(sample.registry.borrow(sample.backend).is_none());
        assert!(sample.registry.shared(sample.backend).is_none());
    }
    sample.mock.succeed();
    assert_eq!((sample.borrow().owner(), sample.shared().owner()), (Owner(2), Owner(3)));
}

#[test]
fn an_id_is_not_lost_either_where_another_thread_has_taken_the_next_one_meanwhile() {
    let sample = Sample::new();
    let (registry, backend, mock) = (sample.registry, sample.backend, sample.mock);
    sample.borrow();
    mock.during_next(Call::Map, move || {
        assert_eq!(registry.borrow(backend).unwrap().owner(), Owner(3));
        mock.fail_from(None, 1);
    });
    assert!(registry.borrow(backend).is_none());
    mock.succeed();
    assert_eq!((sample.borrow().owner(), sample.borrow().owner()), (Owner(2), Owner(4)));
    // The same of the heaps of a tag, of which each has two numbers.
    mock.during_next(Call::Map, move || {
        let second = registry.borrow_under(backend, 7).unwrap();
        assert_eq!((second.owner(), second.number_of_tag()), (Owner(6), 1));
        mock.fail_from(None, 1);
    });
    assert!(registry.borrow_under(backend, 7).is_none());
    mock.succeed();
    let first = registry.borrow_under(backend, 7).unwrap();
    assert_eq!((first.owner(), first.number_of_tag()), (Owner(5), 0));
    assert_eq!(registry.heaps().count(), 6);
}

#[test]
fn of_two_threads_that_make_the_shared_heap_the_first_has_made_it() {
    let sample = Sample::new();
    let (registry, backend) = (sample.registry, sample.backend);
    // Another thread comes while this one asks the system for memory.
    sample.mock.during_next(Call::Map, move || {
        assert_eq!(registry.shared(backend).unwrap().owner(), Owner(2));
    });
    let shared = sample.shared();
    assert_eq!(shared.owner(), Owner(2));
    assert!(registry.is_shared(shared) && !registry.is_parked(shared));
    assert_eq!(sample.borrow().owner(), Owner(1), "the other heap is lent like any");
}

#[test]
fn a_thread_that_comes_while_another_makes_the_shared_heap_of_the_last_id_waits_for_it() {
    let sample = Sample::new();
    for _ in 1..MAX_HEAPS {
        sample.borrow();
    }
    let (registry, backend) = (sample.registry, sample.backend);
    let (give, take) = std::sync::mpsc::channel();
    sample.mock.during_next(Call::Map, move || {
        // The last id is given out, and its heap is not there yet. Whoever waits for it looks so many times, which
        // takes some tens of milliseconds.
        let other = std::thread::spawn(move || registry.shared(backend).map(Heap::owner));
        std::thread::sleep(std::time::Duration::from_millis(2));
        give.send(other).unwrap();
    });
    let shared = sample.shared();
    let other = take.recv().unwrap().join().unwrap();
    assert_eq!(other, Some(shared.owner()));
}

#[test]
fn a_forked_child_parks_the_heaps_of_threads_that_it_does_not_have() {
    let sample = Sample::new();
    let (mine, my_borrower) = sample.borrow_and_use();
    let others: Vec<_> = (0..3).map(|_| sample.borrow_and_use()).collect();
    let shared = sample.shared();
    // A block of this thread's waits in another one's outbox.
    // SAFETY: the borrower's tops, the heap that it has borrowed, and a block of another one.
    let block = unsafe {
        let block = my_borrower.tops.pop(class()).unwrap();
        others[0].0.put_in_outbox(class(), block);
        block
    };
    sample.registry.repair_after_fork(|heap| ptr::eq(heap, mine));
    for (heap, _) in &others {
        assert!(sample.registry.is_parked(heap) && !heap.is_lost());
        assert!(heap.seat().read(|_| ()).is_none(), "nobody reads the tops of a thread that does not exist");
        assert_eq!(heap.outbox().waiting().count(), 0);
    }
    assert!(!sample.registry.is_parked(mine) && mine.seat().read(|_| ()).is_some());
    assert!(!sample.registry.is_parked(shared) && ptr::eq(sample.shared(), shared));
    // What the others had at hand stays in use, and never comes back twice.
    let mut known: BTreeSet<_> = BTreeSet::from([block]);
    for (heap, _) in &others {
        let (again, borrower) = sample.borrow_and_use();
        assert!(ptr::eq(*heap, again));
        for _ in 0..200 {
            // SAFETY: the borrower's tops, and the heap that it has borrowed.
            let taken = unsafe { borrower.tops.pop(class()).or_else(|| again.refill(&borrower.tops, class(), NONE)) };
            assert!(known.insert(taken.unwrap()));
        }
    }
}

#[test]
fn a_heap_that_was_locked_at_the_fork_is_lost_and_never_lent_again() {
    let sample = Sample::new();
    let (mine, _) = sample.borrow_and_use();
    let (locked, _) = sample.borrow_and_use();
    let (parked, _) = sample.borrow_and_use();
    sample.registry.park(parked);
    let registry = sample.registry;
    // The fork happens while the heap's borrower asks the system for memory.
    sample.mock.during_next(Call::Map, move || registry.repair_after_fork(|heap| ptr::eq(heap, mine)));
    take_segment(locked);
    assert!(locked.is_lost() && !mine.is_lost() && !parked.is_lost());
    assert!(!registry.is_parked(locked) && registry.is_parked(parked));
    // A second fork changes nothing about that.
    registry.repair_after_fork(|heap| ptr::eq(heap, mine));
    assert!(!registry.is_parked(locked));
    assert!(ptr::eq(sample.borrow(), parked));
    assert_eq!(sample.borrow().owner(), Owner(4));
    // Its blocks may be freed all the same.
    let (block, _) = locked.take_one(class()).unwrap();
    // SAFETY: a block of the heap.
    unsafe { return_remotely(class(), block, &sample.backend.counters) };
}

#[test]
fn who_was_counting_at_the_fork_keeps_no_borrower_from_leaving() {
    let sample = Sample::new();
    let (registry, (mine, _)) = (sample.registry, sample.borrow_and_use());
    let of_tag = registry.borrow_under(sample.backend, 1).unwrap();
    registry.park(of_tag);
    of_tag.seat().announce();
    registry.repair_after_fork(|heap| ptr::eq(heap, mine));
    of_tag.seat().leave(|| panic!("nobody reads in the child"));
}

#[test]
fn a_parked_heap_that_somebody_was_purging_at_the_fork_is_lost() {
    let sample = Sample::new();
    let (mine, _) = sample.borrow_and_use();
    let other = sample.borrow();
    let (block, _) = other.take_one(class()).unwrap();
    // SAFETY: a block of the heap.
    unsafe { return_remotely(class(), block, &sample.backend.counters) };
    sample.registry.park(other);
    let registry = sample.registry;
    sample.mock.during_next(Call::Purge, move || registry.repair_after_fork(|heap| ptr::eq(heap, mine)));
    other.purge(u64::MAX, 0, true);
    assert!(other.is_lost() && !registry.is_parked(other));
    assert_eq!(sample.borrow().owner(), Owner(3));
}

#[test]
fn a_shared_heap_that_was_locked_at_the_fork_is_replaced() {
    let sample = Sample::new();
    let (mine, _) = sample.borrow_and_use();
    let shared = sample.shared();
    let registry = sample.registry;
    sample.mock.during_next(Call::Map, move || registry.repair_after_fork(|heap| ptr::eq(heap, mine)));
    take_segment(shared);
    assert!(shared.is_lost() && !registry.is_shared(shared));
    let next = sample.shared();
    assert!(!ptr::eq(next, shared) && next.take_one(class()).is_some());
}

#[test]
fn parked_heaps_are_a_set() {
    let mut random = Random::new(6);
    let (parked, mut set) = (Parked::<3>::new(), BTreeSet::new());
    for _ in 0..20_000 {
        let index = random.within(0..192);
        match random.within(0..5) {
            0 | 1 => {
                parked.park(index);
                set.insert(index);
            }
            2 => {
                parked.withdraw(index);
                set.remove(&index);
            }
            3 => assert_eq!(parked.lend(), set.pop_first()),
            _ => assert_eq!(parked.contains(index), set.contains(&index)),
        }
    }
}
