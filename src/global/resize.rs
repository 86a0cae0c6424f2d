//! Resizing: in place where that can be, else by a move to where the block can go on growing.

#[cfg(not(feature = "hardened"))]
use super::into_raw;
use super::large::{self, may_be_mapping, tag_mapping};
use super::request::Request;
use super::routing::Routing;
use super::slow::{self, check_in_use, note};
use super::static_memory::resize_static;
use super::thread::{Busy, own};
use super::{BACKEND, Tenure, misuse, routing, tls, watch};
#[cfg(feature = "profile")]
use super::{guard, samples};
#[cfg(not(feature = "hardened"))]
use crate::heap::Borrower;
use crate::heap::{self, Misuse};
use crate::segment::Owner;
use crate::size_class::SizeClass;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

/// Ends the process where `block`, in no static memory and said to be of `class`, is about to be resized, and is known
/// to be free. Where the class has a magazine, that is known of the one that the thread has freed last.
#[inline(always)]
pub(super) fn check_before_resizing(block: NonNull<u8>, class: SizeClass, owner: Owner) {
    if !owner.is_heap() {
        misuse::refuse_use(block, class.size(), owner);
    }
    let thread = tls::current();
    if thread.tops.get(class).is_none() {
        check_in_use(block, class, owner, Misuse::UseAfterFree);
        if let Some((heap, thread)) = own() {
            // SAFETY: the calling thread's own heap and tops.
            unsafe { heap.note_resized(routing::tops(heap, thread), class) };
        }
    } else if thread.allocates_from(owner) && thread.tops.next(class) == Some(block) {
        heap::refuse(Misuse::UseAfterFree, block.as_ptr(), class.size());
    }
}

/// Ends the process where no block of `layout`, which is too large for a slab, is in use at `block`, as far as can be
/// told at once.
fn check_large_before_resizing(block: NonNull<u8>, layout: Layout, owner: Owner) {
    if !owner.is_heap() {
        if BACKEND.mapped_size(block).is_none() || !may_be_mapping(block, layout) {
            misuse::refuse_use(block, layout.size(), owner);
        }
        return;
    }
    let waits = SizeClass::of_span(layout).is_some_and(|class| tls::current().tops.holds(class, block));
    // SAFETY: a heap owns the granule, so it is a segment.
    if waits || unsafe { heap::is_returned_span(block) } {
        heap::refuse(Misuse::UseAfterFree, block.as_ptr(), layout.size());
    }
    // As large as it is said to be: all of that is about to be copied.
    // SAFETY: as above.
    if !unsafe { heap::is_span_for(layout, block) } {
        heap::refuse(Misuse::NotABlockToUse, block.as_ptr(), layout.size());
    }
}

/// Ends the process where no block of `layout` is in use at `block`, as far as can be told at once: of static memory,
/// nothing can.
fn check_any_before_resizing(block: NonNull<u8>, layout: Layout, owner: Owner) {
    if owner == Owner::STATIC {
        return;
    }
    // Nothing is without the feature `profile`.
    if owner == Owner::GUARDED {
        #[cfg(feature = "profile")]
        guard::check_before_resizing(block, layout.size());
    } else if let Some(class) = SizeClass::of(layout) {
        check_before_resizing(block, class, owner);
    } else {
        check_large_before_resizing(block, layout, owner);
    }
}

/// A span that grows to this size leaves for a mapping in which it can go on growing, if one is at hand: otherwise it
/// would leave later, and copy more.
pub(super) const LEAVE_AT: usize = 256 * 1024;

/// Makes a block another size: in place where that is possible.
///
/// # Safety
/// - `block` was allocated by Tenure with `old`, and is the caller's.
/// - The layouts have the same alignment.
#[cold]
#[inline(never)]
pub(super) unsafe fn realloc(tenure: &Tenure, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
    let owner = BACKEND.owners.look_up(block.addr().get());
    let routing = tls::routing();
    let extent = if routing.is_watched() { watch::extent(block, old.size()) } else { 0 };
    let resized = |to: NonNull<u8>| {
        if routing.is_watched() {
            watch::resized(block, extent, old.size(), to, new.size());
        }
        Some(to)
    };
    let is_static = owner == Owner::STATIC;
    if is_static && resize_static(block, old, new.size()) {
        return resized(block);
    }
    check_any_before_resizing(block, old, owner);
    let mut target = None;
    if !is_static && owner != Owner::GUARDED {
        match (SizeClass::of(old), SizeClass::of(new)) {
            (Some(before), Some(after)) if before == after => return Some(block),
            // SAFETY: the caller's block.
            (None, None) => match unsafe { resize_large(block, old, new, owner, routing) } {
                Large::Resized(block) => return resized(block),
                Large::Copied(to) => target = to,
            },
            _ => {}
        }
    }
    // What is dynamic stays dynamic; what is static goes where the thread's allocations go.
    let target = target.or_else(|| growing_span(old.size(), new)).or_else(|| match SizeClass::of(new) {
        // SAFETY: a layout of a size that is not zero.
        _ if is_static || !routing::is_static() => NonNull::new(unsafe { tenure.alloc(new) }),
        Some(class) => slow::alloc_dynamic(class, new),
        None => large::alloc_dynamic(new),
    })?;
    let kept = old.size().min(new.size());
    // SAFETY: both blocks are as large as what is kept, and the new one is nobody else's.
    unsafe { target.copy_from_nonoverlapping(block, kept) };
    // SAFETY: the caller's block.
    unsafe { tenure.dealloc(block.as_ptr(), old) };
    Some(target)
}

