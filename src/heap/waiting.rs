//! Waiting: the spans in a borrower's magazines, few enough that they hardly matter to a heap's memory.
//!
//! Each class of spans might have some otherwise, and what waits in a magazine serves no other class. So only as many
//! classes have magazines at a time as hold no more than the largest span when they are full. The one that came first
//! makes way for one that is wanted, and what waits there goes back. And all that waits goes back before a slab or a
//! span is carved out of memory that was never touched.

use super::Heap;
use super::core::Core;
use crate::magazine::{self, Tops};
use crate::size_class::{MAX_SPAN, SizeClass};
use crate::sync::Cell;

/// Classes of spans that have magazines at a time, at most: they could not be small enough to be more.
const CLASSES: usize = 4;

/// The classes of spans that have magazines. Borrower-only.
pub(super) struct Waiting {
    /// By index, the one that came last first. 0, which is no span's class, stands for none, as in memory fresh from
    /// the system.
    classes: Cell<[u8; CLASSES]>,
}

/// Bytes of spans of `class` that wait when its magazine is full.
fn most(class: SizeClass) -> usize {
    magazine::capacity(class) * class.size()
}

impl Waiting {
    fn has(&self, class: SizeClass) -> bool {
        self.classes.get().contains(&(class.index() as u8))
    }

    fn all(&self) -> impl Iterator<Item = SizeClass> {
        self.classes.get().into_iter().filter(|&index| index > 0).map(|index| SizeClass::from_index(index.into()))
    }

    /// Adds a class, and removes those that came first, as many as have to make way.
    fn add(&self, class: SizeClass, mut remove: impl FnMut(SizeClass)) {
        let (mut classes, mut len, mut bytes) = ([0; CLASSES], 1, most(class));
        classes[0] = class.index() as u8;
        for other in self.all() {
            bytes += most(other);
            if len < CLASSES && bytes <= MAX_SPAN {
                classes[len] = other.index() as u8;
                len += 1;
            } else {
                remove(other);
            }
        }
        self.classes.set(classes);
    }
}

/// What a borrower has at hand that a core may have back.
pub(super) struct AtHand<'a>(Option<(&'a Heap, &'a Tops)>);

impl<'a> AtHand<'a> {
    /// Nothing: the request is not the borrower's, or what is there stays there.
    pub(super) const fn nothing() -> Self {
        AtHand(None)
    }

    /// The spans in the magazines of `heap`.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    pub(super) unsafe fn of(heap: &'a Heap, tops: &'a Tops) -> Self {
        AtHand(Some((heap, tops)))
    }

    /// True where there is anything to give back.
    pub(super) fn is_anything(&self) -> bool {
        self.0.is_some_and(|(heap, tops)| heap.waiting.all().any(|class| heap.waiting_in(class, tops) > 0))
    }

    /// Gives everything back to `core`, which is that heap's, once.
    pub(super) fn give_back(&mut self, core: &mut Core) {
        if let Some((heap, tops)) = self.0.take() {
            // SAFETY: the maker says so.
            heap.waiting.all().for_each(|class| unsafe { heap.give_spans_back(core, tops, class) });
        }
    }
}

impl Heap {
    /// Lets `class` have a magazine, of which a span is to be taken or to wait now.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    pub(crate) unsafe fn make_way_for_span(&self, tops: &Tops, class: SizeClass) {
        if self.waiting.has(class) {
            return;
        }
        self.waiting.add(class, |other| {
            if self.waiting_in(other, tops) > 0 {
                // SAFETY: passed on.
                unsafe { self.give_spans_back(&mut self.core.lock(), tops, other) };
            }
            tops.give_up(other);
        });
    }

    /// Gives back the spans that wait in the magazine of `class`.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, whose core this is, and `tops` are its tops.
    unsafe fn give_spans_back(&self, core: &mut Core, tops: &Tops, class: SizeClass) {
        // SAFETY: passed on.
        let waiting = unsafe { self.waiting_places(class, tops) };
        if waiting.is_empty() {
            return;
        }
        #[cfg(feature = "profile")]
        if let Some(sampling) = self.sampling() {
            sampling.take_off(class, waiting.len());
        }
        self.put_back(core, class, waiting);
        tops.set(class, self.low(class));
    }
}
