//! An arena for one phase of a program, and raw blocks of it.
//!
//! The current chunk's cursor lies in the arena itself, not in the chunk: a block costs no look at any other memory.

use super::GRAIN;
use super::chunk::Chunk;
use super::chunks::Chunks;
use super::figures::Sums;
use crate::arena::{ArenaFull, Piece, Place, dangling, or_panic};
use crate::sync::Cell;
use core::alloc::Layout;
use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::{self, NonNull};

/// Memory for the values of one phase, such as a request, a frame or a pass of a compiler, which all go at once when it
/// ends.
///
/// Values are placed one behind the other in chunks of dynamic memory, and borrow the arena. [`reset`](Self::reset)
/// ends the phase, in constant time, and keeps the chunks for the next one; to drop the arena gives them back. A phase
/// within the phase is a [scope](Self::scoped).
///
/// ```
/// use tenure::Arena;
///
/// struct Node<'a> {
///     name: &'a str,
///     next: Option<&'a Node<'a>>,
/// }
///
/// let mut arena = Arena::new();
/// for request in ["one two", "three four five"] {
///     let mut last = None;
///     for name in request.split(' ') {
///         last = Some(&*arena.alloc(Node { name: arena.alloc_str(name), next: last }));
///     }
///     let words = std::iter::successors(last, |node| node.next).map(|node| node.name);
///     assert!(words.eq(request.rsplit(' ')));
///     arena.reset();
/// }
/// assert_eq!((arena.stats().used, arena.stats().chunks), (0, 1));
/// ```
///
/// # Nothing is dropped
///
/// What is placed is forgotten when the phase ends; **no destructor runs**. For numbers, strings and references that is
/// all there is to it. A `Vec` or a `String` placed here keeps its own buffer, which is in other memory, for ever, and
/// a guard never runs its clean-up. Collections that take an allocator can have their buffers here as well: with the
/// feature `allocator-api2`, `&Arena` is one.
///
/// # One owner
///
/// An arena may be sent to another thread, and not shared between threads, so it needs no atomic operation that others
/// could contend for.
///
/// ```compile_fail,E0277
/// let arena = tenure::Arena::new();
/// std::thread::scope(|threads| {
///     threads.spawn(|| arena.alloc(1));
/// });
/// ```
///
/// # Cost
///
/// An addition, a comparison and a store for a value aligned to 8 bytes or less, whose size is rounded up to a multiple
/// of 8; a branch more for what is aligned to more, as the bytes that are skipped are counted. When a chunk is full, a
/// search of the retained chunks for the first that is large enough, or one allocation. Chunks have 4 KiB, 8 KiB and so
/// on up to 1 MiB, or what a larger request needs; each has 16 bytes of them as its head.
pub struct Arena {
    /// What is free of the current chunk.
    piece: Piece<GRAIN>,
    chunks: Chunks,
    /// What is counted apart from the piece: bytes of the chunks before the current one; blocks and dead bytes that the
    /// piece does not know of.
    ///
    /// `blocks == apart.blocks + piece.blocks`, and so with `dead`
    pub(super) apart: Cell<Sums>,
    /// The most bytes in use at once, but for those of the current chunk since its cursor was last set.
    high_water: Cell<usize>,
    refused: Cell<usize>,
}

/// A place in an arena: everything that is placed later lies behind it.
///
/// A chunk that has a mark of a scope stays where it is: something was placed in it, or in one before it.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    chunk: Option<Chunk>,
    next: *mut u8,
    /// Everything that was counted, by the piece too.
    sums: Sums,
}

/// Where an arena begins.
const START: Mark = Mark { chunk: None, next: ptr::null_mut(), sums: Sums::ZERO };

impl Mark {
    /// The start of the first chunk, which an arena has to have for this.
    fn start_of(first: Chunk) -> Self {
        Mark { chunk: Some(first), next: first.start().as_ptr(), sums: Sums::ZERO }
    }
}

// SAFETY: chunks are the arena's alone, and memory of Tenure may be given back on any thread. What was placed cannot be
// reached any more by the time that the arena moves, for it would borrow the arena; and it is not dropped, so that it
// may be of any type.
unsafe impl Send for Arena {}

/// A panic in the midst of an allocation leaves dead bytes, and nothing half done.
impl RefUnwindSafe for Arena {}

/// As by reference: one that was moved into what panics is dropped there, or whole.
impl UnwindSafe for Arena {}

