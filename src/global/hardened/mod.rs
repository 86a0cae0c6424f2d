//! Hardened: a layer above the heap that looks at each block when it is handed out and when it is freed.
//!
//! The heap below is that of every build: magazines, slabs, spans and mappings. All that it holds reads as zero, since
//! a block is wiped when it is freed, and that is looked at when it leaves the quarantine and once more when it is
//! handed out. A block in use ends in a check word, by which a free sees whether it is one, and of which size. None of
//! this takes a lock.
//!
//! ```text
//! in use (check word) -- free: check, wipe --> quarantine (zeros, and whose it is) -- check --> magazine, slab (zeros)
//!                                                                              magazine, slab -- check --> in use
//! ```
//!
//! What is larger than a slab's block has pages of its own.

mod check;
mod contents;
pub(super) mod large;
pub(super) mod misuse;
mod quarantine;
pub(super) mod size;

pub(super) use quarantine::empty as empty_quarantine;

use super::request::Request;
#[cfg(feature = "profile")]
use super::samples;
use super::static_memory::free_static;
use super::thread::learn_owners;
use super::{Tenure, slow, tls, watch};
use crate::heap::{Borrower, Heap};
use crate::secret;
use crate::segment::{self, GRANULE, Owner};
use crate::size_class::{SLOT_SIZE, SizeClass, UNTYPED_ALIGN};
use crate::sync::Ordering;
use core::alloc::Layout;
use core::ptr::NonNull;
use misuse::Deed;

/// A block of `class` for `layout`.
#[inline(never)]
pub(super) fn alloc(tenure: &Tenure, class: SizeClass, layout: Layout) -> Option<NonNull<u8>> {
    at_hand(class, layout.size()).or_else(|| alloc_slowly(tenure, class, layout, false))
}

/// As [`alloc`], of a block that reads as zero: all do that do not lie in static memory.
#[inline(never)]
pub(super) fn alloc_zeroed(tenure: &Tenure, class: SizeClass, layout: Layout) -> Option<NonNull<u8>> {
    at_hand(class, layout.size()).or_else(|| alloc_slowly(tenure, class, layout, true))
}

#[cold]
#[inline(never)]
fn alloc_slowly(tenure: &Tenure, class: SizeClass, layout: Layout, is_zeroed: bool) -> Option<NonNull<u8>> {
    secret::ensure();
    let block = if is_zeroed {
        slow::alloc_zeroed(Request::of(layout), class, tenure)?.0
    } else {
        slow::alloc(Request::of(layout), class, tenure)?
    };
    if misuse::owner_of(block.addr().get()) == Owner::STATIC {
        return Some(block);
    }
    Some(hand_out(block, class, layout.size()))
}

/// A block of `class` for `size` bytes, from the calling thread's magazine; `None` where that is empty.
#[inline(always)]
pub(super) fn at_hand(class: SizeClass, size: usize) -> Option<NonNull<u8>> {
    // SAFETY: the calling thread's own tops.
    let block = unsafe { tls::current().tops.pop(class) }?;
    Some(hand_out(block, class, size))
}

/// A block of which only the size is known, from the calling thread's heap.
#[cold]
#[inline(never)]
pub(super) fn alloc_untyped(class: SizeClass, size: usize) -> Option<NonNull<u8>> {
    alloc_dynamic_slowly(class, Layout::from_size_align(size, UNTYPED_ALIGN).ok()?)
}

/// As [`alloc`], in dynamic memory, whatever scope the thread is in.
pub(super) fn alloc_dynamic(class: SizeClass, layout: Layout) -> Option<NonNull<u8>> {
    at_hand(class, layout.size()).or_else(|| alloc_dynamic_slowly(class, layout))
}

fn alloc_dynamic_slowly(class: SizeClass, layout: Layout) -> Option<NonNull<u8>> {
    secret::ensure();
    slow::alloc_dynamic(class, layout).map(|block| hand_out(block, class, layout.size()))
}

/// Makes a free block of `class`, which the heap has given, one in use; ends the process where somebody has written to
/// it.
#[inline(always)]
fn hand_out(block: NonNull<u8>, class: SizeClass, size: usize) -> NonNull<u8> {
    // SAFETY: the heap's block, as large as its class.
    if !unsafe { contents::is_zero(block, class.size()) } {
        misuse::written_while_free(block, class.size());
    }
    // SAFETY: the caller's block now, of a class that was chosen for the size.
    unsafe { check::set(block, class, size) };
    block
}

/// The class of the slab that holds `block`, where a block of that class may start there.
///
/// # Safety
/// - A heap owns the granule of `block`.
#[inline(always)]
pub(super) unsafe fn class_at(block: NonNull<u8>) -> Option<SizeClass> {
    let address = block.addr().get();
    // SAFETY: passed on.
    let class = unsafe { segment::class_at(address) }?;
    (!class.is_span() && is_inside(address, class)).then_some(class)
}