/// What becomes of a large block that is to have another size.
enum Large {
    /// It has that, where it stands or where its pages have moved.
    Resized(NonNull<u8>),
    /// It is to be copied: to this block, where one was found for it.
    Copied(Option<NonNull<u8>>),
}

/// Makes a block that is too large for a slab another such size without copying, if it is to stay.
///
/// # Safety
/// - As for [`realloc`]; `owner` is what the owner map says of the block, which is in use.
#[inline(always)]
unsafe fn resize_large(block: NonNull<u8>, old: Layout, new: Layout, owner: Owner, routing: Routing) -> Large {
    let is_mapping = owner.is_mapping();
    let is_growing = new.size() > old.size();
    let mut target = None;
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
    let target = note(routing, target, new.size());
    let stays = if is_mapping { is_growing || !heap::is_span(new) } else { target.is_none() };
    if !stays {
        return Large::Copied(target);
    }
    // SAFETY: passed on.
    let resize = || unsafe { in_place(block, new, is_mapping) };
    #[cfg(feature = "profile")]
    let resize = || samples::resize(block, new, is_mapping, resize);
    resize().map_or(Large::Copied(target), Large::Resized)
}

/// As [`realloc`], of a block that changes its class, `from`: as quickly as can be where its class and the other have
/// magazines, as for most strings and vectors that grow.
///
/// # Safety
/// - As for [`realloc`]; `new_size` is not zero.
#[cfg(not(feature = "hardened"))]
#[inline(never)]
pub(super) unsafe fn change_class(
    block: NonNull<u8>,
    old: Request,
    new_size: usize,
    from: SizeClass,
    tenure: &Tenure,
) -> *mut u8 {
    let old = old.layout();
    // SAFETY: the caller of `GlobalAlloc::realloc` says that the size, rounded up to the alignment, is at most
    // `isize::MAX`.
    let new = unsafe { Layout::from_size_align_unchecked(new_size, old.align()) };
    let thread = tls::current();
    // SAFETY: the block came from Tenure.
    let owner = unsafe { BACKEND.owners.owner_of(block.as_ptr()) };
    if thread.allocates_from(owner)
        && let Some(to) = SizeClass::of(new)
        // SAFETY: the caller's block, of the calling thread's heap.
        && let Some(target) = unsafe { move_between_magazines(thread, block, owner, (from, old), (to, new_size)) }
    {
        return target.as_ptr();
    }
    // SAFETY: passed on.
    into_raw(unsafe { realloc(tenure, block, old, new) })
}

/// A block of another class with the contents of `block`, which is freed, where that takes no more than the magazines
/// of the two classes. `None` otherwise.
///
/// # Safety
/// - `thread` is the calling thread's, and `block` the caller's, of the heap `owner` that the thread allocates from, of
///   this class and at least as large as the layout.
/// - The other class serves so many bytes.
#[cfg(not(feature = "hardened"))]
#[inline(always)]
pub(super) unsafe fn move_between_magazines(
    thread: &'static Borrower,
    block: NonNull<u8>,
    owner: Owner,
    (from, old): (SizeClass, Layout),
    (to, new_size): (SizeClass, usize),
) -> Option<NonNull<u8>> {
    // What is free already is told of elsewhere.
    if thread.tops.next(from) == Some(block) {
        return None;
    }
    // SAFETY: the calling thread's own tops.
    let target = unsafe { thread.tops.pop(to) }?;
    // SAFETY: both blocks are as large as what is kept, and the new one is nobody else's.
    unsafe { target.copy_from_nonoverlapping(block, old.size().min(new_size)) };
    // SAFETY: the calling thread's own tops, and a block of its heap.
    if !unsafe { thread.keep(from, block, owner) } {
        slow::free(block, Request::of(old), from, owner, thread);
    }
    Some(target)
}

/// A span for a block that grows from `old` bytes to `new`, and may go on growing where it then stands: otherwise it
/// would soon be copied again. `None` where a span is at hand, or where there is none with room; and for a block that a
/// slab serves.
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
pub(super) unsafe fn in_place(block: NonNull<u8>, new: Layout, is_mapping: bool) -> Option<NonNull<u8>> {
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
