//! Regions: what a part of a program does with memory, from one point in time to another.

use super::routing::{self, Routing};
use super::thread::{home, is_at_work};
use super::{Tenure, tls};
use crate::heap::{Account, Heap, Ledger, MAX_OPEN, Totals};
use crate::stats::Stats;
use core::marker::PhantomData;
use core::ptr;

/// A part of a program's run, whose use of memory is looked at: it begins with [`Region::thread`] or
/// [`Region::process`].
///
/// | | thread | process |
/// |---|---|---|
/// | counts | what this thread allocates and frees | what all threads have done between two snapshots |
/// | figures | exact | as exact as [`Stats`] |
/// | costs, while it lasts | a call for each allocation and each free of this thread | nothing |
/// | costs at the start | some tens of nanoseconds | one [`Stats`] |
#[derive(Debug)]
pub enum Region {}

impl Region {
    /// Counts what the calling thread allocates and frees, from now on until the result is dropped.
    ///
    /// Regions of a thread may lie inside one another, 32 at most, and end in any order; each has its own figures.
    /// Whatever is allocated or freed on the thread is counted, in any scope, static memory included; so are frees of
    /// blocks that other threads have allocated. Nothing is counted of an allocator other than [`Tenure`]: see
    /// [`ThreadRegion::is_counting`].
    ///
    /// While there is a region, each allocation and free of the thread is a call of some tens of instructions; other
    /// threads are not concerned.
    ///
    /// ```
    /// #[global_allocator]
    /// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
    ///
    /// let region = tenure::Region::thread();
    /// let kept = vec![0_u8; 1000];
    /// drop(vec![0_u8; 5000]);
    /// let delta = region.delta();
    /// assert_eq!((delta.allocations, delta.frees, delta.blocks), (2, 1, 1));
    /// // Bytes are those of size classes: 1024 and 5120.
    /// assert_eq!((delta.bytes, delta.peak_bytes, delta.requested_bytes), (1024, 6144, 6000));
    /// # drop(kept);
    /// ```
    ///
    /// # Panics
    ///
    /// Where 32 regions and budgets of the thread last already.
    pub fn thread() -> ThreadRegion {
        ThreadRegion { count: Count::start(), _own_thread: PhantomData }
    }

    /// Compares what the process uses from now on with what it uses now. Costs nothing in between.
    ///
    /// ```
    /// #[global_allocator]
    /// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
    ///
    /// let region = tenure::Region::process();
    /// let kept = std::thread::spawn(|| vec![1_u8; 1 << 20]).join().unwrap();
    /// let delta = region.delta();
    /// assert!(delta.bytes >= 1 << 20 && delta.peak_committed >= 1 << 20);
    /// # drop(kept);
    /// ```
    pub fn process() -> ProcessRegion {
        ProcessRegion { start: Snapshot::take() }
    }
}

/// What a thread has done in a region.
///
/// A reallocation that copies is an allocation and a free, one that does not is none of both. One that stays in its
/// size class is not seen: nothing changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadDelta {
    /// Blocks that the thread has gained: `allocations - frees`. Below zero where it has freed more than it has
    /// allocated.
    pub blocks: isize,
    /// Bytes that the thread has gained: `allocated_bytes - freed_bytes`.
    pub bytes: isize,
    /// Blocks that were allocated.
    pub allocations: u64,
    /// Blocks that were freed.
    pub frees: u64,
    /// Blocks that grew or shrank without a copy, out of their size class.
    pub reallocations: u64,
    /// Bytes of the blocks that were allocated, at the size of their class, span or mapping, and by how much blocks
    /// grew in place.
    pub allocated_bytes: u64,
    /// Bytes of the blocks that were freed, at the size of their class, span or mapping, and by how much blocks shrank
    /// in place.
    pub freed_bytes: u64,
    /// Bytes that were asked for in allocations, and by how much blocks were to grow in place. What rounding adds is
    /// `allocated_bytes` beyond that.
    pub requested_bytes: u64,
    /// The most that `bytes` has been, 0 at least.
    pub peak_bytes: usize,
}

/// What the calling thread does, since [`Region::thread`].
///
/// Not [`Send`], as it speaks of its thread:
///
/// ```compile_fail
/// fn is_send(_: impl Send) {}
/// is_send(tenure::Region::thread());
/// ```
#[derive(Debug)]
#[must_use = "the region ends when this is dropped"]
pub struct ThreadRegion {
    count: Count,
    _own_thread: PhantomData<*const ()>,
}

impl ThreadRegion {
    /// What the thread has done until now. A few loads.
    pub fn delta(&self) -> ThreadDelta {
        self.count.delta()
    }

