//! Rest: what waits in the magazines of a thread goes back to slabs from time to time, where other classes and other
//! threads find it, and whole pages of it the system.

use super::Heap;
use crate::magazine::{Place, Tops};
use crate::size_class::SizeClass;
use core::slice;

/// Blocks of a scattered class that go past the magazine once in each delay. A block that goes to and fro between the
/// program and a magazine stays where it is, and keeps a slab in use that has hardly any other; past the magazine, what
/// comes is taken from slabs that have many in use, and what goes leaves those that have few.
const PAST: u16 = 512;

/// And at most: such a block takes some tens of nanoseconds.
const PAST_MOST: u64 = 8192;

impl Heap {
    /// How many blocks of a scattered class are to go past the magazine: each block in use is freed and another one
    /// taken, on average.
    fn past(&self, class: SizeClass) -> u16 {
        (2 * self.counts_of(class).out()).clamp(PAST.into(), PAST_MOST) as u16
    }

    /// What waits in the magazine of `class`.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops, which stay as they are for as long as the
    ///   places are looked at.
    pub(super) unsafe fn waiting_places(&self, class: SizeClass, tops: &Tops) -> &[Place] {
        let held = self.waiting_in(class, tops);
        // SAFETY: the magazine holds `held` blocks from its low end on, and the borrower alone has access.
        unsafe { slice::from_raw_parts(self.low(class), held) }
    }

    /// As [`Heap::empty_magazines`], of a thread that goes on: what it uses will be refilled as it was.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    pub(crate) unsafe fn rest_magazines(&self, tops: &Tops) {
        // SAFETY: passed on.
        unsafe { self.empty_magazines(tops) };
        let core = self.core.lock();
        for class in SizeClass::slabs() {
            let past = if core.is_scattered(class) { self.past(class) } else { 0 };
            self.traffic[class.index()].rest(past);
        }
        if self.has_begun.get() {
            self.traffic.iter().for_each(|traffic| traffic.probation.resume());
            self.outbox.probation().resume();
        }
    }

    /// Gives up the magazines of slabs' classes from which nothing was taken since this was done last. A thread that
    /// only frees blocks of a class has no use for them, and each may hold a page.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    pub(crate) unsafe fn give_up_idle_magazines(&self, tops: &Tops) {
        for class in SizeClass::slabs() {
            if !self.traffic[class.index()].is_idle(tops.taken_of(class)) {
                continue;
            }
            // SAFETY: passed on.
            let waiting = unsafe { self.waiting_places(class, tops) };
            if !waiting.is_empty() {
                self.put_back(&mut self.core.lock(), class, waiting);
                tops.give_up(class);
            }
        }
    }

    /// Empties every magazine and the outbox, and gives the tops up.
    ///
    /// # Safety
    /// - The calling thread has borrowed this heap, and `tops` are its tops.
    pub(crate) unsafe fn empty_magazines(&self, tops: &Tops) {
        // SAFETY: passed on.
        #[cfg(feature = "profile")]
        unsafe {
            self.empty_returns(tops);
        }
        self.live_changed(self.outbox.drain(), 0);
        let mut core = self.core.lock();
        core.take_in_all(self.host());
        for class in SizeClass::all() {
            // SAFETY: passed on.
            let waiting = unsafe { self.waiting_places(class, tops) };
            if !waiting.is_empty() {
                self.put_back(&mut core, class, waiting);
            }
            self.traffic[class.index()].robbed.set(None);
        }
        tops.reset();
    }
}
