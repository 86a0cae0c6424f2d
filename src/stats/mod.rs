//! Statistics: what memory is used for, derived from what is there.
//!
//! Nothing is counted on a fast path. A block is live when it was taken from its slab and waits nowhere:
//!
//! ```text
//! live == capacity - free in the slab - returned by other threads - in magazines - in outboxes
//! committed == the sum of the balance's lines
//! ```

mod balance;
mod json;
mod prometheus;
mod record;
mod rounding;
#[cfg(feature = "serde")]
mod serialize;
mod system;
mod table;
mod tags;
mod take;
mod traffic;

pub use balance::{Balance, BalanceLine};
pub use json::Json;
pub use prometheus::Prometheus;
pub use rounding::Rounding;
pub use system::SystemStats;
pub use tags::TagStats;
pub use traffic::Traffic;

use crate::arena::ArenaStats;
use crate::size_class::{self, SLOT_SIZE};

/// Number of size classes that [`Stats::classes`] tells of.
pub const SIZE_CLASSES: usize = size_class::SLABS;

/// Version of what [`Stats`] holds; grows when a figure changes its meaning.
const VERSION: u32 = 1;

/// Blocks of one size class. Numbers of blocks, unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Size of a block, in bytes.
    pub block_size: usize,
    /// Slabs of this class, of 64 KiB each.
    pub slabs: usize,
    /// Blocks that the program has.
    pub live: usize,
    /// Free blocks that wait in threads' magazines.
    pub in_magazines: usize,
    /// Blocks that threads have freed which do not own them, waiting to be sent home together.
    pub in_outboxes: usize,
    /// Free blocks in slabs, `remote_pending` included.
    pub free: usize,
    /// Blocks that other threads have sent home and the owning heap has not collected yet.
    pub remote_pending: usize,
    /// What passed between the slabs and the threads' magazines so far.
    pub traffic: Traffic,
    /// What was asked for and given, while exact bytes were counted.
    pub rounding: Rounding,
}

impl ClassStats {
    /// A class that was never used.
    const EMPTY: Self = Self {
        block_size: 0,
        slabs: 0,
        live: 0,
        in_magazines: 0,
        in_outboxes: 0,
        free: 0,
        remote_pending: 0,
        traffic: Traffic::EMPTY,
        rounding: Rounding::NONE,
    };

    /// The part of the slabs' bytes that live blocks take, from 0 to 1; 0 where there is no slab.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        if self.slabs == 0 {
            return 0.0;
        }
        (self.live * self.block_size) as f64 / (self.slabs * SLOT_SIZE) as f64
    }

    fn is_used(&self) -> bool {
        self.slabs > 0 || self.traffic.refills > 0
    }
}

