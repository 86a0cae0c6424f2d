//! The slow paths: everything that a magazine alone cannot answer.

#[cfg(feature = "hardened")]
use super::hardened;
use super::routing::Routing;
use super::static_memory::{Route, free_static, place_at_hand, resize_static, route};
use super::thread::{Busy, Source, own, own_of_free, source};
use super::{BACKEND, REGISTRY, Tenure, exact, misuse, pressure, purger, routing, tls, watch};
#[cfg(feature = "profile")]
use super::{guard, samples};
use crate::heap::{self, Borrower, Heap, Misuse};
use crate::segment::{self, Owner};
use crate::size_class::{SLOT_SIZE, SizeClass};
use crate::sync::{AtomicU64, Ordering};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

/// How long unused memory is kept before it goes back to the system, in milliseconds, unless the program says otherwise.
///
/// A page that comes back costs a microsecond or two, so it should have been idle for far longer than that.
pub(super) const PURGE_DELAY: u64 = 1000;

/// How long unused memory is kept, in milliseconds.
pub(super) static PURGE_AFTER: AtomicU64 = AtomicU64::new(PURGE_DELAY);

/// Slow paths between looks at the clock.
const PATIENCE: u16 = 64;

/// When unused memory is looked for next, in milliseconds of the platform's clock.
static NEXT_PURGE: AtomicU64 = AtomicU64::new(0);

