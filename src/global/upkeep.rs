//! Upkeep: what slow paths do besides, so that unused memory goes back in time, and what is done when memory is short.

#[cfg(feature = "hardened")]
use super::hardened;
use super::thread::{Busy, own};
use super::{BACKEND, REGISTRY, pressure, purger, routing, tls};
use crate::heap::{Borrower, Heap};
use crate::sync::{AtomicU64, Ordering};
use core::ptr;

/// How long unused memory is kept before it goes back to the system, in milliseconds, unless the program says
/// otherwise.
///
/// A page that comes back costs a microsecond or two, so it should have been idle for far longer than that.
pub(super) const PURGE_DELAY: u64 = 1000;

/// How long unused memory is kept, in milliseconds.
pub(super) static PURGE_AFTER: AtomicU64 = AtomicU64::new(PURGE_DELAY);

/// Looks at the clock between two of a thread at the magazines that it does not use.
const LOOKS: u8 = 8;

/// Slow paths between looks at the clock.
pub(super) const PATIENCE: u16 = 64;

/// When unused memory is looked for next, in milliseconds of the platform's clock.
static NEXT_PURGE: AtomicU64 = AtomicU64::new(0);

/// Tries once more after memory has been reclaimed from every heap, when there is none.
#[inline(always)]
pub(super) fn if_short_reclaim<R>(attempt: impl Fn() -> Option<R>) -> Option<R> {
    let result = attempt().or_else(|| {
        reclaim();
        attempt()
    });
    if BACKEND.counters.limits.is_passed() {
        pressure::relieve();
    }
    result.or_else(|| {
        // What the program has freed may be kept for other requests than this one, or in quarantine.
        let result = pressure::is_relieved().then(reclaim).and_then(|()| attempt());
        if result.is_none() {
            pressure::tell_of_refusal();
        }
        result
    })
}

/// Takes back for everybody's use what lies unused in any heap: what other threads have returned and the owner has not
/// collected, and the calling thread's own magazines.
#[cold]
#[inline(never)]
fn reclaim() {
    BACKEND.counters.limits.forget_refused();
    if tls::current().is_busy.get() {
        // A signal handler has interrupted a slow path, which may hold a lock.
        return;
    }
    let _busy = empty_own_magazines();
    empty_parked_magazines();
    for heap in REGISTRY.heaps() {
        heap.reclaim();
    }
    if BACKEND.counters.limits.get().1 < usize::MAX {
        // What is unused counts, too.
        purge_unused_since(u64::MAX, 0, true);
    }
}

/// Looks at the clock now and then, and purges what has been unused for long.
#[inline]
pub(super) fn count_down(thread: &'static Borrower) {
    match thread.patience.get().checked_sub(1) {
        Some(patience) => thread.patience.set(patience),
        None => {
            thread.patience.set(PATIENCE);
            look_at_the_clock(thread);
        }
    }
}

/// Purges what has been unused for long, and empties the thread's magazines once in each delay: blocks that only go to
/// and fro between the program and a magazine keep their slabs from becoming empty.
#[cold]
#[inline(never)]
fn look_at_the_clock(thread: &'static Borrower) {
    let now = BACKEND.os.now_ms();
    if let Some(heap) = thread.heap.get() {
        rest(thread, heap, now);
    }
    purge_when_due(now);
}

/// Empties the magazines of the thread, which has borrowed `heap`, as far as it is time for that.
fn rest(thread: &'static Borrower, heap: &'static Heap, now: u64) {
    let delay = PURGE_AFTER.load(Ordering::Relaxed);
    let looks = thread.looks.get().wrapping_add(1);
    thread.looks.set(looks);
    if thread.emptied_at.get() == 0 {
        thread.emptied_at.set(now);
    } else if now - thread.emptied_at.get() >= delay {
        thread.emptied_at.set(now);
        #[cfg(feature = "hardened")]
        hardened::empty_quarantine(heap, thread);
        // SAFETY: the calling thread's own heap and tops.
        unsafe { heap.rest_magazines(routing::tops(heap, thread)) };
    } else if looks.is_multiple_of(LOOKS) && !thread.is_sampled() {
        // SAFETY: as above.
        unsafe { heap.give_up_idle_magazines(routing::tops(heap, thread)) };
    }
}

#[cold]
#[inline(never)]
pub(super) fn purge_when_due(now: u64) {
    let delay = PURGE_AFTER.load(Ordering::Relaxed);
    let due = NEXT_PURGE.load(Ordering::Relaxed);
    if now < due
        || NEXT_PURGE.compare_exchange(due, now + delay / 2, Ordering::Relaxed, Ordering::Relaxed).is_err()
        || due == 0
        || purger::takes_over()
    {
        return;
    }
    purge_unused_since(now.saturating_sub(delay), now, false);
}

/// Purges what has been unused for long, on the purger; true where anything was given back.
pub(super) fn purge_on_time() -> bool {
    let returned = BACKEND.counters.returned();
    let now = BACKEND.os.now_ms();
    // It may wait for heaps that are at work.
    purge_unused_since(now.saturating_sub(PURGE_AFTER.load(Ordering::Relaxed)), now, true);
    BACKEND.counters.returned() != returned
}

/// Keeps unused memory for so many milliseconds from now on.
pub(super) fn set_purge_delay(delay: u64) {
    PURGE_AFTER.store(delay, Ordering::Relaxed);
    // Whoever looks next reckons with the new delay.
    NEXT_PURGE.fetch_min(BACKEND.os.now_ms() + delay / 2, Ordering::Relaxed);
}

fn purge_unused_since(before: u64, now: u64, is_patient: bool) {
    for heap in REGISTRY.heaps() {
        heap.purge(before, now, is_patient);
    }
    BACKEND.purge_unused(before, now);
}

/// Empties the calling thread's magazines, if it has a heap that is not at work. The thread is inside a slow path until
/// the result is dropped.
fn empty_own_magazines() -> Option<Busy> {
    let (heap, thread) = own()?;
    #[cfg(feature = "hardened")]
    hardened::empty_quarantine(heap, thread);
    let busy = Busy::new(thread);
    // SAFETY: the calling thread's own heap and tops.
    unsafe { heap.empty_magazines(routing::tops(heap, thread)) };
    if let Some(home) = thread.home.get().filter(|home| !ptr::eq(*home, heap)) {
        #[cfg(feature = "hardened")]
        hardened::empty_quarantine(home, thread);
        // Under a tag the own magazines are set aside.
        // SAFETY: as above.
        unsafe { home.empty_magazines(home.aside()) };
    }
    Some(busy)
}

/// Empties the magazines of tags' heaps that no thread has.
fn empty_parked_magazines() {
    REGISTRY.with_parked_under_tags(|heap| {
        #[cfg(feature = "hardened")]
        hardened::empty_quarantine(heap, tls::current());
        // SAFETY: the heap is this thread's for as long as that takes, and its tops are where it was left.
        unsafe { heap.empty_magazines(heap.aside()) }
    });
}

/// Purges everything that is unused, now.
pub(super) fn purge() {
    // Without patience in a signal handler that has interrupted a slow path, which may hold a lock.
    let is_patient = !tls::current().is_busy.get();
    let _busy = empty_own_magazines();
    if is_patient {
        empty_parked_magazines();
    }
    purge_unused_since(u64::MAX, 0, is_patient);
}
