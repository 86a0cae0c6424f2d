//! Placing values in an arena of whatever kind.
//!
//! A value's bytes are reserved before it is made, so it is made where it stays; if making it panics, the arena is told
//! that they are lost.

use super::arena_full::ArenaFull;
use core::alloc::Layout;
use core::mem;
use core::ptr::NonNull;

/// An arena, as the values in it see it.
///
/// Implemented for references to arenas, and passed by value: what takes a reference to a reference has to keep it in
/// memory, which costs the path of a block a store. The provided methods return pointers, for it is the arena's type
/// that says how long what is placed stays.
///
/// # Safety
/// - A block from `try_place` is valid for its layout and nobody else's, until `lose` is called with it or the arena
///   says that it ends.
pub(crate) unsafe trait Place: Copy {
    /// A block for `layout`, not initialised; an aligned, dangling pointer for a size of zero; `None` where there is no
    /// room.
    fn try_place(self, layout: Layout) -> Option<NonNull<u8>>;

    /// Takes back a block of `size` bytes, not zero, in which nothing came to be.
    fn lose(self, block: NonNull<u8>, size: usize);

    /// Bytes that are left, for an error to name.
    fn left(self) -> usize;

    /// Counts a request that is larger than any layout, for which `try_place` is not asked.
    fn refuse(self);

    /// The error of a request for `len` values of `T` for which there is no room.
    #[cold]
    fn full<T>(self, len: usize) -> ArenaFull {
        match Layout::array::<T>(len) {
            Ok(layout) => ArenaFull::new(layout, self.left()),
            Err(_) => ArenaFull::too_large::<T>(len, self.left()),
        }
    }

    /// Panics with that error. A path of its own, lest the path of a block keep room for an error.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn panic_full<T>(self, len: usize) -> ! {
        panic!("{}", self.full::<T>(len))
    }

    /// Places what `make` returns.
    #[inline(always)]
    fn place_with<T>(self, make: impl FnOnce() -> T) -> Option<NonNull<T>> {
        let block = self.try_place(Layout::new::<T>())?;
        let unfinished = Unfinished { place: self, block, size: size_of::<T>() };
        let value = block.cast::<T>();
        // SAFETY: the block just taken has the layout of `T`, and is ours alone.
        unsafe { value.write(make()) };
        mem::forget(unfinished);
        Some(value)
    }

    /// Places a copy of `source`.
    #[inline(always)]
    fn place_slice_copy<T: Copy>(self, source: &[T]) -> Option<NonNull<[T]>> {
        let values = self.try_place(Layout::for_value(source))?.cast::<T>();
        // SAFETY: the block has the layout of `source`, is ours alone, and so does not overlap it.
        unsafe { values.copy_from_nonoverlapping(NonNull::from(source).cast(), source.len()) };
        Some(NonNull::slice_from_raw_parts(values, source.len()))
    }

    /// Places `len` values, each of them what `make` returns for its index.
    #[inline(always)]
    fn place_slice_with<T>(self, len: usize, mut make: impl FnMut(usize) -> T) -> Option<NonNull<[T]>> {
        let Ok(layout) = Layout::array::<T>(len) else {
            self.refuse();
            return None;
        };
        let block = self.try_place(layout)?;
        let unfinished = Unfinished { place: self, block, size: layout.size() };
        let values = block.cast::<T>();
        for index in 0..len {
            // SAFETY: the block has room for `len` values of `T`, and `index` is below `len`.
            let slot = unsafe { values.add(index) };
            // SAFETY: the slot is aligned, since the block is, and ours alone.
            unsafe { slot.write(make(index)) };
        }
        mem::forget(unfinished);
        Some(NonNull::slice_from_raw_parts(values, len))
    }

    /// Places a copy of `source`, whose bytes are those of a `str`.
    #[inline(always)]
    fn place_str(self, source: &str) -> Option<NonNull<str>> {
        let bytes = self.place_slice_copy(source.as_bytes())?;
        // SAFETY: it is the pointer of a slice, which is not null.
        Some(unsafe { NonNull::new_unchecked(bytes.as_ptr() as *mut str) })
    }
}

/// A block whose value is being made. If that panics, the block is lost.
struct Unfinished<P: Place> {
    place: P,
    block: NonNull<u8>,
    size: usize,
}

impl<P: Place> Drop for Unfinished<P> {
    fn drop(&mut self) {
        if self.size > 0 {
            self.place.lose(self.block, self.size);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Room for one block, and what was heard of it.
    struct One {
        memory: Cell<[u64; 4]>,
        is_taken: Cell<bool>,
        lost: Cell<usize>,
    }

    // SAFETY: the memory is handed out once, as long as it is not lost.
    unsafe impl Place for &One {
        fn try_place(self, layout: Layout) -> Option<NonNull<u8>> {
            let is_free = !self.is_taken.replace(true) && layout.size() <= self.left();
            is_free.then(|| NonNull::new(self.memory.as_ptr()).unwrap().cast())
        }

        fn lose(self, block: NonNull<u8>, size: usize) {
            assert_eq!(block.as_ptr().cast(), self.memory.as_ptr());
            self.lost.set(size);
        }

        fn left(self) -> usize {
            32
        }

        fn refuse(self) {}
    }

    fn one() -> One {
        One { memory: Cell::new([0; 4]), is_taken: Cell::new(false), lost: Cell::new(0) }
    }

    #[test]
    fn what_is_placed_can_be_read_and_nothing_is_lost() {
        let place = one();
        let slice = place.place_slice_with(3, |index| index as u16 * 5).unwrap();
        // SAFETY: placed just now, and not ended.
        assert_eq!(unsafe { slice.as_ref() }, [0, 5, 10]);
        assert_eq!(place.lost.get(), 0);
        // SAFETY: as above.
        assert_eq!(unsafe { one().place_str("a word").map(|word| word.as_ref().len()) }, Some(6));
    }

    #[test]
    fn a_value_whose_making_panics_is_lost_and_one_without_a_place_is_not_made() {
        let place = one();
        let made = catch_unwind(AssertUnwindSafe(|| place.place_with(|| -> [u8; 24] { panic!() })));
        assert_eq!((made.is_err(), place.lost.get()), (true, 24));
        assert!(place.place_with(|| -> u64 { unreachable!("there is no place") }).is_none());
    }

    #[test]
    fn what_has_no_place_is_named_whatever_its_size() {
        let error = |full: ArenaFull| (full.size(), full.align(), full.left());
        assert!(one().place_slice_with(5, |_| 0_u64).is_none());
        assert_eq!(error(one().full::<u64>(5)), (40, 8, 32));
        assert!(one().place_slice_with(usize::MAX / 2, |_| 0_u64).is_none());
        assert_eq!(error(one().full::<u64>(usize::MAX / 2)), (usize::MAX, 8, 32));
    }
}
