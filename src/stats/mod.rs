//! Statistics: what memory is used for, derived from what is there.
//!
//! Nothing is counted on a fast path. A block is live when it was taken from its slab and waits nowhere:
//!
//! ```text
//! live == capacity - free in the slab - returned by other threads - in magazines - in outboxes
//! committed == live + free in slabs + in magazines + retained + static + metadata
//! ```

mod table;
mod tags;

pub use tags::TagStats;

use crate::arena::{self, ArenaStats};
use crate::heap::Heap;
use crate::magazine::Tops;
use crate::region::Region;
use crate::registry::Registry;
use crate::segment::{self, Backend, Owner, Segment};
use crate::size_class::{self, SLOT_SIZE, SizeClass};
use crate::slab::SlotKind;

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
    /// Free blocks that wait in threads' magazines, and freed ones in outboxes, on the way to the heap they belong to.
    pub in_magazines: usize,
    /// Free blocks in slabs, `remote_pending` included.
    pub free: usize,
    /// Blocks that other threads have freed and the owning heap has not collected yet.
    pub remote_pending: usize,
}

/// A snapshot of what memory is used for. Bytes, unless said otherwise.
///
/// Taken by [`Tenure::stats`](crate::Tenure::stats) while other threads go on: a block that one of them allocates or frees meanwhile may be counted
/// or not, so figures of other threads may be off by what they did in that time. Without such traffic the figures are exact and
/// [`Stats::is_balanced`] holds.
///
/// `Display` prints it as a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Version of this structure's meaning.
    pub version: u32,
    /// Blocks in slabs, by size class, smallest first.
    pub classes: [ClassStats; SIZE_CLASSES],
    /// Number of live spans: blocks of more than 32 KiB inside segments.
    pub spans: usize,
    /// Bytes of live spans, in whole slots of 64 KiB.
    pub span_bytes: usize,
    /// Number of live blocks with a mapping of their own.
    pub mappings: usize,
    /// Bytes of these blocks, in whole pages.
    pub mapping_bytes: usize,
    /// Number of segments, of 2 MiB each, that heaps have.
    pub segments: usize,
    /// Number of segments that wait unused.
    pub pooled_segments: usize,
    /// Number of heaps: the most threads that were alive at once, roughly.
    pub heaps: usize,
    /// Number of heaps that no thread has at the moment.
    pub parked_heaps: usize,
    /// Address space of segments and mappings.
    pub reserved: usize,
    /// Memory that may be resident: given out or kept, and not purged.
    pub committed: usize,
    /// The most that `committed` has been, if static memory had been what it is now.
    pub peak_committed: usize,
    /// Given back to the system since the start of the program.
    pub purged: usize,
    /// Kept for reuse although no block is there: free slots and freed mappings that have not been purged.
    pub retained: usize,
    /// Free blocks in slabs, with what slabs' ends have left over and what other threads have returned.
    pub free_in_slabs: usize,
    /// Blocks in magazines and outboxes.
    pub in_magazines: usize,
    /// Descriptions of all this: segments' first slots, the owner map, heaps, mappings' heads.
    pub metadata: usize,
    /// Static memory: every [`StaticArena`](crate::StaticArena) that was used through its own methods, and what scopes have filled.
    pub static_memory: ArenaStats,
    /// The part of it that [`static_scope`](crate::static_scope) and the like have filled.
    pub scopes: ArenaStats,
    tags: tags::Tags,
}

impl Stats {
    /// Bytes of live blocks, at the size of their class, span or mapping.
    pub fn live_bytes(&self) -> usize {
        let in_slabs: usize = self.classes.iter().map(|class| class.live * class.block_size).sum();
        in_slabs + self.span_bytes + self.mapping_bytes
    }

    /// Number of live blocks.
    pub fn live_blocks(&self) -> usize {
        self.classes.iter().map(|class| class.live).sum::<usize>() + self.spans + self.mappings
    }

    /// Number of blocks that other threads have freed and the owning heaps have not collected yet.
    pub fn remote_pending(&self) -> usize {
        self.classes.iter().map(|class| class.remote_pending).sum()
    }

    /// What the parts of `committed` add up to.
    pub fn accounted(&self) -> usize {
        self.live_bytes()
            + self.free_in_slabs
            + self.in_magazines
            + self.retained
            + self.static_memory.used
            + self.metadata
    }

    /// True where every committed byte is accounted for: always, unless other threads were at work during the snapshot.
    pub fn is_balanced(&self) -> bool {
        self.accounted() == self.committed
    }

