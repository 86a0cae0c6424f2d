//! How a snapshot is taken: by reading what is there, from segments' heads, heaps and counters.

use super::tags::Tags;
use super::{Balance, ClassStats, Rounding, SIZE_CLASSES, Stats, Traffic, VERSION};
use crate::arena::{self, ArenaStats};
use crate::heap::{Heap, SPANS};
use crate::magazine::Tops;
use crate::region::Region;
use crate::registry::Registry;
use crate::segment::{self, Backend, Kept, Owner, Segment};
use crate::size_class::{SLOT_SIZE, SizeClass};
use crate::slab::SlotKind;
#[cfg(feature = "hardened")]
use core::ptr::NonNull;

/// Passes to `each` how many blocks of each class wait in a heap's magazines, one after the other: those at the
/// borrower's hand, those aside, and returns. A snapshot.
pub(super) fn each_in_magazines(heap: &Heap, mut each: impl FnMut(SizeClass, usize)) {
    let mut each_of = |tops: &Tops| SizeClass::all().for_each(|class| each(class, heap.waiting_in(class, tops)));
    heap.seat().read(&mut each_of);
    each_of(heap.aside());
    #[cfg(feature = "profile")]
    if let Some(sampling) = heap.sampling() {
        SizeClass::all().for_each(|class| each(class, sampling.waiting(class)));
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self::new()
    }
}

impl Stats {
    /// What is known before anything was read: all figures are zero.
    pub const fn new() -> Self {
        Self::EMPTY
    }

    /// Takes a snapshot where this one was.
    #[inline(never)]
    pub(crate) fn fill(&mut self, backend: &Backend, registry: &Registry, region: &Region) {
        *self = Self::EMPTY;
        let process = backend.os.process();
        self.time_ms = process.map(|process| process.time_ms);
        self.process_id = process.map(|process| process.id);
        for class in SizeClass::slabs() {
            self.classes[class.index()].block_size = class.size();
        }
        self.add_segments(backend);
        self.add_heaps(backend, registry);
        self.allocations = registry.allocations();
        self.add_counters(backend);
        self.add_static_memory(region, registry);
        self.settle();
        self.tags.add(backend, registry);
    }

    const EMPTY: Self = Self {
        version: VERSION,
        time_ms: None,
        uptime_ms: None,
        process_id: None,
        committed: 0,
        peak_committed: 0,
        peak_since_reset: 0,
        peak_live_bytes: 0,
        peak_live_since_reset: 0,
        balance: Balance::EMPTY,
        system: None,
        reserved: 0,
        purged: 0,
        spans: 0,
        span_traffic: Traffic::EMPTY,
        span_rounding: Rounding::NONE,
        mapping_rounding: Rounding::NONE,
        mappings: 0,
        mappings_allocated: 0,
        allocations: 0,
        segments: 0,
        pooled_segments: 0,
        heaps: 0,
        parked_heaps: 0,
        static_memory: ArenaStats::EMPTY,
        scopes: ArenaStats::EMPTY,
        tags: Tags::NONE,
        classes: [ClassStats::EMPTY; SIZE_CLASSES],
    };

    fn add_segments(&mut self, backend: &Backend) {
        let is_segment = |owner: Owner| owner.is_heap() || owner == Owner::POOLED;
        for (address, owner) in backend.owners.walk(is_segment) {
            // SAFETY: the entry names a segment, whose head can always be read.
            let segment = unsafe { &*segment::segment_of(address) };
            if owner == Owner::POOLED {
                self.pooled_segments += 1;
                self.balance.free_segments += segment.retained_bytes();
            } else {
                self.segments += 1;
                self.balance.free_slots += segment.retained_bytes();
            }
            self.add_slots(backend, segment);
        }
    }

    fn add_slots(&mut self, backend: &Backend, segment: &Segment) {
        for slab in segment.slots() {
            match slab.kind() {
                SlotKind::Slab(class) => {
                    let (size, extent) = (class.size(), slab.extent());
                    let pending = segment.waiting_remote(slab);
                    let free = slab.free() + pending;
                    let counts = &mut self.classes[class.index()];
                    counts.slabs += 1;
                    counts.free += free;
                    counts.remote_pending += pending;
                    // What waits in magazines and outboxes is taken off later.
                    counts.live += extent.saturating_sub(free);
                    // Pages that were given back hold free blocks, and may hold a part of the slab's end.
                    let purged = slab.purged().count() * backend.os.page_size();
                    let in_slab = (free - pending) * size;
                    let resident = in_slab.saturating_sub(purged);
                    self.balance.free_in_slabs += resident;
                    self.balance.returned += pending * size;
                    self.balance.slab_ends += SLOT_SIZE.saturating_sub(extent * size + purged - (in_slab - resident));
                }
                SlotKind::Span if segment.waiting_remote(slab) > 0 => {
                    self.balance.returned += slab.extent() * SLOT_SIZE;
                }
                SlotKind::Span => {
                    self.spans += 1;
                    self.balance.live_spans += slab.extent() * SLOT_SIZE;
                }
                SlotKind::Free => {}
            }
        }
    }

