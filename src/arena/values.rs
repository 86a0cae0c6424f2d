//! Values, slices and strings placed in a static arena.
//!
//! A value's bytes are reserved before it is made, so it is made where it stays; if making it panics, they are dead.

use super::arena_full::{ArenaFull, or_panic};
use super::cursor::Cursor;
use super::static_arena::StaticArena;
use core::alloc::Layout;
use core::mem;
use core::ptr::NonNull;
use core::slice;

/// A block whose value is being made. If that panics, the block is counted dead.
struct Unfinished<'a> {
    cursor: &'a Cursor,
    size: usize,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.size > 0 {
            self.cursor.lose(self.size);
        }
    }
}

/// Each of these has a form that panics and a form that returns [`ArenaFull`]. All may be called on any thread, and within each
/// other's closures.
#[expect(clippy::mut_from_ref, reason = "each call returns bytes that no other has")]
impl<const N: usize> StaticArena<N> {
    /// Places `value`.
    ///
    /// # Panics
    ///
    /// Where too few bytes are left. The value is dropped then.
    ///
    /// ```
    /// static ARENA: tenure::StaticArena<64> = tenure::StaticArena::new();
    /// let answer: &'static mut u64 = ARENA.alloc(41);
    /// *answer += 1;
    /// assert_eq!(*answer, 42);
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc<T: 'static>(&'static self, value: T) -> &'static mut T {
        self.alloc_with(|| value)
    }

    /// Places `value`. See [`alloc`](Self::alloc).
    ///
    /// # Errors
    ///
    /// [`ArenaFull`] where too few bytes are left. The value is dropped then.
    #[inline]
    pub fn try_alloc<T: 'static>(&'static self, value: T) -> Result<&'static mut T, ArenaFull> {
        self.try_alloc_with(|| value)
    }

    /// Places what `make` returns, which is made in place where the compiler can do so.
    ///
    /// # Panics
    ///
    /// Where too few bytes are left; `make` is not called then. If `make` panics, the bytes are dead.
    ///
    /// ```
    /// static ARENA: tenure::StaticArena<8192> = tenure::StaticArena::new();
    /// let table = ARENA.alloc_with(|| [0_u16; 4096]);
    /// assert_eq!(table.len(), 4096);
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_with<T: 'static>(&'static self, make: impl FnOnce() -> T) -> &'static mut T {
        or_panic(self.try_alloc_with(make))
    }

    /// Places what `make` returns. See [`alloc_with`](Self::alloc_with).
    ///
    /// # Errors
    ///
    /// [`ArenaFull`] where too few bytes are left; `make` is not called then.
    #[inline]
    pub fn try_alloc_with<T: 'static>(&'static self, make: impl FnOnce() -> T) -> Result<&'static mut T, ArenaFull> {
        let place = self.try_alloc_layout(Layout::new::<T>())?.cast::<T>();
        let unfinished = Unfinished { cursor: &self.node.cursor, size: size_of::<T>() };
        // SAFETY: the block just taken has the layout of `T`, and is ours alone.
        unsafe { place.write(make()) };
        mem::forget(unfinished);
        // SAFETY: written above; and nobody but us will ever know of this block, which is never put back.
        Ok(unsafe { &mut *place.as_ptr() })
    }

    /// Places a copy of `source`.
    ///
    /// # Panics
    ///
    /// Where too few bytes are left.
    ///
    /// ```
    /// static ARENA: tenure::StaticArena<64> = tenure::StaticArena::new();
    /// assert_eq!(ARENA.alloc_slice_copy(&[1, 2, 3]), [1, 2, 3]);
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_slice_copy<T: Copy + 'static>(&'static self, source: &[T]) -> &'static mut [T] {
        or_panic(self.try_alloc_slice_copy(source))
    }

    /// Places a copy of `source`. See [`alloc_slice_copy`](Self::alloc_slice_copy).
    ///
    /// # Errors
    ///
    /// [`ArenaFull`] where too few bytes are left.
    #[inline]
    pub fn try_alloc_slice_copy<T: Copy + 'static>(&'static self, source: &[T]) -> Result<&'static mut [T], ArenaFull> {
        let place = self.try_alloc_layout(Layout::for_value(source))?.cast::<T>();
        // SAFETY: the block has the layout of `source`, is ours alone, and so does not overlap it.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(source).cast(), source.len()) };
        // SAFETY: copied above; and nobody but us will ever know of this block, which is never put back.
        Ok(unsafe { slice::from_raw_parts_mut(place.as_ptr(), source.len()) })
    }

    /// Places a clone of each value of `source`.
    ///
    /// # Panics
    ///
    /// Where too few bytes are left; nothing is cloned then. If a `clone` panics, the bytes are dead, and clones made
    /// until then are not dropped.
    ///
    /// ```
    /// static ARENA: tenure::StaticArena<64> = tenure::StaticArena::new();
    /// let names = ARENA.alloc_slice_clone(&["a".to_string(), "b".to_string()]);
    /// assert_eq!(names, ["a", "b"]);
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_slice_clone<T: Clone + 'static>(&'static self, source: &[T]) -> &'static mut [T] {
        or_panic(self.try_alloc_slice_clone(source))
    }

    /// Places a clone of each value of `source`. See [`alloc_slice_clone`](Self::alloc_slice_clone).
    ///
    /// # Errors
    ///
    /// [`ArenaFull`] where too few bytes are left; nothing is cloned then.
    #[inline]
    pub fn try_alloc_slice_clone<T: Clone + 'static>(
        &'static self,
        source: &[T],
    ) -> Result<&'static mut [T], ArenaFull> {
        self.try_alloc_slice_fill_with(source.len(), |index| source[index].clone())
    }

    /// Places `len` values, each of them what `make` returns for its index.
    ///
    /// # Panics
    ///
    /// Where too few bytes are left; `make` is not called then. If `make` panics, the bytes are dead, and values made until
    /// then are not dropped.
    ///
    /// ```
    /// static ARENA: tenure::StaticArena<64> = tenure::StaticArena::new();
    /// assert_eq!(ARENA.alloc_slice_fill_with(4, |index| index * index), [0, 1, 4, 9]);
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_slice_fill_with<T: 'static>(
        &'static self,
        len: usize,
        make: impl FnMut(usize) -> T,
    ) -> &'static mut [T] {
        or_panic(self.try_alloc_slice_fill_with(len, make))
    }

    /// Places `len` values, made by `make`. See [`alloc_slice_fill_with`](Self::alloc_slice_fill_with).
    ///
    /// # Errors
    ///
    /// [`ArenaFull`] where too few bytes are left; `make` is not called then.
    #[inline]
    pub fn try_alloc_slice_fill_with<T: 'static>(
        &'static self,
        len: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<&'static mut [T], ArenaFull> {
        let Ok(layout) = Layout::array::<T>(len) else { return Err(ArenaFull::too_large::<T>(len, self.remaining())) };
        let place = self.try_alloc_layout(layout)?.cast::<T>();
        let unfinished = Unfinished { cursor: &self.node.cursor, size: layout.size() };
        for index in 0..len {
            // SAFETY: the block has room for `len` values of `T`, and `index` is below `len`.
            let slot = unsafe { place.add(index) };
            // SAFETY: the slot is aligned, since the block is, and ours alone.
            unsafe { slot.write(make(index)) };
        }
        mem::forget(unfinished);
        // SAFETY: all `len` were written; and nobody but us will ever know of this block, which is never put back.
        Ok(unsafe { slice::from_raw_parts_mut(place.as_ptr(), len) })
    }

    /// Places a copy of `source`.
    ///
    /// # Panics
    ///
    /// Where too few bytes are left.
    ///
    /// ```
    /// static ARENA: tenure::StaticArena<64> = tenure::StaticArena::new();
    /// let name = ARENA.alloc_str("tenure");
    /// name.make_ascii_uppercase();
    /// assert_eq!(name, "TENURE");
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_str(&'static self, source: &str) -> &'static mut str {
        or_panic(self.try_alloc_str(source))
    }

    /// Places a copy of `source`. See [`alloc_str`](Self::alloc_str).
    ///
    /// # Errors
    ///
    /// [`ArenaFull`] where too few bytes are left.
    #[inline]
    pub fn try_alloc_str(&'static self, source: &str) -> Result<&'static mut str, ArenaFull> {
        let bytes = self.try_alloc_slice_copy(source.as_bytes())?;
        // SAFETY: a copy of the bytes of a `str`.
        Ok(unsafe { str::from_utf8_unchecked_mut(bytes) })
    }
}
