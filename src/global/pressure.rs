//! Pressure: what is done when a limit of memory is reached. Purge first, call the program next, fail last.
//!
//! Always on the slow path of the thread that needs memory, outside of all locks.

use super::{BACKEND, tls, upkeep};
use crate::os::{self, io, report};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use core::ffi::c_void;
use core::fmt::{self, Debug, Formatter};
use core::ptr;

/// How much memory may be committed, in bytes: what [`Stats::committed`](crate::Stats::committed) tells, without static
/// memory.
///
/// ```
/// use tenure::{Limit, Tenure};
///
/// let limit = Limit::hard(1 << 30).with_soft(900 << 20);
/// Tenure::new().set_limit(limit);
/// assert_eq!(Tenure::new().limit(), limit);
/// # Tenure::new().set_limit(Limit::NONE);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// At most `hard`, or `usize::MAX` for none.
    soft: usize,
    /// `usize::MAX` for none.
    hard: usize,
}

impl Limit {
    /// No limit.
    pub const NONE: Limit = Limit { soft: usize::MAX, hard: usize::MAX };

    /// A limit that is not exceeded: a request that would is met with null, after unused memory was given back and the
    /// program was called.
    pub const fn hard(bytes: usize) -> Self {
        Limit { hard: bytes, ..Limit::NONE }
    }

    /// A limit which, when it is passed, has unused memory given back at once, and the program called if that does not
    /// suffice: once, and not again before less than that was committed. Requests are met all the same.
    pub const fn soft(bytes: usize) -> Self {
        Limit { soft: bytes, ..Limit::NONE }
    }

    /// With a soft limit of so many bytes, too. One above the hard limit would never be passed, and is as if there was
    /// none: the result has no soft limit.
    ///
    /// ```
    /// use tenure::Limit;
    ///
    /// assert_eq!(Limit::hard(10).with_soft(20), Limit::hard(10));
    /// assert_eq!(Limit::hard(10).with_soft(20).soft_bytes(), None);
    /// ```
    pub const fn with_soft(self, bytes: usize) -> Self {
        Limit { soft: if bytes > self.hard { usize::MAX } else { bytes }, ..self }
    }

    /// What the control group of the process allows, of either version, or one of those that it lies in: a hard limit
    /// at 15/16 of it, which leaves the rest for stacks, code and what the system keeps for the process, and a soft
    /// limit at 7/8. `None` where none of them has a limit, or they cannot be read.
    ///
    /// Reads some files, without allocating. What the group allows later is not noticed.
    pub fn of_cgroup() -> Option<Self> {
        let bytes = os::cgroup_limit()?;
        Some(Self::hard(bytes / 16 * 15).with_soft(bytes / 8 * 7))
    }

    /// The soft limit, if there is one.
    pub const fn soft_bytes(self) -> Option<usize> {
        if self.soft == usize::MAX { None } else { Some(self.soft) }
    }

    /// The hard limit, if there is one.
    pub const fn hard_bytes(self) -> Option<usize> {
        if self.hard == usize::MAX { None } else { Some(self.hard) }
    }
}

impl Debug for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit").field("soft", &self.soft_bytes()).field("hard", &self.hard_bytes()).finish()
    }
}

/// What a program is told when memory runs short. Bytes, unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pressure {
    /// Committed memory, after everything unused was given back.
    pub committed: usize,
    /// The limit that was reached; of a system that refuses memory, `committed`.
    pub limit: usize,
    /// True where a request fails unless memory is freed now.
    pub is_critical: bool,
}

/// What the program wants to be called, or null.
static CALLBACK: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// The threads that are in the callback. It is not entered again by one of them.
static CALLERS: [AtomicUsize; 16] = [const { AtomicUsize::new(0) }; 16];

/// When the soft limit may be seen to again, in milliseconds of the platform's clock.
static NEXT_RELIEF: AtomicU64 = AtomicU64::new(0);

/// Milliseconds between two purges because of the soft limit, at least: a program that stays at its limit is not to do
/// nothing else.
const RELIEF_EVERY: u64 = 100;

/// True where the hard limit is the environment's, and nobody has been told yet that it refuses memory.
static IS_TO_BE_TOLD: AtomicBool = AtomicBool::new(false);

pub(super) fn limit() -> Limit {
    let (soft, hard) = BACKEND.counters.limits.get();
    Limit { soft, hard }
}

