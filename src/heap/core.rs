//! Core: the slabs and segments of a heap, and how blocks come from them and go back. Everything behind the heap's
//! lock.
//!
//! Every slab that has a free block is in its class's ring, and every segment that has a free slot is in the ring of
//! segments: what is full is in no list at all, and found again when something of it is freed.

use super::counts::{Counts, KINDS};
use super::depot::Depot;
use super::held_back::HeldBack;
use super::held_spans::HeldSpans;
use super::joining::Joining;
use super::list::{Linked, Ring};
pub(super) use super::misuse::{Misuse, refuse};
use super::roomy::Roomy;
use super::usable::Usable;
use super::waiting::AtHand;
use crate::magazine::Place;
use crate::segment::{self, Backend, METADATA, Owner, Segment, Warmth};
use crate::size_class::{self, SLOT_SIZE, SizeClass};
use crate::slab::{self, Blocks, Freed, Pending, Slab};
use crate::sync::Cell;
use ::core::ptr;

impl Linked for Slab {
    fn links(&self) -> (&Cell<*const Slab>, &Cell<*const Slab>) {
        (&self.next, &self.previous)
    }
}

impl Linked for Segment {
    fn links(&self) -> (&Cell<*const Segment>, &Cell<*const Segment>) {
        Segment::links(self)
    }
}

/// What a core sees of the heap that it belongs to, and where it gets memory.
#[derive(Clone, Copy)]
pub(super) struct Host<'a> {
    pub(super) backend: &'a Backend,
    pub(super) owner: Owner,
    pub(super) pending: &'a Pending,
    pub(super) counts: &'a [Counts; KINDS],
    pub(super) growth: Growth,
}

/// What a heap may add to the memory that it uses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Growth {
    /// Segments.
    Segments,
    /// Slots of its own segments.
    Slots,
    /// Nothing but slots that were touched before.
    Nothing,
}

/// The slabs and segments of a heap.
pub(super) struct Core {
    /// For each class, the slabs that have free blocks.
    pub(super) usable: [Usable; size_class::SLABS],
    /// The segments that have free slots.
    pub(super) roomy: Roomy,
    /// The one of them that is wholly unused and stays, so that a block that comes and goes does not take a segment
    /// along each time; or null.
    spare: *const Segment,
    /// Number of segments.
    segments: usize,
    pub(super) joining: Joining,
    /// Refills left until what other threads have returned is collected though nobody needs it.
    pub(super) patience: u8,
    /// Blocks that were freed on probation.
    pub(super) held_back: HeldBack,
    /// Places of spans that were.
    pub(super) held_spans: HeldSpans,
    /// Bytes by which what was collected is more than what was asked for since, by the borrower and by others.
    pub(super) unclaimed: usize,
    pub(super) depot: Depot,
}

/// A heap that has so many segments, all of them in use, is one that grows, and will fill the next as well: it is
/// backed by a huge page. Programs in C that are not rebuilt, whose library does without the standard one, gained no
/// time by the first of these, and paid 4 % of a peak of 60 MiB. In a hardened segment with small pages some are
/// guards.
pub(super) const GROWING_FROM: usize = match (cfg!(feature = "std"), cfg!(feature = "hardened")) {
    (true, false) => 3,
    (true, true) => 8,
    (false, _) => 32,
};

/// A class of larger blocks has few in a slab. One that has run out of them takes what is held back, but for one block,
/// rather than a new slab: it would be one for each class, all of which is used sooner or later.
const WORTH_HOLDING_BACK: usize = 4096;

/// Bytes at the end of a slab that hardly matter.
const SHORT_END: usize = 4096;

// SAFETY: what the rings lead to is owner-only, and the heap's lock makes its holder the owner.
unsafe impl Send for Core {}

impl Core {
    /// Number of segments.
    pub(super) const fn segments(&self) -> usize {
        self.segments
    }

    pub(super) const fn new() -> Self {
        Self {
            usable: [const { Usable::new() }; size_class::SLABS],
            roomy: Roomy::new(),
            spare: ptr::null(),
            segments: 0,
            joining: Joining::new(),
            patience: 0,
            held_back: HeldBack::new(),
            held_spans: HeldSpans::new(),
            unclaimed: 0,
            depot: Depot::new(),
        }
    }

