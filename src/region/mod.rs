//! Region: the static memory of the process, which scopes fill.
//!
//! It consists of chunks, whole granules that the owner map calls static. A thread sets a *piece* of a chunk aside and
//! places blocks in it without an atomic read-modify-write; a piece that is used up grows where it stands if nobody has
//! come between, so that one thread alone leaves no gaps.
//!
//! ```text
//! chunk                                                        chunk
//! +------------------+-----------+------------------+--------+ +--------------------------------+
//! | piece of A, full | a large   | piece of B | left | unused | |                                |
//! |                  | block     |                  |        | |                                |
//! +------------------+-----------+------------------+--------+ +--------------------------------+
//!                                                   ^ cursor
//! ```
//!
//! What describes chunks lies in the region itself, and so in the program's own static data, never among the blocks.

mod chunks;

use crate::align;
use crate::arena::{ArenaStats, Cursor, MAX_CAPACITY, Piece};
use crate::segment::{Backend, GRANULE};
use crate::sync::{AtomicBool, AtomicUsize, Ordering, constructor};
use chunks::{Added, Chunk, Chunks, Extent, MAX_CHUNKS};
use core::alloc::Layout;
use core::iter;
use core::ops::Range;
use core::ptr::{self, NonNull};

/// Longest chunk that is mapped ahead of need. Pages that were not touched cost addresses alone.
const MAX_CHUNK: usize = 1 << 30;

/// Static memory that is backed by small pages. What comes after is filled densely and stays for good, for which huge
/// pages are made: they save most of the page faults now, and most of the misses in the table of translations later.
/// The unused part of the last one is small beside this, and goes back on sealing.
const SMALL_PAGES: usize = 4 * 1024 * 1024;

/// Bytes that a thread sets aside at a time: a locked instruction for each of these is not felt, and what is left of it
/// when the thread stops allocating is not much.
const PIECE: usize = 32 * 1024;

/// Larger blocks are placed past the piece, which would be used up by few of them.
const MAX_IN_PIECE: usize = PIECE / 4;

/// Where a block is that was placed, and how many bytes at its start may hold something other than zero.
pub(crate) struct Placed {
    pub(crate) block: NonNull<u8>,
    pub(crate) stale: usize,
}

impl Placed {
    /// The block, with nothing but zeros in it.
    pub(crate) fn zeroed(&self) -> NonNull<u8> {
        // SAFETY: the first bytes of a block that was just placed, and is the caller's alone.
        unsafe { self.block.as_ptr().write_bytes(0, self.stale) };
        self.block
    }
}

/// What sealing has come to. Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Sealed {
    /// In use by static data: dead bytes included, and what other threads have set aside and not filled.
    pub used: usize,
    /// Given back to the system by this call: what was left, in whole pages. More than a fixed
    /// [capacity](crate::Tenure::with_static_capacity) may leave, as that is reserved in multiples of 2 MiB.
    pub returned: usize,
    /// Made read-only by this call, in whole pages.
    pub read_only: usize,
}

/// The static memory of a process; and of a test that wants its own.
pub(crate) struct Region {
    chunks: Chunks,
    /// Index of the chunk that is looked at first; a hint.
    current: AtomicUsize,
    /// Bytes that may be placed in all; 0 until the first block decides, [`GROWS`] where there is no bound.
    capacity: AtomicUsize,
    /// True once nothing is to be placed any more. The table of chunks and their cursors are closed afterwards, which
    /// is what stops every thread.
    is_sealed: AtomicBool,
    /// Requests that went elsewhere, or nowhere.
    fallbacks: AtomicUsize,
    /// Bytes of sealed chunks that hold nothing and did not go back to the system: the rests of last pages.
    slack: AtomicUsize,
}

/// The capacity of a region that grows from the system as it is needed.
pub(crate) const GROWS: usize = usize::MAX;

/// Largest capacity that can be given.
pub(crate) const MAX_FIXED: usize = MAX_CAPACITY;

impl Region {
    constructor! {
        /// A region without memory.
        pub(crate) fn new() -> Self {
            Self {
                chunks: Chunks::new(),
                current: AtomicUsize::new(0),
                capacity: AtomicUsize::new(0),
                is_sealed: AtomicBool::new(false),
                fallbacks: AtomicUsize::new(0),
                slack: AtomicUsize::new(0),
            }
        }
    }

    /// True once [`Region::seal`] was called. One relaxed load.
    #[inline]
    pub(crate) fn is_sealed(&self) -> bool {
        self.is_sealed.load(Ordering::Relaxed)
    }

