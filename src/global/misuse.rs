//! What is said of misuse that is seen before a heap is asked; and what is known of an address, whoever has refused it.

use super::BACKEND;
use crate::heap::{self, Misuse};
use crate::os::report::fatal_about;
#[cfg(feature = "profile")]
use crate::os::report::line;
use crate::segment::Owner;
use core::fmt::{self, Arguments, Display, Formatter, Write};
use core::ptr::NonNull;

/// Ends the process on a free of what is no block. `told` is what the caller has said of it.
#[cold]
#[inline(never)]
pub(super) fn refuse(block: NonNull<u8>, told: Arguments<'_>, owner: Owner) -> ! {
    if owner.is_heap() {
        heap::refuse(Misuse::NotABlock, block.as_ptr(), 0);
    }
    let there = WhatIsThere { block, owner, deed: "free" };
    fatal_about(block.addr().get(), format_args!("invalid free of {block:p}{told}: {there}"))
}

/// Ends the process on a use of what is no block: its size was asked for, or it was to be resized, as one of `size`
/// bytes; 0 where that is not known.
#[cold]
#[inline(never)]
pub(super) fn refuse_use(block: NonNull<u8>, size: usize, owner: Owner) -> ! {
    if owner.is_heap() {
        heap::refuse(Misuse::NotABlockToUse, block.as_ptr(), size);
    }
    let there = WhatIsThere { block, owner, deed: "use" };
    let address = block.addr().get();
    match size {
        0 => fatal_about(address, format_args!("invalid use of {block:p} as a block: {there}")),
        _ => fatal_about(address, format_args!("invalid use of {block:p} as a {size}-byte block: {there}")),
    }
}

/// What is outside of segments where a block was expected, and what is to be done with that.
struct WhatIsThere {
    block: NonNull<u8>,
    owner: Owner,
    deed: &'static str,
}

impl Display for WhatIsThere {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.owner {
            Owner::MAPPING | Owner::ALIGNED_MAPPING => return self.tell_mapping(f),
            Owner::POOLED | Owner::RELEASED | Owner::UNMATCHED => "everything there has been freed already",
            #[cfg(feature = "profile")]
            Owner::GUARDED => super::guard::what_is_there(self.block.addr().get()),
            Owner::STATIC => "no block of static memory is there",
            _ => "it is no memory of this allocator, or was freed already, or lies inside a block of some MiB",
        })
    }
}

impl WhatIsThere {
    /// Of an address in the granule in which a mapping's block starts.
    fn tell_mapping(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (address, deed) = (self.block.addr().get(), self.deed);
        let Some((start, size)) = BACKEND.mapped_around(address) else {
            return f.write_str("everything there has been freed already");
        };
        if address == start {
            return write!(f, "it is a block of {size} bytes: {deed} it with the layout it was allocated with");
        }
        if address < start {
            return write!(f, "it lies {} bytes before a block of {size} bytes; was it freed before?", start - address);
        }
        let offset = address - start;
        write!(f, "it lies {offset} bytes inside a block of {size} bytes: {deed} its start")?;
        // A block that is there again may stand some pages further in front.
        if offset.is_multiple_of(BACKEND.os.page_size()) { f.write_str("; or was it freed before?") } else { Ok(()) }
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
