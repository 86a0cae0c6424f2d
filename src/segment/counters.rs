//! Counters: how much memory there is, of which kind, and how much there has been.

use super::limit::Limits;
use super::live::Live;
use super::tagged::Tagged;
use crate::sync::{AtomicU64, AtomicUsize, Ordering, array_of, constructor};
use crate::tag::TAGS;

/// What is counted as it happens, at the pace of system calls and never on a fast path. Bytes, unless said otherwise.
pub(crate) struct Counters {
    /// Memory that may be resident.
    committed: AtomicUsize,
    /// The most that `committed` has been.
    peak: AtomicUsize,
    /// The most that it has been since the last reset.
    peak_since_reset: AtomicUsize,
    /// Address space of segments and mappings.
    pub(super) reserved: AtomicUsize,
    /// Given back to the system since the start, by purging and unmapping.
    pub(super) returned: AtomicUsize,
    /// Descriptions: first slots, owner map, heaps, mappings' heads.
    pub(super) metadata: AtomicUsize,
    /// Number of mappings of single blocks, freed ones that are kept included.
    pub(super) mappings: AtomicUsize,
    /// Bytes of these blocks, and of what is kept behind them.
    pub(super) mapped: AtomicUsize,
    /// Blocks with a mapping of their own that are in use under tag n + 1.
    pub(super) tagged: [Tagged; TAGS],
    /// Number of blocks with a mapping of their own that were handed out so far.
    pub(super) blocks_mapped: AtomicU64,
    /// Segments in the pool; a hint.
    pub(super) pooled: AtomicUsize,
    /// Segments that were released but for their first slot; a hint.
    pub(super) released: AtomicUsize,
    /// What the program has.
    pub(super) live: Live,
    /// How much may be committed.
    pub(crate) limits: Limits,
}

impl Counters {
    constructor! {
        pub(super) fn new() -> Self {
            Self {
                committed: AtomicUsize::new(0),
                peak: AtomicUsize::new(0),
                peak_since_reset: AtomicUsize::new(0),
                reserved: AtomicUsize::new(0),
                returned: AtomicUsize::new(0),
                metadata: AtomicUsize::new(0),
                mappings: AtomicUsize::new(0),
                mapped: AtomicUsize::new(0),
                tagged: array_of!(Tagged::new(); TAGS),
                blocks_mapped: AtomicU64::new(0),
                pooled: AtomicUsize::new(0),
                released: AtomicUsize::new(0),
                live: Live::none(),
                limits: Limits::none(),
            }
        }
    }

    /// Counts `bytes` more as possibly resident.
    pub(crate) fn commit(&self, bytes: usize) {
        if bytes > 0 {
            let now = self.committed.fetch_add(bytes, Ordering::Relaxed) + bytes;
            self.has_grown(bytes, now);
        }
    }

    /// Counts `bytes` more as possibly resident, if the hard limit allows that; true where it does.
    #[must_use]
    pub(crate) fn try_commit(&self, bytes: usize) -> bool {
        self.fetch(bytes, || Some(())).is_some()
    }

    /// What `from_system` brings, of which `bytes` may be resident, if the hard limit allows that.
    ///
    /// They count once they are there: what a program asks for in vain may be more than any system has. Only where
    /// there is a hard limit they count meanwhile, too, so that no other thread is promised the same room.
    pub(super) fn fetch<R>(&self, bytes: usize, from_system: impl FnOnce() -> Option<R>) -> Option<R> {
        let (_, hard) = self.limits.get();
        if hard == usize::MAX || bytes == 0 {
            return from_system().inspect(|_| self.commit(bytes));
        }
        let grow = |now: usize| now.checked_add(bytes).filter(|&then| then <= hard);
        let Ok(before) = self.committed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow) else {
            self.limits.has_refused(bytes);
            return None;
        };
        let fetched = from_system();
        match fetched {
            Some(_) => self.has_grown(bytes, before + bytes),
            None => {
                let now = self.committed.fetch_sub(bytes, Ordering::Relaxed) - bytes;
                // Others have passed the soft limit unseen, where these bytes alone stood above it.
                if now > before {
                    self.limits.has_grown(now - before, now);
                }
            }
        }
        fetched
    }

    /// As [`Counters::try_commit`], of metadata.
    #[must_use]
    pub(crate) fn try_commit_metadata(&self, bytes: usize) -> bool {
        let may = self.try_commit(bytes);
        if may {
            self.metadata.fetch_add(bytes, Ordering::Relaxed);
        }
        may
    }

    /// True where so many bytes more may be committed, as far as can be told.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.committed().saturating_add(bytes) <= self.limits.get().1
    }

    fn has_grown(&self, bytes: usize, now: usize) {
        if now > self.peak_since_reset.load(Ordering::Relaxed) {
            self.peak_since_reset.fetch_max(now, Ordering::Relaxed);
            self.peak.fetch_max(now, Ordering::Relaxed);
        }
        self.limits.has_grown(bytes, now);
    }

    /// Counts `bytes` as given back.
    pub(super) fn decommit(&self, bytes: usize) {
        self.committed.fetch_sub(bytes, Ordering::Relaxed);
        self.returned.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts `bytes` as not resident, of which [`Counters::commit`] was told too early.
    pub(crate) fn uncommit(&self, bytes: usize) {
        self.committed.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts what was counted as `was` bytes, and goes on to be resident, as `now` bytes.
    pub(super) fn recount(&self, was: usize, now: usize) {
        self.commit(now.saturating_sub(was));
        self.committed.fetch_sub(was.saturating_sub(now), Ordering::Relaxed);
    }

    /// Counts `bytes` of metadata as not resident, which are not.
    pub(crate) fn uncommit_metadata(&self, bytes: usize) {
        self.metadata.fetch_sub(bytes, Ordering::Relaxed);
        self.uncommit(bytes);
    }

    /// Counts `bytes` of metadata as possibly resident.
    pub(crate) fn commit_metadata(&self, bytes: usize) {
        self.metadata.fetch_add(bytes, Ordering::Relaxed);
        self.commit(bytes);
    }

    /// Counts `bytes` of metadata as given back.
    pub(super) fn decommit_metadata(&self, bytes: usize) {
        self.metadata.fetch_sub(bytes, Ordering::Relaxed);
        self.decommit(bytes);
    }

    pub(crate) fn committed(&self) -> usize {
        self.committed.load(Ordering::Relaxed)
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    pub(crate) fn peak_since_reset(&self) -> usize {
        self.peak_since_reset.load(Ordering::Relaxed)
    }

    /// Forgets the peaks but for what is committed and live now. What other threads commit and allocate in that moment
    /// may be left out.
    pub(crate) fn reset_peak(&self) {
        self.peak_since_reset.store(self.committed(), Ordering::Relaxed);
        self.reset_live_peak();
    }

    pub(crate) fn reserved(&self) -> usize {
        self.reserved.load(Ordering::Relaxed)
    }

    /// True where there may be a segment of which only the first slot is left.
    pub(super) fn has_released(&self) -> bool {
        self.released.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn returned(&self) -> usize {
        self.returned.load(Ordering::Relaxed)
    }

    pub(crate) fn metadata(&self) -> usize {
        self.metadata.load(Ordering::Relaxed)
    }

    pub(crate) fn mappings(&self) -> usize {
        self.mappings.load(Ordering::Relaxed)
    }

    pub(crate) fn mapped(&self) -> usize {
        self.mapped.load(Ordering::Relaxed)
    }

    pub(crate) fn blocks_mapped(&self) -> u64 {
        self.blocks_mapped.load(Ordering::Relaxed)
    }
}
