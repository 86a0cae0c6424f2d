//! Samples: where the slow paths meet the heap profile.
//!
//! A thread learns that a profile is armed at its next slow path, or by arming it. From then on its frees arrive in
//! the slow paths, since no owner matches its own, and its allocations where a magazine that was filled with the next
//! sample in mind is empty. A sample comes from a heap that nobody has borrowed, so that its free leaves the fast path
//! of every thread at any time; what is larger than a slab's block never has a fast path.

use super::profile::PROFILE;
use super::thread::{Busy, own};
use super::{BACKEND, REGISTRY, guard, large, routing, tls};
use crate::heap::{self, Borrower, Chosen, Heap, Next, Others, Pace, Sampling, Unit};
use crate::magazine::Tops;
use crate::sampling::{MAX_FRAMES, Tables};
use crate::segment::{self, Owner};
use crate::size_class::{SLOT_SIZE, SizeClass};
use crate::slab::SlotKind;
use core::alloc::Layout;
use core::ptr::NonNull;

/// The calling thread, which is inside a slow path, does as the profile says: its allocations are sampled, or they are
/// not.
#[inline]
pub(super) fn follow(heap: &'static Heap, thread: &'static Borrower) {
    let pace = if thread.is_unsampled.get() { Pace::NEVER } else { pace() };
    let is_as_said = match thread.sampling.get() {
        Some(sampling) => sampling.pace() == pace,
        None => pace == Pace::NEVER && thread.owner.get() == heap.owner(),
    };
    if !is_as_said {
        change(heap, thread, pace);
    }
}

/// How often allocations are looked at, as was said last.
#[inline(always)]
fn pace() -> Pace {
    Pace { rate: PROFILE.rate(), one_in: guard::pace() }
}

#[cold]
#[inline(never)]
fn change(heap: &'static Heap, thread: &'static Borrower, pace: Pace) {
    let tops = routing::tops(heap, thread);
    if pace == Pace::NEVER {
        if let Some(sampling) = thread.sampling.get() {
            sampling.stop();
        }
        thread.sample_as(None);
        settle(thread);
        // SAFETY: the calling thread's own heap and tops.
        return unsafe { heap.empty_magazines(tops) };
    }
    // SAFETY: the calling thread's own heap and tops.
    if let Some(sampling) = unsafe { heap.start_sampling(tops, pace, PROFILE.seed() ^ guard::seed()) } {
        thread.sample_as(Some(sampling));
        settle(thread);
    }
}

/// The calling thread's frees take the shortest way, unless its tops are set aside: then somebody else may want to know
/// of them.
pub(super) fn settle(thread: &'static Borrower) {
    let returns = thread.sampling.get().filter(|_| !tls::routing().is_aside());
    thread.returns.set(returns);
}

/// A block of `class`, whose magazine is empty, where the calling thread is sampled and has freed some lately; `None`
/// where another way is to be taken. The shortest way that an allocation of a sampled thread can take past the fast
/// path.
#[inline(always)]
pub(super) fn take_hot(class: SizeClass) -> Option<NonNull<u8>> {
    let thread = tls::current();
    let sampling = thread.returns.get()?;
    let heap = thread.heap.get()?;
    if thread.is_busy.get() || sampling.pace() != pace() || class.is_span() {
        return None;
    }
    let _busy = Busy::new(thread);
    // SAFETY: the calling thread's own heap and tops, which are not set aside.
    unsafe { heap.refill_hot(sampling, &thread.tops, class) }
}

/// A block of `class` for `layout`, where the calling thread is sampled, and whether it reads as zero, which it need
/// not unless it `is_zeroed`; its magazine is empty. `None` where the thread is not sampled, and nothing has been done.
#[inline]
pub(super) fn alloc(
    heap: &'static Heap,
    thread: &'static Borrower,
    class: SizeClass,
    layout: Layout,
    is_zeroed: bool,
    others: Others<'_>,
) -> Option<Option<(NonNull<u8>, bool)>> {
    follow(heap, thread);
    let sampling = thread.sampling.get().filter(|_| !class.is_span())?;
    let most = match sampling.next(class) {
        Next::Others(most) => most,
        Next::Chosen(chosen) => match choose(class, layout, &chosen, sampling) {
            Some(found) => return Some(Some(found)),
            None => sampling.pass_over(class, &chosen),
        },
    };
    let tops = routing::tops(heap, thread);
    // SAFETY: the calling thread's own heap and tops.
    Some(unsafe {
        if is_zeroed {
            heap.refill_sampled_zeroed(sampling, tops, class, most, others)
        } else {
            heap.refill_sampled(sampling, tops, class, most, others).map(|block| (block, false))
        }
    })
}

