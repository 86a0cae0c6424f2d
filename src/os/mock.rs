//! Mock: a platform for tests. The native one, with calls that fail on demand, a clock and a page size set by hand, and
//! an account of what is mapped.
//!
//! It panics on every call that the contract of [`Platform`] forbids. Each mock accounts for its own calls alone, so
//! what the process maps besides does not matter.

mod account;
mod faults;
pub(crate) mod random;

pub(crate) use faults::Call;

use super::{Native, Platform, Process, Resized, SystemMemory};
use crate::align;
use account::{Account, Use};
use core::ptr::NonNull;
use faults::Faults;
use std::boxed::Box;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a test has asked to happen inside a call.
type Hook = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    account: Account,
    faults: Faults,
    hook: Option<(Call, Hook)>,
    now: u64,
    now_ns: u64,
    tick_ns: u64,
    page_faults: u64,
    huge_pages: usize,
    refused: usize,
    joined: usize,
    looks: usize,
    has_few_addresses: bool,
}

/// A system of a test's own.
pub(crate) struct Mock {
    state: Mutex<State>,
    page_size: usize,
}

impl Mock {
    /// A system with pages of `page_size` bytes, a multiple of the native one's, on which nothing fails. Lives for
    /// good, as a platform does.
    pub(crate) fn with_page_size(page_size: usize) -> &'static Self {
        assert!(page_size.is_power_of_two() && page_size >= Native.page_size());
        Box::leak(Box::new(Self { state: Mutex::default(), page_size }))
    }

    /// A system with the native page size.
    pub(crate) fn new() -> &'static Self {
        Self::with_page_size(Native.page_size())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes calls fail: of the kind `call`, or of every kind, the `first` from now on, counted from 1, to the `last`.
    pub(crate) fn fail(&self, call: Option<Call>, first: usize, last: usize) {
        self.state().faults.add(call, first, last);
    }

    /// Makes the `nth` call of the kind `call`, or of any kind, fail.
    pub(crate) fn fail_nth(&self, call: Option<Call>, nth: usize) {
        self.fail(call, nth, nth);
    }

    /// Makes every call of the kind `call`, or of any kind, fail from the `first` on.
    pub(crate) fn fail_from(&self, call: Option<Call>, first: usize) {
        self.fail(call, first, usize::MAX);
    }

    /// From now on the process may not have as many addresses as it likes.
    pub(crate) fn limit_addresses(&self) {
        self.state().has_few_addresses = true;
    }

    /// From now on nothing fails.
    pub(crate) fn succeed(&self) {
        self.state().faults.clear();
    }

    /// Number of calls that were made to fail so far.
    pub(crate) fn failures(&self) -> usize {
        self.state().faults.failures()
    }

    /// Number of calls of the kind `call`, or of all kinds, so far.
    pub(crate) fn calls(&self, call: Option<Call>) -> usize {
        self.state().faults.calls(call)
    }

    /// Runs `hook` inside the next call of the kind `call`: while the caller holds whatever locks it holds then.
    pub(crate) fn during_next(&self, call: Call, hook: impl FnOnce() + Send + 'static) {
        self.state().hook = Some((call, Box::new(hook)));
    }

    /// Sets the clock.
    pub(crate) fn set_now(&self, now: u64) {
        self.state().now = now;
    }

    /// Has so many nanoseconds pass between two looks at the precise clock, which stands still otherwise.
    pub(crate) fn set_tick_ns(&self, tick_ns: u64) {
        self.state().tick_ns = tick_ns;
    }

    /// Sets the number of page faults, which is 0 otherwise.
    pub(crate) fn set_page_faults(&self, page_faults: u64) {
        self.state().page_faults = page_faults;
    }

    /// Bytes for which huge pages were asked for so far.
    pub(crate) fn huge_pages(&self) -> usize {
        self.state().huge_pages
    }

    /// Bytes for which huge pages were refused so far.
    pub(crate) fn refused(&self) -> usize {
        self.state().refused
    }

    /// Bytes whose pages were joined so far; the mock says that they are, and leaves them as they were.
    pub(crate) fn joined(&self) -> usize {
        self.state().joined
    }

    /// How often somebody asked which pages are resident.
    pub(crate) fn looks(&self) -> usize {
        self.state().looks
    }

    /// Bytes that are mapped or reserved.
    pub(crate) fn mapped(&self) -> usize {
        self.state().account.bytes()
    }

    /// Bytes whose unmapping was made to fail, all added up: what the caller may have had to leave behind.
    pub(crate) fn forsaken(&self) -> usize {
        self.state().account.forsaken
    }

    /// Gives everything back that is mapped still.
    ///
    /// # Safety
    /// - Nobody uses what this system has mapped any more.
    pub(crate) unsafe fn give_all_back(&self) {
        let mut state = self.state();
        for (start, len) in state.account.take_all() {
            // SAFETY: mapped by this system, and the caller says that nobody uses it.
            assert!(unsafe { Native.unmap(start, len) });
        }
    }

    /// Counts a call. Returns the state, and whether the call is to fail.
    fn enter(&self, call: Call) -> (MutexGuard<'_, State>, bool) {
        let mut state = self.state();
        if state.hook.as_ref().is_some_and(|&(wanted, _)| wanted == call)
            && let Some((_, hook)) = state.hook.take()
        {
            drop(state);
            hook();
            state = self.state();
        }
        let fails = state.faults.count(call);
        (state, fails)
    }

    fn assert_pages(&self, start: usize, len: usize) {
        assert!(len > 0, "an empty range at {start:#x}");
        assert!(align::is_aligned(start, self.page_size), "{start:#x} is no page's start");
        assert!(align::is_aligned(len, self.page_size), "{len:#x} bytes are no whole pages");
    }

    /// What `map` maps, at a multiple of the page size. `map` is told where, or 0, and how much.
    fn place(&self, hint: usize, len: usize, map: impl Fn(usize, usize) -> Option<NonNull<u8>>) -> Option<NonNull<u8>> {
        let start = map(hint, len)?;
        if align::is_aligned(start.addr().get(), self.page_size) {
            return Some(start);
        }
        give_back(start.as_ptr(), len);
        let whole = map(0, len + self.page_size)?.as_ptr();
        let before = align::up(whole.addr(), self.page_size) - whole.addr();
        let start = whole.wrapping_add(before);
        give_back(whole, before);
        give_back(start.wrapping_add(len), self.page_size - before);
        NonNull::new(start)
    }
}