impl Arena {
    /// An arena without memory. It takes its first chunk with the first value.
    ///
    /// ```
    /// let arena = tenure::Arena::new();
    /// assert_eq!(arena.stats().capacity, 0);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self::with_limit(usize::MAX)
    }

    /// An arena that never takes more than `limit` bytes, heads of its chunks included. Requests that would need more
    /// are errors.
    ///
    /// ```
    /// let arena = tenure::Arena::with_limit(10_000);
    /// assert!(arena.try_alloc([0_u8; 9000]).is_ok());
    /// assert!(arena.try_alloc([0_u8; 1000]).is_err());
    /// ```
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            piece: Piece::empty(),
            chunks: Chunks::new(limit),
            apart: Cell::new(Sums::ZERO),
            high_water: Cell::new(0),
            refused: Cell::new(0),
        }
    }

    /// An arena whose first chunk has room for `bytes` bytes, of values aligned to 8 bytes or less.
    ///
    /// # Panics
    ///
    /// Where there is no memory for it.
    ///
    /// ```
    /// let arena = tenure::Arena::with_capacity(100_000);
    /// arena.alloc_slice_fill_with(100_000, |index| index as u8);
    /// assert_eq!(arena.stats().chunks, 1);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn with_capacity(bytes: usize) -> Self {
        or_panic(Self::try_with_capacity(bytes))
    }

    /// An arena whose first chunk has room for `bytes` bytes. See [`with_capacity`](Self::with_capacity).
    ///
    /// # Errors
    ///
    /// [`ArenaFull`] where there is no memory for it.
    pub fn try_with_capacity(bytes: usize) -> Result<Self, ArenaFull> {
        let arena = Self::new();
        let Ok(layout) = Layout::array::<u8>(bytes) else { return Err(ArenaFull::too_large::<u8>(bytes, 0)) };
        if bytes > 0 && !arena.advance(layout) {
            return Err(ArenaFull::new(layout, 0));
        }
        Ok(arena)
    }

    /// Ends the phase: all that was placed is gone, and the chunks are retained for what is placed next. Takes a few
    /// stores.
    ///
    /// Nothing can be borrowed from the arena any more:
    ///
    /// ```compile_fail,E0502
    /// let mut arena = tenure::Arena::new();
    /// let answer = arena.alloc(42);
    /// arena.reset();
    /// assert_eq!(*answer, 42);
    /// ```
    ///
    /// ```
    /// let mut arena = tenure::Arena::new();
    /// let answer = arena.alloc(42);
    /// assert_eq!(*answer, 42);
    /// arena.reset();
    /// assert_eq!(arena.stats().blocks, 0);
    /// ```
    #[inline]
    pub fn reset(&mut self) {
        // The first chunk is the one that is placed in next, so that a small phase finds it without a search.
        let first = self.chunks.first();
        if first.is_some() && first == self.chunks.current() && self.apart.get() == Sums::ZERO {
            // As below, with few stores, which a small phase would feel.
            let high_water = self.high_water();
            if high_water > self.high_water.get() {
                self.high_water.set(high_water);
            }
            return self.piece.restart();
        }
        // SAFETY: an arena begins there; and whoever uses what was placed borrows the arena, which we have to
        // ourselves.
        unsafe { self.take_back_to(START) };
    }

    /// Bytes for values in retained chunks: those that wait to be used again, or for the first time. Looks at the head
    /// of each.
    ///
    /// ```
    /// let mut arena = tenure::Arena::new();
    /// arena.alloc([0_u8; 1000]);
    /// assert_eq!(arena.retained(), 0);
    /// arena.reset();
    /// assert_eq!(arena.retained(), arena.stats().capacity);
    /// ```
    #[must_use]
    pub fn retained(&self) -> usize {
        self.chunks.retained() + if self.is_unused() { self.left() } else { 0 }
    }

    /// Gives the retained chunks back. Values stay where they are. After [`reset`](Self::reset), gives back all that
    /// the arena has.
    ///
    /// ```
    /// let mut arena = tenure::Arena::with_capacity(1 << 20);
    /// arena.reset();
    /// arena.release_retained();
    /// assert_eq!(arena.stats().capacity, 0);
    /// ```
    pub fn release_retained(&self) {
        if self.is_unused() {
            // SAFETY: an arena begins there, and nothing was placed.
            unsafe { self.rewind(START) };
        }
        self.chunks.release_retained();
    }

    /// True where nothing is placed, nor was since the last reset.
    fn is_unused(&self) -> bool {
        self.chunks.current() == self.chunks.first() && self.used_of_current(self.piece.next()) == 0
    }

    /// Hands out memory for `layout`; not initialised. It is valid until the arena is reset or dropped or, where it is
    /// asked for in a scope, until the scope ends.
    ///
    /// A layout of size zero takes no bytes and gets an aligned, dangling pointer.
    ///
    /// # Panics
    ///
    /// Where there is no memory for it.
    ///
    /// ```
    /// use std::alloc::Layout;
    ///
    /// let arena = tenure::Arena::new();
    /// let page = arena.alloc_layout(Layout::from_size_align(4096, 4096)?);
    /// assert_eq!(page.addr().get() % 4096, 0);
    /// # Ok::<(), std::alloc::LayoutError>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        or_panic(self.try_alloc_layout(layout))
    }

    /// Hands out memory for `layout`; not initialised. See [`alloc_layout`](Self::alloc_layout).
    ///
    /// # Errors
    ///
    /// [`ArenaFull`] where there is no memory for it.
    #[inline]
    pub fn try_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, ArenaFull> {
        self.try_place(layout).ok_or_else(|| ArenaFull::new(layout, self.left()))
    }

    #[cold]
    #[inline(never)]
    fn place_in_next_chunk(&self, layout: Layout) -> Option<NonNull<u8>> {
        let block = if self.advance(layout) { self.piece.take(layout) } else { None };
        if block.is_none() {
            self.refuse();
        }
        block
    }

    /// Goes on to a chunk with room for `layout`; false, and no change, where there is no memory for it.
    fn advance(&self, layout: Layout) -> bool {
        if self.is_unused() {
            // So that the first chunk may make way for a larger one.
            // SAFETY: an arena begins there, and nothing was placed.
            unsafe { self.rewind(START) };
        }
        let behind = self.all_before_the_next_chunk();
        let high_water = self.high_water();
        let Some(chunk) = self.chunks.advance(layout) else { return false };
        self.apart.set(behind);
        self.high_water.set(high_water);
        self.piece.begin(chunk.start(), chunk.capacity(), 0);
        true
    }

    /// The place from which the next block comes: [`START`] where nothing is placed, since the first chunk may make way
    /// for another then.
    pub(super) fn mark(&self) -> Mark {
        if self.is_unused() {
            return START;
        }
        let counted = self.piece.figures();
        let sums = self.apart.get().with(counted.blocks, counted.dead);
        Mark { chunk: self.chunks.current(), next: self.piece.next(), sums }
    }

    /// Takes back everything that was placed after `mark`. Where that is [`START`], the next block comes from the first
    /// chunk, whichever that is by now.
    ///
    /// # Safety
    /// - As for [`Arena::rewind`].
    #[inline]
    pub(super) unsafe fn take_back_to(&self, mark: Mark) {
        let mark = if mark.chunk.is_some() { mark } else { self.chunks.first().map_or(START, Mark::start_of) };
        // SAFETY: passed on; and an arena begins at the start of its first chunk.
        unsafe { self.rewind(mark) };
    }

    /// Goes back to `mark`: to before the first chunk where that is [`START`].
    ///
    /// # Safety
    /// - The mark is [`START`] or was taken of this arena, which has not been rewound to an earlier one since.
    /// - Nothing that was placed after it is used any more.
    #[inline]
    unsafe fn rewind(&self, mark: Mark) {
        self.high_water.set(self.high_water());
        self.chunks.go_back_to(mark.chunk);
        self.apart.set(mark.sums);
        match (mark.chunk, NonNull::new(mark.next)) {
            (Some(chunk), Some(next)) => {
                let used = next.addr().get() - chunk.start().addr().get();
                self.piece.begin(next, chunk.capacity() - used, 0);
            }
            _ => self.piece.clear(),
        }
    }

    pub(super) fn piece(&self) -> &Piece<GRAIN> {
        &self.piece
    }

    pub(super) fn chunks(&self) -> &Chunks {
        &self.chunks
    }

    /// The most bytes that were in use before the piece was last set.
    pub(super) fn noted_high_water(&self) -> usize {
        self.high_water.get()
    }

    /// Requests that were refused.
    pub(super) fn refused(&self) -> usize {
        self.refused.get()
    }
}

// SAFETY: the piece hands out no byte twice; chunks stay where they are, and what is placed in them stays, until the
// arena is rewound.
unsafe impl Place for &Arena {
    #[inline(always)]
    fn try_place(self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return Some(dangling(layout));
        }
        match self.piece.take(layout) {
            Some(block) => Some(block),
            None => self.place_in_next_chunk(layout),
        }
    }

    #[cold]
    fn lose(self, block: NonNull<u8>, size: usize) {
        self.piece.put_back(block, size);
    }

    #[inline]
    fn left(self) -> usize {
        self.piece.figures().left
    }

    #[cold]
    fn refuse(self) {
        self.refused.set(self.refused.get() + 1);
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Arena").field(&self.stats()).finish()
    }
}
