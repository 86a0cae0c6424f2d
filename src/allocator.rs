//! Tenure and its arenas as allocators of the crate `allocator-api2`, for collections that take one.
//!
//! That trait knows blocks of size zero, and alignments that change, which `GlobalAlloc` does not; all else is passed
//! on to it.

use crate::arena::StaticArena;
use crate::global::Tenure;
use crate::phase::{Arena, Scope};
use allocator_api2::alloc::{AllocError, Allocator};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

/// Blocks as `allocator-api2` wants them, made of those of a `GlobalAlloc`.
trait Blocks {
    /// A block for `layout`, of whatever size and alignment; of zeros, if it has to be.
    fn take_block(&self, layout: Layout, is_zeroed: bool) -> Result<NonNull<[u8]>, AllocError>;

    /// # Safety
    /// - `block` came from here for `layout`, and is not used any more.
    unsafe fn give_block_back(&self, block: NonNull<u8>, layout: Layout);

    /// A block for `new`, which holds what `block` does, as far as both reach. If there is none, `block` stays as it
    /// is.
    ///
    /// # Safety
    /// - `block` came from here for `old`, and is not used any more if there is another.
    unsafe fn resize_block(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError>;
}

impl<G: GlobalAlloc> Blocks for G {
    #[inline(always)]
    fn take_block(&self, layout: Layout, is_zeroed: bool) -> Result<NonNull<[u8]>, AllocError> {
        let block = match (layout.size(), is_zeroed) {
            (0, _) => ptr::without_provenance_mut(layout.align()),
            // SAFETY: the size is not zero.
            (_, false) => unsafe { self.alloc(layout) },
            // SAFETY: the size is not zero.
            (_, true) => unsafe { self.alloc_zeroed(layout) },
        };
        found(block, layout)
    }

    #[inline(always)]
    unsafe fn give_block_back(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() > 0 {
            // SAFETY: the caller's block, which `take_block` has from there, since its size is not zero.
            unsafe { self.dealloc(block.as_ptr(), layout) };
        }
    }

    #[inline(always)]
    unsafe fn resize_block(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if old.size() > 0 && new.size() > 0 && old.align() == new.align() {
            // SAFETY: the caller's block, which `take_block` has from there, since its size is not zero; `new` is a
            // layout of its alignment.
            return found(unsafe { self.realloc(block.as_ptr(), old, new.size()) }, new);
        }
        let moved = self.take_block(new, false)?;
        // SAFETY: both blocks have so many bytes, and they do not overlap, for both are in use.
        unsafe { block.copy_to_nonoverlapping(moved.cast(), old.size().min(new.size())) };
        // SAFETY: the caller's block, which is not used any more.
        unsafe { self.give_block_back(block, old) };
        Ok(moved)
    }
}

#[inline(always)]
fn found(block: *mut u8, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
    let block = NonNull::new(block).ok_or(AllocError)?;
    Ok(NonNull::slice_from_raw_parts(block, layout.size()))
}

/// The trait's methods for a type, of which `$blocks` gives the allocator.
macro_rules! allocator {
    (|$self:ident| $blocks:expr) => {
        #[inline]
        fn allocate(&$self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            $blocks.take_block(layout, false)
        }

        #[inline]
        fn allocate_zeroed(&$self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            $blocks.take_block(layout, true)
        }

        #[inline]
        unsafe fn deallocate(&$self, block: NonNull<u8>, layout: Layout) {
            // SAFETY: the caller gives back a block of this allocator.
            unsafe { $blocks.give_block_back(block, layout) }
        }

        #[inline]
        unsafe fn grow(&$self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
            // SAFETY: the caller's block, of this allocator and of `old`.
            unsafe { $blocks.resize_block(block, old, new) }
        }

        #[inline]
        unsafe fn grow_zeroed(&$self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
            // SAFETY: the caller's block, of this allocator and of `old`.
            let grown = unsafe { $blocks.resize_block(block, old, new) }?;
            // SAFETY: the old size is not above the new one.
            let tail = unsafe { grown.cast::<u8>().add(old.size()) };
            // SAFETY: the rest of a block of the new size.
            unsafe { tail.write_bytes(0, new.size() - old.size()) };
            Ok(grown)
        }

        #[inline]
        unsafe fn shrink(&$self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
            // SAFETY: the caller's block, of this allocator and of `old`.
            unsafe { $blocks.resize_block(block, old, new) }
        }
    };
}

/// With the feature `allocator-api2`.
// SAFETY: all values of the type are the process's one allocator, whose blocks stay until they are given back.
unsafe impl Allocator for Tenure {
    allocator!(|self| *self);
}

/// With the feature `allocator-api2`. A collection's last block grows in place; what it gives back otherwise is dead
/// until the arena is reset.
///
/// ```
/// use allocator_api2::vec::Vec;
///
/// let arena = tenure::Arena::new();
/// let mut squares = Vec::new_in(&arena);
/// squares.extend((0..100).map(|number| number * number));
/// assert_eq!(squares[9], 81);
/// assert_eq!(arena.stats().blocks, 1);
/// ```
// SAFETY: while there is the reference, the arena cannot be reset, so blocks stay until they are given back. Copies are
// the same allocator.
unsafe impl Allocator for &Arena {
    allocator!(|self| **self);
}

/// With the feature `allocator-api2`. A collection borrows the scope, so that no inner scope can be opened until it is
/// gone.
///
/// ```
/// use hashbrown::{DefaultHashBuilder, HashMap};
///
/// let mut arena = tenure::Arena::new();
/// let longest = arena.scoped(|scope| {
///     let mut lengths = HashMap::with_hasher_in(DefaultHashBuilder::default(), &*scope);
///     lengths.extend(["one", "three", "five"].map(|word| (word, word.len())));
///     lengths.values().copied().max()
/// });
/// assert_eq!((longest, arena.stats().blocks), (Some(5), 0));
/// ```
///
/// It can neither leave the scope nor be there while another one is open:
///
/// ```compile_fail,E0502
/// tenure::Arena::new().scoped(|scope| {
///     let numbers = allocator_api2::vec::Vec::<u8, _>::new_in(&*scope);
///     scope.scoped(|_| ());
///     drop(numbers);
/// });
/// ```
///
/// ```compile_fail
/// let mut arena = tenure::Arena::new();
/// let numbers = arena.scoped(|scope| allocator_api2::vec::Vec::<u8, _>::new_in(&*scope));
/// ```
// SAFETY: while there is the reference, the scope cannot end, nor can an inner one be opened, with which a block would
// go; so blocks stay until they are given back. Copies are the same allocator.
unsafe impl Allocator for &Scope<'_, '_> {
    allocator!(|self| *self.arena());
}

/// With the feature `allocator-api2`. A collection's last block grows in place; what it gives back otherwise is dead.
///
/// ```
/// use allocator_api2::vec::Vec;
///
/// static ARENA: tenure::StaticArena<4096> = tenure::StaticArena::new();
///
/// let mut primes = Vec::new_in(&ARENA);
/// primes.extend([2, 3, 5]);
/// let primes: &'static [u32] = primes.leak();
/// assert_eq!((primes[2], ARENA.blocks()), (5, 1));
/// ```
// SAFETY: a static stays where it is and its blocks stay until they are given back. Copies of the reference are the
// same allocator.
unsafe impl<const N: usize> Allocator for &'static StaticArena<N> {
    allocator!(|self| **self);
}
