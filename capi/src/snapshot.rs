//! The one snapshot of the statistics that the library's functions read: it has some ten kilobytes, which a small stack
//! has no room for.

use crate::TENURE;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicI32, Ordering};
use tenure::Stats;

struct Snapshot(UnsafeCell<Stats>);

// SAFETY: touched by whoever holds `HOLDER` alone.
unsafe impl Sync for Snapshot {}

static SNAPSHOT: Snapshot = Snapshot(UnsafeCell::new(Stats::new()));

/// The process in which a thread reads the snapshot, or 0. A forked child finds its parent's id here where a thread of
/// the parent was reading: nobody reads in the child.
static HOLDER: AtomicI32 = AtomicI32::new(0);

/// Passes the statistics to `read`. Waits for another thread that is reading.
pub(crate) fn with_stats<R>(read: impl FnOnce(&mut Stats) -> R) -> R {
    // SAFETY: no preconditions.
    let process = unsafe { libc::getpid() };
    loop {
        let holder = HOLDER.load(Ordering::Relaxed);
        // Acquire: pairs with the Release below.
        if holder != process && HOLDER.compare_exchange(holder, process, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            break;
        }
        // SAFETY: no preconditions.
        unsafe { libc::sched_yield() };
    }
    // SAFETY: this thread is the holder.
    let stats = unsafe { &mut *SNAPSHOT.0.get() };
    TENURE.stats_into(stats);
    let result = read(stats);
    // Release: the reading is over. Pairs with the Acquire above.
    HOLDER.store(0, Ordering::Release);
    result
}
