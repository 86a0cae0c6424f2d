//! No threads, and so no slot: one record serves whoever asks, says that there is no heap, and is never written.

use super::routing::Routing;
use crate::heap::{Borrower, Heap};

/// The slot of nobody.
struct Nobodys(Borrower);

// SAFETY: never written: the id matches no entry of the owner map, so no block is ever pushed, and the tops
// stand nowhere, so none is popped; and the functions below leave the static alone.
unsafe impl Sync for Nobodys {}

static HEAPLESS: Nobodys = Nobodys(Borrower::heapless());

/// The slot of nobody.
#[inline(always)]
pub(super) fn current() -> &'static Borrower {
    &HEAPLESS.0
}

/// Nobody borrows a heap: there is no memory for one.
pub(super) fn take(_heap: &'static Heap) {}

/// Nobody has another one.
pub(super) fn switch(_heap: &'static Heap, _home: &'static Heap) {}

/// Nobody had one.
pub(super) fn leave() {}

/// Nobody will ask for one.
pub(super) fn refresh() {}

/// Everything is routed to the heap, which has nothing.
pub(super) fn routing() -> Routing {
    Routing::unpack(0)
}

/// A scope changes nothing.
pub(super) fn set_routing(_routing: Routing) {}
