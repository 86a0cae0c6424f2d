//! Heap: magazines over slabs over segments, and the spans of large blocks.
//!
//! A heap outlives every thread that borrows it, and is never given back. Its borrower alone touches the magazines and
//! the outbox; all else is in [`Core`], behind a lock that the borrower takes when a magazine is empty or full, and
//! that anybody else may take to collect and to purge. What no thread ever waits for is a block that another thread
//! returns: that goes through the slabs' remote words.

mod borrower;
#[cfg_attr(
    any(not(feature = "std"), loom, tenure_bare_metal),
    allow(dead_code, reason = "without the standard library nobody sets budgets")
)]
mod budget;
mod collect;
mod core;
mod counts;
mod depot;
mod exchange;
mod hand_over;
mod held_back;
mod held_spans;
mod joining;
mod ledger;
mod list;
mod live;
mod misuse;
mod outbox;
mod probation;
mod purge;
#[cfg(feature = "hardened")]
mod quarantine;
mod rest;
mod roomy;
mod rounding;
#[cfg(feature = "profile")]
mod sampling;
mod seat;
mod span;
mod stealing;
mod usable;
mod waiting;

pub(crate) use borrower::Borrower;
#[cfg(all(feature = "std", not(tenure_bare_metal), not(loom)))]
pub(crate) use budget::{Budget, FRAMES};
pub(crate) use counts::{Counted, SPANS};
use counts::{Counts, KINDS};
pub(crate) use hand_over::end_of_sum;
pub(crate) use ledger::{Account, Ledger, MAX_OPEN, Totals};
#[cfg(all(test, not(loom)))]
pub(crate) use live::UNTOLD;
pub(crate) use misuse::{Misuse, refuse};
pub(crate) use outbox::return_remotely;
pub(crate) use rounding::{MAPPINGS, Roundings};
#[cfg(feature = "profile")]
pub(crate) use sampling::{Chosen, Next, Pace, Sampling, Unit};
#[cfg(feature = "hardened")]
pub(crate) use span::asked as span_asked;
pub(crate) use span::{
    is_in_use as is_span_in_use, is_returned_span, is_span, is_span_for, is_span_of, return_span_remotely,
};
#[cfg(test)]
pub(crate) use stealing::NONE;
#[cfg(feature = "profile")]
pub(crate) use stealing::Others;

use self::core::Core;
use crate::align;
use crate::arena::Piece;
use crate::lock::Lock;
use crate::magazine::{Magazine, Tops};
use crate::segment::{self, Backend, Owner, OwnerView};
use crate::size_class::{self, SizeClass};
use crate::slab::Pending;
#[cfg(feature = "profile")]
use crate::sync::AtomicPtr;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Cell, Ordering};
use ::core::array;
use ::core::ptr::NonNull;
use exchange::Traffic;
use hand_over::HandOvers;
use outbox::Outbox;
#[cfg(feature = "hardened")]
use quarantine::Quarantine;
use seat::Seat;
use waiting::Waiting;

/// A heap. What is written when it is made stands together, so that few pages are resident; what is used seldom comes
/// last.
#[repr(C)]
pub(crate) struct Heap {
    /// The borrower's side of the loan, where thread-local storage holds only a pointer to it. At the heap's start,
    /// which is a multiple of [`segment::BASE_ALIGN`].
    #[cfg(not(feature = "std"))]
    borrower: Borrower,
    magazines: [Magazine; size_class::COUNT],
    pending: Pending,
    core: Lock<Core>,
    /// True in a forked child for a heap that was locked at the moment of the fork, and may be half changed.
    is_lost: AtomicBool,
    seat: Seat,
    /// Blocks of other heaps that the borrower has freed. Borrower-only, but for statistics.
    outbox: Outbox,
    /// The tops while they are not at the borrower's hand. Borrower-only, but for statistics.
    aside: Tops,
    /// Static memory in which the borrower places blocks: those of small alignments, such as text, and all others.
    /// Apart, text is packed without gaps. Borrower-only, but for statistics.
    pieces: [Piece<1>; 2],
    /// What the process was not told of what the heap has given out, in bytes, modulo the size of a word.
    untold: AtomicUsize,
    /// Blocks that went past the magazines. Written by whoever holds the lock.
    given_directly: AtomicU64,
    /// Blocks that earlier borrowers have taken from their magazines. Borrower-only, but for statistics.
    taken_before: AtomicU64,
    /// How often that was told. Borrower-only, but for statistics.
    hand_overs: HandOvers,
    /// What the borrower has at hand while its allocations are sampled; null until that happens for the first time.
    /// Borrower-only, but for statistics.
    #[cfg(feature = "profile")]
    sampling: AtomicPtr<Sampling>,
    /// The tag whose heap this is, for good, and the heap's number among those of the tag; or 0.
    tag: u8,
    number_of_tag: u8,
    /// Who this heap is in the owner map.
    owner: Owner,
    backend: &'static Backend,
    /// Of a tag's heap, the one that the borrower allocated from before. Borrower-only.
    outer: Cell<Option<&'static Heap>>,
    /// Borrower-only.
    waiting: Waiting,
    /// Borrower-only.
    traffic: [Traffic; size_class::COUNT],
    /// What the borrower has freed and nobody is to have yet. Borrower-only, but for statistics.
    #[cfg(feature = "hardened")]
    quarantine: Quarantine,
    /// True once the classes were put on probation. Borrower-only.
    has_begun: Cell<bool>,
    /// What the borrower does while it is counted. Borrower-only.
    ledger: Ledger,
    /// Written by whoever holds the lock, read by others for statistics.
    counts: [Counts; KINDS],
    /// What the borrower was given while exact bytes were counted. Borrower-only, but for statistics.
    roundings: Roundings,
}

