//! What is said of a block that cannot be freed, in one line, before the process ends.

use super::span;
use crate::magazine::Place;
use crate::os::report::fatal_about;
use crate::segment;
use crate::size_class::{MAX_SIZE, SLOT_SIZE};
use crate::slab::SlotKind;
use core::fmt::{self, Display, Formatter};
use core::ptr::NonNull;

/// Why a returned block was refused.
#[derive(Clone, Copy)]
pub(crate) enum Misuse {
    /// The block is free already.
    DoubleFree,
    /// The block is free already, and was to be resized, or its size was asked for.
    UseAfterFree,
    /// The address is not the start of a block of the class it was returned as.
    NotABlock,
}

/// Ends the process on `block`, in a segment, which cannot be freed as one of `size` bytes.
#[cold]
#[inline(never)]
pub(crate) fn refuse(misuse: Misuse, block: Place, size: usize) -> ! {
    if matches!(misuse, Misuse::NotABlock) {
        // SAFETY: the caller has found that a heap owns the granule, so a segment is there.
        unsafe { refuse_if_held_back(Misuse::DoubleFree, block) };
    }
    match misuse {
        Misuse::DoubleFree => fatal_about(
            block.addr(),
            format_args!("double free of {block:p}, a {size}-byte block that is free already: find the second owner"),
        ),
        Misuse::UseAfterFree => fatal_about(
            block.addr(),
            format_args!(
                "use of {block:p}, a {size}-byte block that is free already, by realloc or the like: find who has freed it"
            ),
        ),
        Misuse::NotABlock => fatal_about(
            block.addr(),
            format_args!(
                "invalid free of {block:p}{}: no block starts there that has this size and is in use; {}",
                As(size),
                Instead(block)
            ),
        ),
    }
}

/// Ends the process on `block` where a span was there until lately, whose place is held back.
///
/// # Safety
/// - `block` lies in a segment, but for address bits that no program can have.
pub(crate) unsafe fn refuse_if_held_back(misuse: Misuse, block: Place) {
    // SAFETY: passed on.
    if let Some(size) = unsafe { span::held_back_at(block) } {
        refuse(misuse, block, size);
    }
}

/// Ends the process on a free block of `size` bytes whose byte `at` was written to.
#[cold]
#[inline(never)]
pub(super) fn written_while_free(block: Place, size: usize, at: usize) -> ! {
    if size > MAX_SIZE {
        // A span, beside which there may be anything.
        fatal_about(
            block.addr(),
            format_args!(
                "write after free of {block:p}, a {size}-byte block that is free, at byte {at}: find who has written there"
            ),
        );
    }
    let (before, next) = (block.wrapping_sub(size), block.wrapping_add(size));
    fatal_about(
        block.addr(),
        format_args!(
            "write after free of {block:p}, a {size}-byte block that is free, at byte {at}; or beyond the end of {before:p}, or before the start of {next:p}: find who has written there"
        ),
    )
}

/// As what a block was freed, where that is known: 0 stands for no size.
struct As(usize);

impl Display for As {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, " as a {}-byte block", self.0) }
    }
}

/// What is in a segment where a block was expected.
struct Instead(Place);

impl Display for Instead {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let address = self.0.addr();
        if address >= segment::ADDRESSES {
            return f.write_str("it is no address");
        }
        // SAFETY: the caller has found that a heap owns the granule, so a segment is there, whose head can always be
        // read.
        let slab = unsafe { segment::slab_of(address) };
        match slab.kind() {
            SlotKind::Slab(class) => {
                let offset = address % SLOT_SIZE % class.size();
                if offset == 0 {
                    write!(f, "it is a block of {} bytes: free it with the layout it was allocated with", class.size())
                } else {
                    write!(f, "it lies {offset} bytes inside a block of {} bytes: free its start", class.size())
                }
            }
            SlotKind::Span => {
                let size = slab.extent() * SLOT_SIZE;
                // SAFETY: as above.
                if NonNull::new(self.0).is_some_and(|block| unsafe { span::is_at(block) }) {
                    write!(f, "it is a block of {size} bytes: free it with the layout it was allocated with")
                } else {
                    write!(f, "it lies inside a block of {size} bytes: free its start")
                }
            }
            SlotKind::Free => f.write_str("everything there is free, or the allocator's own; was it freed before?"),
        }
    }
}
