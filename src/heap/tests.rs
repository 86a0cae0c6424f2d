//! Tests of heaps on a mock of the system, and what they have in common.

use super::*;
use crate::magazine;
use crate::os::mock::Mock;
use crate::size_class::SLOT_SIZE;
use std::alloc::Layout;
use std::boxed::Box;

mod depot;
mod exchange;
mod growth;
mod held_spans;
mod joining;
mod outbox;
mod probation;
mod purge;
mod rest;
mod ring;
#[cfg(feature = "profile")]
mod sampling;
mod spans;
mod stealing;

/// A heap with a backend and a borrower of its own. What they map is given back when they are dropped.
struct Sample {
    mock: &'static Mock,
    backend: &'static Backend,
    heap: &'static Heap,
    borrower: &'static Borrower,
}

impl Sample {
    fn new() -> Self {
        let mock = Mock::new();
        Self::of(mock, Box::leak(Box::new(Backend::new(mock))), Owner(1))
    }

    fn of(mock: &'static Mock, backend: &'static Backend, owner: Owner) -> Self {
        let heap = Heap::create(backend, owner, [0; 2]).expect("the system has memory");
        // SAFETY: kept for as long as the sample.
        let heap: &'static Heap = unsafe { heap.as_ref() };
        let borrower: &'static Borrower = Box::leak(Box::new(Borrower::fresh()));
        borrower.take(heap);
        Self { mock, backend, heap, borrower }
    }

    /// Another heap of the same backend.
    fn neighbour(&self, owner: u16) -> std::mem::ManuallyDrop<Self> {
        // The first one's end is the end of both.
        std::mem::ManuallyDrop::new(Self::of(self.mock, self.backend, Owner(owner)))
    }

    fn tops(&self) -> &Tops {
        &self.borrower.tops
    }

    fn held(&self, class: SizeClass) -> usize {
        self.heap.waiting_in(class, self.tops())
    }

    fn alloc(&self, class: SizeClass) -> NonNull<u8> {
        // SAFETY: the test's own heap and tops.
        unsafe { self.tops().pop(class).or_else(|| self.heap.refill(self.tops(), class, NONE)) }
            .expect("there is memory")
    }

    fn free(&self, class: SizeClass, block: NonNull<u8>) {
        // SAFETY: the test's own heap and tops, and a block of its.
        unsafe {
            if !self.tops().push(class, block.as_ptr()) {
                self.heap.flush(self.tops(), class, block);
            }
        }
    }

    fn empty_magazines(&self) {
        // SAFETY: the test's own heap and tops.
        unsafe { self.heap.empty_magazines(self.tops()) };
    }

    /// As a thread does that looks at the clock after a purge delay.
    fn rest(&self) {
        // SAFETY: the test's own heap and tops.
        unsafe { self.heap.rest_magazines(self.tops()) };
    }

    fn span(&self, slots: usize) -> NonNull<u8> {
        self.heap.take_span(span_layout(slots)).expect("there is memory").0
    }

    fn free_span(&self, span: NonNull<u8>) {
        // SAFETY: a span of the test's own.
        let slots = unsafe { crate::segment::slab_of(span.addr().get()) }.extent();
        // SAFETY: as above.
        assert!(unsafe { self.heap.put_span(span, span_layout(slots)) });
    }

    /// Number of segments, used by the heap or not.
    fn segments(&self) -> usize {
        self.backend.counters.reserved() / crate::segment::SEGMENT_SIZE
    }

    /// Number of segments that wait unused.
    fn pooled(&self) -> usize {
        self.backend.owners.walk(|owner| owner == Owner::POOLED).count()
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // SAFETY: tests keep blocks for as long as their sample at most.
        unsafe { self.mock.give_all_back() };
    }
}

fn span_layout(slots: usize) -> Layout {
    Layout::from_size_align(slots * SLOT_SIZE, 8).unwrap()
}

fn class_of(size: usize) -> SizeClass {
    SizeClass::of_size(size).unwrap()
}
