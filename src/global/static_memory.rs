//! Static memory behind the global allocator: how the slow paths place, free and resize there, and the end of placing.

use super::thread::{Busy, Source, own, source};
use super::{BACKEND, REGION, Tenure, routing};
use crate::arena::Piece;
use crate::region::{GROWS, MAX_FIXED, Placed, Sealed};
use core::alloc::Layout;
use core::ptr::NonNull;

/// What becomes of an allocation in a static scope for which static memory has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// The heap serves it, and it is counted: [`ArenaStats::fallbacks`](crate::ArenaStats::fallbacks).
    #[default]
    UseHeap,
    /// It fails: a null pointer, which ends most programs. For those that must notice.
    Fail,
}

/// What a program has said of its static memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Bytes, or [`GROWS`].
    capacity: usize,
    when_full: WhenFull,
}

impl Settings {
    pub(super) const GROWS: Settings = Settings { capacity: GROWS, when_full: WhenFull::UseHeap };
}

impl Tenure {
    /// The allocator, with static memory of a fixed capacity: scopes place at most `capacity` bytes. Costs nothing.
    ///
    /// Addresses for all of it, rounded up to a multiple of 2 MiB, are taken from the system when the first block is
    /// placed; memory, as it is touched. What [`seal`] gives back counts from the rounded figure, so it may be more
    /// than `capacity`. The static memory of a process is one: where several values of this type serve it, the first
    /// block that is placed decides.
    ///
    /// ```
    /// use tenure::{Tenure, WhenFull, static_scope};
    ///
    /// #[global_allocator]
    /// static GLOBAL: Tenure = Tenure::with_static_capacity(1 << 20).when_static_full(WhenFull::UseHeap);
    ///
    /// let table = static_scope(|| vec![0_u64; 1000]);
    /// let meter = GLOBAL.stats().scopes;
    /// assert_eq!((meter.capacity, meter.used, meter.fallbacks), (1 << 20, 8000, 0));
    /// # drop(table);
    /// ```
    ///
    /// # Panics
    ///
    /// Where `capacity` is 0 or above 4 GiB − 2; in a `static`, when the program is compiled.
    pub const fn with_static_capacity(capacity: usize) -> Self {
        assert!(capacity > 0 && capacity <= MAX_FIXED, "the capacity of static memory is from 1 to 4 GiB - 2 bytes");
        Self { static_memory: Settings { capacity, ..Settings::GROWS } }
    }

    /// Says what becomes of an allocation in a static scope when static memory is full or sealed. At first:
    /// [`WhenFull::UseHeap`].
    #[must_use]
    pub const fn when_static_full(self, when_full: WhenFull) -> Self {
        Self { static_memory: Settings { when_full, ..self.static_memory } }
    }
}

/// Where an allocation goes.
pub(super) enum Route {
    Static(Placed),
    Dynamic,
    Nowhere,
}

/// A block in what the calling thread, which is in a static scope, has set aside; `None` where there is none, or too
/// little. Most blocks are served here.
#[inline(always)]
pub(super) fn place_at_hand(layout: Layout) -> Option<NonNull<u8>> {
    with_piece(layout.align(), |piece| REGION.place_in_piece(piece?, layout))
}

/// Where an allocation of the calling thread goes: where it is to static memory, it is placed there.
#[inline]
pub(super) fn route(tenure: &Tenure, layout: Layout) -> Route {
    if routing::is_static() { place(tenure, layout) } else { Route::Dynamic }
}

#[cold]
#[inline(never)]
fn place(tenure: &Tenure, layout: Layout) -> Route {
    let Settings { capacity, when_full } = tenure.static_memory;
    let placed = match source() {
        Source::Own(heap, thread) => {
            let _busy = Busy::new(thread);
            REGION.place(&BACKEND, Some(heap.piece_for(layout.align())), capacity, layout)
        }
        Source::Shared(_) | Source::Nothing => REGION.place(&BACKEND, None, capacity, layout),
    };
    match placed {
        Some(placed) => Route::Static(placed),
        None => {
            REGION.count_fallback();
            match when_full {
                WhenFull::UseHeap => Route::Dynamic,
                WhenFull::Fail => Route::Nowhere,
            }
        }
    }
}

/// Runs `act` on the static memory that is set aside for the calling thread's blocks of this alignment, if there is
/// some.
#[inline(always)]
fn with_piece<R>(align: usize, act: impl FnOnce(Option<&Piece<1>>) -> R) -> R {
    match own() {
        Some((heap, thread)) => {
            let _busy = Busy::new(thread);
            act(Some(heap.piece_for(align)))
        }
        None => act(None),
    }
}

/// Runs `act` on all that is set aside for the calling thread.
fn with_pieces<R>(act: impl FnOnce(&[Piece<1>]) -> R) -> R {
    match own() {
        Some((heap, thread)) => {
            let _busy = Busy::new(thread);
            act(heap.pieces())
        }
        None => act(&[]),
    }
}

/// Takes back a block of static memory; false where none can be there.
pub(super) fn free_static(block: NonNull<u8>, layout: Layout) -> bool {
    with_piece(layout.align(), |piece| REGION.put_back(piece, block, layout.size()))
}

/// Makes a block of static memory `new` bytes large where it stands: a smaller one always, a larger one only in a
/// static scope and where nothing follows it.
pub(super) fn resize_static(block: NonNull<u8>, old: Layout, new: usize) -> bool {
    let is_wanted = new <= old.size() || routing::is_static() && !REGION.is_sealed();
    is_wanted && with_piece(old.align(), |piece| REGION.resize(piece, block, old.size(), new)).unwrap_or(false)
}

/// Ends the start-up phase: nothing is placed in static memory any more, and what is left of it goes back to the
/// system, in whole pages.
///
/// A static scope that is entered later, or goes on, is served by the heap, or refused: see
/// [`Tenure::when_static_full`]; either is counted. Blocks that are there stay valid, may be dropped, and move to the
/// heap when they grow. Another thread that is placing a block at this moment may finish it.
///
/// Costs a system call for each chunk, of which there are few. Later calls do nothing.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
///
/// let names = tenure::static_scope(|| vec!["static".to_string(), "dynamic".to_string()]);
/// let sealed = tenure::seal();
/// assert!(sealed.used > 0 && sealed.returned > 0);
/// let later = tenure::static_scope(|| "on the heap".to_string());
/// assert_eq!(GLOBAL.stats().scopes.fallbacks, 1);
/// # drop((names, later));
/// ```
pub fn seal() -> Sealed {
    with_pieces(|pieces| REGION.seal(&BACKEND, pieces))
}

/// As [`seal`], and makes the pages of static memory read-only: a stray write faults at once, where it happens.
///
/// [`Sealed::read_only`] is less than [`Sealed::used`] where the system refuses, as it may when it has too many
/// mappings.
///
/// # Safety
/// - Nobody writes to any block that was allocated in a static scope any more, not even to a counter or a lock inside a
///   value: no `Rc` or `Arc` there is cloned or dropped, no `Cell` set, no `Mutex` locked. Dropping a value that only
///   frees memory writes nothing there.
/// - No other thread is placing a block there.
pub unsafe fn seal_read_only() -> Sealed {
    // SAFETY: passed on.
    with_pieces(|pieces| unsafe { REGION.seal_read_only(&BACKEND, pieces) })
}
