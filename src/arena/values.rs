//! Values, slices and strings placed in a static arena.
//!
//! If making a value panics, its bytes are dead.

use super::arena_full::{ArenaFull, or_panic};
use super::place::Place;
use super::static_arena::StaticArena;
use core::alloc::Layout;
use core::ptr::NonNull;

// SAFETY: the cursor hands out no byte twice; and as the arena is a static, its blocks end with the process.
unsafe impl<const N: usize> Place for &'static StaticArena<N> {
    #[inline(always)]
    fn try_place(self, layout: Layout) -> Option<NonNull<u8>> {
        self.place(layout)
    }

    #[inline]
    fn lose(self, _block: NonNull<u8>, size: usize) {
        self.node.cursor.lose(size);
    }

    #[inline]
    fn left(self) -> usize {
        self.remaining()
    }

    #[cold]
    fn refuse(self) {
        self.refuse_what_has_no_layout();
    }
}

/// Each of these has a form that panics and a form that returns [`ArenaFull`]. All may be called on any thread, and
/// within each other's closures.
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
        let mut value = self.place_with(make).ok_or_else(|| self.full::<T>(1))?;
        // SAFETY: just placed, for the rest of the process; and nobody but us knows of it.
        Ok(unsafe { value.as_mut() })
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
        let mut values = self.place_slice_copy(source).ok_or_else(|| self.full::<T>(source.len()))?;
        // SAFETY: just placed, for the rest of the process; and nobody but us knows of it.
        Ok(unsafe { values.as_mut() })
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
    /// Where too few bytes are left; `make` is not called then. If `make` panics, the bytes are dead, and values made
    /// until then are not dropped.
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
        make: impl FnMut(usize) -> T,
    ) -> Result<&'static mut [T], ArenaFull> {
        let mut values = self.place_slice_with(len, make).ok_or_else(|| self.full::<T>(len))?;
        // SAFETY: just placed, for the rest of the process; and nobody but us knows of it.
        Ok(unsafe { values.as_mut() })
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
        let mut text = self.place_str(source).ok_or_else(|| self.full::<u8>(source.len()))?;
        // SAFETY: just placed, for the rest of the process; and nobody but us knows of it.
        Ok(unsafe { text.as_mut() })
    }
}