    /// False where nothing is counted: the thread has no heap of its own, because there are more than 4,095 threads, or
    /// memory is short, or it has ended but for the last destructors.
    ///
    /// True says nothing about the program's allocator: if that is not [`Tenure`], the figures stay at zero all the
    /// same.
    pub fn is_counting(&self) -> bool {
        self.count.ledger().is_some()
    }
}

/// An account in the calling thread's ledger that is open until this is dropped.
#[derive(Debug)]
pub(super) struct Count(Option<(&'static Heap, Account)>);

impl core::fmt::Debug for Heap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Heap({})", self.owner().0)
    }
}

impl Count {
    pub(super) fn start() -> Self {
        let Some(heap) = home() else { return Self(None) };
        let account = heap.ledger().open();
        let account = account.unwrap_or_else(|| panic!("more than {MAX_OPEN} regions and budgets of a thread at once"));
        routing::change(tls::routing().with(Routing::COUNTED, true));
        Self(Some((heap, account)))
    }

    /// The ledger and the account, as long as the heap is the thread's.
    pub(super) fn ledger(&self) -> Option<(&'static Ledger, &Account)> {
        let (heap, account) = self.0.as_ref()?;
        tls::current().home.get().is_some_and(|home| ptr::eq(home, *heap)).then(|| (heap.ledger(), account))
    }

    pub(super) fn delta(&self) -> ThreadDelta {
        let Some((ledger, account)) = self.ledger() else { return ThreadDelta::default() };
        let done = ledger.since_start(account);
        let Totals { allocations, frees, resizes, allocated, freed, requested } = done;
        ThreadDelta {
            blocks: allocations.wrapping_sub(frees) as isize,
            bytes: done.gained() as isize,
            allocations,
            frees,
            reallocations: resizes,
            allocated_bytes: allocated,
            freed_bytes: freed,
            requested_bytes: requested,
            peak_bytes: ledger.peak(account),
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        let Some((ledger, account)) = self.ledger() else { return };
        ledger.close(account);
        // In a signal handler that has interrupted a slow path the magazines are in use, and the next region's end will
        // do.
        if !ledger.is_in_use() && !is_at_work() {
            routing::change(tls::routing().with(Routing::COUNTED, false));
        }
    }
}

/// What the process uses more, or less, than when a region began. Of blocks on the heap; static memory is in what is
/// committed alone.
///
/// As exact as the two snapshots: what other threads did while one was taken may be counted or not, see [`Stats`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessDelta {
    /// Live blocks gained.
    pub blocks: isize,
    /// Bytes of live blocks gained, at the size of their class, span or mapping.
    pub bytes: isize,
    /// Bytes gained of memory that may be resident.
    pub committed: isize,
    /// The most that `committed` has been, if the process never had so much committed before the region; otherwise what
    /// `committed` is now, or 0: a peak that stays below an earlier one leaves no trace.
    pub peak_committed: usize,
}

/// What the process uses, compared with when [`Region::process`] was called.
#[derive(Debug, Clone)]
pub struct ProcessRegion {
    start: Snapshot,
}

impl ProcessRegion {
    /// What the process uses more, or less. Costs one [`Stats`]: about a microsecond for each 2 MiB of heap.
    pub fn delta(&self) -> ProcessDelta {
        let (start, now) = (&self.start, Snapshot::take());
        let gained = |now: usize, start: usize| now.wrapping_sub(start) as isize;
        let committed = gained(now.committed, start.committed);
        let is_higher = now.peak_dynamic > start.peak_dynamic;
        let reached = if is_higher { gained(now.peak_committed, start.committed) } else { committed };
        ProcessDelta {
            blocks: gained(now.blocks, start.blocks),
            bytes: gained(now.bytes, start.bytes),
            committed,
            peak_committed: reached.max(committed).max(0) as usize,
        }
    }
}

/// What a region of the process keeps of the statistics.
#[derive(Debug, Clone)]
struct Snapshot {
    blocks: usize,
    bytes: usize,
    committed: usize,
    peak_committed: usize,
    /// The peak without static memory.
    peak_dynamic: usize,
}

impl Snapshot {
    fn take() -> Self {
        Self::of(&Tenure::new().stats())
    }

    fn of(stats: &Stats) -> Self {
        Self {
            blocks: stats.live_blocks(),
            bytes: stats.live_bytes(),
            committed: stats.committed,
            peak_committed: stats.peak_committed,
            peak_dynamic: stats.peak_committed.saturating_sub(stats.static_memory.used),
        }
    }
}
