//! The segments of a heap that have free slots, by the length of their longest run of free slots.
//!
//! What is asked for is looked for where it just fits: segments that are nearly full are filled up, and those that are
//! nearly empty get a chance to become unused. And no segment is added while one has room for a span, however many
//! segments have only room for less.

use super::list::Ring;
use crate::segment::{SLOTS, Segment, Warmth};

/// Segments with free slots. A segment is in the ring of its longest run, as [`Segment::room`] says.
pub(super) struct Roomy {
    /// Ring n is of the segments whose longest run of free slots has n slots; the first stays empty.
    rings: [Ring<Segment>; SLOTS],
    /// Bit n is set while ring n is not empty.
    filled: u32,
}

/// How many segments are looked through for memory that was touched before, until any will do.
const PATIENCE: usize = 32;

impl Roomy {
    pub(super) const fn new() -> Self {
        Self { rings: [const { Ring::new() }; SLOTS], filled: 0 }
    }

    /// Puts a segment where it belongs, after slots of it were taken or freed, or into no ring where it is full.
    pub(super) fn update(&mut self, segment: &Segment) {
        let longest = segment.longest_free_run();
        if longest != segment.room().get() {
            self.remove(segment);
            self.insert(segment, longest);
        }
    }

    /// Takes a segment out, if it is in a ring.
    pub(super) fn remove(&mut self, segment: &Segment) {
        let room = segment.room().replace(0);
        if room > 0 {
            let ring = &mut self.rings[room];
            ring.remove(segment);
            if ring.first().is_none() {
                self.filled &= !(1 << room);
            }
        }
    }

    fn insert(&mut self, segment: &Segment, room: usize) {
        segment.room().set(room);
        if room > 0 {
            // The last that was changed is the next that serves: others may become unused meanwhile.
            self.rings[room].push_front(segment);
            self.filled |= 1 << room;
        }
    }

    /// True where no segment has a free slot.
    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The segments that have `count` free neighbours, or more, those with the shortest runs first. They are not to
    /// change meanwhile.
    fn with_run<'a>(&self, count: usize) -> impl Iterator<Item = &'a Segment> + use<'a, '_> {
        let mut left = self.filled & (u32::MAX << count);
        core::iter::from_fn(move || {
            let room = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            self.rings.get(room)
        })
        .flat_map(Ring::iter)
    }

    /// What `carve` makes of a segment that has `count` free neighbours: of one of the first few, or of `spare`, where
    /// it finds slots that were touched before; else of the first where it finds any. Also the segment.
    pub(super) fn find<'a, R>(
        &self,
        count: usize,
        spare: Option<&'a Segment>,
        carve: impl Fn(&'a Segment, Warmth) -> Option<R>,
    ) -> Option<(&'a Segment, R)> {
        let mut any = self.with_run(count);
        self.find_warm(count, spare, |segment| carve(segment, Warmth::Warm))
            .or_else(|| any.find_map(|segment| carve(segment, Warmth::Any).map(|carved| (segment, carved))))
    }

    /// As [`Roomy::find`], of slots alone that were touched before.
    pub(super) fn find_warm<'a, R>(
        &self,
        count: usize,
        spare: Option<&'a Segment>,
        carve: impl Fn(&'a Segment) -> Option<R>,
    ) -> Option<(&'a Segment, R)> {
        let mut warm = self.with_run(count).take(PATIENCE).chain(spare);
        warm.find_map(|segment| carve(segment).map(|carved| (segment, carved)))
    }

    /// True where one of the first few, or `spare`, has a free slot that was touched before.
    pub(super) fn has_warm(&self, spare: Option<&Segment>) -> bool {
        self.with_run(1).take(PATIENCE).chain(spare).any(Segment::has_warm_slot)
    }

    /// All of them.
    pub(super) fn iter<'a>(&self) -> impl Iterator<Item = &'a Segment> + use<'a, '_> {
        self.with_run(1)
    }
}
