//! Routing: to which kind of memory the calling thread's allocations go, and who watches them.
//!
//! A thread in a static scope, or one that is watched, has its tops standing nowhere, as a thread without a heap has.
//! So every allocation and free arrives in the slow paths, which look here, and the fast paths know of neither. The
//! magazines wait in the heap meanwhile, and serve what the slow paths ask of them.

#[cfg(feature = "profile")]
use super::samples;
use super::thread::{Busy, own};
use super::tls;
use crate::heap::{Borrower, Heap};
use crate::magazine::Tops;
use crate::tag::TAGS;
use core::marker::PhantomData;

/// What a thread is routed to, by which scope, and who watches it. All of it in one word, so that it fits wherever
/// thread-local storage is had:
///
/// ```text
/// bit 0      1        2        3      4 to 10   11 to 30   31 to 50   51 to 62     63
/// static | counted | shares | exact  |  tag  |   scope  |   last   |  scopes  | in a hook
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Routing(u64);

/// Why a thread's tops are set aside.
impl Routing {
    const STATIC: u64 = 1;
    /// The thread counts what it does, for a region or a budget.
    pub(super) const COUNTED: u64 = 1 << 1;
    /// The thread allocates from a heap that other threads have, block by block: its tag has no heap left to lend.
    const SHARES: u64 = 1 << 2;
    /// The thread counts what it asks for, for statistics.
    pub(super) const EXACT: u64 = 1 << 3;
    /// All reasons for the tops to be set aside.
    const ASIDE: u64 = Self::STATIC | Self::COUNTED | Self::SHARES | Self::EXACT;
}

/// Where the numbers stand in the word.
const TAG: u32 = 4;
const SCOPE: u32 = 11;
const LAST: u32 = 31;
const SCOPES: u32 = 51;

/// Tags are numbered from 1 on.
const MAX_TAG: u64 = (1 << 7) - 1;

/// Scopes are numbered in 20 bits: then the number begins again.
const MAX_SCOPE: u64 = (1 << 20) - 1;

/// So many scopes are counted: of more, nobody knows when the last one ends.
const MANY_SCOPES: u64 = (1 << 12) - 1;

/// The thread runs a hook of those who watch it: what is allocated meanwhile is not watched.
const IN_HOOK: u64 = 1 << 63;

impl Routing {
    pub(super) const fn unpack(word: u64) -> Self {
        Self(word)
    }

