//! What is said of misuse that is seen before a heap is asked; and what is known of an address, whoever has refused it.

use super::BACKEND;
use crate::heap::{self, Misuse};
use crate::os::report::fatal_about;
#[cfg(feature = "profile")]
use crate::os::report::line;
use crate::segment::Owner;
use core::fmt::{Arguments, Write};
use core::ptr::NonNull;

/// Ends the process on a free of what is no block. `told` is what the caller has said of it.
#[cold]
#[inline(never)]
pub(super) fn refuse(block: NonNull<u8>, told: Arguments<'_>, owner: Owner) -> ! {
    if owner.is_heap() {
        // SAFETY: the heap owns the granule, so a segment is there.
        unsafe { heap::refuse_if_held_back(Misuse::DoubleFree, block.as_ptr()) };
    }
    fatal_about(block.addr().get(), format_args!("invalid free of {block:p}{told}: {}", what_is_there(block, owner)))
}

/// Ends the process on a use of what is no block: its size was asked for, or it was to be resized.
#[cold]
#[inline(never)]
pub(super) fn refuse_use(block: NonNull<u8>, owner: Owner) -> ! {
    if owner.is_heap() {
        // SAFETY: as above.
        unsafe { heap::refuse_if_held_back(Misuse::UseAfterFree, block.as_ptr()) };
    }
    fatal_about(
        block.addr().get(),
        format_args!("invalid use of {block:p} as a block: {}", what_is_there(block, owner)),
    )
}

/// Says what lies where no block does.
#[cfg_attr(not(feature = "profile"), expect(unused_variables, reason = "of guarded blocks more is known"))]
fn what_is_there(block: NonNull<u8>, owner: Owner) -> &'static str {
    match owner {
        Owner::MAPPING | Owner::ALIGNED_MAPPING => "it is part of a large block; was it allocated with another layout?",
        Owner::POOLED | Owner::RELEASED | Owner::UNMATCHED => "everything there has been freed already",
        #[cfg(feature = "profile")]
        Owner::GUARDED => super::guard::what_is_there(block.addr().get()),
        Owner::STATIC => "no block of static memory is there",
        _ if owner.is_heap() => "no block starts there",
        _ => "it is no memory of this allocator, or was freed already, or lies inside a block of some MiB",
    }
}

/// Tells more about an address that was misused.
pub(super) fn tell(address: usize, to: &mut dyn Write) {
    let owner = BACKEND.owners.look_up(address);
    if owner.is_heap() {
        // A line that is too long is cut, and never fails.
        let _ = write!(to, " (heap {})", owner.0);
    }
}

/// Writes where the block at an address that was misused came from, as far as that is known: whoever it belongs to was
/// sampled, or guarded.
#[cfg(feature = "profile")]
pub(super) fn tell_origin(address: usize) {
    if super::guard::tell_origin(address) {
        return;
    }
    let mut frames = [0; crate::sampling::MAX_FRAMES];
    if let Some((len, size)) = super::samples::origin(address, &mut frames) {
        line(format_args!("  the block was allocated, for {size} bytes, at:"));
        crate::os::write_frames(&frames[..len]);
    }
}