    /// Fills `places` from their end with free blocks of `class`, in address order towards the start; returns how many.
    /// Takes a new slab, or a sparse one, only where it would have to return nothing otherwise, and one span at most.
    /// Takes what is `at_hand` for a slab rather than memory that was never touched.
    pub(super) fn take_blocks(
        &mut self,
        host: Host<'_>,
        class: SizeClass,
        places: &mut [Place],
        at_hand: &mut AtHand<'_>,
    ) -> usize {
        if class.is_span() {
            return match (places.last_mut(), self.take_span_of(host, class, at_hand)) {
                (Some(place), Some((span, _))) => {
                    *place = span;
                    1
                }
                _ => 0,
            };
        }
        let blocks = Blocks::of(class);
        let mut left = places.len();
        while left > 0 {
            // Beyond need, no slab is added, and no sparse one begun.
            let slab = if left == places.len() {
                self.usable(host, class, at_hand)
            } else {
                self.usable[class.index()].first().filter(|slab| !slab.is_sparse())
            };
            let Some(slab) = slab else { break };
            let wanted = &mut places[..left];
            let taken = if slab.has_purged() {
                Self::take_purged(host, slab, blocks, wanted)
            } else {
                slab.take(blocks, wanted)
            };
            if taken == 0 {
                // The pages may not be committed.
                break;
            }
            left -= taken;
            self.usable[class.index()].used(slab);
        }
        places.len() - left
    }

    /// One free block or span of `class`, and whether it reads as zero.
    pub(super) fn take_block(&mut self, host: Host<'_>, class: SizeClass) -> Option<(Place, bool)> {
        if class.is_span() {
            return self.take_span_of(host, class, &mut AtHand::nothing());
        }
        let is_zero = self.usable(host, class, &mut AtHand::nothing())?.next_is_zero();
        let mut place = [ptr::null_mut()];
        (self.take_blocks(host, class, &mut place, &mut AtHand::nothing()) == 1).then_some((place[0], is_zero))
    }

    fn take_span_of(&mut self, host: Host<'_>, class: SizeClass, at_hand: &mut AtHand<'_>) -> Option<(Place, bool)> {
        let (span, is_zero) = self.take_span(host, class.size() / SLOT_SIZE, 1, at_hand)?;
        Some((span.as_ptr(), is_zero))
    }

    /// Blocks were asked for, and taken.
    pub(super) fn claim(&mut self, bytes: usize) {
        self.unclaimed = self.unclaimed.saturating_sub(bytes);
    }

    /// A slab of `class` that has free blocks: one that had, or one to which other threads have returned some, or a new
    /// one.
    fn usable<'s>(&mut self, host: Host<'_>, class: SizeClass, at_hand: &mut AtHand<'_>) -> Option<&'s Slab> {
        if !self.has_usable(class) {
            self.collect(host);
        }
        while !self.has_usable(class) && class.size() > WORTH_HOLDING_BACK && self.held_back.blocks_of(class) > 1 {
            self.let_oldest_go(host);
        }
        if !self.has_usable(class) && !self.add_slab(host, class, at_hand) {
            return None;
        }
        self.usable[class.index()].first()
    }

    fn has_usable(&self, class: SizeClass) -> bool {
        self.usable[class.index()].first().is_some()
    }

    /// True where a slab may be carved from memory that was touched before.
    fn has_warm_slot(&self) -> bool {
        self.roomy.has_warm(self.spare())
    }

    /// Has a slab of `class` with free blocks join the ring: what turns up on the way, or a new one. False where there
    /// is no memory for it.
    fn add_slab(&mut self, host: Host<'_>, class: SizeClass, at_hand: &mut AtHand<'_>) -> bool {
        if self.roomy.is_empty() {
            // Before the heap grows, slabs are put to use whose blocks have all come back, or are held back, or wait
            // for others of their own class.
            self.collect(host);
            self.let_go(host);
            self.retire_empty_slabs(host.backend);
            if self.has_usable(class) {
                return true;
            }
        }
        if !self.has_warm_slot() {
            at_hand.give_back(self);
        }
        if !self.has_warm_slot() && self.make_room(host) && self.has_usable(class) {
            return true;
        }
        if !self.has_warm_slot() && host.growth == Growth::Nothing {
            return false;
        }
        let carve = |segment: &'static Segment, warmth| segment.carve_slab(class, warmth, &host.backend.counters);
        let fills_slots = slab::end(class) <= SHORT_END;
        let slab = self.use_slots(1, carve).or_else(|| self.use_new_slots(host, fills_slots, 1, carve));
        slab.inspect(|slab| self.usable[class.index()].add(slab)).is_some()
    }

