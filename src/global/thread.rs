//! A thread's life as a borrower: its first allocation, its end, and what a fork leaves of it.

#[cfg(feature = "hardened")]
use super::hardened;
use super::{BACKEND, REGISTRY, misuse, own_thread, pressure, purger, routing, tls};
#[cfg(feature = "profile")]
use super::{guard, samples};
use crate::heap::{Borrower, Heap, Ledger};
use crate::os;
use crate::os::report;
use crate::sync::{AtomicBool, Ordering};
use core::ffi::c_void;
use core::iter;
use core::ptr::{self, NonNull};

/// True once the child's repair is registered.
static KNOWS_FORK: AtomicBool = AtomicBool::new(false);

/// Lends the calling thread, which is fresh, a heap, if that is possible; afterwards it is not fresh any more.
pub(super) fn borrow() -> Option<&'static Heap> {
    // What the system allocates while the hooks are set comes from the shared heap.
    tls::leave();
    report::ask(misuse::tell);
    #[cfg(feature = "profile")]
    report::ask_for_origin(misuse::tell_origin);
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
    heap.begin_probation();
    #[cfg(feature = "profile")]
    samples::follow(heap, tls::current());
    Some(heap)
}

/// The thread ends: empties the magazines and parks the heap. Destructors that run later still allocate, from the
/// shared heap.
unsafe extern "C" fn end_loan(_heap: *mut c_void) {
    let (Some(heap), Some(home)) = (tls::current().heap.get(), tls::current().home.get()) else { return };
    if !ptr::eq(heap, home) {
        // The thread has not come back from a tag.
        switch(home);
        park_up_to(heap, home);
    }
    let thread = tls::current();
    #[cfg(feature = "hardened")]
    hardened::empty_quarantine(home, thread);
    thread.is_busy.set(true);
    routing::end(home, thread);
    home.ledger().clear();
    // SAFETY: the calling thread has borrowed the heap.
    unsafe { home.empty_magazines(&thread.tops) };
    home.remember_taken(&thread.tops);
    home.seat().leave(os::yield_now);
    thread.is_busy.set(false);
    tls::leave();
    REGISTRY.park(home);
    // What the thread has left may be unused.
    purger::takes_over();
}

/// `heap` and those from which its borrower allocated before, one after the other: the thread's own comes last.
pub(super) fn heaps_from(heap: &'static Heap) -> impl Iterator<Item = &'static Heap> {
    iter::successors(Some(heap), |heap| heap.outer())
}

/// The calling thread is in none of its tags any more, of which `heap` was the innermost: parks their heaps, but for
/// those that are lost.
fn park_up_to(heap: &'static Heap, home: &Heap) {
    for heap in heaps_from(heap).take_while(|heap| !ptr::eq(*heap, home)).filter(|heap| !heap.is_lost()) {
        REGISTRY.park(heap);
    }
}

/// The calling thread allocates from `to` from now on: one of a tag's heaps, which it has borrowed, or its own. Its
/// magazines are exchanged for those of that heap.
pub(super) fn switch(to: &'static Heap) {
    to.begin_probation();
    let thread = tls::current();
    let (Some(from), Some(home)) = (thread.heap.get(), thread.home.get()) else { return };
    // A signal handler that allocates now is served by the shared heap.
    thread.is_busy.set(true);
    let is_aside = tls::routing().is_aside();
    if !is_aside {
        thread.tops.move_to(from.aside());
    }
    if !ptr::eq(from, home) {
        // With the standard library the tops are the thread's, in whichever heap it is, and its own heap's to tell.
        if from.counts_at_hand() {
            from.remember_taken(&thread.tops);
        }
        from.seat().leave(os::yield_now);
    }
    #[cfg(feature = "profile")]
    let is_unsampled = thread.is_unsampled.get();
    tls::switch(to, home);
    let thread = tls::current();
    if !is_aside {
        to.aside().move_to(&thread.tops);
    }
    #[cfg(feature = "profile")]
    {
        thread.is_unsampled.set(is_unsampled);
        samples::settle(thread);
    }
    thread.is_busy.set(false);
}

/// The child of a fork has one thread and all of the parent's heaps.
unsafe extern "C" fn repair_after_fork() {
    own_thread::forget();
    purger::forget();
    pressure::forget();
    #[cfg(feature = "profile")]
    guard::forget();
    let thread = tls::current();
    let mine = || thread.heap.get().into_iter().flat_map(heaps_from);
    REGISTRY.repair_after_fork(|heap| mine().any(|mine| ptr::eq(mine, heap)));
    let (Some(heap), Some(home)) = (thread.heap.get(), thread.home.get()) else { return };
    for heap in mine() {
        heap.seat().clear();
        if heap.is_locked() && !thread.is_busy.get() {
            // Another thread was purging it for us at the moment of the fork.
            heap.lose();
        }
    }
    if home.is_lost() {
        // What tags' heaps have is not lost with it.
        if !ptr::eq(heap, home) {
            heap.forget_borrower();
            park_up_to(heap, home);
        }
        tls::refresh();
        return;
    }
    if heap.is_lost() {
        switch(home);
        park_up_to(heap, home);
    }
    let thread = tls::current();
    home.seat().take(&thread.tops);
    if let Some(heap) = thread.heap.get() {
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
    let routing = tls::routing();
    if routing.shares()
        && !tls::current().is_busy.get()
        && let Some(heap) = REGISTRY.shared_under(routing.tag(), tls::current().owner.get().0.into())
    {
        return Source::Shared(heap);
    }
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

/// The ledger of the calling thread, if it has a heap.
pub(super) fn ledger() -> Option<&'static Ledger> {
    home_if_any().map(Heap::ledger)
}

/// The heap that is the calling thread's own, if it has one.
pub(super) fn home_if_any() -> Option<&'static Heap> {
    tls::current().home.get()
}

/// The heap that is the calling thread's own; lends it one if it is fresh. `None` where it can have none, or is inside
/// a slow path.
pub(super) fn home() -> Option<&'static Heap> {
    let thread = tls::current();
    match thread.home.get() {
        None if thread.is_fresh.get() => borrow(),
        Some(_) if thread.is_busy.get() => None,
        home => home,
    }
}

/// Gives a thread the owner map that borrowed its heap before there was one.
pub(super) fn learn_owners(thread: &Borrower) {
    if thread.heap.get().is_some() {
        thread.owners.set(BACKEND.owners.view());
    }
}

/// One in so many frees of a thread that has not allocated yet lends it a heap.
const FREES_FOR_A_HEAP: usize = 16;

/// As [`own`], on behalf of a free of `block`, one of `size` bytes. A thread that does nothing but free what others
/// have allocated gets a heap all the same, though not at its first free: with an outbox it returns many blocks at
/// once. There is no place for a count in a thread without a heap, so the block's place decides.
pub(super) fn own_of_free(block: NonNull<u8>, size: usize) -> Option<(&'static Heap, &'static Borrower)> {
    if tls::current().is_fresh.get() && (block.addr().get() / size).is_multiple_of(FREES_FOR_A_HEAP) {
        borrow();
    }
    own()
}

/// What the calling thread allocates from, if it has a heap that is not at work.
pub(super) fn own() -> Option<(&'static Heap, &'static Borrower)> {
    let thread = tls::current();
    let heap = thread.heap.get()?;
    (!thread.is_busy.get()).then_some((heap, thread))
}
