//! The slow paths of small blocks: everything that a magazine alone cannot answer.

#[cfg(feature = "hardened")]
use super::hardened;
use super::large::check_taken_span;
use super::request::Request;
use super::routing::Routing;
use super::static_memory::{Route, free_static, place_at_hand, route};
use super::thread::{Busy, Source, own, own_of_free, source};
use super::upkeep::{count_down, if_short_reclaim, purge_when_due};
use super::{BACKEND, REGISTRY, Tenure, exact, misuse, routing, tls, watch};
#[cfg(feature = "profile")]
use super::{guard, samples};
use crate::heap::{self, Borrower, Heap, Misuse};
use crate::magazine::{Place, Tops};
use crate::segment::Owner;
use crate::size_class::SizeClass;
use core::alloc::Layout;
use core::ptr::NonNull;

/// A block of `class` for `layout`, of which there is none at hand: the magazine is empty, or set aside.
#[cold]
#[inline(never)]
pub(super) fn alloc(request: Request, class: SizeClass, tenure: &Tenure) -> Option<NonNull<u8>> {
    #[cfg(feature = "profile")]
    if let Some(block) = samples::take_hot(class) {
        return Some(block);
    }
    let (layout, routing) = (request.layout(), exact::routing());
    if !routing.is_aside() {
        return take(class, layout);
    }
    let block = if routing.is_static() {
        place_at_hand(layout).or_else(|| match route(tenure, layout) {
            Route::Static(placed) => Some(placed.block),
            Route::Dynamic => take(class, layout),
            Route::Nowhere => None,
        })
    } else {
        take(class, layout)
    };
    note(routing, block, layout.size())
}

/// Tells those who watch the thread of a block that it has got.
#[inline(always)]
pub(super) fn note(routing: Routing, block: Option<NonNull<u8>>, size: usize) -> Option<NonNull<u8>> {
    if routing.is_watched()
        && let Some(block) = block
    {
        watch::allocated(block, size);
    }
    block
}

/// As [`note`], of a block of which it is known whether it reads as zero.
#[inline(always)]
fn note_zeroed(routing: Routing, found: Option<(NonNull<u8>, bool)>, size: usize) -> Option<(NonNull<u8>, bool)> {
    note(routing, found.map(|(block, _)| block), size);
    found
}

/// A block of `class` for `layout` from the calling thread's heap, whatever scope it is in.
pub(super) fn alloc_dynamic(class: SizeClass, layout: Layout) -> Option<NonNull<u8>> {
    note(exact::routing(), take(class, layout), layout.size())
}

/// The other heaps of the process, from which `heap` may steal.
fn others(heap: &Heap) -> impl Fn(SizeClass, &mut [Place]) -> usize {
    |class, places| REGISTRY.steal(heap, class, places)
}

/// A block of `class` for `layout` from the calling thread's heap.
pub(super) fn take(class: SizeClass, layout: Layout) -> Option<NonNull<u8>> {
    take_as::<false>(class, layout).map(|(block, _)| block)
}

/// As [`take`], and whether the block reads as zero.
pub(super) fn take_zeroed(class: SizeClass, layout: Layout) -> Option<(NonNull<u8>, bool)> {
    take_as::<true>(class, layout)
}

/// As [`take_zeroed`] where `IS_ZEROED` says that the block is to read as zero, at what that costs; else as [`take`],
/// and the block may be said not to.
#[cfg_attr(not(feature = "profile"), expect(unused_variables, reason = "a profile tells what was asked for"))]
#[inline(always)]
fn take_as<const IS_ZEROED: bool>(class: SizeClass, layout: Layout) -> Option<(NonNull<u8>, bool)> {
    if_short_reclaim(|| match source() {
        Source::Own(heap, thread) => {
            let _busy = Busy::new(thread);
            count_down(thread);
            let tops = routing::tops(heap, thread);
            // Nobody has looked there yet where they are set aside.
            // SAFETY: the calling thread's own tops.
            if let Some(block) = unsafe { tops.pop(class) } {
                if class.is_span() {
                    check_taken_span(tops, class, block);
                }
                return Some((block, false));
            }
            #[cfg(feature = "profile")]
            if let Some(served) = samples::alloc(heap, thread, class, layout, IS_ZEROED, &others(heap)) {
                return served;
            }
            if IS_ZEROED {
                // SAFETY: the calling thread's own heap and tops.
                return unsafe { heap.refill_zeroed(tops, class, &others(heap)) };
            }
            if class.is_span() {
                // Before the heap grows.
                // SAFETY: the calling thread's own heap and tops.
                unsafe { heap.make_way_for_span(tops, class) };
            }
            // SAFETY: the calling thread's own heap and tops.
            unsafe { heap.refill(tops, class, &others(heap)) }.map(|block| (block, false))
        }
        Source::Shared(heap) => {
            purge_when_due(BACKEND.os.now_ms());
            let _busy = busy();
            heap.take_one(class)
        }
        Source::Nothing => None,
    })
}