/// A block of `class` for `layout`, of which there is none at hand: the magazine is empty, or set aside.
#[cold]
#[inline(never)]
pub(super) fn alloc(tenure: &Tenure, class: SizeClass, layout: Layout) -> Option<NonNull<u8>> {
    #[cfg(feature = "profile")]
    if let Some(block) = samples::take_hot(class) {
        return Some(block);
    }
    let routing = exact::routing();
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
fn note(routing: Routing, block: Option<NonNull<u8>>, size: usize) -> Option<NonNull<u8>> {
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

/// A block of `class` for `layout` from the calling thread's heap.
#[cfg_attr(not(feature = "profile"), expect(unused_variables, reason = "a profile tells what was asked for"))]
fn take(class: SizeClass, layout: Layout) -> Option<NonNull<u8>> {
    if_short_reclaim(|| match source() {
        Source::Own(heap, thread) => {
            let _busy = Busy::new(thread);
            count_down(thread);
            let tops = routing::tops(heap, thread);
            // Nobody has looked there yet where they are set aside.
            // SAFETY: the calling thread's own tops.
            if let Some(block) = unsafe { tops.pop(class) } {
                if class.is_span() {
                    check_is_span(block, class);
                }
                return Some(block);
            }
            #[cfg(feature = "profile")]
            if let Some(served) = samples::alloc(heap, thread, class, layout, false) {
                return served.map(|(block, _)| block);
            }
            if class.is_span() {
                // Before the heap grows.
                // SAFETY: the calling thread's own heap and tops.
                unsafe { heap.make_way_for_span(tops, class) };
            }
            // SAFETY: the calling thread's own heap and tops.
            unsafe { heap.refill(tops, class) }
        }
        Source::Shared(heap) => {
            purge_when_due(BACKEND.os.now_ms());
            let _busy = busy();
            heap.take_one(class).map(|(block, _)| block)
        }
        Source::Nothing => None,
    })
}

/// As [`alloc`], and whether the block reads as zero.
#[cold]
#[inline(never)]
pub(super) fn alloc_zeroed(tenure: &Tenure, class: SizeClass, layout: Layout) -> Option<(NonNull<u8>, bool)> {
    let routing = exact::routing();
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

/// As [`take`], and whether the block reads as zero.
#[cfg_attr(not(feature = "profile"), expect(unused_variables, reason = "a profile tells what was asked for"))]
fn take_zeroed(class: SizeClass, layout: Layout) -> Option<(NonNull<u8>, bool)> {
    if_short_reclaim(|| match source() {
        Source::Own(heap, thread) => {
            let _busy = Busy::new(thread);
            count_down(thread);
            let tops = routing::tops(heap, thread);
            // As in `take`.
            // SAFETY: the calling thread's own tops.
            if let Some(block) = unsafe { tops.pop(class) } {
                if class.is_span() {
                    check_is_span(block, class);
                }
                return Some((block, false));
            }
            #[cfg(feature = "profile")]
            if let Some(served) = samples::alloc(heap, thread, class, layout, true) {
                return served;
            }
            // SAFETY: the calling thread's own heap and tops.
            unsafe { heap.refill_zeroed(tops, class) }
        }
        Source::Shared(heap) => {
            let _busy = busy();
            heap.take_one(class)
        }
        Source::Nothing => None,
    })
}

/// Tries once more after memory has been reclaimed from every heap, when there is none.
#[inline(always)]
fn if_short_reclaim<R>(attempt: impl Fn() -> Option<R>) -> Option<R> {
    let result = attempt().or_else(|| {
        reclaim();
        attempt()
    });
    if BACKEND.counters.limits.is_passed() {
        pressure::relieve();
    }
    result.or_else(|| if pressure::is_relieved() { attempt() } else { None })
}

/// Takes back for everybody's use what lies unused in any heap: what other threads have returned and the owner has not collected, and the
/// calling thread's own magazines.
#[cold]
#[inline(never)]
fn reclaim() {
    if tls::current().is_busy.get() {
        // A signal handler has interrupted a slow path, which may hold a lock.
        return;
    }
    let _busy = empty_own_magazines();
    empty_parked_magazines();
    for heap in REGISTRY.heaps() {
        heap.reclaim();
    }
    if BACKEND.counters.limits.get().1 < usize::MAX {
        // What is unused counts, too.
        purge_unused_since(u64::MAX, 0, true);
    }
}

/// Frees a block of `class` that does not go straight into a magazine: the magazine is full, or the block is not this thread's.
#[cold]
#[inline(never)]
pub(super) fn free(block: NonNull<u8>, class: SizeClass, layout: Layout) {
    #[cfg(feature = "profile")]
    if samples::keep(block, class) {
        return;
    }
    free_noted(block, class, layout);
}

/// Gives a block of `class` back, after those who watch the thread have been told.
#[inline(never)]
fn free_noted(block: NonNull<u8>, class: SizeClass, layout: Layout) {
    note_freed(block, layout);
    put(block, class, layout);
}

/// Takes a block of `class` back of which those who watch the thread have been told, or are not to be.
#[cfg(feature = "hardened")]
#[cold]
#[inline(never)]
pub(super) fn release(block: NonNull<u8>, class: SizeClass) {
    #[cfg(feature = "profile")]
    if samples::keep(block, class) {
        return;
    }
    // SAFETY: no class is larger than a layout can be.
    put(block, class, unsafe { Layout::from_size_align_unchecked(class.size(), 8) });
}

/// As [`release`], of a span or a mapping's block that has `len` bytes in all.
#[cfg(feature = "hardened")]
pub(super) fn release_large(block: NonNull<u8>, len: usize) {
    // SAFETY: no block that exists is larger than a layout can be.
    let layout = unsafe { Layout::from_size_align_unchecked(len, 8) };
    take_back_large(block, layout, BACKEND.owners.look_up(block.addr().get()), tls::current());
}

/// A span or a mapping for `layout` as the heap has it, and whether it reads as zero because nobody has used it yet.
#[cfg(feature = "hardened")]
pub(super) fn take_large_as_is(layout: Layout) -> Option<(NonNull<u8>, bool)> {
    take_large(layout, |_| None).or_else(|| take_zeroed(SizeClass::of_span(layout)?, layout))
}

/// Tells those who watch the thread of a block that it is about to give back.
#[inline(always)]
fn note_freed(block: NonNull<u8>, layout: Layout) {
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
fn put(block: NonNull<u8>, class: SizeClass, layout: Layout) {
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
                let tops = routing::tops(heap, thread);
                // Nobody has tried that yet where they are set aside.
                // SAFETY: the calling thread's own tops.
                if !unsafe { tops.push(class, block.as_ptr()) } {
                    // SAFETY: the calling thread's own heap and tops, and a block of this heap.
                    unsafe { heap.flush(tops, class, block) };
                }
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
        None => {
            check_in_use(block, class, owner, Misuse::DoubleFree);
            // SAFETY: a block of some heap.
            unsafe { heap::return_remotely(class, block, &BACKEND.counters) };
        }
    }
}

/// Gives a block back that lies in another heap, `owner`, than the one that the thread, whose own is `home`, allocates from.
fn put_elsewhere(home: &Heap, owner: Owner, class: SizeClass, block: NonNull<u8>) {
    if home.owner() != owner {
        if home.outbox().probation().frees() {
            check_in_use(block, class, owner, Misuse::DoubleFree);
            // SAFETY: a block of some heap.
            return unsafe { heap::return_remotely(class, block, &BACKEND.counters) };
        }
        // SAFETY: the calling thread's own heap, and a block of another one.
        return unsafe { home.put_in_outbox(class, block) };
    }
    // The thread is under a tag, and its own magazines are set aside.
    let tops = home.aside();
    #[cfg(feature = "profile")]
    if samples::put_aside(home, class, block) {
        return;
    }
    // SAFETY: the calling thread's own tops.
    if !unsafe { tops.push(class, block.as_ptr()) } {
        // SAFETY: the calling thread's own heap and tops, and a block of this heap.
        unsafe { home.flush(tops, class, block) };
    }
}

/// Ends the process where `block` of the heap `owner` is no block of `class`, or is free, which is the misuse `otherwise`, as far as can be told at once.
fn check_in_use(block: NonNull<u8>, class: SizeClass, owner: Owner, otherwise: Misuse) {
    if let Some(heap) = REGISTRY.owner(owner).filter(|heap| !heap.is_lost()) {
        // SAFETY: the heap owns the granule, so it is a segment of its.
        unsafe { heap.check_in_use(class, block, otherwise) };
    }
}

/// Ends the process where `block`, in no static memory and said to be of `class`, is about to be resized, and is known to be free. Where the class has a magazine, that is known of the one that the thread has
/// freed last.
#[inline(always)]
pub(super) fn check_before_resizing(block: NonNull<u8>, class: SizeClass, owner: Owner) {
    if !owner.is_heap() {
        misuse::refuse_use(block, owner);
    }
    let thread = tls::current();
    if thread.tops.get(class).is_none() {
        check_in_use(block, class, owner, Misuse::UseAfterFree);
    } else if owner == thread.owner.get() && thread.tops.next(class) == Some(block) {
        heap::refuse(Misuse::UseAfterFree, block.as_ptr(), class.size());
    }
}

/// Ends the process where no block of `layout`, which is too large for a slab, is in use at `block`, as far as can be told at once.
fn check_large_before_resizing(block: NonNull<u8>, layout: Layout, owner: Owner) {
    if !owner.is_heap() {
        if !owner.is_mapping() || !may_be_mapping(block, layout) {
            misuse::refuse_use(block, owner);
        }
        return;
    }
    let waits = SizeClass::of_span(layout).is_some_and(|class| tls::current().tops.next(class) == Some(block));
    // SAFETY: a heap owns the granule, so it is a segment.
    let is_span = unsafe { heap::is_span_at(block) };
    // SAFETY: as above.
    if waits || !is_span || unsafe { heap::is_returned_span(block) } {
        heap::refuse(Misuse::UseAfterFree, block.as_ptr(), layout.size());
    }
}

/// Ends the process on a free of what is no block of `size` bytes.
#[cold]
#[inline(never)]
fn refuse(block: NonNull<u8>, size: usize, owner: Owner) -> ! {
    if owner.is_heap() {
        heap::refuse(Misuse::NotABlock, block.as_ptr(), size);
    }
    misuse::refuse(block, format_args!(" ({size} bytes)"), owner)
}

/// A block that is too large for a slab.
#[cold]
#[inline(never)]
pub(super) fn alloc_large(tenure: &Tenure, layout: Layout) -> Option<NonNull<u8>> {
    let routing = exact::routing();
    // Where the tops are set aside no magazine is at hand.
    if let Some(span) = SizeClass::of_span(layout).and_then(span_at_hand) {
        return Some(span);
    }
    let block = match route(tenure, layout) {
        Route::Static(placed) => Some(placed.block),
        Route::Dynamic => take_large_dynamic(layout),
        Route::Nowhere => None,
    };
    note(routing, block, layout.size())
}

/// A block that is too large for a slab, from the calling thread's heap, whatever scope it is in.
pub(super) fn alloc_large_dynamic(layout: Layout) -> Option<NonNull<u8>> {
    let routing = exact::routing();
    note(routing, take_large_dynamic(layout), layout.size())
}

fn take_large_dynamic(layout: Layout) -> Option<NonNull<u8>> {
    let (block, is_new) = take_large(layout, |class| take(class, layout))?;
    if is_new && !heap::is_span(layout) {
        // SAFETY: a mapping's block, which was mapped just now, since it reads as zero.
        unsafe { BACKEND.expect_density(block) };
    }
    Some(block)
}

/// A block that is too large for a slab, and reads as zero.
#[cold]
#[inline(never)]
pub(super) fn alloc_large_zeroed(tenure: &Tenure, layout: Layout) -> Option<NonNull<u8>> {
    let routing = exact::routing();
    let block = match route(tenure, layout) {
        Route::Static(placed) => Some(placed.zeroed()),
        Route::Dynamic => take_large_zeroed(layout),
        Route::Nowhere => None,
    };
    note(routing, block, layout.size())
}

/// As [`alloc_large_dynamic`], of a block that reads as zero.
pub(super) fn alloc_large_dynamic_zeroed(layout: Layout) -> Option<NonNull<u8>> {
    let routing = exact::routing();
    note(routing, take_large_zeroed(layout), layout.size())
}

fn take_large_zeroed(layout: Layout) -> Option<NonNull<u8>> {
    let (block, is_zero) = match take_large(layout, |_| None) {
        Some(found) => found,
        None => take_zeroed(SizeClass::of_span(layout)?, layout)?,
    };
    if is_zero {
        // SAFETY: a span or a mapping's block that is at least as large as the layout, and nobody else's.
        unsafe { BACKEND.note_untouched(block, layout.size()) };
    } else {
        // SAFETY: as above.
        unsafe { BACKEND.clear(block, layout.size()) };
    }
    Some(block)
}

/// A span or a mapping for `layout`, and whether it reads as zero. Spans come from a magazine, or else from `refill`.
fn take_large(layout: Layout, refill: impl FnOnce(SizeClass) -> Option<NonNull<u8>>) -> Option<(NonNull<u8>, bool)> {
    #[cfg(feature = "profile")]
    if let Some(found) = samples::alloc_large(layout) {
        return Some(found);
    }
    if let Some(class) = SizeClass::of_span(layout) {
        return span_at_hand(class).or_else(|| refill(class)).map(|span| (span, false));
    }
    if layout.size().max(layout.align()) >= segment::ADDRESSES {
        return None;
    }
    if_short_reclaim(|| match source() {
        Source::Own(heap, thread) => {
            let _busy = Busy::new(thread);
            count_down(thread);
            if heap::is_span(layout) { heap.take_span(layout) } else { map(layout) }
        }
        Source::Shared(heap) => {
            let _busy = busy();
            if heap::is_span(layout) { heap.take_span(layout) } else { map(layout) }
        }
        Source::Nothing => None,
    })
}

/// Marks the calling thread as inside a slow path, if it has a heap that is not at work.
fn busy() -> Option<Busy> {
    own().map(|(_, thread)| Busy::new(thread))
}

/// A block with a mapping of its own, and whether it reads as zero.
pub(super) fn map(layout: Layout) -> Option<(NonNull<u8>, bool)> {
    let (block, is_zero) = BACKEND.map_block(layout)?;
    tag_mapping(block);
    Some((block, is_zero))
}

/// Counts a mapping's block, which has just been allocated, under the calling thread's tag, if it has one.
fn tag_mapping(block: NonNull<u8>) {
    let tag = tls::routing().tag();
    if tag != 0 {
        // SAFETY: the caller's block, of a mapping.
        unsafe { BACKEND.tag_block(block, tag) };
    }
}

/// The span of `class` that waits in the calling thread's magazine, if one does.
#[inline(always)]
pub(super) fn span_at_hand(class: SizeClass) -> Option<NonNull<u8>> {
    // SAFETY: the calling thread's own tops.
    let span = unsafe { tls::current().tops.pop(class) }?;
    check_is_span(span, class);
    Some(span)
}

/// Ends the process where `block`, which waited in a magazine of spans, is none: a free that is told no layout takes what lies in a span's first slot for the span.
#[inline(always)]
fn check_is_span(block: NonNull<u8>, class: SizeClass) {
    if !block.addr().get().is_multiple_of(SLOT_SIZE) {
        heap::refuse(Misuse::NotABlock, block.as_ptr(), class.size());
    }
}

/// Frees a block that is too large for a slab.
#[cold]
#[inline(never)]
pub(super) fn free_large(block: NonNull<u8>, layout: Layout) {
    let owner = BACKEND.owners.look_up(block.addr().get());
    let thread = tls::current();
    if owner == thread.owner.get()
        && let Some(class) = SizeClass::of_span(layout)
        // SAFETY: the calling thread's own heap has a segment there.
        && unsafe { heap::is_span_of(class, block) }
        // SAFETY: the calling thread's own tops. There is room only where no span waits, this one included.
        && unsafe { thread.tops.push(class, block.as_ptr()) }
    {
        return;
    }
    free_large_slowly(block, layout, owner, thread);
}

#[inline(never)]
fn free_large_slowly(block: NonNull<u8>, layout: Layout, owner: Owner, thread: &'static Borrower) {
    note_freed(block, layout);
    take_back_large(block, layout, owner, thread);
}

#[inline(always)]
fn take_back_large(block: NonNull<u8>, layout: Layout, owner: Owner, thread: &'static Borrower) {
    #[cfg(feature = "profile")]
    samples::freed(block, owner);
    let is_freed = if owner == Owner::STATIC {
        free_static(block, layout)
    } else if owner.is_mapping() {
        if !may_be_mapping(block, layout) {
            refuse(block, layout.size(), owner);
        }
        let _busy = own().map(|(_, thread)| {
            let busy = Busy::new(thread);
            count_down(thread);
            busy
        });
        BACKEND.unmap_block(block)
    } else if thread.heap.get().is_none_or(|heap| heap.owner() != owner) {
        if !owner.is_heap() {
            refuse(block, layout.size(), owner);
        }
        // SAFETY: the block is some heap's.
        if !unsafe { heap::is_span_for(layout, block) } {
            refuse(block, layout.size(), owner);
        }
        // SAFETY: as above.
        unsafe { heap::return_span_remotely(block, &BACKEND.counters) }
    } else if let Some(class) = SizeClass::of_span(layout) {
        let tops = thread.heap.get().map_or(&thread.tops, |heap| routing::tops(heap, thread));
        if tops.next(class) == Some(block) {
            heap::refuse(Misuse::DoubleFree, block.as_ptr(), class.size());
        }
        // SAFETY: the block lies in a segment.
        if !unsafe { heap::is_span_of(class, block) } {
            refuse(block, layout.size(), owner);
        }
        if let Some((heap, thread)) = own() {
            let _busy = Busy::new(thread);
            // No span waits where each that is taken is to be counted.
            #[cfg(feature = "profile")]
            if thread.sampling.get().is_some() {
                // SAFETY: the block is this heap's.
                let is_freed = unsafe { heap.put_span(block, layout) };
                debug_assert!(is_freed, "looked at just now");
                return;
            }
            // SAFETY: the calling thread's own heap and tops.
            unsafe { heap.make_way_for_span(tops, class) };
        }
        // SAFETY: the calling thread's own tops.
        if !unsafe { tops.push(class, block.as_ptr()) } {
            put(block, class, layout);
        }
        true
    } else if let Some((heap, thread)) = own() {
        let _busy = Busy::new(thread);
        // SAFETY: the block is this heap's.
        unsafe { heap.put_span(block, layout) }
    } else {
        // SAFETY: the block is some heap's.
        unsafe { heap::return_span_remotely(block, &BACKEND.counters) }
    };
    if !is_freed {
        refuse_large(block, layout, owner);
    }
}

/// False where a block of this layout cannot be the one that has a mapping of its own at `block`: that is smaller, or the layout's would be a span.
fn may_be_mapping(block: NonNull<u8>, layout: Layout) -> bool {
    // What is aligned to a granule or more may be of any size.
    let is_aligned = BACKEND.owners.look_up(block.addr().get()) == Owner::ALIGNED_MAPPING;
    let is_span = heap::is_span(layout) && layout.size() < LEAVE_AT;
    (is_aligned || !is_span) && BACKEND.mapped_size(block).is_none_or(|len| layout.size() <= len)
}

/// Ends the process on a block that could not be freed as a large one.
#[cold]
#[inline(never)]
fn refuse_large(block: NonNull<u8>, layout: Layout, owner: Owner) -> ! {
    // SAFETY: a heap owns the granule, so it is a segment.
    if owner.is_heap() && unsafe { heap::is_returned_span(block) } {
        heap::refuse(Misuse::DoubleFree, block.as_ptr(), layout.size());
    }
    refuse(block, layout.size(), owner)
}

/// A span that grows to this size leaves for a mapping in which it can go on growing, if one is at hand: otherwise it would leave later, and
/// copy more.
const LEAVE_AT: usize = 256 * 1024;

/// Makes a block another size: in place where that is possible.
///
/// # Safety
/// - `block` was allocated by Tenure with `old`, and is the caller's.
/// - The layouts have the same alignment.
#[cold]
#[inline(never)]
pub(super) unsafe fn realloc(tenure: &Tenure, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
    let owner = BACKEND.owners.look_up(block.addr().get());
    // SAFETY: passed on.
    if let Some(target) = unsafe { move_between_magazines(block, owner, old, new) } {
        return Some(target);
    }
    let routing = tls::routing();
    let is_static = owner == Owner::STATIC;
    let extent = if routing.is_watched() { watch::extent(block, old.size()) } else { 0 };
    let resized = |to: NonNull<u8>| {
        if routing.is_watched() {
            watch::resized(block, extent, old.size(), to, new.size());
        }
        Some(to)
    };
    if is_static && resize_static(block, old, new.size()) {
        return resized(block);
    }
    // Nothing is without the feature `profile`.
    let is_guarded = owner == Owner::GUARDED;
    if is_guarded {
        #[cfg(feature = "profile")]
        guard::check_before_resizing(block, old.size());
    } else if let Some(class) = SizeClass::of(old).filter(|_| !is_static) {
        check_before_resizing(block, class, owner);
        if Some(class) == SizeClass::of(new) {
            return Some(block);
        }
    } else if !is_static {
        check_large_before_resizing(block, old, owner);
    }
    let mut target = None;
    if !is_static && !is_guarded && SizeClass::of(old).is_none() && SizeClass::of(new).is_none() {
        let is_mapping = owner.is_mapping();
        let is_growing = new.size() > old.size();
        if !is_mapping && is_growing && new.size() >= LEAVE_AT {
            target = BACKEND.map_growing_block(new).inspect(|&block| tag_mapping(block));
            #[cfg(feature = "profile")]
            if let Some(mapping) = target {
                samples::mapped(mapping, new.size());
            }
        }
        #[cfg(feature = "profile")]
        if !is_mapping && target.is_none() {
            target = samples::alloc_instead_of_resizing(new);
        }
        target = note(routing, target, new.size());
        let stays = if is_mapping { is_growing || !heap::is_span(new) } else { target.is_none() };
        // SAFETY: the caller's block.
        let resize = || unsafe { resize_large(block, new, is_mapping) };
        #[cfg(feature = "profile")]
        let resize = || samples::resize(block, new.size(), is_mapping, resize);
        if stays && let Some(block) = resize() {
            return resized(block);
        }
    }
    // What is dynamic stays dynamic; what is static goes where the thread's allocations go.
    let target = target.or_else(|| growing_span(old.size(), new)).or_else(|| match SizeClass::of(new) {
        // SAFETY: a layout of a size that is not zero.
        _ if is_static || !routing::is_static() => NonNull::new(unsafe { tenure.alloc(new) }),
        Some(class) => alloc_dynamic(class, new),
        None => alloc_large_dynamic(new),
    })?;
    let kept = old.size().min(new.size());
    // SAFETY: both blocks are as large as what is kept, and the new one is nobody else's.
    unsafe { target.copy_from_nonoverlapping(block, kept) };
    // SAFETY: the caller's block.
    unsafe { tenure.dealloc(block.as_ptr(), old) };
    Some(target)
}

/// A block of `new` with the contents of `block`, which is freed, where that takes no more than the magazines of two classes, as for most strings and vectors that grow. `None` otherwise.
///
/// # Safety
/// - As for [`realloc`]; `owner` is the owner of the block.
#[inline(always)]
unsafe fn move_between_magazines(block: NonNull<u8>, owner: Owner, old: Layout, new: Layout) -> Option<NonNull<u8>> {
    let thread = tls::current();
    let (from, to) = (SizeClass::of(old)?, SizeClass::of(new)?);
    // What is free already is told of elsewhere.
    if from == to || owner != thread.owner.get() || thread.tops.next(from) == Some(block) {
        return None;
    }
    // SAFETY: the calling thread's own tops.
    let target = unsafe { thread.tops.pop(to) }?;
    // SAFETY: both blocks are as large as what is kept, and the new one is nobody else's.
    unsafe { target.copy_from_nonoverlapping(block, old.size().min(new.size())) };
    // SAFETY: the calling thread's own tops, and a block of its heap.
    if !unsafe { thread.tops.push(from, block.as_ptr()) } {
        free(block, from, old);
    }
    Some(target)
}

/// A span for a block that grows from `old` bytes to `new`, and may go on growing where it then stands: otherwise it would soon be copied again. `None` where a span is at hand, or where there
/// is none with room; and for a block that a slab serves.
pub(super) fn growing_span(old: usize, new: Layout) -> Option<NonNull<u8>> {
    // A span of a hardened build is made otherwise.
    if cfg!(feature = "hardened") || new.size() <= old || SizeClass::of(new).is_some() || tls::routing().is_aside() {
        return None;
    }
    let class = SizeClass::of_span(new)?;
    let (heap, thread) = own()?;
    if thread.tops.next(class).is_some() {
        return None;
    }
    let take = || {
        let _busy = Busy::new(thread);
        // SAFETY: the calling thread's own heap and tops.
        unsafe { heap.take_growing_span(&thread.tops, class) }
    };
    #[cfg(feature = "profile")]
    let take = || samples::alloc_growing(thread, new, take);
    take()
}

/// Resizes a span or a mapping without copying, where that is possible.
///
/// # Safety
/// - `block` is the caller's, and was allocated by Tenure with the alignment of `new`.
pub(super) unsafe fn resize_large(block: NonNull<u8>, new: Layout, is_mapping: bool) -> Option<NonNull<u8>> {
    if is_mapping {
        // SAFETY: the caller's block.
        return unsafe { BACKEND.remap_block(block, new) };
    }
    let (heap, thread) = own()?;
    if BACKEND.owners.look_up(block.addr().get()) != heap.owner() {
        return None;
    }
    let _busy = Busy::new(thread);
    // SAFETY: the caller's block, and this heap's.
    unsafe { heap.resize_span(block, new) }.then_some(block)
}

/// Looks at the clock now and then, and purges what has been unused for long.
#[inline]
fn count_down(thread: &'static Borrower) {
    match thread.patience.get().checked_sub(1) {
        Some(patience) => thread.patience.set(patience),
        None => {
            thread.patience.set(PATIENCE);
            look_at_the_clock(thread);
        }
    }
}

/// Purges what has been unused for long, and empties the thread's magazines once in each delay: blocks that only go to and fro between the program and a magazine keep their slabs from
/// becoming empty.
#[cold]
#[inline(never)]
fn look_at_the_clock(thread: &'static Borrower) {
    let now = BACKEND.os.now_ms();
    let emptied_at = thread.emptied_at.get();
    if emptied_at == 0 {
        thread.emptied_at.set(now);
    } else if now - emptied_at >= PURGE_AFTER.load(Ordering::Relaxed)
        && let Some(heap) = thread.heap.get()
    {
        thread.emptied_at.set(now);
        #[cfg(feature = "hardened")]
        hardened::empty_quarantine(heap, thread);
        // SAFETY: the calling thread's own heap and tops.
        unsafe { heap.rest_magazines(routing::tops(heap, thread)) };
    }
    purge_when_due(now);
}

#[cold]
#[inline(never)]
fn purge_when_due(now: u64) {
    let delay = PURGE_AFTER.load(Ordering::Relaxed);
    let due = NEXT_PURGE.load(Ordering::Relaxed);
    if now < due
        || NEXT_PURGE.compare_exchange(due, now + delay / 2, Ordering::Relaxed, Ordering::Relaxed).is_err()
        || due == 0
        || purger::takes_over()
    {
        return;
    }
    purge_unused_since(now.saturating_sub(delay), now, false);
}

/// Purges what has been unused for long, on the purger; true where anything was given back.
pub(super) fn purge_on_time() -> bool {
    let returned = BACKEND.counters.returned();
    let now = BACKEND.os.now_ms();
    // It may wait for heaps that are at work.
    purge_unused_since(now.saturating_sub(PURGE_AFTER.load(Ordering::Relaxed)), now, true);
    BACKEND.counters.returned() != returned
}

/// Keeps unused memory for so many milliseconds from now on.
pub(super) fn set_purge_delay(delay: u64) {
    PURGE_AFTER.store(delay, Ordering::Relaxed);
    // Whoever looks next reckons with the new delay.
    NEXT_PURGE.fetch_min(BACKEND.os.now_ms() + delay / 2, Ordering::Relaxed);
}

fn purge_unused_since(before: u64, now: u64, is_patient: bool) {
    for heap in REGISTRY.heaps() {
        heap.purge(before, now, is_patient);
    }
    BACKEND.purge_unused(before, now);
}

/// Empties the calling thread's magazines, if it has a heap that is not at work. The thread is inside a slow path until the result is dropped.
fn empty_own_magazines() -> Option<Busy> {
    let (heap, thread) = own()?;
    #[cfg(feature = "hardened")]
    hardened::empty_quarantine(heap, thread);
    let busy = Busy::new(thread);
    // SAFETY: the calling thread's own heap and tops.
    unsafe { heap.empty_magazines(routing::tops(heap, thread)) };
    if let Some(home) = thread.home.get().filter(|home| !ptr::eq(*home, heap)) {
        #[cfg(feature = "hardened")]
        hardened::empty_quarantine(home, thread);
        // Under a tag the own magazines are set aside.
        // SAFETY: as above.
        unsafe { home.empty_magazines(home.aside()) };
    }
    Some(busy)
}

/// Empties the magazines of tags' heaps that no thread has.
fn empty_parked_magazines() {
    REGISTRY.with_parked_under_tags(|heap| {
        #[cfg(feature = "hardened")]
        hardened::empty_quarantine(heap, tls::current());
        // SAFETY: the heap is this thread's for as long as that takes, and its tops are where it was left.
        unsafe { heap.empty_magazines(heap.aside()) }
    });
}

/// Purges everything that is unused, now.
pub(super) fn purge() {
    // Without patience in a signal handler that has interrupted a slow path, which may hold a lock.
    let is_patient = !tls::current().is_busy.get();
    let _busy = empty_own_magazines();
    if is_patient {
        empty_parked_magazines();
    }
    purge_unused_since(u64::MAX, 0, is_patient);
}