// What a free relies on that finds its stack by the low bits of an address.
#[cfg(not(feature = "std"))]
const _: () = assert!(
    ::core::mem::offset_of!(Heap, borrower) == 0
        && ::core::mem::offset_of!(Borrower, tops) == 0
        && size_of::<Tops>() <= segment::BASE_ALIGN
);

// SAFETY: what is not atomic or locked is borrower-only, and the registry lends a heap to one thread at a time.
unsafe impl Sync for Heap {}

/// What a heap's start is a multiple of, where that matters.
const ALIGN: usize = if cfg!(feature = "std") { 1 } else { segment::BASE_ALIGN };

/// Memory for a heap.
#[cfg(not(feature = "hardened"))]
fn map_guarded(backend: &Backend, len: usize) -> Option<NonNull<u8>> {
    backend.map_aligned(len, ALIGN, 0)
}

/// Memory for a heap, between pages that fault when they are touched, if the system allows that.
#[cfg(feature = "hardened")]
fn map_guarded(backend: &Backend, len: usize) -> Option<NonNull<u8>> {
    let page = backend.os.page_size();
    let start = backend.map_aligned(len + 2 * page, ALIGN, page)?;
    // SAFETY: the first and the last page of what was mapped just now, which nobody uses.
    unsafe {
        crate::os::guard(start, page);
        crate::os::guard(start.add(page + len), page);
        Some(start.add(page))
    }
}

/// What stands in place of the number of a tag's heap in one that nobody borrows, under a tag or under none.
#[cfg(feature = "profile")]
pub(crate) const FOR_SAMPLES: u8 = u8::MAX;

impl Heap {
    /// Bytes that a heap takes, in whole pages.
    fn footprint(backend: &Backend) -> usize {
        align::up(size_of::<Heap>(), backend.os.page_size())
    }

    /// A new heap, whose id is `owner`; `None` where the system has no memory. For a tag, unless that is 0: as its heap
    /// of this number.
    pub(crate) fn create(backend: &'static Backend, owner: Owner, [tag, number]: [u8; 2]) -> Option<NonNull<Heap>> {
        let len = Self::footprint(backend);
        if !backend.counters.try_commit_metadata(len) {
            return None;
        }
        let Some(heap) = map_guarded(backend, len) else {
            backend.counters.uncommit_metadata(len);
            return None;
        };
        let heap = heap.cast::<Heap>();
        let place = heap.as_ptr();
        // Magazines, quarantine, outbox, which is not on probation, ledger, counts and numbers are valid as zeros, and
        // stay untouched until they are used.
        // SAFETY: mapped just now, and large enough; a page is aligned for a heap, where its borrower's record does not
        // ask for more.
        unsafe {
            (&raw mut (*place).pending).write(Pending::new());
            (&raw mut (*place).core).write(Lock::new(Core::new()));
            (&raw mut (*place).seat).write(Seat::new());
            (&raw mut (*place).aside).write(Tops::nowhere());
            (&raw mut (*place).pieces).write([Piece::empty(), Piece::empty()]);
            (&raw mut (*place).traffic).write(array::from_fn(|_| Traffic::new()));
            (&raw mut (*place).has_begun).write(Cell::new(false));
            (&raw mut (*place).outer).write(Cell::new(None));
            (&raw mut (*place).hand_overs).write(HandOvers::new());
            #[cfg(feature = "hardened")]
            Quarantine::begin(&raw mut (*place).quarantine, place.addr());
            #[cfg(not(feature = "std"))]
            (&raw mut (*place).borrower).write(Borrower::fresh());
            #[cfg(feature = "profile")]
            (&raw mut (*place).sampling).write(AtomicPtr::new(::core::ptr::null_mut()));
            (&raw mut (*place).tag).write(tag);
            (&raw mut (*place).number_of_tag).write(number);
            (&raw mut (*place).owner).write(owner);
            (&raw mut (*place).backend).write(backend);
        }
        Some(heap)
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    /// The heap that the borrower of this one, which is a tag's, allocated from before; none of a thread's own heap.
    /// Borrower-only.
    pub(crate) fn outer(&self) -> Option<&'static Heap> {
        self.outer.get()
    }

    /// Says which heap that was. Borrower-only.
    pub(crate) fn set_outer(&self, outer: &'static Heap) {
        self.outer.set(Some(outer));
    }