/// As [`alloc`], and whether the block reads as zero.
#[cold]
#[inline(never)]
pub(super) fn alloc_zeroed(request: Request, class: SizeClass, tenure: &Tenure) -> Option<(NonNull<u8>, bool)> {
    let (layout, routing) = (request.layout(), exact::routing());
    let found = match route(tenure, layout) {
        Route::Static(placed) => Some((placed.zeroed(), true)),
        Route::Dynamic => take_zeroed(class, layout),
        Route::Nowhere => None,
    };
    note_zeroed(routing, found, layout.size())
}

/// As [`alloc_dynamic`], and whether the block reads as zero.
pub(super) fn alloc_dynamic_zeroed(class: SizeClass, layout: Layout) -> Option<(NonNull<u8>, bool)> {
    note_zeroed(exact::routing(), take_zeroed(class, layout), layout.size())
}

/// Frees a block of `class` that does not go straight into a magazine: the magazine is full, or the block is not this
/// thread's, or the thread's allocations are sampled.
///
/// What the caller has at hand is passed on: where this is compiled, the way to the calling thread's record may be a
/// call.
#[cold]
#[inline(never)]
pub(super) fn free(block: NonNull<u8>, request: Request, class: SizeClass, owner: Owner, thread: &'static Borrower) {
    // SAFETY: the calling thread's record, and the block's class and owner.
    #[cfg(feature = "profile")]
    if unsafe { thread.keep_sampled(class.code(), block.as_ptr(), owner) } {
        return;
    }
    free_otherwise(block, request, class, owner, thread);
}

/// Keeps a block of another heap in the magazine, where that has others of it; false where it has not. As quickly as
/// can be, since with stolen blocks no free but this slow one comes by. Where somebody watches the thread, and is to be
/// told, its magazines are set aside.
#[inline(always)]
fn keep_stolen(block: NonNull<u8>, class: SizeClass, owner: Owner, thread: &Borrower) -> bool {
    // A thread in the midst of a slow path has none.
    let Some(heap) = thread.heap.get().filter(|_| !thread.is_busy.get()) else { return false };
    #[cfg(feature = "profile")]
    if let Some(sampling) = thread.sampling.get() {
        // SAFETY: as below.
        return unsafe { heap.keep_stolen_sampled(sampling, owner, &thread.tops, class, block) };
    }
    // SAFETY: the calling thread's own heap and tops, and what the owner map says of the block.
    unsafe { heap.keep_stolen(owner, &thread.tops, class, block) }
}

/// As [`free`], of a block that does not go into the magazine of a thread whose allocations are sampled.
#[inline(never)]
fn free_otherwise(block: NonNull<u8>, request: Request, class: SizeClass, owner: Owner, thread: &'static Borrower) {
    // SAFETY: the calling thread's record, and the block's class and owner.
    #[cfg(feature = "profile")]
    if unsafe { thread.keep_for_later(class, block, owner) } {
        return;
    }
    if keep_stolen(block, class, owner, thread) {
        return;
    }
    let layout = request.layout();
    note_freed(block, layout);
    put(block, class, layout);
}

/// Takes a block of `class` back of which those who watch the thread have been told, or are not to be.
#[cfg(feature = "hardened")]
#[cold]
#[inline(never)]
pub(super) fn release(block: NonNull<u8>, class: SizeClass) {
    // SAFETY: the calling thread's record, and the block's class and owner.
    #[cfg(feature = "profile")]
    if unsafe { tls::current().keep_sampled(class.code(), block.as_ptr(), BACKEND.owners.owner_of(block.as_ptr())) } {
        return;
    }
    // SAFETY: no class is larger than a layout can be.
    put(block, class, unsafe { Layout::from_size_align_unchecked(class.size(), 8) });
}

/// Tells those who watch the thread of a block that it is about to give back.
#[inline(always)]
pub(super) fn note_freed(block: NonNull<u8>, layout: Layout) {
    if tls::routing().is_watched() {
        watch::freed(block, layout.size());
    }
}

/// Frees a block between guard pages, of which no layout is told.
#[cfg(feature = "profile")]
#[cold]
#[inline(never)]
pub(super) fn free_guarded(block: NonNull<u8>) {
    if let Some(size) = guard::size_of(block) {
        // SAFETY: a size that some layout had.
        note_freed(block, unsafe { Layout::from_size_align_unchecked(size, 1) });
    }
    guard::free(block, None);
}