    /// What `carve` makes of a segment that has `count` free neighbours, if there is one: as [`Roomy::find`].
    pub(super) fn use_slots<'s, R>(
        &mut self,
        count: usize,
        carve: impl Fn(&'s Segment, Warmth) -> Option<R>,
    ) -> Option<R> {
        let (segment, carved) = self.roomy.find(count, self.spare(), carve)?;
        self.changed(segment);
        Some(carved)
    }

    /// As [`Core::use_slots`], of slots alone that were touched before.
    pub(super) fn use_warm_slots<'s, R>(
        &mut self,
        count: usize,
        carve: impl Fn(&'s Segment) -> Option<R>,
    ) -> Option<R> {
        let (segment, carved) = self.roomy.find_warm(count, self.spare(), carve)?;
        self.changed(segment);
        Some(carved)
    }

    /// As [`Core::use_slots`], of one more segment. What asks for it will fill its slots, or leave parts of them
    /// untouched, which a huge page would make resident.
    pub(super) fn use_new_slots<'s, R>(
        &mut self,
        host: Host<'_>,
        fills_slots: bool,
        count: usize,
        carve: impl Fn(&'s Segment, Warmth) -> Option<R>,
    ) -> Option<R> {
        let segment = self.add_segment(host, fills_slots)?;
        let carved = self.use_slots(count, carve);
        if segment.is_unused() {
            // So many slots are more than the limit allows.
            self.regained(host.backend, segment);
        }
        carved
    }