    /// Counts a request that the region did not serve.
    pub(crate) fn count_fallback(&self) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
    }

    /// Places a block for `layout`, whose size is not zero, in what the calling thread has set aside; `None` where it
    /// does not fit.
    #[inline(always)]
    pub(crate) fn place_in_piece(&self, piece: &Piece<1>, layout: Layout) -> Option<NonNull<u8>> {
        if self.is_sealed() { None } else { piece.take(layout) }
    }

    /// Places a block for `layout`, whose size is not zero: in the calling thread's piece, if it has one. `None` where
    /// the region is sealed or full, or the system has no memory. The first call decides on the capacity, in bytes or
    /// [`GROWS`].
    pub(crate) fn place(
        &self,
        backend: &Backend,
        piece: Option<&Piece<1>>,
        capacity: usize,
        layout: Layout,
    ) -> Option<Placed> {
        if self.is_sealed() {
            return None;
        }
        self.decide(capacity);
        let placed = piece.and_then(|piece| {
            let block = self.place_in_piece(piece, layout).or_else(|| {
                let fits = layout.size().max(layout.align()) <= MAX_IN_PIECE;
                let is_ready = fits && self.set_aside(backend, piece, layout.size() + layout.align() - 1);
                is_ready.then(|| piece.take(layout))?
            })?;
            Some(Placed { block, stale: piece.stale_bytes(block, layout.size()) })
        });
        placed.or_else(|| self.take(backend, layout))
    }

    fn decide(&self, capacity: usize) {
        if self.capacity.load(Ordering::Relaxed) == 0 {
            // Relaxed: all that is passed on is the number itself.
            let _ = self.capacity.compare_exchange(0, capacity, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The addresses of a chunk in which blocks may be placed.
    fn memory(&self, extent: Extent) -> Range<usize> {
        extent.start..extent.start + extent.len.min(self.capacity.load(Ordering::Relaxed))
    }

    /// A block straight from a chunk's cursor.
    fn take(&self, backend: &Backend, layout: Layout) -> Option<Placed> {
        loop {
            let current = self.current.load(Ordering::Relaxed);
            let first = iter::once(self.chunks.place(current)).filter_map(|chunk| Some((chunk, chunk.extent()?)));
            for (chunk, extent) in first.chain(self.chunks.iter().rev()) {
                if let Ok(block) = chunk.cursor.take(self.memory(extent), layout) {
                    let stale = chunk.cursor.handed_out_before(&block);
                    return Some(Placed { block: pointer(extent.start + block.start)?, stale });
                }
            }
            if !self.add_chunk(backend, layout) {
                return None;
            }
        }
    }

    /// Adds a chunk in which `layout` fits; true where there is a new chunk, this thread's or another's.
    fn add_chunk(&self, backend: &Backend, layout: Layout) -> bool {
        let count = self.chunks.iter().count();
        let capacity = self.capacity.load(Ordering::Relaxed);
        let total: usize = self.chunks.iter().map(|(_, extent)| extent.len).sum();
        let beyond = if layout.align() > GRANULE { layout.align() } else { 0 };
        let Some(needed) = layout.size().checked_add(beyond).and_then(|len| align::checked_up(len, GRANULE)) else {
            return false;
        };
        let (wanted, needed) = match capacity {
            GROWS if needed <= MAX_CAPACITY => (total.clamp(GRANULE, MAX_CHUNK).max(needed), needed),
            // All of it at once, whatever is asked for first. What a granule has beyond the capacity is not used.
            1..=MAX_FIXED if count == 0 => (align::up(capacity, GRANULE), align::up(capacity, GRANULE)),
            _ => return false,
        };
        if count == MAX_CHUNKS {
            return false;
        }
        let Some((start, len)) = backend.map_static(wanted, needed, SMALL_PAGES.saturating_sub(total)) else {
            return false;
        };
        let extent = Extent { start: start.addr().get(), len };
        let added = self.chunks.add(count, extent);
        if added == Added::Yes {
            self.current.store(count, Ordering::Relaxed);
        } else {
            // SAFETY: mapped just now, and nobody has seen it.
            unsafe { backend.trim_static(extent.start, 0, extent.len) };
        }
        added != Added::Closed
    }

    /// The chunk in which `address` lies.
    fn chunk_of(&self, address: usize) -> Option<(&Chunk, Extent)> {
        self.chunks.iter().find(|(_, extent)| (extent.start..extent.start + extent.len).contains(&address))
    }

    /// Makes room for `needed` bytes in the calling thread's piece: in place, or by another one. False where that
    /// cannot be.
    fn set_aside(&self, backend: &Backend, piece: &Piece<1>, needed: usize) -> bool {
        if self.extend(piece, needed) {
            return true;
        }
        let step = self.step(needed);
        // Aligned to nothing, so that it begins just where the cursor stands.
        let Ok(layout) = Layout::from_size_align(step, 1) else { return false };
        let Some(Placed { block, stale }) = self.take(backend, layout) else { return false };
        self.retire(piece);
        piece.begin(block, step, stale);
        true
    }

    /// How many bytes are set aside where `needed` are: in a region of a fixed capacity, no more than an eighth of what
    /// is left, so that others find some too.
    fn step(&self, needed: usize) -> usize {
        let share = match self.capacity.load(Ordering::Relaxed) {
            GROWS => PIECE,
            capacity => {
                let used = self.chunks.place(0).cursor.state().used;
                (capacity.saturating_sub(used) / 8).min(PIECE)
            }
        };
        share.max(needed)
    }

    /// Makes a piece at least `needed` bytes longer where it stands; false where something follows it.
    fn extend(&self, piece: &Piece<1>, needed: usize) -> bool {
        let Some((chunk, extent)) = self.chunk_of_piece(piece) else { return false };
        let end = piece.end().addr();
        let memory = self.memory(extent);
        let from = end - memory.start;
        let len = self.step(needed).min(memory.end - end);
        // The piece as a block of no length at its own end, which grows.
        if len < needed || !chunk.cursor.grow(from..from, len, memory.len()) {
            return false;
        }
        piece.extend(len, chunk.cursor.handed_out_before(&(from..from + len)));
        true
    }

    /// Ends a piece, if there is one: its figures go to its chunk, and so does what is left of it, to be used again if
    /// nothing lies behind it.
    fn retire(&self, piece: &Piece<1>) {
        let left = if self.give_rest_up(piece) { 0 } else { piece.figures().left };
        self.publish(piece, left);
    }

    /// Gives what is left of a piece to its chunk; false, and no change, where something lies behind it, or there is no
    /// piece.
    fn give_rest_up(&self, piece: &Piece<1>) -> bool {
        let (next, end) = (piece.next().addr(), piece.end().addr());
        self.chunk_of_piece(piece).is_some_and(|(chunk, Extent { start, .. })| {
            chunk.cursor.give_up(next - start..end - start, piece.stale_rest())
        })
    }

    /// Passes what a piece has counted on to its chunk, and `dead` bytes more. The piece is no more.
    fn publish(&self, piece: &Piece<1>, dead: usize) {
        if let Some((chunk, _)) = self.chunk_of_piece(piece) {
            let figures = piece.figures();
            chunk.cursor.adopt(figures.blocks as isize - 1, figures.dead + dead);
        }
        piece.clear();
    }

    /// The chunk in which a piece lies: that of its last byte.
    fn chunk_of_piece(&self, piece: &Piece<1>) -> Option<(&Chunk, Extent)> {
        self.chunk_of(piece.end().addr().checked_sub(1)?)
    }

    /// Takes back a block of `size` bytes, not zero, from any thread, whose piece is `piece`. Its bytes are used again
    /// if it is the last in that piece or in its chunk; otherwise they are dead. False, and nothing has changed, where
    /// no block can be there.
    #[must_use]
    pub(crate) fn put_back(&self, piece: Option<&Piece<1>>, block: NonNull<u8>, size: usize) -> bool {
        let Some((cursor, offsets)) = self.locate(block, size) else { return false };
        match piece {
            Some(piece) if !self.is_sealed() && piece.is_last(block, size) => piece.put_back(block, size),
            _ => cursor.put_back(offsets),
        }
        true
    }

    /// The cursor of the chunk in which these bytes lie, and their offsets there; `None` where not all of them were
    /// handed out.
    fn locate(&self, block: NonNull<u8>, size: usize) -> Option<(&Cursor, Range<usize>)> {
        let (chunk, extent) = self.chunk_of(block.addr().get())?;
        let start = block.addr().get() - extent.start;
        let end = start.checked_add(size)?;
        (end <= chunk.cursor.state().used).then_some((&chunk.cursor, start..end))
    }

    /// Makes a block of `old` bytes `new` bytes large where it stands: a smaller size always, a larger one if the block
    /// is the last in the calling thread's piece or in its chunk. `None` where no block can be there.
    pub(crate) fn resize(&self, piece: Option<&Piece<1>>, block: NonNull<u8>, old: usize, new: usize) -> Option<bool> {
        let (cursor, offsets) = self.locate(block, old)?;
        let piece = piece.filter(|piece| !self.is_sealed() && piece.is_last(block, old));
        Some(match piece {
            Some(piece) => {
                let missing = new.saturating_sub(old).saturating_sub(piece.figures().left);
                (missing == 0 || self.extend(piece, missing)) && piece.resize_last(block, old, new)
            }
            None if new <= old => {
                cursor.shrink(offsets, new);
                true
            }
            None => {
                let (_, extent) = self.chunk_of(block.addr().get())?;
                cursor.grow(offsets, new, self.memory(extent).len())
            }
        })
    }

    /// Nothing is placed here any more. What is left of every chunk goes back to the system, in whole pages; `pieces`
    /// are the calling thread's.
    pub(crate) fn seal(&self, backend: &Backend, pieces: &[Piece<1>]) -> Sealed {
        // Twice, since one may lie behind the other. Where something else does, what is left is slack, as is what other
        // threads have set aside.
        for piece in pieces.iter().chain(pieces) {
            if self.give_rest_up(piece) {
                self.publish(piece, 0);
            }
        }
        self.is_sealed.store(true, Ordering::Relaxed);
        let mut sealed = Sealed::default();
        self.chunks.close(|chunk, extent| {
            if let Some(used) = chunk.cursor.close() {
                // SAFETY: closing the cursor has made what lies behind it this thread's, once and for good.
                let returned = unsafe { backend.trim_static(extent.start, used, extent.len) };
                sealed.returned += returned;
                let kept = self.memory(extent).len().min(extent.len - returned);
                self.slack.fetch_add(kept - used, Ordering::Relaxed);
            }
            sealed.used += chunk.cursor.state().used;
        });
        for piece in pieces {
            sealed.used = sealed.used.saturating_sub(piece.figures().left);
        }
        sealed
    }

    /// Seals the region and makes its pages read-only.
    ///
    /// # Safety
    /// - Nobody writes to any block of the region any more.
    pub(crate) unsafe fn seal_read_only(&self, backend: &Backend, pieces: &[Piece<1>]) -> Sealed {
        let mut sealed = self.seal(backend, pieces);
        for (chunk, extent) in self.chunks.iter() {
            // SAFETY: the caller vouches that nobody writes; what is used was not given back.
            sealed.read_only += unsafe { backend.protect_static(extent.start, chunk.cursor.state().used) };
        }
        sealed
    }

    /// The region's figures, where `pieces` are all that threads have set aside.
    pub(crate) fn stats<'a>(&self, pieces: impl Iterator<Item = &'a Piece<1>>) -> ArenaStats {
        let mut stats = ArenaStats { fallbacks: self.fallbacks.load(Ordering::Relaxed), ..ArenaStats::default() };
        let mut blocks = 0;
        let last = self.current.load(Ordering::Relaxed);
        for (nth, (chunk, extent)) in self.chunks.iter().enumerate() {
            let state = chunk.cursor.state();
            let left = if chunk.cursor.is_closed() { 0 } else { self.memory(extent).len() - state.used };
            blocks += state.signed_blocks();
            stats.arenas = 1;
            stats.chunks += 1;
            stats.capacity += state.used + left;
            stats.used += state.used;
            stats.dead += chunk.cursor.dead();
            stats.high_water += chunk.cursor.high_water().max(state.used);
            if nth != last {
                stats.slack += left;
            }
        }
        stats.slack += self.slack.load(Ordering::Relaxed);
        stats.capacity += self.slack.load(Ordering::Relaxed);
        for piece in pieces.filter(|piece| !piece.end().is_null()) {
            let figures = piece.figures();
            blocks += figures.blocks as isize - 1;
            stats.dead += figures.dead;
            stats.used = stats.used.saturating_sub(figures.left);
            if self.is_sealed() {
                stats.slack += figures.left;
            }
        }
        stats.blocks = blocks.max(0) as usize;
        stats
    }
}

fn pointer(address: usize) -> Option<NonNull<u8>> {
    // The provenance was exposed when the chunk was mapped.
    NonNull::new(ptr::with_exposed_provenance_mut(address))
}

#[cfg(all(test, not(loom)))]
mod tests;