    #[cfg_attr(
        not(feature = "hardened"),
        expect(unused_variables, reason = "mappings in quarantine are the backend's")
    )]
    fn add_heaps(&mut self, backend: &Backend, registry: &Registry) {
        for heap in registry.heaps() {
            self.heaps += 1;
            self.parked_heaps += usize::from(registry.is_parked(heap));
            each_in_magazines(heap, |class, waiting| {
                if class.is_span() {
                    self.keep_spans(class, waiting);
                } else {
                    self.classes[class.index()].in_magazines += waiting;
                }
            });
            #[cfg(feature = "hardened")]
            self.add_quarantine(backend, heap);
            self.add_traffic(heap);
            let Self { classes, span_rounding, mapping_rounding, .. } = self;
            let roundings = classes.iter_mut().map(|class| &mut class.rounding);
            roundings
                .chain([span_rounding, mapping_rounding])
                .zip(heap.roundings().read())
                .for_each(|(sum, more)| sum.add(more));
            for block in heap.outbox().waiting() {
                // SAFETY: an outbox holds blocks of slabs, whose segments' heads can always be read.
                if let SlotKind::Slab(class) = unsafe { segment::slab_of(block.addr()) }.kind() {
                    self.classes[class.index()].in_outboxes += 1;
                }
            }
        }
    }

    /// What is in quarantine is free, as what waits in a magazine is.
    #[cfg(feature = "hardened")]
    fn add_quarantine(&mut self, backend: &Backend, heap: &Heap) {
        for block in heap.quarantine().held() {
            // SAFETY: blocks of slabs, whose segments' heads can always be read.
            if let SlotKind::Slab(class) = unsafe { segment::slab_of(block.addr()) }.kind() {
                self.classes[class.index()].in_magazines += 1;
            }
        }
        for (block, mapped) in heap.quarantine().held_large() {
            let Some(block) = NonNull::new(block) else { continue };
            if mapped > 0 {
                self.mappings += 1;
                self.balance.cached_mappings += mapped;
            } else if backend.owners.look_up(block.addr().get()).is_heap() {
                // SAFETY: in a segment, whose head can always be read.
                let asked = unsafe { crate::heap::span_asked(block) };
                if let Some(class) = asked.and_then(|(_, len)| SizeClass::of_slots(len / SLOT_SIZE)) {
                    self.keep_spans(class, 1);
                }
            }
        }
    }

    fn add_traffic(&mut self, heap: &Heap) {
        let (spans, classes) = (&heap.counts()[SPANS], &heap.counts()[..SPANS]);
        self.span_traffic.add(spans.read());
        for (class, counts) in self.classes.iter_mut().zip(classes) {
            let counted = counts.read();
            class.traffic.add(counted);
            class.in_magazines += counted.in_depot as usize;
        }
    }

    /// Takes spans that wait in a magazine off what is live.
    fn keep_spans(&mut self, class: SizeClass, waiting: usize) {
        let bytes = waiting * class.size();
        self.spans = self.spans.saturating_sub(waiting);
        self.balance.live_spans = self.balance.live_spans.saturating_sub(bytes);
        self.balance.in_magazines += bytes;
    }

    fn add_counters(&mut self, backend: &Backend) {
        let counters = &backend.counters;
        let cached = backend.cached();
        // What is there already are those in quarantine.
        let cached =
            Kept { mappings: cached.mappings + self.mappings, bytes: cached.bytes + self.balance.cached_mappings };
        self.mappings = counters.mappings().saturating_sub(cached.mappings);
        self.mappings_allocated = counters.blocks_mapped();
        self.allocations += self.mappings_allocated;
        self.reserved = counters.reserved();
        self.committed = counters.committed();
        // A peak that is counted at this moment is no less than what is committed.
        self.peak_committed = counters.peak().max(self.committed);
        self.peak_since_reset = counters.peak_since_reset().max(self.committed);
        [self.peak_live_bytes, self.peak_live_since_reset] = counters.live_peaks();
        self.purged = counters.returned();
        self.balance.live_mappings = counters.mapped().saturating_sub(cached.bytes);
        self.balance.cached_mappings = cached.bytes;
        self.balance.metadata = counters.metadata();
    }

    fn add_static_memory(&mut self, region: &Region, registry: &Registry) {
        self.scopes = region.stats(registry.heaps().flat_map(Heap::pieces));
        self.static_memory = arena::registered_totals().plus(self.scopes);
        self.committed += self.static_memory.used;
        self.peak_committed += self.static_memory.used;
        self.peak_since_reset += self.static_memory.used;
        self.balance.static_live = self.static_memory.live();
        self.balance.static_dead = self.static_memory.used - self.static_memory.live();
    }

    /// Takes what waits in magazines and outboxes off what is live.
    fn settle(&mut self) {
        for class in &mut self.classes {
            class.live = class.live.saturating_sub(class.in_magazines + class.in_outboxes);
            self.balance.live_in_slabs += class.live * class.block_size;
            self.balance.in_magazines += class.in_magazines * class.block_size;
            self.balance.in_outboxes += class.in_outboxes * class.block_size;
        }
        // As above, of what is live.
        let live = self.balance.live() + self.balance.in_magazines + self.balance.in_outboxes;
        self.peak_live_bytes = self.peak_live_bytes.max(live);
        self.peak_live_since_reset = self.peak_live_since_reset.max(live);
    }
}
