//! The memory of a static arena, and raw blocks of it.
//!
//! The arena is zero in every bit until it is used, so it adds nothing to the size of the executable, and its pages
//! cost memory only from their first use.

use super::arena_full::{ArenaFull, or_panic};
use super::arena_list::Node;
use super::arena_stats::ArenaStats;
use super::cursor::MAX_CAPACITY;
use super::intern::Trie;
use super::memory::Memory;
use super::set_aside;
use crate::sync::{UnsafeCell, constructor};
use core::alloc::Layout;
use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Range;
use core::panic::RefUnwindSafe;
use core::ptr::{self, NonNull};

/// `N` bytes of static memory, for values that live as long as the program.
///
/// Declare it as a `static`, and place values in it from any thread. Each gets the next bytes after those in use, at
/// its exact alignment, whatever power of two that is. What is placed stays: it is borrowed for `'static`, and **it is
/// never dropped**. A `Vec` placed here keeps its buffer, and a guard never runs its clean-up.
///
/// ```
/// use tenure::StaticArena;
///
/// static ARENA: StaticArena<{ 64 * 1024 }> = StaticArena::new();
///
/// let primes: &'static mut [u32] = ARENA.alloc_slice_copy(&[2, 3, 5]);
/// primes[0] = 7;
/// let name: &'static mut str = ARENA.alloc_str("tenure");
/// assert_eq!((&*primes, &*name), (&[7, 3, 5][..], "tenure"));
/// assert_eq!((ARENA.blocks(), ARENA.used()), (2, 18));
/// ```
///
/// It serves as an allocator too, for a program whose data lives as long as it does: memory given back is taken up
/// again only if it was the last block handed out. [`dead_bytes`](Self::dead_bytes) tells what that costs. To call its
/// allocator methods by hand, name the trait, as in `GlobalAlloc::alloc(&ARENA, layout)`: `ARENA.alloc(layout)` places
/// the layout itself.
///
/// ```
/// use tenure::StaticArena;
///
/// #[global_allocator]
/// static ARENA: StaticArena<{ 16 << 20 }> = StaticArena::new();
///
/// let lines: Vec<String> = (0..100).map(|n| n.to_string()).collect();
/// assert!(ARENA.blocks() > lines.len());
/// ```
///
/// # Cost
///
/// No lock and no system call. A thread's first values, and all of them without the feature `std`, cost one
/// compare-exchange each, retried only when another thread came first, and one more atomic addition where bytes are
/// skipped for alignment. A thread that has placed 64 values and 4 KiB sets bytes of the arena aside, an eighth of what
/// it has placed at a time, and from then on a value costs some fifteen instructions on memory of that thread alone.
/// What it leaves over when it ends, or when others come between, is less than an eighth of what it has placed.
///
/// The capacity is at most 4 GiB − 2, which is checked when the program is compiled.
///
/// Signal handlers must not place values in an arena in which the thread that they interrupt may just be placing one.
///
/// # Memory of your own
///
/// [`from_slice`](Self::from_slice) makes an arena of bytes that lie elsewhere: a part of a board's memory, or a block
/// that was allocated once and leaked. Its type is `StaticArena` without a number.
// `repr(C)`: the node has a cache line to itself, away from what is only read.
#[repr(C)]
pub struct StaticArena<const N: usize = 0> {
    pub(super) node: Node,
    beside: Beside,
    bytes: UnsafeCell<Bytes<N>>,
}

/// An arena's own bytes, away from the counters.
#[repr(align(64))]
struct Bytes<const N: usize>([u8; N]);

/// What is written once or never.
#[repr(align(64))]
struct Beside {
    /// Memory that the user brought. Null where there is none.
    brought: *mut u8,
    /// Its bytes.
    brought_len: usize,
    words: Trie,
}

impl Beside {
    constructor! {
        fn new(brought: *mut u8, brought_len: usize) -> Self {
            Self { brought, brought_len, words: Trie::new() }
        }
    }
}

// SAFETY: `bytes` and the memory brought are reached only by raw pointers to blocks, and the cursor hands out no byte
// twice at a time.
unsafe impl<const N: usize> Sync for StaticArena<N> {}

// SAFETY: the memory brought was borrowed for good, and is the arena's wherever that is.
unsafe impl<const N: usize> Send for StaticArena<N> {}

/// A panic in the midst of an allocation leaves dead bytes, and nothing half done.
impl<const N: usize> RefUnwindSafe for StaticArena<N> {}

