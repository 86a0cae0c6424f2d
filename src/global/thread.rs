//! A thread's life as a borrower: its first allocation, its end, and what a fork leaves of it.

#[cfg(feature = "profile")]
use super::samples;
use super::{BACKEND, REGISTRY, routing, tls};
use crate::heap::{Borrower, Heap};
use crate::os;
use crate::sync::{AtomicBool, Ordering};
use core::ffi::c_void;
use core::ptr;

/// True once the child's repair is registered.
static KNOWS_FORK: AtomicBool = AtomicBool::new(false);

/// Lends the calling thread, which is fresh, a heap, if that is possible; afterwards it is not fresh any more.
pub(super) fn borrow() -> Option<&'static Heap> {
    // What the system allocates while the hooks are set comes from the shared heap.
    tls::leave();
    if !KNOWS_FORK.load(Ordering::Relaxed) {
        // Two threads may both register it, and repairing twice does no harm.
        KNOWS_FORK.store(os::on_fork_in_child(repair_after_fork), Ordering::Relaxed);
    }
    let Some(heap) = REGISTRY.borrow(&BACKEND) else {
        // Ids or memory are short for now; a later slow path asks again.
        tls::refresh();
        return None;
    };
    // A heap whose borrower's end goes unnoticed would be lost, so a thread without a hook does without a heap.
    if !os::on_thread_exit(end_loan, ptr::from_ref(heap).cast()) {
        REGISTRY.park(heap);
        return None;
    }
    tls::take(heap);
    #[cfg(feature = "profile")]
    samples::follow(heap, tls::current());
    Some(heap)
}

/// The thread ends: empties the magazines and parks the heap. Destructors that run later still allocate, from the shared heap.
unsafe extern "C" fn end_loan(_heap: *mut c_void) {
    let thread = tls::current();
    let Some(heap) = thread.heap.get() else { return };
    thread.is_busy.set(true);
    routing::end(heap, thread);
    // SAFETY: the calling thread has borrowed the heap.
    unsafe { heap.empty_magazines(&thread.tops) };
    heap.seat().leave(os::yield_now);
    thread.is_busy.set(false);
    tls::leave();
    REGISTRY.park(heap);
}

/// The child of a fork has one thread and all of the parent's heaps.
unsafe extern "C" fn repair_after_fork() {
    let thread = tls::current();
    let mine = thread.heap.get();
    REGISTRY.repair_after_fork(mine);
    let Some(heap) = mine else { return };
    heap.seat().clear();
    if heap.is_locked() && !thread.is_busy.get() {
        // Another thread was purging it for us at the moment of the fork.
        heap.lose();
        tls::refresh();
    } else {
        heap.seat().take(&thread.tops);
    }
}

/// What the calling thread can allocate from.
pub(super) enum Source {
    /// Its own heap.
    Own(&'static Heap, &'static Borrower),
    /// The heap of those who have none, or whose heap is at work.
    Shared(&'static Heap),
    /// Nothing: no memory even for a heap.
    Nothing,
}

/// Marks the calling thread as inside a slow path until dropped.
pub(super) struct Busy(&'static Borrower);

impl Busy {
    pub(super) fn new(thread: &'static Borrower) -> Self {
        thread.is_busy.set(true);
        Self(thread)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.is_busy.set(false);
    }
}

/// What the calling thread can allocate from; borrows a heap for a fresh thread.
pub(super) fn source() -> Source {
    let thread = tls::current();
    let own = match thread.heap.get() {
        None if thread.is_fresh.get() => borrow(),
        // A signal handler has interrupted a slow path.
        Some(_) if thread.is_busy.get() => None,
        heap => heap,
    };
    match own {
        Some(heap) => Source::Own(heap, tls::current()),
        None => match REGISTRY.shared(&BACKEND) {
            Some(heap) => Source::Shared(heap),
            None => Source::Nothing,
        },
    }
}

/// True where the calling thread's heap is at work: a signal handler has interrupted a slow path.
pub(super) fn is_at_work() -> bool {
    tls::current().is_busy.get()
}

/// The calling thread's own heap, if it has one that is not at work.
pub(super) fn own() -> Option<(&'static Heap, &'static Borrower)> {
    let thread = tls::current();
    let heap = thread.heap.get()?;
    (!thread.is_busy.get()).then_some((heap, thread))
}