/// A snapshot of what memory is used for. Bytes, unless said otherwise.
///
/// Taken by [`Tenure::stats`](crate::Tenure::stats) while other threads go on: a block that one of them allocates or
/// frees meanwhile may be counted or not, so figures of other threads may be off by what they did in that time. Without
/// such traffic the figures are exact and [`Stats::is_balanced`] holds.
///
/// `Display` prints it as a table, [`Stats::json`] is for programs. Neither allocates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Version of this structure's meaning: it grows when a figure changes its meaning or goes away. More figures may
    /// come with the same version.
    pub version: u32,
    /// When the snapshot was taken: milliseconds since 1970 began, by the system's clock.
    pub time_ms: Option<u64>,
    /// Milliseconds since the process was made, by exec or fork. Known after [`Stats::ask_system`].
    pub uptime_ms: Option<u64>,
    /// The process's id.
    pub process_id: Option<u32>,
    /// Memory that may be resident: given out or kept, and not purged.
    pub committed: usize,
    /// The most that `committed` has been, if static memory had been what it is now.
    pub peak_committed: usize,
    /// The most that it has been since [`Tenure::reset_peak`](crate::Tenure::reset_peak), or since the start.
    pub peak_since_reset: usize,
    /// The most that live bytes and what waits in threads' magazines and outboxes, but not in depots, have been
    /// together, off by 32 KiB for each heap at most: see `docs/observability.md`.
    pub peak_live_bytes: usize,
    /// The same since [`Tenure::reset_peak`](crate::Tenure::reset_peak), or since the start.
    pub peak_live_since_reset: usize,
    /// Where the committed memory is.
    pub balance: Balance,
    /// What the system says. Known after [`Stats::ask_system`].
    pub system: Option<SystemStats>,
    /// Address space of segments, mappings and static memory.
    pub reserved: usize,
    /// Given back to the system since the start of the program.
    pub purged: usize,
    /// Number of live spans: blocks of more than 32 KiB inside segments.
    pub spans: usize,
    /// What passed between segments' slots and threads: blocks are spans here, of all sizes.
    pub span_traffic: Traffic,
    /// What was asked for and given of spans, while exact bytes were counted.
    pub span_rounding: Rounding,
    /// The same of blocks with a mapping of their own.
    pub mapping_rounding: Rounding,
    /// Number of live blocks with a mapping of their own, and of those between guard pages.
    pub mappings: usize,
    /// Number of blocks with a mapping of their own, and of those between guard pages, that were allocated so far. What
    /// grows in place, or by moving its pages, was allocated once.
    pub mappings_allocated: u64,
    /// Number of blocks that were allocated so far, all threads and sizes together, exactly: a program that stands
    /// still is told how many it has asked for. Blocks in static memory are not among them; a block that moves when it
    /// is resized was allocated twice, one that stays once.
    pub allocations: u64,
    /// Number of segments, of 2 MiB each, that heaps have.
    pub segments: usize,
    /// Number of segments that wait unused.
    pub pooled_segments: usize,
    /// Number of heaps: the most threads that were alive at once, roughly.
    pub heaps: usize,
    /// Number of heaps that no thread has at the moment.
    pub parked_heaps: usize,
    /// Static memory: every [`StaticArena`](crate::StaticArena) that was used through its own methods, and what scopes
    /// have filled.
    pub static_memory: ArenaStats,
    /// The part of it that [`static_scope`](crate::static_scope) and the like have filled.
    pub scopes: ArenaStats,
    tags: tags::Tags,
    /// Blocks in slabs, by size class, smallest first.
    pub classes: [ClassStats; SIZE_CLASSES],
}

impl Stats {
    /// Bytes of live blocks, at the size of their class, span or mapping.
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        self.balance.live()
    }

    /// Number of live blocks.
    #[must_use]
    pub fn live_blocks(&self) -> usize {
        self.classes.iter().map(|class| class.live).sum::<usize>() + self.spans + self.mappings
    }

    /// Number of blocks that were freed so far: those that were allocated, but for the live ones.
    #[must_use]
    pub fn frees(&self) -> u64 {
        self.allocations.saturating_sub(self.live_blocks() as u64)
    }

    /// Number of blocks that other threads have freed and the owning heaps have not collected yet.
    #[must_use]
    pub fn remote_pending(&self) -> usize {
        self.classes.iter().map(|class| class.remote_pending).sum()
    }

    /// True where every committed byte is accounted for: always, unless other threads were at work during the snapshot,
    /// be it in the destructors of their thread-locals. Then it may be false by any number of bytes: see
    /// `docs/observability.md`.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.balance.total() == self.committed
    }

    /// The classes that have slabs, or have had some, smallest blocks first.
    pub fn used_classes(&self) -> impl Iterator<Item = &ClassStats> + Clone {
        self.classes.iter().filter(|class| class.is_used())
    }

    /// The snapshot as one line of JSON. Writing it does not allocate; it has some kilobytes.
    ///
    /// The names are those of the fields, and stay; `docs/stats.schema.json` describes them all. What is not known is
    /// `null`. Classes of which no block was ever asked for are left out.
    ///
    /// ```
    /// let mut stats = tenure::Tenure::new().stats();
    /// stats.ask_system();
    /// let line = stats.json().to_string();
    /// assert!(line.starts_with("{\"version\":1,"));
    /// ```
    #[must_use]
    pub fn json(&self) -> Json<'_> {
        Json(self)
    }

    /// The snapshot in Prometheus' text format, version 0.0.4 (`text/plain; version=0.0.4`). Writing it does not
    /// allocate; it has some tens of kilobytes.
    ///
    /// All names begin with `tenure_`. The parts of `tenure_memory_bytes` add up to `tenure_committed_bytes`. What is
    /// not known is left out.
    ///
    /// ```
    /// let text = tenure::Tenure::new().stats().prometheus().to_string();
    /// assert!(text.contains("# TYPE tenure_committed_bytes gauge\ntenure_committed_bytes "));
    /// ```
    #[must_use]
    pub fn prometheus(&self) -> Prometheus<'_> {
        Prometheus(self)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
