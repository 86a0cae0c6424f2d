//! The error of an arena that cannot serve a request.
//!
//! A static arena is not freed, so a request that failed once fails for good; a smaller one may still fit.

use core::alloc::Layout;
use core::error::Error;
use core::fmt;

/// An arena has too little room left for what was asked of it.
///
/// A smaller request may still succeed.
///
/// ```
/// use tenure::StaticArena;
///
/// static ARENA: StaticArena<64> = StaticArena::new();
///
/// let full = ARENA.try_alloc([0_u64; 9]).unwrap_err();
/// assert_eq!((full.size(), full.align(), full.left()), (72, 8, 64));
/// assert_eq!(full.to_string(), "arena is full: 72 bytes aligned to 8 requested, 64 bytes left");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArenaFull {
    size: usize,
    align: usize,
    left: usize,
}

impl ArenaFull {
    pub(crate) const fn new(layout: Layout, left: usize) -> Self {
        Self { size: layout.size(), align: layout.align(), left }
    }

    /// For a slice of `len` values of `T`, too large for any layout.
    pub(crate) const fn too_large<T>(len: usize, left: usize) -> Self {
        Self { size: size_of::<T>().saturating_mul(len), align: align_of::<T>(), left }
    }

    /// Bytes requested; `usize::MAX` where the request overflows it.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Alignment requested, in bytes.
    #[must_use]
    pub const fn align(&self) -> usize {
        self.align
    }

    /// Bytes that were left: in a [`StaticArena`](crate::StaticArena), or in the current chunk of an
    /// [`Arena`](crate::Arena). They may be enough for the size and yet too few once aligned.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.left
    }
}

/// What was placed; or a panic, at the place that the user called from.
#[inline]
#[track_caller]
pub(crate) fn or_panic<T>(placed: Result<T, ArenaFull>) -> T {
    match placed {
        Ok(placed) => placed,
        Err(full) => panic_full(full),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn panic_full(full: ArenaFull) -> ! {
    panic!("{full}")
}

impl fmt::Display for ArenaFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, align, left } = self;
        write!(f, "arena is full: {size} bytes aligned to {align} requested, {left} bytes left")
    }
}

impl Error for ArenaFull {}