pub(super) fn set_limit(limit: Limit) {
    BACKEND.counters.limits.set(limit.soft, limit.hard, BACKEND.counters.committed());
    NEXT_RELIEF.store(0, Ordering::Relaxed);
    IS_TO_BE_TOLD.store(false, Ordering::Relaxed);
}

/// As [`set_limit`], of a limit that the environment asks for: the first request that it refuses is told on standard
/// error, as the program may not know that there is a limit, and end without a word of it.
pub(crate) fn set_limit_of_environment(limit: Limit) {
    set_limit(limit);
    IS_TO_BE_TOLD.store(limit.hard_bytes().is_some(), Ordering::Relaxed);
}

pub(super) fn set_callback(callback: Option<fn(Pressure)>) {
    let place = callback.map_or(ptr::null_mut(), |callback| callback as *mut c_void);
    // Release: pairs with the Acquire in `call`, for what the program has made ready for its function.
    CALLBACK.store(place, Ordering::Release);
}

/// In a forked child: no other thread is in the callback.
pub(super) fn forget() {
    let mine = os::thread_token();
    for caller in &CALLERS {
        if caller.load(Ordering::Relaxed) != mine {
            caller.store(0, Ordering::Relaxed);
        }
    }
}

/// The soft limit was passed: gives back what is unused, and calls the program if that is not enough.
#[cold]
#[inline(never)]
pub(super) fn relieve() {
    let now = BACKEND.os.now_ms();
    let next = NEXT_RELIEF.load(Ordering::Relaxed);
    if now < next
        || NEXT_RELIEF.compare_exchange(next, now + RELIEF_EVERY, Ordering::Relaxed, Ordering::Relaxed).is_err()
        || !BACKEND.counters.limits.take_passed()
    {
        return;
    }
    upkeep::purge();
    let Limit { soft, .. } = limit();
    let committed = BACKEND.counters.committed();
    if committed > soft {
        call(Pressure { committed, limit: soft, is_critical: false });
    }
}

/// A request would fail, and everything unused was given back: calls the program. True where that may have helped.
#[cold]
#[inline(never)]
pub(super) fn is_relieved() -> bool {
    let (committed, Limit { hard, .. }) = (BACKEND.counters.committed(), limit());
    call(Pressure { committed, limit: hard.min(committed), is_critical: true })
}

/// A request fails. Says so, once, where that is because of a hard limit that the environment has asked for.
#[cold]
#[inline(never)]
pub(super) fn tell_of_refusal() {
    let Some(refused) = BACKEND.counters.limits.refused() else { return };
    if IS_TO_BE_TOLD.load(Ordering::Relaxed) && IS_TO_BE_TOLD.swap(false, Ordering::Relaxed) {
        let (committed, Limit { hard, .. }) = (BACKEND.counters.committed(), limit());
        // A standard error that nobody reads ends no program that can do without the memory.
        io::without_write_signals(|| {
            report::complain(format_args!(
                "TENURE_LIMIT: the hard limit of {hard} bytes refuses {refused} bytes more, beside {committed} that \
                 are committed; the allocation fails, and nothing is said of later ones"
            ));
        });
    }
}

/// Calls the program, unless this thread is in its function already; true where it was called.
fn call(pressure: Pressure) -> bool {
    // Acquire: pairs with the Release in `set_callback`.
    let callback = CALLBACK.load(Ordering::Acquire);
    let mine = os::thread_token();
    // A signal handler may have interrupted a slow path, which holds a lock.
    if callback.is_null()
        || tls::current().is_busy.get()
        || CALLERS.iter().any(|caller| caller.load(Ordering::Relaxed) == mine)
    {
        return false;
    }
    let enter = |caller: &&AtomicUsize| caller.compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    let Some(place) = CALLERS.iter().find(enter) else { return false };
    // SAFETY: `set_callback` has stored nothing but functions of this type.
    let callback = unsafe { core::mem::transmute::<*mut c_void, fn(Pressure)>(callback) };
    guarded(&mut (callback, pressure));
    place.store(0, Ordering::Relaxed);
    true
}

/// Calls the program's function. A panic there would unwind through the allocator and whatever has called that; here it
/// ends the process.
extern "C" fn guarded((callback, pressure): &mut (fn(Pressure), Pressure)) {
    callback(*pressure);
}
