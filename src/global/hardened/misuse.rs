//! What is said of misuse that a check word, slack, or the contents of a free block tell.

use super::super::{BACKEND, misuse};
use super::size::room;
use super::{check, contents};
use crate::heap::{self, Misuse};
use crate::os::report::fatal_about;
use crate::segment::{self, Owner};
use crate::size_class::SizeClass;
use crate::sync::Ordering;
use core::ptr::NonNull;

/// What was to be done with a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Deed {
    Free,
    /// It was to be resized, or its size was asked for.
    Use,
}

impl Deed {
    fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Use => "use",
        }
    }
}

/// Ends the process on `block`, of which it is said that it has `told` bytes, if anything is said, and which `owner`
/// has.
#[cold]
#[inline(never)]
pub(in super::super) fn refuse(block: NonNull<u8>, told: Option<usize>, owner: Owner, deed: Deed) -> ! {
    if owner.is_heap()
        && block.addr().get() < segment::ADDRESSES
        // SAFETY: a heap owns the granule, so it is a segment.
        && let Some(blocks) = unsafe { segment::blocks_at(block.as_ptr()) }
    {
        refuse_block(block, blocks.class(), told, deed);
    }
    match (deed, told) {
        (Deed::Use, _) => misuse::refuse_use(block, told.unwrap_or(0), owner),
        (Deed::Free, _) if owner.is_heap() => heap::refuse(Misuse::NotABlock, block.as_ptr(), told.unwrap_or(0)),
        (Deed::Free, Some(size)) => misuse::refuse(block, format_args!(" ({size} bytes)"), owner),
        (Deed::Free, None) => misuse::refuse(block, format_args!(""), owner),
    }
}

/// As [`refuse`], where a block of `class` starts.
fn refuse_block(block: NonNull<u8>, class: SizeClass, told: Option<usize>, deed: Deed) -> ! {
    let key = check::key(block.addr().get());
    // SAFETY: a block of a slab.
    let word = unsafe { check::place(block, class) }.load(Ordering::Relaxed);
    match check::size_of(key, word) {
        _ if word == 0 || check::is_in_quarantine(key, word) => is_free(block, class.size(), deed),
        Some(size) if told.is_some_and(|told| told != size) => has_other_size(block, size, told.unwrap_or(0), deed),
        // SAFETY: a block in use, with room for the size that its check word tells.
        Some(size) if size <= room(class) && unsafe { check::is_filled(block, class, size, key) } => {
            has_other_alignment(block, size, deed)
        }
        _ => written_beyond(block, class.size(), told),
    }
}

/// Ends the process on a block that is free already.
#[cold]
pub(super) fn is_free(block: NonNull<u8>, size: usize, deed: Deed) -> ! {
    let misuse = if deed == Deed::Free { Misuse::DoubleFree } else { Misuse::UseAfterFree };
    heap::refuse(misuse, block.as_ptr(), size)
}

/// Ends the process on a block of `size` bytes that is said to have `told`.
#[cold]
pub(super) fn has_other_size(block: NonNull<u8>, size: usize, told: usize, deed: Deed) -> ! {
    let deed = deed.name();
    fatal_about(
        block.addr().get(),
        format_args!(
            "invalid {deed} of {block:p} as a {told}-byte block: it has {size} bytes: {deed} it with the layout it was allocated with"
        ),
    )
}

/// Ends the process on a block of `size` bytes that is said to have so many, at an alignment that has another class.
#[cold]
fn has_other_alignment(block: NonNull<u8>, size: usize, deed: Deed) -> ! {
    let deed = deed.name();
    fatal_about(
        block.addr().get(),
        format_args!(
            "invalid {deed} of {block:p} as a {size}-byte block of another alignment: {deed} it with the layout it was allocated with"
        ),
    )
}

/// Ends the process on a block whose end was written over, in `room` bytes that are its own.
#[cold]
pub(super) fn written_beyond(block: NonNull<u8>, room: usize, told: Option<usize>) -> ! {
    let next = block.as_ptr().wrapping_add(room);
    let address = block.addr().get();
    match told {
        Some(size) => fatal_about(
            address,
            format_args!(
                "write beyond the end of {block:p}, a {size}-byte block, or before the start of {next:p}: find who has written there"
            ),
        ),
        None => fatal_about(
            address,
            format_args!(
                "write beyond the end of {block:p}, a block in {room} bytes, or before the start of {next:p}: find who has written there"
            ),
        ),
    }
}

/// Ends the process on a block of `class` that is not as it was when it went into quarantine.
#[cold]
#[inline(never)]
pub(super) fn changed_in_quarantine(block: NonNull<u8>, class: SizeClass) -> ! {
    let key = check::key(block.addr().get());
    // SAFETY: a block of a slab.
    let place = unsafe { check::place(block, class) };
    let word = place.load(Ordering::Relaxed);
    if word == 0 || check::is_in_quarantine(key, word) {
        // SAFETY: a free block's memory.
        if unsafe { contents::dirty(block, room(class)) }.is_none() {
            // Another thread has freed it at the same moment.
            is_free(block, class.size(), Deed::Free);
        }
        // For whoever looks what was written.
        place.store(0, Ordering::Relaxed);
    }
    written_while_free(block, class.size())
}

/// Ends the process on a free block of `size` bytes that does not read as zero.
#[cold]
#[inline(never)]
pub(super) fn written_while_free(block: NonNull<u8>, size: usize) -> ! {
    // SAFETY: the memory of a free block, which can be read.
    let (first, last) = unsafe { contents::dirty(block, size) }.unwrap_or((0, 0));
    let next = block.as_ptr().wrapping_add(size);
    fatal_about(
        block.addr().get(),
        format_args!(
            "write after free of {block:p}, a {size}-byte block that is free, at byte {first} to {last}; or before the start of {next:p}: find who has written there"
        ),
    )
}

/// The owner of `address`, which may be anything.
pub(in super::super) fn owner_of(address: usize) -> Owner {
    BACKEND.owners.look_up(address)
}
