//! Routing: to which kind of memory the calling thread's allocations go.
//!
//! A thread in a static scope has its tops standing nowhere, as a thread without a heap has. So every allocation arrives in the slow paths, which look here,
//! and the fast paths know nothing of scopes. The magazines wait in the heap meanwhile, and serve what the slow paths ask of them.

use super::thread::{Busy, own};
use super::tls;
use crate::heap::{Borrower, Heap};
use crate::magazine::Tops;
use core::marker::PhantomData;

/// What a thread is routed to, and by which scope. All of it in one word, so that it fits wherever thread-local storage is had.
#[derive(Clone, Copy)]
pub(super) struct Routing {
    is_static: bool,
    /// Which scope says so: its number, or 0 outside of scopes.
    scope: u32,
    /// The number of the scope that was entered last.
    last: u32,
}

/// Scopes are numbered in 31 bits: then the number begins again.
const MAX_SCOPE: u32 = u32::MAX >> 1;

impl Routing {
    pub(super) const fn unpack(word: u64) -> Self {
        Self { is_static: word & 1 != 0, scope: word as u32 >> 1, last: (word >> 32) as u32 }
    }

    pub(super) const fn pack(self) -> u64 {
        self.is_static as u64 | (self.scope as u64) << 1 | (self.last as u64) << 32
    }
}

/// True where the calling thread is in a static scope.
#[inline]
pub(super) fn is_static() -> bool {
    tls::routing().is_static
}

/// The tops of the calling thread's magazines, at hand or set aside.
#[inline]
pub(super) fn tops<'a>(heap: &'a Heap, thread: &'a Borrower) -> &'a Tops {
    if is_static() { heap.aside() } else { &thread.tops }
}

/// The thread is in no scope any more, whatever scopes it has not left.
pub(super) fn end(heap: &Heap, thread: &Borrower) {
    let routing = tls::routing();
    if routing.is_static {
        heap.aside().move_to(&thread.tops);
    }
    tls::set_routing(Routing { is_static: false, scope: 0, ..routing });
}

/// Routes the calling thread's allocations to `is_static` memory until dropped, or until the scope in which it was entered ends.
pub(super) struct Scope {
    /// This scope's number.
    scope: u32,
    /// What the thread was routed to before.
    outer: Routing,
    /// Neither sent nor shared: it speaks of the thread that entered.
    _own_thread: PhantomData<*const ()>,
}

impl Scope {
    /// Copies a hundred addresses where the kind of memory changes, which takes some tens of nanoseconds; a few instructions where it does not.
    pub(super) fn enter(is_static: bool) -> Self {
        let outer = tls::routing();
        let scope = if outer.last == MAX_SCOPE { 1 } else { outer.last + 1 };
        route(outer, Routing { is_static, scope, last: scope });
        Self { scope, outer, _own_thread: PhantomData }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let now = tls::routing();
        // A scope that was entered earlier and ended before this one has ended this one, too.
        if now.scope >= self.scope {
            route(now, Routing { last: now.last, ..self.outer });
        }
    }
}

fn route(from: Routing, to: Routing) {
    if from.is_static != to.is_static
        && let Some((heap, thread)) = own()
    {
        // A signal handler that allocates now is served by the shared heap.
        let _busy = Busy::new(thread);
        if to.is_static {
            thread.tops.move_to(heap.aside());
        } else {
            heap.aside().move_to(&thread.tops);
        }
        tls::set_routing(to);
    } else {
        tls::set_routing(to);
    }
}
