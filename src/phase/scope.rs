//! A phase within a phase: what is placed in it goes when it ends, and what was there before stays.
//!
//! What a scope gives out lives for `'a`, of which its closure knows nothing but that `'env` outlives it. So no value
//! has a type that could leave the closure, and no two scopes have the same type, so they cannot be exchanged.

use super::arena::{Arena, Mark};
use crate::arena::{ArenaFull, ArenaStats, Place, or_panic};
use crate::sync::Cell;
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::panic::RefUnwindSafe;
use core::ptr::NonNull;

/// A phase within a phase of an [`Arena`]: see [`Arena::scoped`]. What is placed in it lives for `'a`, which ends with
/// the scope, and may refer to whatever lives for `'env`, around the scope.
///
/// It is to be used as the arena is, and a scope within it is opened in the same way. Values of the outer scope stay
/// valid in the inner one, and afterwards:
///
/// ```
/// let mut arena = tenure::Arena::new();
/// let total = arena.scoped(|outer| {
///     let sum = outer.alloc(0);
///     for line in ["1 2 3", "4 5"] {
///         outer.scoped(|inner| {
///             let numbers = inner.alloc_slice_fill_with(line.len() / 2 + 1, |index| index);
///             *sum += numbers.len();
///         });
///     }
///     assert_eq!(outer.stats().blocks, 1);
///     *sum
/// });
/// assert_eq!((total, arena.stats().blocks), (5, 0));
/// ```
pub struct Scope<'a, 'env: 'a> {
    arena: &'a Arena,
    /// Invariance: a scope is never taken for one of a shorter or a longer life.
    life: PhantomData<Cell<&'a ()>>,
    /// That `'env` outlives `'a` is known to whoever has a scope, by the type's bound. Without it, `'a` might be any
    /// lifetime at all, and values could hold nothing that is borrowed.
    surroundings: PhantomData<Cell<&'env ()>>,
}

/// A panic in the midst of an allocation leaves dead bytes, and nothing half done.
impl RefUnwindSafe for Scope<'_, '_> {}

/// Ends a scope, also when its closure panics.
struct End<'a> {
    arena: &'a Arena,
    mark: Mark,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        // SAFETY: this scope has the arena to itself until here, and scopes within it have ended. What was placed in it
        // lived for a lifetime that its closure could neither name nor outlive.
        unsafe { self.arena.take_back_to(self.mark) };
    }
}

/// Runs `body` in a scope of `arena`.
///
/// # Safety
/// - Nothing but the scope uses the arena until `body` returns.
unsafe fn run<'env, R>(arena: &Arena, body: impl for<'s> FnOnce(&mut Scope<'s, 'env>) -> R) -> R {
    let end = End { arena, mark: arena.mark() };
    body(&mut Scope { arena: end.arena, life: PhantomData, surroundings: PhantomData })
}

