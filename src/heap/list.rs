//! A ring of slabs, or of segments, linked through themselves.
//!
//! The links lie in metadata, out of reach of the program's own mistakes.

use crate::sync::Cell;
use core::marker::PhantomData;
use core::ptr;

/// What has room for its links.
pub(crate) trait Linked {
    /// The links to the next and to the previous item of the ring; null while in no ring.
    fn links(&self) -> (&Cell<*const Self>, &Cell<*const Self>);
}

/// A ring of items, by its first.
pub(crate) struct Ring<T> {
    first: *const T,
    items: PhantomData<*const T>,
}

impl<T: Linked> Ring<T> {
    pub(crate) const fn new() -> Self {
        Self { first: ptr::null(), items: PhantomData }
    }

    /// The first item.
    pub(crate) fn first<'a>(&self) -> Option<&'a T> {
        // SAFETY: items are slabs and segments, whose heads are never unmapped.
        unsafe { self.first.as_ref() }
    }

    /// True where `item` is in a ring.
    pub(crate) fn is_linked(item: &T) -> bool {
        !item.links().0.get().is_null()
    }

    /// Puts `item`, which is in no ring, at the end.
    pub(crate) fn push_back(&mut self, item: &T) {
        debug_assert!(!Self::is_linked(item));
        let (next, previous) = item.links();
        match self.first() {
            None => {
                next.set(item);
                previous.set(item);
                self.first = item;
            }
            Some(first) => {
                let last = first.links().1.replace(item);
                next.set(first);
                previous.set(last);
                // SAFETY: as in `first`: an item of this ring.
                unsafe { &*last }.links().0.set(item);
            }
        }
    }

    /// Puts `item`, which is in no ring, at the front.
    pub(crate) fn push_front(&mut self, item: &T) {
        self.push_back(item);
        self.first = item;
    }

    /// Takes `item`, which is in this ring, out.
    pub(crate) fn remove(&mut self, item: &T) {
        debug_assert!(Self::is_linked(item));
        let (next, previous) = item.links();
        let (next, previous) = (next.replace(ptr::null()), previous.replace(ptr::null()));
        if ptr::eq(next, item) {
            self.first = ptr::null();
            return;
        }
        // SAFETY: as in `first`: items of this ring.
        unsafe { &*next }.links().1.set(previous);
        // SAFETY: as above.
        unsafe { &*previous }.links().0.set(next);
        if ptr::eq(self.first, item) {
            self.first = next;
        }
    }

    /// The items, first to last. The ring is not to change meanwhile, but for an item that was just passed, which may
    /// go to the end.
    pub(crate) fn iter<'a>(&self) -> impl Iterator<Item = &'a T> + use<'a, T>
    where
        T: 'a,
    {
        let first = self.first;
        let mut next = first;
        core::iter::from_fn(move || {
            // SAFETY: as in `first`.
            let item = unsafe { next.as_ref() }?;
            let following = item.links().0.get();
            next = if ptr::eq(following, first) { ptr::null() } else { following };
            Some(item)
        })
    }
}
