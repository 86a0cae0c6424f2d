//! Values, slices and strings placed in an arena or in a scope of one.
//!
//! Both have the same methods, written here once: they differ only in how long what is placed is borrowed.

use super::arena::Arena;
use super::scope::Scope;
use crate::arena::{ArenaFull, Place};

/// The methods of the type `$arena`, by which what is placed lives for `$life`; the examples show it between `$open`
/// and `$close`.
macro_rules! values {
    ($life:lifetime, $open:literal, $close:literal) => {
        /// Places `value`.
        ///
        /// # Panics
        ///
        /// Where there is no memory for it. The value is dropped then.
        ///
        /// ```
        #[doc = $open]
        /// let answer: &mut u64 = arena.alloc(41);
        /// *answer += 1;
        /// assert_eq!(*answer, 42);
        #[doc = $close]
        /// ```
        #[inline(always)]
        #[track_caller]
        pub fn alloc<T>(&self, value: T) -> &$life mut T {
            self.alloc_with(|| value)
        }

        /// Places `value`. See [`alloc`](Self::alloc).
        ///
        /// # Errors
        ///
        /// [`ArenaFull`] where there is no memory for it. The value is dropped then.
        #[inline(always)]
        pub fn try_alloc<T>(&self, value: T) -> Result<&$life mut T, ArenaFull> {
            self.try_alloc_with(|| value)
        }

        /// Places what `make` returns, which is made in place where the compiler can do so. `make` may place other
        /// values.
        ///
        /// # Panics
        ///
        /// Where there is no memory for it; `make` is not called then. If `make` panics, the bytes are given back, or
        /// dead if others were placed behind them meanwhile.
        ///
        /// ```
        #[doc = $open]
        /// let table = arena.alloc_with(|| [0_u16; 4096]);
        /// assert_eq!(table.len(), 4096);
        #[doc = $close]
        /// ```
        #[inline(always)]
        #[track_caller]
        pub fn alloc_with<T>(&self, make: impl FnOnce() -> T) -> &$life mut T {
            let Some(mut value) = self.place_with(make) else { self.panic_full::<T>(1) };
            // SAFETY: just placed, for as long as it is borrowed; and nobody but us knows of it.
            unsafe { value.as_mut() }
        }

        /// Places what `make` returns. See [`alloc_with`](Self::alloc_with).
        ///
        /// # Errors
        ///
        /// [`ArenaFull`] where there is no memory for it; `make` is not called then.
        #[inline(always)]
        pub fn try_alloc_with<T>(&self, make: impl FnOnce() -> T) -> Result<&$life mut T, ArenaFull> {
            let mut value = self.place_with(make).ok_or_else(|| self.full::<T>(1))?;
            // SAFETY: just placed, for as long as it is borrowed; and nobody but us knows of it.
            Ok(unsafe { value.as_mut() })
        }

        /// Places a copy of `source`.
        ///
        /// # Panics
        ///
        /// Where there is no memory for it.
        ///
        /// ```
        #[doc = $open]
        /// assert_eq!(arena.alloc_slice_copy(&[1, 2, 3]), [1, 2, 3]);
        #[doc = $close]
        /// ```
        #[inline]
        #[track_caller]
        pub fn alloc_slice_copy<T: Copy>(&self, source: &[T]) -> &$life mut [T] {
            let Some(mut values) = self.place_slice_copy(source) else { self.panic_full::<T>(source.len()) };
            // SAFETY: just placed, for as long as they are borrowed; and nobody but us knows of them.
            unsafe { values.as_mut() }
        }

        /// Places a copy of `source`. See [`alloc_slice_copy`](Self::alloc_slice_copy).
        ///
        /// # Errors
        ///
        /// [`ArenaFull`] where there is no memory for it.
        #[inline]
        pub fn try_alloc_slice_copy<T: Copy>(&self, source: &[T]) -> Result<&$life mut [T], ArenaFull> {
            let mut values = self.place_slice_copy(source).ok_or_else(|| self.full::<T>(source.len()))?;
            // SAFETY: just placed, for as long as it is borrowed; and nobody but us knows of it.
            Ok(unsafe { values.as_mut() })
        }

        /// Places a clone of each value of `source`.
        ///
        /// # Panics
        ///
        /// Where there is no memory for them; nothing is cloned then. If a `clone` panics, the bytes are given back or
        /// dead, and clones made until then are not dropped.
        ///
        /// ```
        #[doc = $open]
        /// let words = arena.alloc_slice_clone(&["a", "b"]);
        /// assert_eq!(words, ["a", "b"]);
        #[doc = $close]
        /// ```
        #[inline]
        #[track_caller]
        pub fn alloc_slice_clone<T: Clone>(&self, source: &[T]) -> &$life mut [T] {
            self.alloc_slice_fill_with(source.len(), |index| source[index].clone())
        }

        /// Places a clone of each value of `source`. See [`alloc_slice_clone`](Self::alloc_slice_clone).
        ///
        /// # Errors
        ///
        /// [`ArenaFull`] where there is no memory for them; nothing is cloned then.
        #[inline]
        pub fn try_alloc_slice_clone<T: Clone>(&self, source: &[T]) -> Result<&$life mut [T], ArenaFull> {
            self.try_alloc_slice_fill_with(source.len(), |index| source[index].clone())
        }

        /// Places `len` values, each of them what `make` returns for its index. `make` may place other values.
        ///
        /// # Panics
        ///
        /// Where there is no memory for them; `make` is not called then. If `make` panics, the bytes are given back or
        /// dead, and values made until then are not dropped.
        ///
        /// ```
        #[doc = $open]
        /// assert_eq!(arena.alloc_slice_fill_with(4, |index| index * index), [0, 1, 4, 9]);
        #[doc = $close]
        /// ```
        #[inline]
        #[track_caller]
        pub fn alloc_slice_fill_with<T>(&self, len: usize, make: impl FnMut(usize) -> T) -> &$life mut [T] {
            let Some(mut values) = self.place_slice_with(len, make) else { self.panic_full::<T>(len) };
            // SAFETY: just placed, for as long as they are borrowed; and nobody but us knows of them.
            unsafe { values.as_mut() }
        }

        /// Places `len` values, made by `make`. See [`alloc_slice_fill_with`](Self::alloc_slice_fill_with).
        ///
        /// # Errors
        ///
        /// [`ArenaFull`] where there is no memory for them; `make` is not called then.
        #[inline]
        pub fn try_alloc_slice_fill_with<T>(
            &self,
            len: usize,
            make: impl FnMut(usize) -> T,
        ) -> Result<&$life mut [T], ArenaFull> {
            let mut values = self.place_slice_with(len, make).ok_or_else(|| self.full::<T>(len))?;
            // SAFETY: just placed, for as long as they are borrowed; and nobody but us knows of them.
            Ok(unsafe { values.as_mut() })
        }

        /// Places a copy of `source`.
        ///
        /// # Panics
        ///
        /// Where there is no memory for it.
        ///
        /// ```
        #[doc = $open]
        /// let name = arena.alloc_str("tenure");
        /// name.make_ascii_uppercase();
        /// assert_eq!(name, "TENURE");
        #[doc = $close]
        /// ```
        #[inline]
        #[track_caller]
        pub fn alloc_str(&self, source: &str) -> &$life mut str {
            let Some(mut text) = self.place_str(source) else { self.panic_full::<u8>(source.len()) };
            // SAFETY: just placed, for as long as it is borrowed; and nobody but us knows of it.
            unsafe { text.as_mut() }
        }

        /// Places a copy of `source`. See [`alloc_str`](Self::alloc_str).
        ///
        /// # Errors
        ///
        /// [`ArenaFull`] where there is no memory for it.
        #[inline]
        pub fn try_alloc_str(&self, source: &str) -> Result<&$life mut str, ArenaFull> {
            let mut text = self.place_str(source).ok_or_else(|| self.full::<u8>(source.len()))?;
            // SAFETY: just placed, for as long as it is borrowed; and nobody but us knows of it.
            Ok(unsafe { text.as_mut() })
        }
    };
}

/// Each of these has a form that panics and a form that returns [`ArenaFull`].
#[expect(clippy::mut_from_ref, reason = "each call returns bytes that no other has")]
impl Arena {
    values!('_, "let arena = tenure::Arena::new();", "");
}

/// Each of these has a form that panics and a form that returns [`ArenaFull`]. What is placed lives until the scope
/// ends.
impl<'a> Scope<'a, '_> {
    values!('a, "tenure::Arena::new().scoped(|arena| {", "});");
}