impl Arena {
    /// Runs `body` with a scope: all that `body` places in it is gone when it returns, or panics.
    ///
    /// Takes a few loads and stores at each end. The arena itself cannot be used meanwhile, so values that have to be
    /// there before and after a scope are placed in a scope around it.
    ///
    /// ```
    /// let mut arena = tenure::Arena::new();
    /// let longest = arena.scoped(|scope| {
    ///     let words = scope.alloc_slice_clone(&["to", "be", "or", "not"]);
    ///     words.sort_by_key(|word| word.len());
    ///     words.last().map(|word| word.len())
    /// });
    /// assert_eq!((longest, arena.stats().used), (Some(3), 0));
    /// ```
    ///
    /// Values may refer to what is around the scope:
    ///
    /// ```
    /// let lines = vec![String::from("one two"), String::from("three")];
    /// tenure::Arena::new().scoped(|scope| {
    ///     let words = scope.alloc_slice_fill_with(lines.len(), |line| lines[line].split(' ').next());
    ///     assert_eq!(words, [Some("one"), Some("three")]);
    /// });
    /// ```
    ///
    /// A value cannot leave its scope, neither as the result nor by way of a variable outside:
    ///
    /// ```compile_fail
    /// let mut arena = tenure::Arena::new();
    /// let escaped = arena.scoped(|scope| scope.alloc(1));
    /// ```
    ///
    /// ```compile_fail,E0521
    /// let mut arena = tenure::Arena::new();
    /// let mut kept = Vec::new();
    /// arena.scoped(|scope| kept.push(&*scope.alloc(1)));
    /// ```
    ///
    /// Nor can one of an inner scope be left in an outer one:
    ///
    /// ```compile_fail,E0521
    /// use std::cell::Cell;
    ///
    /// tenure::Arena::new().scoped(|outer| {
    ///     let kept = outer.alloc(Cell::new(None));
    ///     outer.scoped(|inner| kept.set(Some(&*inner.alloc(1))));
    /// });
    /// ```
    ///
    /// Neither the arena nor an outer scope can be used inside, and scopes cannot be exchanged:
    ///
    /// ```compile_fail,E0502
    /// let mut arena = tenure::Arena::new();
    /// arena.scoped(|_| {
    ///     arena.alloc(1);
    /// });
    /// ```
    ///
    /// ```compile_fail,E0502
    /// tenure::Arena::new().scoped(|outer| {
    ///     outer.scoped(|_| {
    ///         outer.alloc(1);
    ///     });
    /// });
    /// ```
    ///
    /// ```compile_fail
    /// tenure::Arena::new().scoped(|one| {
    ///     tenure::Arena::new().scoped(|other| std::mem::swap(one, other));
    /// });
    /// ```
    ///
    /// A scope cannot be opened where values of the arena itself are still used:
    ///
    /// ```compile_fail,E0502
    /// let mut arena = tenure::Arena::new();
    /// let value = arena.alloc(1);
    /// arena.scoped(|_| ());
    /// assert_eq!(*value, 1);
    /// ```
    pub fn scoped<'env, R>(&mut self, body: impl for<'s> FnOnce(&mut Scope<'s, 'env>) -> R) -> R {
        // SAFETY: the arena is borrowed by us alone.
        unsafe { run(self, body) }
    }
}

impl Scope<'_, '_> {
    /// Runs `body` with a scope within this one: all that `body` places in it is gone when it returns, or panics. See
    /// [`Arena::scoped`].
    pub fn scoped<'env, R>(&mut self, body: impl for<'s> FnOnce(&mut Scope<'s, 'env>) -> R) -> R {
        // SAFETY: while there is this scope, nothing but it uses the arena; and it is borrowed by us alone.
        unsafe { run(self.arena, body) }
    }

    /// Hands out memory for `layout`, which is valid until the scope ends; not initialised. See
    /// [`Arena::alloc_layout`].
    ///
    /// # Panics
    ///
    /// Where there is no memory for it.
    #[inline]
    #[track_caller]
    pub fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        or_panic(self.try_alloc_layout(layout))
    }

    /// Hands out memory for `layout`, which is valid until the scope ends; not initialised. See
    /// [`Arena::alloc_layout`].
    ///
    /// # Errors
    ///
    /// [`ArenaFull`] where there is no memory for it.
    #[inline]
    pub fn try_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, ArenaFull> {
        self.arena.try_alloc_layout(layout)
    }

    /// The figures of the whole arena. See [`Arena::stats`].
    #[must_use]
    pub fn stats(&self) -> ArenaStats {
        self.arena.stats()
    }

    /// The arena, of which a collection that borrows the scope may have its blocks.
    #[cfg(feature = "allocator-api2")]
    pub(crate) fn arena(&self) -> &Arena {
        self.arena
    }
}

// SAFETY: the arena's blocks; what is placed in them stays until the scope ends.
unsafe impl Place for &Scope<'_, '_> {
    #[inline(always)]
    fn try_place(self, layout: Layout) -> Option<NonNull<u8>> {
        self.arena.try_place(layout)
    }

    fn lose(self, block: NonNull<u8>, size: usize) {
        self.arena.lose(block, size);
    }

    fn left(self) -> usize {
        self.arena.left()
    }

    fn refuse(self) {
        self.arena.refuse();
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.stats()).finish()
    }
}
