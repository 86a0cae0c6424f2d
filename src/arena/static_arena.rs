//! The memory of a static arena, and raw blocks of it.
//!
//! The arena is zero in every bit until it is used, so it adds nothing to the size of the executable, and its pages cost
//! memory only from their first use.

use super::arena_full::{ArenaFull, or_panic};
use super::arena_list::Node;
use super::arena_stats::ArenaStats;
use super::cursor::MAX_CAPACITY;
use crate::sync::{UnsafeCell, constructor};
use core::alloc::Layout;
use core::fmt;
use core::ops::Range;
use core::panic::RefUnwindSafe;
use core::ptr::{self, NonNull};

/// `N` bytes of static memory, for values that live as long as the program.
///
/// Declare it as a `static`, and place values in it from any thread. Each gets the next bytes after those in use, at its exact
/// alignment, whatever power of two that is. What is placed stays: it is borrowed for `'static`, and **it is never dropped**.
/// A `Vec` placed here keeps its buffer, and a guard never runs its clean-up.
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
/// It serves as an allocator too, for a program whose data lives as long as it does: memory given back is taken up again only
/// if it was the last block handed out. [`dead_bytes`](Self::dead_bytes) tells what that costs. To call its allocator methods
/// by hand, name the trait, as in `GlobalAlloc::alloc(&ARENA, layout)`: `ARENA.alloc(layout)` places the layout itself.
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
/// No lock and no system call: to place a value is one compare-exchange, retried only when another thread came first, and
/// one more atomic addition where bytes are skipped for alignment. The capacity is at most 4 GiB − 1, which is checked
/// when the program is compiled.
// `repr(C)`: the node, a cache line of its own, keeps the bytes aligned to 64 and away from the counters.
#[repr(C)]
pub struct StaticArena<const N: usize> {
    pub(super) node: Node,
    bytes: UnsafeCell<[u8; N]>,
}

// SAFETY: `bytes` is reached only by raw pointers to blocks, and the cursor hands out no byte twice at a time.
unsafe impl<const N: usize> Sync for StaticArena<N> {}

/// A panic in the midst of an allocation leaves dead bytes, and nothing half done.
impl<const N: usize> RefUnwindSafe for StaticArena<N> {}

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
            const { assert!(N <= MAX_CAPACITY, "a static arena is smaller than 4 GiB") };
            Self { node: Node::new(), bytes: UnsafeCell::new([0; N]) }
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
        if !self.node.has_joined() {
            self.join();
        }
        match self.take(layout)? {
            Some(block) => Ok(self.at(block.start)),
            None => Ok(dangling(layout)),
        }
    }

    /// A block for `layout`, as offsets; `None` where its size is zero.
    #[inline]
    pub(super) fn take(&self, layout: Layout) -> Result<Option<Range<usize>>, ArenaFull> {
        if layout.size() == 0 {
            return Ok(None);
        }
        let base = self.base().addr().get();
        self.node.cursor.take(base..base + N, layout).map(Some)
    }

    /// The byte `offset` from the arena's start; at most `N`.
    #[inline(always)]
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset <= N);
        // SAFETY: the cursor's offsets, the only ones that come here, are at most `N`.
        unsafe { self.base().add(offset) }
    }

    /// The offsets of the block of `size` bytes at `block`, which this arena handed out.
    #[inline(always)]
    pub(super) fn offsets(&self, block: *const u8, size: usize) -> Range<usize> {
        let start = block.addr() - self.base().addr().get();
        start..start + size
    }

    #[inline(always)]
    fn base(&self) -> NonNull<u8> {
        // SAFETY: the address of a field is not null.
        unsafe { NonNull::new_unchecked(self.bytes.get().cast()) }
    }

    #[cold]
    #[inline(never)]
    fn join(&'static self) {
        #[cfg(not(loom))]
        super::ARENAS.join(&self.node, N);
    }

    /// Bytes the arena was declared with: `N`.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        N
    }

    /// Bytes in use, dead ones included. One relaxed load.
    #[must_use]
    pub fn used(&self) -> usize {
        self.node.cursor.state().used
    }

    /// Bytes not in use. A request at an alignment may get fewer. One relaxed load.
    #[must_use]
    pub fn remaining(&self) -> usize {
        N - self.used()
    }

    /// Blocks handed out and not given back; zero-sized values are none. One relaxed load.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.node.cursor.state().blocks
    }

    /// Bytes in use that hold nothing and never will: skipped for alignment, given back when other blocks lay above, or lost to
    /// a panic. One relaxed load.
    #[must_use]
    pub fn dead_bytes(&self) -> usize {
        self.node.cursor.dead()
    }

    /// The largest number of bytes that were ever in use. Two relaxed loads.
    #[must_use]
    pub fn high_water(&self) -> usize {
        self.node.cursor.high_water()
    }

    /// All of these figures at once. Four relaxed loads.
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
        self.node.stats(N)
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
