//! Depot: where magazines' contents wait when they overflow, as they are, until the class runs out of blocks again.
//!
//! A batch that is allocated and freed again and again goes to and fro between magazines and depot as copies of
//! addresses, and no slab hears of it. The idea is that of Bonwick and Adams, *Magazines and Vmem* (2001); here it
//! holds little, and gives way to everything else: a heap whose blocks wait here while it would take memory that was
//! never touched puts them back into slabs first, and has no depot for a while.
//!
//! Behind the heap's lock.

use super::core::{Core, Host};
use super::counts::Counts;
use crate::align;
use crate::magazine::Place;
use crate::segment::{ADDRESSES, Backend, SEGMENT_SIZE};
use crate::size_class::{self, SLOT_SIZE, SizeClass};
use core::ptr::NonNull;

/// Bundles of a depot.
const BUNDLES: usize = 128;

/// Bytes of blocks that wait in a depot at most.
const MOST_BYTES: usize = 1024 * 1024;

/// Overflows that go to the slabs, after the heap has grown, before the depot is used again.
const CALM: u8 = 32;

/// In a heap of more segments only blocks wait of which many lie near each other. Those that are scattered over it
/// would be given out in the order in which they were freed, and what is built of them would be scattered, too: the
/// slabs know the order of addresses. In the C library CPython takes 3 % less time for it; programs in Rust, which free
/// more of what they have built together, take up to 4 % more, and none takes less.
const SCATTERED_UP_TO: usize = if cfg!(feature = "std") { ADDRESSES / SEGMENT_SIZE } else { 2 };

/// Places in a bundle: as many as in the largest magazine.
const PLACES: usize = 127;

/// What one overflow has brought.
#[repr(C, align(1024))]
struct Bundle {
    /// The bundle below it, by number: of the same class, or free.
    below: u16,
    /// Places that are used, from the first on.
    held: u16,
    places: [Place; PLACES],
}

/// No bundle. Numbers begin with 1.
const NONE: u16 = 0;

/// Blocks that wait.
pub(super) struct Depot {
    /// `BUNDLES` bundles, mapped when they are needed for the first time and never given back; or null.
    bundles: *mut Bundle,
    /// The uppermost bundle of each class.
    tops: [u16; size_class::SLABS],
    /// The uppermost of those that were used before and are free.
    free: u16,
    /// Bundles that were never used have numbers above this.
    touched: u16,
    /// Bytes of the blocks that wait.
    bytes: usize,
    /// Overflows until the depot is used.
    closed_for: u8,
    /// True where it was used since somebody looked.
    is_active: bool,
}