impl StaticArena<0> {
    constructor! {
        /// An arena of the bytes of `memory`, none in use.
        ///
        /// Of more than 4 GiB − 2 bytes, only that many are used. What the memory holds does not matter, and costs one
        /// thing: [`GlobalAlloc::alloc_zeroed`](core::alloc::GlobalAlloc::alloc_zeroed) clears every block, since it
        /// cannot know that the bytes are zero.
        ///
        /// In a `static`, over a region of which nobody else makes use:
        ///
        /// ```
        /// use core::mem::MaybeUninit;
        /// use tenure::StaticArena;
        ///
        /// static mut REGION: [MaybeUninit<u8>; 4096] = [MaybeUninit::uninit(); 4096];
        /// // SAFETY: nothing else names `REGION`.
        /// static ARENA: StaticArena = StaticArena::from_slice(unsafe { &mut *core::ptr::addr_of_mut!(REGION) });
        ///
        /// assert_eq!((ARENA.alloc_str("board").len(), ARENA.capacity()), (5, 4096));
        /// ```
        ///
        /// At run time, over memory that is leaked:
        ///
        /// ```
        /// use tenure::StaticArena;
        ///
        /// let memory = Box::leak(Box::new_uninit_slice(10_000));
        /// let arena: &'static StaticArena = Box::leak(Box::new(StaticArena::from_slice(memory)));
        /// assert_eq!(*arena.alloc(42), 42);
        /// ```
        #[must_use]
        pub fn from_slice(memory: &'static mut [MaybeUninit<u8>]) -> Self {
            let len = if memory.len() < MAX_CAPACITY { memory.len() } else { MAX_CAPACITY };
            let beside = Beside::new(memory.as_mut_ptr().cast(), len);
            Self { node: Node::new(), beside, bytes: UnsafeCell::new(Bytes([])) }
        }
    }
}

impl<const N: usize> StaticArena<N> {
    constructor! {
        /// An arena of `N` bytes, none in use.
        ///
        /// ```
        /// static ARENA: tenure::StaticArena<1000> = tenure::StaticArena::new();
        /// assert_eq!(ARENA.remaining(), 1000);
        /// ```
        #[expect(clippy::new_without_default, reason = "a default is made on the stack, which an arena may overflow")]
        pub fn new() -> Self {
            const { assert!(N <= MAX_CAPACITY, "a static arena has at most 4 GiB - 2 bytes") };
            Self { node: Node::new(), beside: Beside::new(ptr::null_mut(), 0), bytes: UnsafeCell::new(Bytes([0; N])) }
        }
    }

