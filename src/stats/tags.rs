//! What is in use under each tag: derived from which heap owns a block's segment, and from the counters of mappings.
//!
//! A walk of its own, which is made only where there is a tag.

use super::Stats;
use super::take::each_in_magazines;
#[cfg(feature = "hardened")]
use crate::heap::Heap;
use crate::registry::Registry;
use crate::segment::{self, Backend, Segment};
use crate::size_class::{SLOT_SIZE, SizeClass};
use crate::slab::SlotKind;
use crate::tag::{TAGS, Tag};

/// What is in use under a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagStats {
    /// The tag.
    pub tag: Tag,
    /// Blocks that the program has.
    pub blocks: usize,
    /// Bytes of these blocks, at the size of their class, span or mapping.
    pub bytes: usize,
}

/// Blocks and bytes under each tag. Differences until the end, so they may be below zero in between, and in what other
/// threads do meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tags([Counts; TAGS]);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    blocks: isize,
    bytes: isize,
}

impl Stats {
    /// What is in use under each tag that was named, in the order of naming. What is in use under none is the rest of
    /// [`Stats::live_bytes`].
    ///
    /// ```
    /// #[global_allocator]
    /// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
    ///
    /// let cache = tenure::Tag::named("cache").unwrap();
    /// let page = tenure::tagged(cache, || vec![0_u8; 1024]);
    /// let stats = GLOBAL.stats();
    /// let figures = stats.tags().find(|figures| figures.tag == cache).unwrap();
    /// assert!(figures.blocks == 1 && figures.bytes >= 1024);
    /// # drop(page);
    /// ```
    pub fn tags(&self) -> impl Iterator<Item = TagStats> + Clone + '_ {
        Tag::all().map(|tag| {
            let Counts { blocks, bytes } = self.tags.0[tag.index()];
            TagStats { tag, blocks: blocks.max(0) as usize, bytes: bytes.max(0) as usize }
        })
    }
}

impl Tags {
    pub(super) const NONE: Self = Self([Counts { blocks: 0, bytes: 0 }; TAGS]);

    pub(super) fn add(&mut self, backend: &Backend, registry: &Registry) {
        if Tag::all().next().is_none() {
            return;
        }
        self.add_segments(backend, registry);
        for heap in registry.heaps() {
            if heap.tag() != 0 {
                each_in_magazines(heap, |class, waiting| self.take_off(heap.tag(), class, waiting));
                for (class, counts) in SizeClass::slabs().zip(heap.counts()) {
                    self.take_off(heap.tag(), class, counts.read().in_depot as usize);
                }
            }
            #[cfg(feature = "hardened")]
            self.take_off_quarantine(backend, registry, heap);
            for block in heap.outbox().waiting() {
                let Some(owner) = registry.owner(backend.owners.look_up(block.addr())) else { continue };
                // SAFETY: an outbox holds blocks of slabs, whose segments' heads can always be read.
                if let SlotKind::Slab(class) = unsafe { segment::slab_of(block.addr()) }.kind() {
                    self.take_off(owner.tag(), class, 1);
                }
            }
        }
        for tag in Tag::all() {
            let (blocks, bytes) = backend.counters.mappings_under(tag.number());
            self.count(tag.number(), blocks as isize, bytes as isize);
        }
    }

    fn count(&mut self, tag: u8, blocks: isize, bytes: isize) {
        if let Some(counts) = usize::from(tag).checked_sub(1).and_then(|index| self.0.get_mut(index)) {
            counts.blocks += blocks;
            counts.bytes += bytes;
        }
    }

    /// Takes blocks that wait somewhere off what is in use under a tag.
    fn take_off(&mut self, tag: u8, class: SizeClass, waiting: usize) {
        self.count(tag, -(waiting as isize), -((waiting * class.size()) as isize));
    }

    fn add_segments(&mut self, backend: &Backend, registry: &Registry) {
        for (address, owner) in backend.owners.walk(|owner| owner.is_heap()) {
            if let Some(heap) = registry.owner(owner).filter(|heap| heap.tag() != 0) {
                // SAFETY: the entry names a segment, whose head can always be read.
                self.add_slots(heap.tag(), unsafe { &*segment::segment_of(address) });
            }
        }
    }

    fn add_slots(&mut self, tag: u8, segment: &Segment) {
        for slab in segment.slots() {
            let pending = segment.waiting_remote(slab);
            match slab.kind() {
                SlotKind::Slab(class) => {
                    let given_out = slab.extent().saturating_sub(slab.free() + pending);
                    self.count(tag, given_out as isize, (given_out * class.size()) as isize);
                }
                SlotKind::Span if pending == 0 => self.count(tag, 1, (slab.extent() * SLOT_SIZE) as isize),
                SlotKind::Span | SlotKind::Free => {}
            }
        }
    }

    /// What is in quarantine is free. Of mappings there, whoever has freed them has said so.
    #[cfg(feature = "hardened")]
    fn take_off_quarantine(&mut self, backend: &Backend, registry: &Registry, heap: &Heap) {
        for block in heap.quarantine().held().chain(heap.quarantine().held_large().map(|(block, _)| block)) {
            let Some(owner) = registry.owner(backend.owners.look_up(block.addr())) else { continue };
            // SAFETY: a heap's block, whose segment's head can always be read.
            let slab = unsafe { segment::slab_of(block.addr()) };
            match slab.kind() {
                SlotKind::Slab(class) => self.take_off(owner.tag(), class, 1),
                SlotKind::Span => self.count(owner.tag(), -1, -((slab.extent() * SLOT_SIZE) as isize)),
                SlotKind::Free => {}
            }
        }
    }
}
