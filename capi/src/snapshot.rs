//! Snapshots of the statistics that the library's functions read: each has some ten kilobytes, which a small stack has
//! no room for.
//!
//! Who only reads figures uses the one snapshot that there is, under a lock. Who writes text calls out, to streams of
//! the program's that may wait, allocate, or ask for statistics themselves, and so has a snapshot of its own, and no
//! lock.

use crate::{TENURE, errno};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicI32, Ordering};
use tenure::Stats;
use tenure::preloaded::without_cancellation;

struct Snapshot(UnsafeCell<Stats>);

// SAFETY: touched by whoever holds `HOLDER` alone.
unsafe impl Sync for Snapshot {}

static SNAPSHOT: Snapshot = Snapshot(UnsafeCell::new(Stats::new()));

/// The process in which a thread reads the snapshot, or 0. A forked child finds its parent's id here where a thread of
/// the parent was reading: nobody reads in the child.
static HOLDER: AtomicI32 = AtomicI32::new(0);

/// Passes the statistics to `read`, which calls nothing that may wait or ask for statistics. Waits for another thread
/// that is reading.
pub(crate) fn with_stats<R>(read: impl FnOnce(&mut Stats) -> R) -> R {
    without_cancellation(|| with_the_snapshot(read))
}

/// As [`with_stats`], for who is not cancelled.
fn with_the_snapshot<R>(read: impl FnOnce(&mut Stats) -> R) -> R {
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

/// Passes the statistics to `write`, which may do whatever it likes. Where the system has no memory for a snapshot, it
/// is the one under the lock: then other threads that ask for statistics wait for `write`, and where it asks for some
/// itself, for ever.
pub(crate) fn with_own_stats<R>(write: impl FnOnce(&mut Stats) -> R) -> R {
    without_cancellation(|| {
        let Some(mut own) = OwnStats::map() else { return with_stats(write) };
        let stats = own.get();
        TENURE.stats_into(stats);
        write(stats)
    })
}

/// A snapshot in memory that the system has given for it alone.
struct OwnStats(NonNull<Stats>);

impl OwnStats {
    fn map() -> Option<Self> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let before = errno::get();
        // SAFETY: a mapping that replaces nothing.
        let start = unsafe { libc::mmap(ptr::null_mut(), size_of::<Stats>(), protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            errno::set(before);
            return None;
        }
        let stats = NonNull::new(start.cast::<Stats>())?;
        // SAFETY: mapped just now, at a page's start, for a snapshot.
        unsafe { stats.write(Stats::new()) };
        Some(Self(stats))
    }

    fn get(&mut self) -> &mut Stats {
        // SAFETY: written by `map`, and this one's alone.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for OwnStats {
    fn drop(&mut self) {
        let before = errno::get();
        // SAFETY: mapped for this one, with this length. The snapshot has nothing to drop.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Stats>()) };
        errno::set(before);
    }
}