/// Unmaps what was just mapped, of which nobody else knows yet.
fn give_back(start: *mut u8, len: usize) {
    if let Some(start) = NonNull::new(start).filter(|_| len > 0) {
        // SAFETY: mapped by the caller a moment ago, and nobody else has seen it.
        assert!(unsafe { Native.unmap(start, len) });
    }
}

impl Platform for Mock {
    fn page_size(&self) -> usize {
        self.page_size
    }

    fn map(&self, hint: usize, len: usize) -> Option<NonNull<u8>> {
        self.assert_pages(hint, self.page_size);
        assert!(len > 0, "nothing to map");
        let (mut state, fails) = self.enter(Call::Map);
        if fails {
            return None;
        }
        let len = align::checked_up(len, self.page_size)?;
        let start = self.place(hint, len, |hint, len| Native.map(hint, len))?;
        state.account.add(start, len, Use::Mapping);
        Some(start)
    }

    fn map_exactly(&self, address: usize, len: usize) -> Option<NonNull<u8>> {
        self.assert_pages(address, len);
        let (mut state, fails) = self.enter(Call::MapExactly);
        if fails {
            return None;
        }
        let start = Native.map_exactly(address, len)?;
        assert_eq!(start.addr().get(), address);
        state.account.add(start, len, Use::Mapping);
        Some(start)
    }

    fn has_few_addresses(&self) -> bool {
        self.state().has_few_addresses
    }

    fn reserve(&self, len: usize) -> Option<NonNull<u8>> {
        assert!(len > 0, "nothing to reserve");
        let (mut state, fails) = self.enter(Call::Reserve);
        if fails {
            return None;
        }
        let len = align::checked_up(len, self.page_size)?;
        let start = self.place(0, len, |_, len| Native.reserve(len))?;
        state.account.add(start, len, Use::Reservation);
        Some(start)
    }

    unsafe fn commit(&self, start: NonNull<u8>, len: usize) -> bool {
        self.assert_pages(start.addr().get(), len);
        let (state, fails) = self.enter(Call::Commit);
        state.account.assert_holds(start, len, Some(Use::Reservation));
        // SAFETY: passed on.
        !fails && unsafe { Native.commit(start, len) }
    }

    unsafe fn unmap(&self, start: NonNull<u8>, len: usize) -> bool {
        self.assert_pages(start.addr().get(), len);
        let (mut state, fails) = self.enter(Call::Unmap);
        state.account.assert_holds(start, len, None);
        if fails {
            state.account.forsaken += len;
            return false;
        }
        state.account.remove(start, len);
        // SAFETY: passed on.
        unsafe { Native.unmap(start, len) }
    }

    unsafe fn purge(&self, start: NonNull<u8>, len: usize) -> bool {
        self.assert_pages(start.addr().get(), len);
        let (state, fails) = self.enter(Call::Purge);
        state.account.assert_holds(start, len, Some(Use::Mapping));
        // SAFETY: passed on.
        !fails && unsafe { Native.purge(start, len) }
    }