/// A block that is a sample, or is guarded, or both, and whether it reads as zero. `None` where there is none such to
/// be had.
#[cold]
#[inline(never)]
fn choose(class: SizeClass, layout: Layout, chosen: &Chosen, sampling: &Sampling) -> Option<(NonNull<u8>, bool)> {
    let guarded = if chosen.is_guarded { guard::alloc(layout) } else { None };
    if !chosen.is_sample {
        return guarded;
    }
    let tables = PROFILE.tables()?;
    let found = match guarded {
        Some(found) => found,
        None => REGISTRY.sampled(&BACKEND, tls::routing().tag())?.take_one(class)?,
    };
    add(tables, found.0, layout.size(), Unit::Class(class), sampling);
    Some(found)
}

/// Takes back a block of the calling thread's own heap, in whatever way, where the thread is sampled; false where it is
/// not.
#[inline]
pub(super) fn put(heap: &Heap, thread: &Borrower, class: SizeClass, block: NonNull<u8>) -> bool {
    let Some(sampling) = thread.sampling.get().filter(|_| !class.is_span()) else { return false };
    // Nobody has tried that yet where the tops are set aside.
    // SAFETY: the calling thread's own heap and what belongs to it, and a block of this heap.
    unsafe { keep_or_flush(heap, sampling, routing::tops(heap, thread), class, block) };
    true
}

/// Takes back a block of the calling thread's own heap, `home`, while it allocates from a tag's; false where its own
/// allocations are not sampled, and for spans.
pub(super) fn put_aside(home: &Heap, class: SizeClass, block: NonNull<u8>) -> bool {
    let Some(sampling) = home.sampling().filter(|sampling| sampling.is_on() && !class.is_span()) else { return false };
    // SAFETY: the calling thread's own heap and what belongs to it, and a block of this heap.
    unsafe { keep_or_flush(home, sampling, home.aside(), class, block) };
    true
}

/// Takes back a block, into a magazine or the returns if one of them has room.
///
/// # Safety
/// - The calling thread has borrowed `heap`, whose `sampling` this is, `tops` are its tops, and `block` lies in one of
///   the heap's segments.
#[inline(always)]
unsafe fn keep_or_flush(heap: &Heap, sampling: &Sampling, tops: &Tops, class: SizeClass, block: NonNull<u8>) {
    // SAFETY: passed on.
    if !unsafe { sampling.take_back(tops, class, block.as_ptr(), heap.owner()) } {
        // SAFETY: passed on.
        unsafe { heap.flush_sampled(sampling, tops, class, block) };
    }
}

/// Takes note that `block` is free, where it was a sample.
#[inline]
pub(super) fn freed(block: NonNull<u8>, owner: Owner) {
    if let Some(tables) = PROFILE.tables()
        && (owner.is_mapping() || owner == Owner::GUARDED || REGISTRY.is_for_samples(owner))
        && let Some(sample) = tables.take(block.addr().get())
    {
        tables.count_free(sample);
    }
}

/// Where the block at `address`, or around it, was allocated, if it is a sample or was one not long ago: its size, and
/// the return addresses, of which there are so many in `frames`. For a process that is about to end.
pub(super) fn origin(address: usize, frames: &mut [usize; MAX_FRAMES]) -> Option<(usize, usize)> {
    let tables = PROFILE.tables()?;
    tables.origin(address, frames).or_else(|| tables.origin(block_around(address)?, frames))
}

/// Where the block of a slab starts that `address` lies in.
fn block_around(address: usize) -> Option<usize> {
    if !BACKEND.owners.look_up(address).is_heap() {
        return None;
    }
    // SAFETY: a heap owns the granule, so it is a segment.
    match unsafe { segment::slab_of(address) }.kind() {
        SlotKind::Slab(class) => Some(address - address % SLOT_SIZE % class.size()),
        _ => None,
    }
}

/// A block for `layout`, of more than 32 KiB, which is a sample or has waited behind one, and whether it reads as zero;
/// `None` where there is none such, or no memory.
#[inline]
pub(super) fn alloc_large(
    layout: Layout,
    map: impl FnOnce(Layout) -> Option<(NonNull<u8>, bool)>,
) -> Option<(NonNull<u8>, bool)> {
    let (heap, thread, sampling) = sampled()?;
    let (unit, tops) = (Unit::of(layout), routing::tops(heap, thread));
    // What waits has been counted. Where the tops are set aside, nobody has looked there yet.
    if let Unit::Class(class) = unit
        && tops.next(class).is_some()
    {
        return None;
    }
    if sampling.is_sample(unit) {
        return sample_large(thread, layout, unit, sampling, map);
    }
    let Unit::Class(class) = unit else { return None };
    let _busy = Busy::new(thread);
    sampling.take_span(tops, class).map(|span| (span, false))
}

