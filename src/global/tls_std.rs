//! The thread's slot, in the standard library's thread-local storage: two instructions at most, and none with fat LTO.

use super::routing::Routing;
use crate::heap::{Borrower, Heap};
use crate::sync::Cell;

std::thread_local! {
    static BORROWER: Borrower = const { Borrower::fresh() };
    static ROUTING: Cell<u64> = const { Cell::new(0) };
}

// What a program pays in thread-local storage.
const _: () = assert!(size_of::<Borrower>() <= 2048);
// Without a destructor the slot can be used for as long as the thread runs any code at all.
const _: () = assert!(!core::mem::needs_drop::<Borrower>());

/// The calling thread's slot. Not to be kept, nor passed to another thread.
#[inline(always)]
pub(super) fn current() -> &'static Borrower {
    // SAFETY: valid until the thread has ended, and callers use it at once; it has no destructor to run before.
    BORROWER.with(|borrower| unsafe { &*core::ptr::from_ref(borrower) })
}

/// The calling thread borrows `heap`.
pub(super) fn take(heap: &'static Heap) {
    current().take(heap);
}

/// The calling thread, whose own heap is `home`, allocates from `heap` from now on. It is inside a slow path, and its
/// magazines are set aside.
pub(super) fn switch(heap: &'static Heap, home: &'static Heap) {
    current().switch(heap, home);
}

/// The calling thread has no heap any more.
pub(super) fn leave() {
    current().leave();
}

/// The calling thread may ask for a heap again.
pub(super) fn refresh() {
    leave();
    current().is_fresh.set(true);
}

/// To which kind of memory the calling thread's allocations go.
#[inline]
pub(super) fn routing() -> Routing {
    Routing::unpack(ROUTING.get())
}

pub(super) fn set_routing(routing: Routing) {
    ROUTING.set(routing.pack());
}