    /// The tag whose heap this is, or 0.
    pub(crate) fn tag(&self) -> u8 {
        self.tag
    }

    /// The heap's number among those of its tag.
    pub(crate) fn number_of_tag(&self) -> usize {
        self.number_of_tag.into()
    }

    /// The owner map of the backend that the heap has its memory from.
    pub(crate) fn owners(&self) -> OwnerView {
        self.backend.owners.view()
    }

    #[cfg(not(feature = "std"))]
    pub(crate) fn borrower(&self) -> &Borrower {
        &self.borrower
    }

    /// True for a heap of sampled blocks, which nobody borrows.
    #[cfg(feature = "profile")]
    pub(crate) fn is_for_samples(&self) -> bool {
        self.number_of_tag == FOR_SAMPLES
    }

    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// The borrower's tops while they are not at its hand, because it is in a static scope, watched, or allocates from
    /// another heap; and those of a tag's heap that is parked. They stand nowhere at all other times.
    pub(crate) fn aside(&self) -> &Tops {
        &self.aside
    }

    /// Static memory that is set aside for the borrower.
    pub(crate) fn pieces(&self) -> &[Piece<1>; 2] {
        &self.pieces
    }

    /// What of it is for blocks of this alignment.
    #[inline(always)]
    pub(crate) fn piece_for(&self, align: usize) -> &Piece<1> {
        &self.pieces[usize::from(align >= align_of::<usize>())]
    }

    /// What the borrower, whose own heap this is, does while it is counted.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What the borrower was given while exact bytes were counted.
    pub(crate) fn roundings(&self) -> &Roundings {
        &self.roundings
    }

    /// What has passed between magazines and slabs: by class, and last of all spans.
    pub(crate) fn counts(&self) -> &[Counts; KINDS] {
        &self.counts
    }

    /// The borrower leaves: what it has taken from its magazines is kept in mind. Borrower-only.
    pub(crate) fn remember_taken(&self, tops: &Tops) {
        self.hand_overs.during(|| counts::add(&self.taken_before, tops.take_count()));
    }

    /// How often a borrower's count was handed over to this heap: see [`HandOvers::count`].
    pub(crate) fn hand_overs(&self) -> usize {
        self.hand_overs.count()
    }

    /// True where what the seat shows is to be counted: one thread's magazines may be shown by two seats, that of its
    /// own heap and that of a tag's.
    pub(crate) fn counts_at_hand(&self) -> bool {
        cfg!(not(feature = "std")) || self.tag() == 0
    }

    /// Number of blocks that were allocated from this heap so far, and that its borrower has taken from the magazines
    /// at its hand.
    pub(crate) fn allocated(&self) -> u64 {
        let at_hand = self.seat.read(|tops| if self.counts_at_hand() { tops.taken() } else { 0 }).unwrap_or(0);
        let before = self.given_directly.load(Ordering::Relaxed) + self.taken_before.load(Ordering::Relaxed);
        before + self.aside.taken() + at_hand
    }

    #[cfg(feature = "hardened")]
    pub(crate) fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Number of blocks of `class` in this heap's magazine, as far as it is one of those to which `tops` belong: a
    /// thread that allocates from another heap shows that one's.
    pub(crate) fn waiting_in(&self, class: SizeClass, tops: &Tops) -> usize {
        tops.waiting_in(&self.magazines[class.index()], class)
    }

    /// In a forked child, where the borrower does not exist: forgets what it had at hand. Its blocks in magazines and
    /// outbox stay in use for ever, since nobody can tell how far the borrower had got with them.
    pub(crate) fn forget_borrower(&self) {
        self.hand_overs.forget();
        // The other threads' storage is there still, though they are not.
        if self.counts_at_hand() {
            self.seat.read(|tops| self.remember_taken(tops));
        }
        self.seat.clear();
        self.outbox.clear();
        self.aside.reset();
        #[cfg(feature = "profile")]
        if let Some(sampling) = self.sampling() {
            sampling.forget();
        }
        self.ledger.clear();
        #[cfg(not(feature = "std"))]
        self.borrower.leave();
    }

    /// In a forked child: leaves the pages as they are that it shares with the parent.
    pub(crate) fn keep_pages_shared(&self) {
        self.core.lock().joining.forget();
    }

    /// In a forked child: takes the heap out of use. Its blocks stay valid, and may be freed.
    pub(crate) fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Collects what others have returned, and gives every unused segment back to the backend, on behalf of any thread:
    /// for when memory is short.
    pub(crate) fn reclaim(&self) {
        if self.is_lost() {
            return;
        }
        let mut core = self.core.lock();
        core.take_in_all(self.host());
        core.release_unused(self.backend);
    }

    /// Bytes that the depot has mapped.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn depot_bytes(&self) -> usize {
        self.core.lock().depot.mapped(self.backend)
    }

    /// True where some thread holds the heap's lock.
    pub(crate) fn is_locked(&self) -> bool {
        self.core.is_locked()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