#[cold]
#[inline(never)]
fn sample_large(
    thread: &'static Borrower,
    layout: Layout,
    unit: Unit,
    sampling: &Sampling,
    map: impl FnOnce(Layout) -> Option<(NonNull<u8>, bool)>,
) -> Option<(NonNull<u8>, bool)> {
    let tables = PROFILE.tables()?;
    let _busy = Busy::new(thread);
    // A span of the own heap would be freed past the slow paths.
    let found = if heap::is_span(layout) {
        REGISTRY.sampled(&BACKEND, tls::routing().tag())?.take_span(layout)?
    } else {
        map(layout)?
    };
    add(tables, found.0, asked(layout.size()), unit, sampling);
    Some(found)
}

/// Takes a block as a sample, of which the program has asked for `size` bytes.
fn add(tables: &Tables, block: NonNull<u8>, size: usize, unit: Unit, sampling: &Sampling) {
    let weight = sampling.weigh(unit, BACKEND.os.now_ms());
    tables.add(block.addr().get(), size, weight, PROFILE.unwinder());
}

/// What the program asked for where the heap was asked for `size` bytes, more than a slab serves: a hardened build has
/// room for a guard behind it.
fn asked(size: usize) -> usize {
    if cfg!(feature = "hardened") { size - BACKEND.os.page_size() } else { size }
}

/// The calling thread, its heap and what it has for the profile, where its allocations are sampled.
#[inline]
fn sampled() -> Option<(&'static Heap, &'static Borrower, &'static Sampling)> {
    let (heap, thread) = own()?;
    {
        let _busy = Busy::new(thread);
        follow(heap, thread);
    }
    Some((heap, thread, thread.sampling.get()?))
}

/// Counts a mapping that was made just now for a block of `size` bytes, and takes it as a sample where it is one.
pub(super) fn mapped(block: NonNull<u8>, size: usize) {
    let unit = Unit::Bytes(size);
    if let Some((_, thread, sampling)) = sampled()
        && sampling.is_sample(unit)
        && let Some(tables) = PROFILE.tables()
    {
        let _busy = Busy::new(thread);
        add(tables, block, asked(size), unit, sampling);
    }
}

/// A span that is to be another size stays where it is, unless it is a sample: then here is another, for `layout`.
/// Counts it.
pub(super) fn alloc_instead_of_resizing(layout: Layout) -> Option<NonNull<u8>> {
    let (_, thread, sampling) = sampled()?;
    let unit = Unit::of(layout);
    if !sampling.is_sample(unit) {
        return None;
    }
    sample_large(thread, layout, unit, sampling, large::map_any).map(|(block, _)| block)
}

/// A block for `layout`, of more than 32 KiB, for one that is copied to grow: a sample where it is to be one, else what
/// `take` gives. Where that is nothing, nothing has been counted.
#[inline]
pub(super) fn alloc_growing(
    thread: &Borrower,
    layout: Layout,
    take: impl FnOnce() -> Option<NonNull<u8>>,
) -> Option<NonNull<u8>> {
    let Some(sampling) = thread.sampling.get() else { return take() };
    if let Some(block) = alloc_instead_of_resizing(layout) {
        return Some(block);
    }
    let taken = take();
    if taken.is_none() {
        sampling.take_off_count(Unit::of(layout));
    }
    taken
}

/// Runs `resize` on a span or a mapping, which gives a block for `layout` in its place, or `None`. To the profile
/// one is freed and the other allocated. That of a span has been counted.
#[inline]
pub(super) fn resize(
    block: NonNull<u8>,
    layout: Layout,
    is_mapping: bool,
    resize: impl FnOnce() -> Option<NonNull<u8>>,
) -> Option<NonNull<u8>> {
    if !is_mapping {
        let resized = resize();
        if resized.is_none()
            && let Some((_, thread)) = own()
            && let Some(sampling) = thread.sampling.get()
        {
            // It will be counted where it is allocated after all.
            sampling.take_off_count(Unit::of(layout));
        }
        return resized;
    }
    // Taken out before: afterwards the address may be another thread's.
    let tables = PROFILE.tables();
    let sample = tables.and_then(|tables| tables.take(block.addr().get()));
    let resized = resize();
    if let (Some(tables), Some(sample)) = (tables, sample) {
        match resized {
            Some(_) => tables.count_free(sample),
            None => tables.put_back(block.addr().get(), sample),
        }
    }
    if let Some(block) = resized {
        mapped(block, layout.size());
    }
    resized
}