/// Gives a block of `class` back.
pub(super) fn put(block: NonNull<u8>, class: SizeClass, layout: Layout) {
    let owner = BACKEND.owners.look_up(block.addr().get());
    if !owner.is_heap() {
        if owner == Owner::STATIC && free_static(block, layout) {
            return;
        }
        #[cfg(feature = "profile")]
        if owner == Owner::GUARDED {
            return guard::free(block, Some(layout.size()));
        }
        refuse(block, class.size(), owner);
    }
    #[cfg(feature = "profile")]
    samples::freed(block, owner);
    match own_of_free(block, class.size()) {
        Some((heap, thread)) => {
            let _busy = Busy::new(thread);
            count_down(thread);
            #[cfg(feature = "profile")]
            samples::follow(heap, thread);
            if heap.owner() == owner {
                #[cfg(feature = "profile")]
                if samples::put(heap, thread, class, block) {
                    return;
                }
                // Nobody has tried that yet where the tops are set aside.
                // SAFETY: the calling thread's own heap and tops, and a block of this heap.
                unsafe { keep_or_flush(heap, routing::tops(heap, thread), class, block) };
            } else {
                put_elsewhere(thread.home.get().unwrap_or(heap), owner, class, block);
            }
        }
        None if class.is_span() => {
            // SAFETY: a block of some heap.
            if !unsafe { heap::return_span_remotely(block, &BACKEND.counters) } {
                refuse(block, class.size(), owner);
            }
        }
        None => put_in_owner(owner, class, block),
    }
}

/// Looks at a block, as far as can be done at once, and gives it back to its owner without the calling thread's heap.
fn put_in_owner(owner: Owner, class: SizeClass, block: NonNull<u8>) {
    let heap = REGISTRY.owner(owner).filter(|heap| !heap.is_lost());
    // SAFETY: the heap owns the granule, so it is a segment of its.
    if !heap.is_some_and(|heap| unsafe { heap.put_back_from_elsewhere(class, block) }) {
        // SAFETY: a block of some heap.
        unsafe { heap::return_remotely(class, block, &BACKEND.counters) };
    }
}

/// Gives a block back that lies in another heap, `owner`, than the one that the thread, whose own is `home`, allocates
/// from.
fn put_elsewhere(home: &Heap, owner: Owner, class: SizeClass, block: NonNull<u8>) {
    if home.owner() != owner {
        if home.outbox().probation().frees(class) {
            return put_in_owner(owner, class, block);
        }
        // SAFETY: the calling thread's own heap, and a block of another one.
        return unsafe { home.put_in_outbox(class, block) };
    }
    // The thread is under a tag, and its own magazines are set aside.
    #[cfg(feature = "profile")]
    if samples::put_aside(home, class, block) {
        return;
    }
    // SAFETY: the calling thread's own heap and tops, and a block of this heap.
    unsafe { keep_or_flush(home, home.aside(), class, block) };
}

/// Puts a block into its class's magazine, which is flushed where it is full.
///
/// # Safety
/// - The calling thread has borrowed `heap`, `tops` are its tops, and `block` lies in one of its segments.
#[inline(always)]
unsafe fn keep_or_flush(heap: &Heap, tops: &Tops, class: SizeClass, block: NonNull<u8>) {
    // SAFETY: passed on.
    if !unsafe { tops.push(class, block.as_ptr()) } {
        // SAFETY: passed on.
        unsafe { heap.flush(tops, class, block) };
    }
}

/// Ends the process where `block` of the heap `owner` is no block of `class`, or is free, which is the misuse
/// `otherwise`, as far as can be told at once.
pub(super) fn check_in_use(block: NonNull<u8>, class: SizeClass, owner: Owner, otherwise: Misuse) {
    if let Some(heap) = REGISTRY.owner(owner).filter(|heap| !heap.is_lost()) {
        // SAFETY: the heap owns the granule, so it is a segment of its.
        unsafe { heap.check_in_use(class, block, otherwise) };
    }
}

/// Ends the process on a free of what is no block of `size` bytes.
#[cold]
#[inline(never)]
pub(super) fn refuse(block: NonNull<u8>, size: usize, owner: Owner) -> ! {
    if owner.is_heap() {
        heap::refuse(Misuse::NotABlock, block.as_ptr(), size);
    }
    misuse::refuse(block, format_args!(" ({size} bytes)"), owner)
}

/// Marks the calling thread as inside a slow path, if it has a heap that is not at work.
pub(super) fn busy() -> Option<Busy> {
    own().map(|(_, thread)| Busy::new(thread))
}