    /// Takes a segment from the backend, if it has one.
    fn add_segment<'s>(&mut self, host: Host<'_>, fills_slots: bool) -> Option<&'s Segment> {
        // Not one of which no slot could be used.
        if host.growth != Growth::Segments || !host.backend.counters.has_room(METADATA + SLOT_SIZE) {
            return None;
        }
        self.joining.grow(host.backend, self.segments);
        let segment = host.backend.take_segment(host.owner, fills_slots && self.segments >= GROWING_FROM)?;
        // SAFETY: the segment is this heap's now, and its first slot is never unmapped.
        let segment = unsafe { segment.as_ref() };
        segment.set_pending(host.pending);
        self.segments += 1;
        self.joining.add(segment);
        self.roomy.update(segment);
        Some(segment)
    }

    /// The segment that is wholly unused, if there is one.
    pub(super) fn spare<'s>(&self) -> Option<&'s Segment> {
        // SAFETY: segments' first slots are never unmapped.
        unsafe { self.spare.as_ref() }
    }

    /// Takes back blocks or spans of `class` that are this heap's.
    pub(super) fn put_back(&mut self, backend: &Backend, class: SizeClass, returned: &[Place]) {
        if class.is_span() {
            return self.put_back_spans(backend, class, returned);
        }
        let blocks = Blocks::of(class);
        // A free that is told no layout looks at those bits of an address alone that a program's can have.
        if returned.iter().fold(0, |bits, block| bits | block.addr()) >= segment::ADDRESSES {
            let stray = returned.iter().find(|block| block.addr() >= segment::ADDRESSES);
            refuse(Misuse::NotABlock, stray.copied().unwrap_or_default(), blocks.size());
        }
        let mut rest = returned;
        while let Some((&block, others)) = rest.split_first() {
            // SAFETY: magazines hold addresses inside segments alone, but for bits that were looked at: a free compares
            // the owner map first.
            let (slab, index) = unsafe { locate(blocks, block, Misuse::NotABlock) };
            rest = others;
            let freed = if blocks.may_be_neighbours(block, others) {
                // Neighbours come back together more often than not: what is done for one block is done for them all.
                let (neighbours, first) = blocks.run(index, block, others);
                rest = &others[neighbours..];
                match slab.put_back(first, 1 + neighbours) {
                    Ok(freed) => Some(freed),
                    Err(free) => refuse(Misuse::DoubleFree, slab.block(blocks, free), blocks.size()),
                }
            } else {
                slab.put_back_one(index)
            };
            match freed {
                Some(Freed::Kept) => {}
                Some(freed) => self.refile(backend, class, slab, freed),
                None => refuse(Misuse::DoubleFree, block, blocks.size()),
            }
        }
    }

    /// A slab has got blocks back that make it one for another ring.
    #[inline(never)]
    fn refile(&mut self, backend: &Backend, class: SizeClass, slab: &Slab, freed: Freed) {
        match freed {
            Freed::Kept => {}
            Freed::Movable => self.usable[class.index()].file(slab),
            Freed::Empty => self.emptied(backend, class, slab),
        }
    }

    /// A slab's blocks are all free. The only slab of its class stays until the next purge, or until the heap would
    /// have to grow, so that a class that comes and goes finds it as it was.
    pub(super) fn emptied(&mut self, backend: &Backend, class: SizeClass, slab: &Slab) {
        let usable = &mut self.usable[class.index()];
        if usable.has_none_but(slab) {
            usable.file(slab);
            return;
        }
        if Ring::is_linked(slab) {
            usable.remove(slab);
        }
        self.retire(backend, slab);
    }

    /// True where the class has several slabs, and would do with half of them.
    pub(super) fn is_scattered(&self, class: SizeClass) -> bool {
        self.usable[class.index()].is_scattered()
    }

    /// Ends the use of every slab whose blocks are all free.
    pub(super) fn retire_empty_slabs(&mut self, backend: &Backend) {
        for class in SizeClass::slabs() {
            if let Some(slab) = self.usable[class.index()].first_sparse().filter(|slab| slab.free() == slab.extent()) {
                self.usable[class.index()].remove(slab);
                self.retire(backend, slab);
            }
        }
    }

    /// Ends the use of a slab that is in no ring, or of a span.
    pub(super) fn retire(&mut self, backend: &Backend, slab: &Slab) {
        let segment = Segment::of(slab);
        segment.retire(slab, backend);
        self.regained(backend, segment);
    }

    /// A segment has more free slots than before.
    pub(super) fn regained(&mut self, backend: &Backend, segment: &Segment) {
        if segment.is_unused() && !self.spare.is_null() {
            self.roomy.remove(segment);
            self.give_up(backend, segment);
            return;
        }
        self.roomy.update(segment);
        if segment.is_unused() {
            self.spare = segment;
        }
    }

    /// Slots of `segment` have come into use, or a span there has grown or shrunk.
    pub(super) fn changed(&mut self, segment: &Segment) {
        if ptr::eq(self.spare, segment) {
            self.spare = ptr::null();
        }
        self.roomy.update(segment);
    }

    /// Gives every segment back that is not in use.
    pub(super) fn release_unused(&mut self, backend: &Backend) {
        self.retire_empty_slabs(backend);
        if let Some(segment) = self.spare() {
            self.spare = ptr::null();
            self.roomy.remove(segment);
            self.give_up(backend, segment);
        }
    }

    /// Gives a segment that is in no ring back to the backend.
    fn give_up(&mut self, backend: &Backend, segment: &Segment) {
        self.segments -= 1;
        self.joining.remove(segment);
        backend.give_segment(segment);
    }
}

/// The slab of `blocks` that holds `block`, and its index there; ends the process where no such block starts there,
/// which is the misuse `otherwise`.
///
/// # Safety
/// - `block` lies in a segment of the heap whose lock the caller holds.
#[inline(always)]
pub(super) unsafe fn locate<'a>(blocks: Blocks, block: Place, otherwise: Misuse) -> (&'a Slab, usize) {
    // SAFETY: passed on.
    let slab = unsafe { segment::slab_of(block.addr()) };
    match blocks.locate(block) {
        Some(index) if slab.is_of(blocks) => (slab, index),
        _ => refuse(otherwise, block, blocks.size()),
    }
}