    unsafe fn prefer_huge_pages(&self, start: NonNull<u8>, len: usize) {
        self.assert_pages(start.addr().get(), len);
        let mut state = self.state();
        state.account.assert_holds(start, len, Some(Use::Mapping));
        state.account.part(start, len);
        state.huge_pages += len;
    }

    unsafe fn join_pages(&self, start: NonNull<u8>, len: usize) -> bool {
        self.assert_pages(start.addr().get(), len);
        let mut state = self.state();
        state.account.assert_holds(start, len, Some(Use::Mapping));
        state.joined += len;
        true
    }

    unsafe fn resident_pages(&self, start: NonNull<u8>, len: usize) -> usize {
        self.assert_pages(start.addr().get(), len);
        let mut state = self.state();
        state.account.assert_holds(start, len, Some(Use::Mapping));
        state.looks += 1;
        // SAFETY: passed on.
        unsafe { Native.resident_pages(start, len) / (self.page_size() / Native.page_size()) }
    }

    unsafe fn refuse_huge_pages(&self, start: NonNull<u8>, len: usize) {
        self.assert_pages(start.addr().get(), len);
        let mut state = self.state();
        state.account.assert_holds(start, len, Some(Use::Mapping));
        state.account.part(start, len);
        state.refused += len;
    }

    unsafe fn protect(&self, start: NonNull<u8>, len: usize) -> bool {
        self.assert_pages(start.addr().get(), len);
        let (state, fails) = self.enter(Call::Protect);
        state.account.assert_holds(start, len, Some(Use::Mapping));
        // SAFETY: passed on.
        !fails && unsafe { Native.protect(start, len) }
    }

    #[cfg(feature = "profile")]
    unsafe fn forbid(&self, start: NonNull<u8>, len: usize) -> bool {
        self.assert_pages(start.addr().get(), len);
        let (state, fails) = self.enter(Call::Forbid);
        state.account.assert_holds(start, len, Some(Use::Mapping));
        // SAFETY: passed on.
        !fails && unsafe { Native.forbid(start, len) }
    }

    #[cfg(feature = "profile")]
    unsafe fn permit(&self, start: NonNull<u8>, len: usize) -> bool {
        self.assert_pages(start.addr().get(), len);
        let (state, fails) = self.enter(Call::Permit);
        state.account.assert_holds(start, len, Some(Use::Mapping));
        // SAFETY: passed on.
        !fails && unsafe { Native.permit(start, len) }
    }

    unsafe fn resize(&self, start: NonNull<u8>, old_len: usize, new_len: usize) -> Resized {
        self.assert_pages(start.addr().get(), old_len);
        self.assert_pages(start.addr().get(), new_len);
        let (mut state, fails) = self.enter(Call::Resize);
        state.account.assert_holds(start, old_len, Some(Use::Mapping));
        if fails {
            return Resized::No;
        }
        if !state.account.is_one(start, old_len) {
            return Resized::Several;
        }
        // SAFETY: passed on.
        let resized = unsafe { Native.resize(start, old_len, new_len) };
        if resized == Resized::Yes {
            state.account.remove(start, old_len);
            state.account.add(start, new_len, Use::Mapping);
        }
        resized
    }

    unsafe fn relocate(&self, start: NonNull<u8>, old_len: usize, target: NonNull<u8>, new_len: usize) -> bool {
        self.assert_pages(start.addr().get(), old_len);
        self.assert_pages(target.addr().get(), new_len);
        let (mut state, fails) = self.enter(Call::Relocate);
        state.account.assert_holds(start, old_len, Some(Use::Mapping));
        state.account.assert_holds(target, new_len, Some(Use::Mapping));
        let is_apart =
            start.addr().get() + old_len <= target.addr().get() || target.addr().get() + new_len <= start.addr().get();
        assert!(is_apart, "a move from {start:p} to {target:p}, which overlap");
        state.account.remove(target, new_len);
        if fails || !state.account.is_one(start, old_len) {
            // The worst that the contract allows: the target is gone.
            // SAFETY: the caller has given the target up.
            assert!(unsafe { Native.unmap(target, new_len) });
            return false;
        }
        // SAFETY: passed on.
        let is_moved = unsafe { Native.relocate(start, old_len, target, new_len) };
        assert!(is_moved, "the system itself refuses to move {start:p}");
        state.account.remove(start, old_len);
        state.account.add(target, new_len, Use::Mapping);
        true
    }

    fn now_ms(&self) -> u64 {
        self.state().now
    }

    fn process(&self) -> Option<Process> {
        Native.process()
    }

    fn uptime_ms(&self) -> Option<u64> {
        Some(self.state().now)
    }

    fn memory(&self) -> Option<SystemMemory> {
        Native.memory()
    }

    fn now_ns(&self) -> u64 {
        let mut state = self.state();
        state.now_ns += state.tick_ns;
        state.now_ns
    }

    fn page_faults(&self) -> u64 {
        self.state().page_faults
    }
}