/// True where a block of `class` at `address` would end in its slot, and have its check word at a multiple of 8.
#[inline(always)]
fn is_inside(address: usize, class: SizeClass) -> bool {
    address.is_multiple_of(size::CHECK) && address % SLOT_SIZE + class.size() <= SLOT_SIZE
}

/// The owner of `block`, as the thread's view of the map has it: nobody, where the thread has none, or where the
/// address has bits that no program's can have, of which the view knows nothing.
#[inline(always)]
fn owner_in_view(thread: &Borrower, block: NonNull<u8>) -> Owner {
    if block.addr().get() >= segment::ADDRESSES {
        return Owner::NONE;
    }
    let owners = thread.owners.get();
    owners.owner_of(owners.granule_of(block.addr().get()))
}

/// Frees a block of `class`, said to be of `layout`; ends the process where there is none.
#[inline(never)]
pub(super) fn free(block: NonNull<u8>, class: SizeClass, layout: Layout) {
    let thread = tls::current();
    let holder = holder(thread);
    let owner = owner_in_view(thread, block);
    if owner.is_heap() {
        let address = block.addr().get();
        // SAFETY: a heap owns the granule, so it is a segment.
        if unsafe { segment::class_at(address) } == Some(class)
            && is_inside(address, class)
            // SAFETY: inside of a slab.
            && unsafe { take_back(block, class, layout.size(), holder.map(Heap::owner)) }
        {
            return freed(block, class, layout.size(), owner, thread, holder);
        }
    }
    free_slowly(block, layout, owner);
}

/// A block that is not taken back as what it is said to be: it is in static memory, or the thread has no view of the
/// map, or there is no such block.
#[cold]
#[inline(never)]
fn free_slowly(block: NonNull<u8>, layout: Layout, seen: Owner) {
    let owner = misuse::owner_of(block.addr().get());
    if owner == Owner::STATIC && free_noted_static(block, layout) {
        return;
    }
    if !seen.is_heap() && owner.is_heap() {
        let thread = tls::current();
        let holder = holder(thread);
        learn_owners(thread);
        // SAFETY: a heap owns the granule.
        if let Some(class) = unsafe { class_at(block) }
            && size::class_of(layout) == Some(class)
            // SAFETY: inside of a slab.
            && unsafe { take_back(block, class, layout.size(), holder.map(Heap::owner)) }
        {
            return freed(block, class, layout.size(), owner, thread, holder);
        }
    }
    misuse::refuse(block, Some(layout.size()), owner, Deed::Free)
}

/// Gives a block of static memory back, after those who watch the thread have been told; false where there is none.
fn free_noted_static(block: NonNull<u8>, layout: Layout) -> bool {
    slow::note_freed(block, layout);
    free_static(block, layout)
}

/// Makes a block in use of `size` bytes a free one, which goes into the quarantine of `holder`, if there is one; false
/// where there is no such block. Slack that was written to ends the process.
///
/// Two threads that free a block in the same few nanoseconds may both find it in use. Then each puts its own word
/// there, and the one whose word does not stay notices that when the block leaves its quarantine: before anybody else
/// gets it from there.
///
/// # Safety
/// - `class` bytes from `block` on, a multiple of 8, lie in a slab.
#[inline(always)]
unsafe fn take_back(block: NonNull<u8>, class: SizeClass, size: usize, holder: Option<Owner>) -> bool {
    let key = check::key(block.addr().get());
    // SAFETY: passed on.
    let place = unsafe { check::place(block, class) };
    let word = check::word(key, size);
    // Relaxed: who frees a block comes behind who has used it, by the program's own means.
    if size > size::room(class) || place.load(Ordering::Relaxed) != word {
        return false;
    }
    // SAFETY: the block was in use, and is the caller's.
    if !unsafe { check::is_filled(block, class, size, key) } {
        if place.load(Ordering::Relaxed) != word {
            // Another thread has freed it meanwhile, and has wiped it.
            return false;
        }
        misuse::written_beyond(block, class.size(), Some(size));
    }
    match holder {
        Some(holder) => {
            // No read-modify-write, which would wait for a block that is in no cache.
            place.store(check::word_in_quarantine(key, holder), Ordering::Relaxed);
            true
        }
        None => place.compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok(),
    }
}

/// Whose quarantine takes what the calling thread frees: its heap's, unless that is at work.
#[inline(always)]
fn holder(thread: &Borrower) -> Option<&'static Heap> {
    thread.heap.get().filter(|_| !thread.is_busy.get())
}