impl Depot {
    pub(super) const fn new() -> Self {
        Self {
            bundles: core::ptr::null_mut(),
            tops: [NONE; size_class::SLABS],
            free: NONE,
            touched: 0,
            bytes: 0,
            closed_for: CALM,
            is_active: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// True where it was not used since the last call.
    pub(super) fn is_quiet(&mut self) -> bool {
        !core::mem::replace(&mut self.is_active, false)
    }

    /// The heap grows: overflows go to the slabs for a while.
    fn close(&mut self) {
        self.closed_for = CALM;
    }

    fn bundle(&mut self, number: u16) -> &mut Bundle {
        debug_assert!(number != NONE && usize::from(number) <= BUNDLES);
        // SAFETY: numbers are given out by `unused` alone, and so there are bundles, this one among them; they are
        // written through `self` alone.
        unsafe { &mut *self.bundles.add(usize::from(number) - 1) }
    }

    /// The number of a bundle that nobody uses.
    fn unused(&mut self, backend: &Backend) -> Option<u16> {
        if self.free != NONE {
            let number = self.free;
            self.free = self.bundle(number).below;
            return Some(number);
        }
        if usize::from(self.touched) == BUNDLES || self.bundles.is_null() && !self.map(backend) {
            return None;
        }
        self.touched += 1;
        Some(self.touched)
    }

    /// Bytes of the mapping that holds the bundles.
    fn extent(backend: &Backend) -> usize {
        align::up(size_of::<[Bundle; BUNDLES]>(), backend.os.page_size())
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn mapped(&self, backend: &Backend) -> usize {
        if self.bundles.is_null() { 0 } else { Self::extent(backend) }
    }

    #[cold]
    fn map(&mut self, backend: &Backend) -> bool {
        let len = Self::extent(backend);
        if !backend.counters.try_commit_metadata(len) {
            return false;
        }
        let mapped = backend.os.map(0, len);
        if mapped.is_none() {
            backend.counters.uncommit_metadata(len);
        }
        // Bundles are valid as zeros, and untouched until they are used.
        self.bundles = mapped.map_or(core::ptr::null_mut(), NonNull::as_ptr).cast();
        mapped.is_some()
    }

    /// Keeps blocks of `class`, of slabs, from a magazine; false where they are to go to their slabs.
    fn put(&mut self, backend: &Backend, counts: &Counts, class: SizeClass, blocks: &[Place]) -> bool {
        if self.closed_for > 0 {
            self.closed_for -= 1;
            return false;
        }
        let bytes = blocks.len() * class.size();
        if blocks.len() > PLACES || self.bytes + bytes > MOST_BYTES {
            return false;
        }
        let Some(number) = self.unused(backend) else { return false };
        let below = core::mem::replace(&mut self.tops[class.index()], number);
        let bundle = self.bundle(number);
        bundle.below = below;
        bundle.held = blocks.len() as u16;
        bundle.places[..blocks.len()].copy_from_slice(blocks);
        self.bytes += bytes;
        self.is_active = true;
        counts.wait(blocks.len());
        true
    }

    /// Fills `places` from their end with blocks of `class` that wait, of one bundle; returns how many.
    pub(super) fn take(&mut self, counts: &Counts, class: SizeClass, places: &mut [Place]) -> usize {
        if !class.is_span() {
            let number = self.tops[class.index()];
            if number != NONE {
                return self.take_from(number, counts, class, places);
            }
        }
        0
    }

    fn take_from(&mut self, number: u16, counts: &Counts, class: SizeClass, places: &mut [Place]) -> usize {
        let free = self.free;
        let bundle = self.bundle(number);
        let held = usize::from(bundle.held);
        let taken = held.min(places.len());
        let first = places.len() - taken;
        places[first..].copy_from_slice(&bundle.places[held - taken..held]);
        bundle.held = (held - taken) as u16;
        if taken == held {
            self.tops[class.index()] = core::mem::replace(&mut bundle.below, free);
            self.free = number;
        }
        self.bytes -= taken * class.size();
        self.is_active = true;
        counts.leave(taken);
        taken
    }
}

/// True where a quarter of the blocks has its neighbour in `places` in the same slab, as far as one look in eight
/// tells.
fn is_clustered(places: &[Place]) -> bool {
    let slot = |place: Place| place.addr() / SLOT_SIZE;
    let looks = places.chunks_exact(8);
    let near = looks.clone().filter(|look| slot(look[0]) == slot(look[1])).count();
    near * 4 >= looks.len()
}

impl Core {
    /// Keeps blocks of `class`, of slabs, from a magazine; false where they are to go to their slabs.
    pub(super) fn let_wait(&mut self, backend: &Backend, counts: &Counts, class: SizeClass, blocks: &[Place]) -> bool {
        (self.segments() <= SCATTERED_UP_TO || is_clustered(blocks)) && self.depot.put(backend, counts, class, blocks)
    }

    /// Puts the blocks that wait in the depot into their slabs.
    #[cold]
    #[inline(never)]
    pub(super) fn empty_depot(&mut self, host: Host<'_>) {
        if self.depot.is_empty() {
            return;
        }
        for class in SizeClass::slabs() {
            let counts = Counts::of(host.counts, class);
            let mut places = [core::ptr::null_mut(); PLACES];
            loop {
                let taken = self.depot.take(counts, class, &mut places);
                if taken == 0 {
                    break;
                }
                self.put_back(host.backend, class, &places[PLACES - taken..]);
                counts.flush(taken);
            }
        }
    }

    /// The heap is about to take memory that was never touched: what waits in the depot goes into slabs first. True
    /// where anything did.
    pub(super) fn make_room(&mut self, host: Host<'_>) -> bool {
        let had_any = !self.depot.is_empty();
        self.empty_depot(host);
        self.depot.close();
        had_any
    }
}
