//! Magazine: a size class's free list, as an array of block addresses.
//!
//! A full magazine's top stands at a multiple of 1024, and below an empty magazine's top lies a null. There is one more
//! magazine, static, in which both hold at once: a thread whose tops all stand there fails every test and so reaches
//! the slow paths, without a check of its own on the fast one.
//!
//! ```text
//!        low                          top                                   end, a multiple of 1024
//!         v                            v                                     v
//!   null | block | block | ... | block | stale | stale | ...         | stale |
//!                 <- handed out from the right           taken back to the right ->
//! ```

mod stack;
mod tops;

pub(crate) use stack::Stack;
pub(crate) use tops::Tops;

use crate::size_class::{self, SLOT_SIZE, SizeClass};
use crate::sync::UnsafeCell;
use core::ptr;

/// A place for the address of a block.
pub(crate) type Place = *mut u8;

/// Places of a magazine, the null at its low end included.
const PLACES: usize = 128;

/// Bytes of a magazine, and what it is aligned to.
const ALIGN: usize = PLACES * size_of::<Place>();

/// Bytes of blocks of so many bytes each that a magazine may hold at most, if that is not less than one. So classes of
/// large blocks have short magazines; what comes and goes in many sizes, a few blocks of each at a time, is to find
/// room there all the same.
const fn max_bytes(size: usize) -> usize {
    match size {
        ..8192 => 64 * 1024,
        8192..SLOT_SIZE => 128 * 1024,
        _ => 256 * 1024,
    }
}

/// The places for one size class.
#[repr(C, align(1024))]
pub(crate) struct Magazine(UnsafeCell<[Place; PLACES]>);

const _: () = assert!(align_of::<Magazine>() == ALIGN && size_of::<Magazine>() == ALIGN);

/// The magazine that is full and empty at once. Nobody can write to it.
#[repr(align(1024))]
struct NoMagazine {
    _places: [usize; PLACES],
}

static NO_MAGAZINE: NoMagazine = NoMagazine { _places: [0; PLACES] };

/// Most blocks that a magazine of `class` holds.
#[inline(always)]
pub(crate) const fn capacity(class: SizeClass) -> usize {
    CAPACITIES[class.index()] as usize
}

/// By a class's index: a division for each would take longer than many an exchange.
static CAPACITIES: [u8; size_class::COUNT] = {
    let mut capacities = [0; size_class::COUNT];
    let mut index = 0;
    while index < size_class::COUNT {
        let size = size_class::size_of(index);
        capacities[index] = match max_bytes(size) / size {
            0 => 1,
            fitting if fitting < PLACES => fitting as u8,
            _ => PLACES as u8 - 1,
        };
        index += 1;
    }
    capacities
};

impl Magazine {
    /// The top of this magazine when it is empty and serves `class`. The place below is null, as all places are before
    /// the first use.
    #[inline(always)]
    pub(crate) fn low(&self, class: SizeClass) -> *mut Place {
        self.0.get().cast::<Place>().wrapping_add(PLACES - capacity(class))
    }
}

/// What a top says while the thread has no magazine for the class.
const NOWHERE: *mut Place = ptr::from_ref(&NO_MAGAZINE).cast::<Place>().cast_mut().wrapping_add(PLACES);

#[cfg(all(test, not(loom)))]
mod tests;