    pub(crate) fn take(backend: &Backend, registry: &Registry, region: &Region) -> Self {
        // Filled in place: a second copy of the classes would not fit a small stack.
        let mut stats = Self::empty();
        for class in SizeClass::slabs() {
            stats.classes[class.index()].block_size = class.size();
        }
        stats.add_segments(backend);
        stats.add_heaps(registry);
        stats.add_counters(backend);
        stats.scopes = region.stats(registry.heaps().flat_map(Heap::pieces));
        stats.static_memory = arena::registered_totals().plus(stats.scopes);
        stats.committed += stats.static_memory.used;
        stats.peak_committed += stats.static_memory.used;
        stats.settle();
        stats.tags.add(backend, registry);
        stats
    }

    fn empty() -> Self {
        Self {
            version: VERSION,
            classes: [ClassStats::default(); SIZE_CLASSES],
            spans: 0,
            span_bytes: 0,
            mappings: 0,
            mapping_bytes: 0,
            segments: 0,
            pooled_segments: 0,
            heaps: 0,
            parked_heaps: 0,
            reserved: 0,
            committed: 0,
            peak_committed: 0,
            purged: 0,
            retained: 0,
            free_in_slabs: 0,
            in_magazines: 0,
            metadata: 0,
            static_memory: ArenaStats::default(),
            scopes: ArenaStats::default(),
            tags: tags::Tags::NONE,
        }
    }

    fn add_segments(&mut self, backend: &Backend) {
        let is_segment = |owner: Owner| owner.is_heap() || owner == Owner::POOLED;
        for (address, owner) in backend.owners.walk(is_segment) {
            // SAFETY: the entry names a segment, whose head can always be read.
            let segment = unsafe { &*segment::segment_of(address) };
            if owner == Owner::POOLED {
                self.pooled_segments += 1;
            } else {
                self.segments += 1;
            }
            self.retained += segment.retained_bytes();
            self.add_slots(segment);
        }
    }

    fn add_slots(&mut self, segment: &Segment) {
        for slab in segment.slots() {
            match slab.kind() {
                SlotKind::Slab(class) => {
                    let pending = segment.waiting_remote(slab);
                    let free = slab.free() + pending;
                    let counts = &mut self.classes[class.index()];
                    counts.slabs += 1;
                    counts.free += free;
                    counts.remote_pending += pending;
                    // What waits in magazines and outboxes is taken off later.
                    counts.live += slab.extent().saturating_sub(free);
                    self.free_in_slabs += SLOT_SIZE.saturating_sub(slab.extent().saturating_sub(free) * class.size());
                }
                SlotKind::Span if segment.waiting_remote(slab) > 0 => {
                    self.free_in_slabs += slab.extent() * SLOT_SIZE;
                }
                SlotKind::Span => {
                    self.spans += 1;
                    self.span_bytes += slab.extent() * SLOT_SIZE;
                }
                SlotKind::Free => {}
            }
        }
    }

    fn add_heaps(&mut self, registry: &Registry) {
        for heap in registry.heaps() {
            self.heaps += 1;
            self.parked_heaps += usize::from(registry.is_parked(heap));
            heap.seat().read(|tops| self.add_magazines(heap, tops));
            self.add_magazines(heap, heap.aside());
            #[cfg(feature = "profile")]
            if let Some(sampling) = heap.sampling() {
                for class in SizeClass::slabs() {
                    self.classes[class.index()].in_magazines += sampling.waiting(class);
                }
            }
            for block in heap.outbox().waiting() {
                // SAFETY: an outbox holds blocks of slabs, whose segments' heads can always be read.
                if let SlotKind::Slab(class) = unsafe { segment::slab_of(block.addr()) }.kind() {
                    self.classes[class.index()].in_magazines += 1;
                }
            }
        }
    }

    fn add_magazines(&mut self, heap: &Heap, tops: &Tops) {
        for class in SizeClass::all() {
            let waiting = heap.waiting_in(class, tops);
            if class.is_span() {
                self.keep_spans(class, waiting);
            } else {
                self.classes[class.index()].in_magazines += waiting;
            }
        }
    }

    fn add_counters(&mut self, backend: &Backend) {
        let counters = &backend.counters;
        let cached = backend.cached();
        self.mappings = counters.mappings().saturating_sub(cached.mappings);
        self.mapping_bytes = counters.mapped().saturating_sub(cached.bytes);
        self.reserved = counters.reserved();
        self.committed = counters.committed();
        self.peak_committed = counters.peak();
        self.purged = counters.returned();
        self.metadata = counters.metadata();
        self.retained += cached.bytes;
    }

    /// Takes spans that wait in a magazine off what is live.
    fn keep_spans(&mut self, class: SizeClass, waiting: usize) {
        self.spans = self.spans.saturating_sub(waiting);
        self.span_bytes = self.span_bytes.saturating_sub(waiting * class.size());
        self.in_magazines += waiting * class.size();
    }

    /// Takes what waits in magazines and outboxes off what is live.
    fn settle(&mut self) {
        for class in &mut self.classes {
            class.live = class.live.saturating_sub(class.in_magazines);
            self.in_magazines += class.in_magazines * class.block_size;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