/// The bytes that were asked for of `block`, of `class`, which is in use; ends the process otherwise.
///
/// # Safety
/// - `class` bytes from `block` on, a multiple of 8, lie in a slab of a heap, `owner`.
pub(super) unsafe fn size_in_use(
    block: NonNull<u8>,
    class: SizeClass,
    told: Option<usize>,
    owner: Owner,
    deed: Deed,
) -> usize {
    let key = check::key(block.addr().get());
    // SAFETY: passed on.
    let word = unsafe { check::place(block, class) }.load(Ordering::Relaxed);
    match check::size_of(key, word) {
        Some(size) if size <= size::room(class) && told.is_none_or(|told| told == size) => size,
        _ => misuse::refuse(block, told, owner, deed),
    }
}

/// Makes a block in use, of `class`, one of `size` bytes, where `to`, the class for so many, is the same; returns how
/// many were asked for before. Ends the process where it is not in use, or where `told` is another number.
///
/// # Safety
/// - `class` bytes from `block` on, a multiple of 8, lie in a slab of a heap, `owner`.
pub(super) unsafe fn resize(
    block: NonNull<u8>,
    class: SizeClass,
    told: Option<usize>,
    size: usize,
    to: Option<SizeClass>,
    owner: Owner,
) -> usize {
    // SAFETY: passed on.
    let old = unsafe { size_in_use(block, class, told, owner, Deed::Use) };
    // SAFETY: a block in use, the caller's.
    if !unsafe { check::is_filled(block, class, old, check::key(block.addr().get())) } {
        misuse::written_beyond(block, class.size(), Some(old));
    }
    if to == Some(class) {
        // SAFETY: as above, with room for the size, as the class says.
        unsafe { check::set(block, class, size) };
    }
    old
}

/// A block was taken back that its program has freed: wipes it and puts it into the quarantine of `holder`, or gives it
/// to its heap where there is none.
#[inline(always)]
fn freed(
    block: NonNull<u8>,
    class: SizeClass,
    size: usize,
    owner: Owner,
    thread: &'static Borrower,
    holder: Option<&'static Heap>,
) {
    if tls::routing().is_watched() {
        watch::freed(block, size);
    }
    #[cfg(feature = "profile")]
    if owner != thread.owner.get() {
        samples::freed(block, owner);
    }
    #[cfg(not(feature = "profile"))]
    let _ = owner;
    // SAFETY: the block is nobody's but this thread's, and has room for that beside its check word.
    unsafe { contents::wipe(block, size::room(class)) };
    match holder {
        Some(heap) => quarantine::put(block, class, heap, thread),
        None => slow::release(block, class),
    }
}

/// Frees a block of which nothing is told.
#[inline(never)]
pub(super) fn free_untyped(block: NonNull<u8>) {
    free_told(block, None);
}

/// Frees a block of which it is told that `size` bytes were asked for.
#[inline(never)]
pub(super) fn free_untyped_sized(block: NonNull<u8>, size: usize) {
    free_told(block, Some(size));
}

#[inline(always)]
fn free_told(block: NonNull<u8>, told: Option<usize>) {
    let owner = owner_in_view(tls::current(), block);
    if owner.is_heap()
        // SAFETY: a heap owns the granule.
        && let Some(class) = unsafe { class_at(block) }
    {
        // SAFETY: inside of a slab.
        return unsafe { free_in_slab(block, class, told, owner) };
    }
    free_told_slowly(block, told);
}

/// # Safety
/// - `class` bytes from `block` on, a multiple of 8, lie in a slab of a heap, `owner`.
#[inline(always)]
unsafe fn free_in_slab(block: NonNull<u8>, class: SizeClass, told: Option<usize>, owner: Owner) {
    let thread = tls::current();
    let holder = holder(thread);
    // SAFETY: passed on.
    let size = unsafe { size_in_use(block, class, None, owner, Deed::Free) };
    if let Some(told) = told.filter(|&told| is_another(told, size)) {
        misuse::has_other_size(block, size, told, Deed::Free);
    }
    // SAFETY: passed on.
    if !unsafe { take_back(block, class, size, holder.map(Heap::owner)) } {
        misuse::refuse(block, None, owner, Deed::Free);
    }
    freed(block, class, size, owner, thread, holder)
}

/// True where a block of `size` bytes is not one of `told` bytes. Who asks for none may get one.
fn is_another(told: usize, size: usize) -> bool {
    told.max(1) != size.max(1)
}

#[cold]
#[inline(never)]
fn free_told_slowly(block: NonNull<u8>, told: Option<usize>) {
    let owner = misuse::owner_of(block.addr().get());
    learn_owners(tls::current());
    if owner.is_heap()
        // SAFETY: a heap owns the granule.
        && let Some(class) = unsafe { class_at(block) }
    {
        // SAFETY: inside of a slab.
        return unsafe { free_in_slab(block, class, told, owner) };
    }
    if let (Some(told), Some(size)) = (told, large::size_in_use(block, owner))
        && is_another(told, size)
    {
        misuse::has_other_size(block, size, told, Deed::Free);
    }
    large::free(block, None)
}