    pub(super) const fn pack(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(super) fn is_static(self) -> bool {
        self.0 & Self::STATIC != 0
    }

    /// True where the tops stand nowhere, and the magazines are reached through the heap.
    #[inline(always)]
    pub(super) fn is_aside(self) -> bool {
        self.0 & Self::ASIDE != 0
    }

    /// True where somebody wants to know what the thread allocates and frees.
    #[inline(always)]
    pub(super) fn is_watched(self) -> bool {
        self.0 & (Self::COUNTED | Self::EXACT) != 0
    }

    /// True where the thread is watched for this reason.
    #[inline(always)]
    pub(super) fn is_watched_for(self, reason: u64) -> bool {
        self.0 & reason != 0
    }

    pub(super) fn with(self, flags: u64, are_set: bool) -> Self {
        Self(if are_set { self.0 | flags } else { self.0 & !flags })
    }

    /// True where the thread allocates block by block from a heap of its tag that other threads have.
    #[inline(always)]
    pub(super) fn shares(self) -> bool {
        self.0 & Self::SHARES != 0
    }

    /// The tag of what the thread allocates, or 0.
    #[inline(always)]
    pub(super) fn tag(self) -> u8 {
        (self.0 >> TAG & MAX_TAG) as u8
    }

    /// The same thread under another tag.
    pub(super) fn under_tag(self, tag: u8, shares: bool) -> Self {
        Self(self.0 & !(MAX_TAG << TAG) | u64::from(tag) << TAG).with(Self::SHARES, shares)
    }

    /// The scope that says where allocations go: its number, or 0 outside of scopes.
    fn scope(self) -> u64 {
        self.0 >> SCOPE & MAX_SCOPE
    }

    /// The number of the scope that was entered last.
    fn last(self) -> u64 {
        self.0 >> LAST & MAX_SCOPE
    }

    /// How many scopes were entered and not dropped, up to [`MANY_SCOPES`].
    fn scopes(self) -> u64 {
        self.0 >> SCOPES & MANY_SCOPES
    }

    fn with_scopes(self, scopes: u64) -> Self {
        Self(self.0 & !(MANY_SCOPES << SCOPES) | scopes << SCOPES)
    }

    /// The same thread in another scope.
    fn in_scope(self, scope: u64, is_static: bool) -> Self {
        Self(self.0 & !(MAX_SCOPE << SCOPE) | scope << SCOPE).with(Self::STATIC, is_static)
    }

    /// The same thread in a scope that is new.
    fn in_new_scope(self, is_static: bool) -> Self {
        let number = if self.last() == MAX_SCOPE { 1 } else { self.last() + 1 };
        Self(self.0 & !(MAX_SCOPE << LAST) | number << LAST)
            .in_scope(number, is_static)
            .with_scopes((self.scopes() + 1).min(MANY_SCOPES))
    }

    /// The same thread when the scope of this number is dropped, outside of which it was as `outer` says.
    fn after_scope(self, number: u64, outer: Self) -> Self {
        let left = match self.scopes() {
            MANY_SCOPES => MANY_SCOPES,
            scopes => scopes.saturating_sub(1),
        };
        let now = self.with_scopes(left);
        if left == 0 {
            // Whatever order they were dropped in.
            now.in_scope(0, false)
        } else if self.scope() >= number {
            now.in_scope(outer.scope(), outer.is_static())
        } else {
            // A scope that was entered earlier and ended before this one has ended this one, too.
            now
        }
    }
}

const _: () = assert!(Routing::ASIDE < 1 << TAG && TAG + 7 == SCOPE && SCOPE + 20 == LAST);
const _: () = assert!(LAST + 20 == SCOPES && SCOPES + 12 == 63);
const _: () = assert!(TAGS as u64 <= MAX_TAG);

/// True where the calling thread is in a static scope.
#[inline]
pub(super) fn is_static() -> bool {
    tls::routing().is_static()
}

/// The tops of the calling thread's magazines, at hand or set aside.
#[inline]
pub(super) fn tops<'a>(heap: &'a Heap, thread: &'a Borrower) -> &'a Tops {
    if tls::routing().is_aside() { heap.aside() } else { &thread.tops }
}

/// The thread is in no scope and under no tag any more, whatever scopes it has not left, and nobody watches it.
pub(super) fn end(heap: &Heap, thread: &Borrower) {
    let routing = tls::routing();
    if routing.is_aside() {
        heap.aside().move_to(&thread.tops);
    }
    tls::set_routing(routing.in_scope(0, false).under_tag(0, false).with(Routing::ASIDE, false));
}

/// Runs `hook` on behalf of those who watch the calling thread, unless it is in one: what the hook itself allocates is
/// not watched.
pub(super) fn in_hook(hook: impl FnOnce(Routing)) {
    let routing = tls::routing();
    if routing.is_watched_for(IN_HOOK) {
        return;
    }
    tls::set_routing(routing.with(IN_HOOK, true));
    hook(routing);
    tls::set_routing(tls::routing().with(IN_HOOK, false));
}

/// Routes the calling thread's allocations to `is_static` memory until dropped, or until the scope in which it was
/// entered ends.
pub(super) struct Scope {
    /// This scope's number.
    scope: u64,
    /// What the thread was routed to before.
    outer: Routing,
    /// Neither sent nor shared: it speaks of the thread that entered.
    _own_thread: PhantomData<*const ()>,
}

impl Scope {
    /// Copies a hundred addresses where the kind of memory changes, which takes some tens of nanoseconds; a few
    /// instructions where it does not.
    pub(super) fn enter(is_static: bool) -> Self {
        let outer = tls::routing();
        let inner = outer.in_new_scope(is_static);
        change(inner);
        Self { scope: inner.scope(), outer, _own_thread: PhantomData }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        change(tls::routing().after_scope(self.scope, self.outer));
    }
}

/// Routes the calling thread otherwise than it is.
pub(super) fn change(to: Routing) {
    if tls::routing().is_aside() != to.is_aside()
        && let Some((heap, thread)) = own()
    {
        // A signal handler that allocates now is served by the shared heap.
        let _busy = Busy::new(thread);
        if to.is_aside() {
            thread.tops.move_to(heap.aside());
        } else {
            heap.aside().move_to(&thread.tops);
        }
        tls::set_routing(to);
        #[cfg(feature = "profile")]
        samples::settle(thread);
    } else {
        tls::set_routing(to);
    }
}