    /// Hands out memory for `layout`; not initialised.
    ///
    /// A layout of size zero takes no bytes and gets an aligned, dangling pointer.
    ///
    /// # Panics
    ///
    /// Where too few bytes are left.
    ///
    /// ```
    /// use std::alloc::Layout;
    ///
    /// static ARENA: tenure::StaticArena<20_000> = tenure::StaticArena::new();
    /// let page = ARENA.alloc_layout(Layout::from_size_align(4096, 4096)?);
    /// assert_eq!(page.addr().get() % 4096, 0);
    /// # Ok::<(), std::alloc::LayoutError>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_layout(&'static self, layout: Layout) -> NonNull<u8> {
        or_panic(self.try_alloc_layout(layout))
    }

    /// Hands out memory for `layout`; not initialised. See [`alloc_layout`](Self::alloc_layout).
    ///
    /// # Errors
    ///
    /// [`ArenaFull`] where too few bytes are left.
    #[inline]
    pub fn try_alloc_layout(&'static self, layout: Layout) -> Result<NonNull<u8>, ArenaFull> {
        self.place(layout).ok_or_else(|| self.full(layout))
    }

    /// A block for `layout`, not initialised; an aligned, dangling pointer for a size of zero; `None` where there is no
    /// room.
    #[inline(always)]
    pub(super) fn place(&'static self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return Some(dangling(layout));
        }
        match set_aside::take(&self.node, layout) {
            Some(block) => Some(block),
            None => self.place_slowly(layout),
        }
    }

    #[cold]
    #[inline(never)]
    fn place_slowly(&'static self, layout: Layout) -> Option<NonNull<u8>> {
        self.join();
        let placed = set_aside::take_slowly(&self.node, self.memory(), layout);
        if placed.is_none() {
            self.node.count_fallback();
        }
        placed
    }

    /// Counts a request that is larger than any layout.
    #[cold]
    pub(super) fn refuse_what_has_no_layout(&'static self) {
        self.join();
        self.node.count_fallback();
    }

    #[cold]
    #[inline(never)]
    fn full(&self, layout: Layout) -> ArenaFull {
        ArenaFull::new(layout, self.remaining())
    }

    /// A block for `layout` from the cursor, as offsets; `None` where its size is zero.
    #[inline]
    pub(super) fn take(&self, layout: Layout) -> Result<Option<Range<usize>>, ArenaFull> {
        if layout.size() == 0 {
            return Ok(None);
        }
        let taken = self.node.cursor.take(self.memory().addresses(), layout);
        taken.map(Some).inspect_err(|_| self.node.count_fallback())
    }

    /// How many bytes at the start of `block`, just taken, may hold something other than zero.
    #[inline]
    pub(super) fn stale_bytes(&self, block: &Range<usize>) -> usize {
        if self.has_own_bytes() { self.node.cursor.handed_out_before(block) } else { block.len() }
    }

    #[inline(always)]
    const fn has_own_bytes(&self) -> bool {
        N > 0 || self.beside.brought.is_null()
    }

    /// Where the arena's bytes are.
    #[inline(always)]
    pub(super) fn memory(&self) -> Memory {
        let start = if self.has_own_bytes() { self.bytes.get().cast() } else { self.beside.brought };
        // SAFETY: the address of a field, or of a slice, is not null.
        let start = unsafe { NonNull::new_unchecked(start) };
        // SAFETY: the arena's own bytes, or those that were borrowed for good.
        unsafe { Memory::new(start, self.capacity()) }
    }

    /// The words of [`intern`](Self::intern), which are in this arena.
    pub(super) fn words(&self) -> &Trie {
        &self.beside.words
    }

    fn join(&'static self) {
        #[cfg(not(loom))]
        if !self.node.has_joined() {
            super::ARENAS.join(&self.node, self.capacity());
        }
    }

    /// Ends the placing for good: from now on every request is refused, and counted among the
    /// [`fallbacks`](Self::fallbacks). What is there stays as it is, and can be given back and shrunk; the bytes are
    /// dead then. Bytes that were left are [`slack`](Self::slack).
    ///
    /// Another thread that has set bytes of the arena aside may fill those, 64 KiB at most, until a request of its does
    /// not fit them; so what all threads must be refused needs them to have ended, or to be told. To seal an arena
    /// again changes nothing.
    ///
    /// ```
    /// static ARENA: tenure::StaticArena<100> = tenure::StaticArena::new();
    /// let name: &'static str = ARENA.alloc_str("start-up");
    /// ARENA.seal();
    /// assert!(ARENA.is_sealed() && ARENA.try_alloc(1_u8).is_err());
    /// assert_eq!((name, ARENA.slack(), ARENA.remaining(), ARENA.fallbacks()), ("start-up", 92, 0, 1));
    /// ```
    pub fn seal(&'static self) {
        self.join();
        set_aside::give_back(&self.node);
        self.node.cursor.close();
    }

    /// True once [`seal`](Self::seal) was called. One relaxed load.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.node.cursor.is_closed()
    }

    /// Bytes the arena has: `N`, or as many as were brought.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        if self.has_own_bytes() { N } else { self.beside.brought_len }
    }

    /// Bytes in use, dead ones included.
    ///
    /// Like all figures, exact for what the calling thread has placed; what [another thread has set aside](ArenaStats)
    /// counts as used. A few relaxed loads, as for each of them.
    #[must_use]
    pub fn used(&self) -> usize {
        self.stats().used
    }

    /// Bytes in which something can be placed: none once the arena is sealed. A request at an alignment may get fewer.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.node.remaining(self.capacity())
    }

    /// Blocks handed out and not given back; zero-sized values are none. The bytes that another thread has set aside
    /// count as one.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.stats().blocks
    }

    /// Bytes in use that hold nothing and never will: skipped for alignment, given back when other blocks lay above,
    /// left over where a thread has set bytes aside, or lost to a panic.
    #[must_use]
    pub fn dead_bytes(&self) -> usize {
        self.stats().dead
    }

    /// The largest number of bytes that were ever in use.
    #[must_use]
    pub fn high_water(&self) -> usize {
        self.stats().high_water
    }

    /// Bytes that were left when the arena was sealed; 0 until then.
    #[must_use]
    pub fn slack(&self) -> usize {
        self.stats().slack
    }

    /// Requests that did not fit, and got an error or null.
    #[must_use]
    pub fn fallbacks(&self) -> usize {
        self.stats().fallbacks
    }

    /// All of these figures at once. A few relaxed loads.
    ///
    /// ```
    /// static ARENA: tenure::StaticArena<64> = tenure::StaticArena::new();
    /// ARENA.alloc(1_u8);
    /// ARENA.alloc(1_u64);
    /// let stats = ARENA.stats();
    /// assert_eq!((stats.used, stats.live(), stats.dead, stats.remaining()), (16, 9, 7, 48));
    /// ```
    #[must_use]
    pub fn stats(&self) -> ArenaStats {
        self.node.stats(self.capacity())
    }
}

/// An aligned address at which no bytes are.
#[inline(always)]
pub(crate) fn dangling(layout: Layout) -> NonNull<u8> {
    // SAFETY: an alignment is a power of two, so it is not zero.
    unsafe { NonNull::new_unchecked(ptr::without_provenance_mut(layout.align())) }
}

impl<const N: usize> fmt::Debug for StaticArena<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StaticArena").field(&self.stats()).finish()
    }
}
