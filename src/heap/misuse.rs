//! What is said of a block that cannot be freed, in one line, before the process ends.

use super::span;
use crate::magazine::Place;
use crate::os::report::fatal_about;
use crate::segment;
use crate::size_class::{MAX_SIZE, SLOT_SIZE};
use crate::slab::SlotKind;
use core::fmt::{self, Display, Formatter};

/// Why a returned block was refused.
#[derive(Clone, Copy)]
pub(crate) enum Misuse {
    /// The block is free already.
    DoubleFree,
    /// The block is free already, and was to be resized, or its size was asked for.
    UseAfterFree,
    /// The address is not the start of a block of the class it was returned as.
    NotABlock,
    /// The address is not the start of a block of the class it was to be resized as, or of none whose size was asked
    /// for.
    NotABlockToUse,
}

impl Misuse {
    /// The misuse where no block is at all, in place of a free one.
    pub(super) fn of_no_block(self) -> Self {
        match self {
            Self::DoubleFree | Self::NotABlock => Self::NotABlock,
            Self::UseAfterFree | Self::NotABlockToUse => Self::NotABlockToUse,
        }
    }
}

/// Ends the process on `block`, in a segment, which cannot be freed or used as one of `size` bytes; 0 where that is not
/// known.
#[cold]
#[inline(never)]
pub(crate) fn refuse(misuse: Misuse, block: Place, size: usize) -> ! {
    let of_a_free_one = match misuse {
        Misuse::NotABlock => Some(Misuse::DoubleFree),
        Misuse::NotABlockToUse => Some(Misuse::UseAfterFree),
        Misuse::DoubleFree | Misuse::UseAfterFree => None,
    };
    if let Some(misuse) = of_a_free_one {
        // SAFETY: the caller has found that a heap owns the granule, so a segment is there.
        unsafe { refuse_if_held_back(misuse, block) };
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
        Misuse::NotABlock => no_block("free", "", block, size),
        Misuse::NotABlockToUse => no_block("use", " as a block", block, size),
    }
}

/// Ends the process on `block`, where none of `size` bytes starts; of no known size it is said to be `otherwise`.
fn no_block(deed: &str, otherwise: &str, block: Place, size: usize) -> ! {
    let has_size = if size == 0 { "" } else { "has this size and " };
    fatal_about(
        block.addr(),
        format_args!(
            "invalid {deed} of {block:p}{}: no block starts there that {has_size}is in use; {}",
            As(size, otherwise),
            Instead { block, deed }
        ),
    )
}

/// Ends the process on `block` where a span was there until lately, whose place is held back.
///
/// # Safety
/// - `block` lies in a segment, but for address bits that no program can have.
unsafe fn refuse_if_held_back(misuse: Misuse, block: Place) {
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

/// As what a block was freed or used, where that is known: of no size it is what is said otherwise.
struct As<'a>(usize, &'a str);

impl Display for As<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str(self.1) } else { write!(f, " as a {}-byte block", self.0) }
    }
}

/// What is in a segment where a block was expected, and what is to be done with that.
struct Instead<'a> {
    block: Place,
    deed: &'a str,
}

impl Display for Instead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let address = self.block.addr();
        if address >= segment::ADDRESSES {
            return f.write_str("it is no address");
        }
        // SAFETY: the caller has found that a heap owns the granule, so a segment is there, whose head can always be
        // read.
        let (offset, size) = match unsafe { segment::slab_of(address) }.kind() {
            SlotKind::Slab(class) => (address % SLOT_SIZE % class.size(), class.size()),
            // SAFETY: as above.
            SlotKind::Span | SlotKind::Free => match unsafe { span::around(address) } {
                Some(span) => span,
                None => return f.write_str("everything there is free, or the allocator's own; was it freed before?"),
            },
        };
        let deed = self.deed;
        if offset == 0 {
            write!(f, "it is a block of {size} bytes: {deed} it with the layout it was allocated with")
        } else {
            write!(f, "it lies {offset} bytes inside a block of {size} bytes: {deed} its start")
        }
    }
}
