//! The process's allocator: [`Tenure`], its statics, and the fast paths.

#[cfg(all(feature = "std", not(tenure_bare_metal)))]
mod budget;
mod exact;
#[cfg(feature = "profile")]
pub mod guard;
#[cfg(feature = "hardened")]
mod hardened;
mod large;
mod misuse;
pub(crate) mod own_thread;
pub(crate) mod pressure;
#[cfg(feature = "profile")]
pub mod profile;
mod purger;
mod region;
mod request;
mod resize;
mod routing;
#[cfg(feature = "profile")]
mod samples;
mod scope;
mod slow;
mod static_memory;
mod tag;
mod thread;
mod upkeep;
mod watch;

// The interfaces, of which a hardened build has its own.
#[cfg_attr(feature = "hardened", path = "hardened/typed.rs")]
mod typed;
#[cfg_attr(feature = "hardened", path = "hardened/untyped.rs")]
mod untyped;

#[cfg_attr(feature = "std", path = "tls_std.rs")]
#[cfg_attr(all(not(feature = "std"), any(unix, windows), not(tenure_bare_metal)), path = "tls_asm.rs")]
#[cfg_attr(all(not(feature = "std"), any(not(any(unix, windows)), tenure_bare_metal)), path = "tls_none.rs")]
mod tls;

#[cfg(all(feature = "std", not(tenure_bare_metal)))]
pub use budget::{assert_allocs, assert_no_alloc};
pub use pressure::{Limit, Pressure};
pub use region::{ProcessDelta, ProcessRegion, Region, ThreadDelta, ThreadRegion};
pub use scope::{DynamicScope, RoutedFuture, StaticScope, dynamic_scope, static_scope};
pub use static_memory::{WhenFull, seal, seal_read_only};
pub use tag::{TaggedFuture, tagged};

use crate::os::Native;
use crate::region::Region as StaticRegion;
use crate::registry::Registry;
use crate::segment::Backend;
use crate::stats::Stats;
use crate::sync::Ordering;
use core::ptr::NonNull;
use core::time::Duration;
use static_memory::Settings;

/// Where the process's memory comes from.
static BACKEND: Backend = Backend::new(&Native);

/// The process's heaps.
static REGISTRY: Registry = Registry::new();

/// The process's static memory, which scopes fill.
static REGION: StaticRegion = StaticRegion::new();

/// The allocator, to be made a program's own:
///
/// ```
/// #[global_allocator]
/// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
///
/// let words = vec!["static", "dynamic"];
/// assert_eq!(words.len(), 2);
/// assert!(GLOBAL.stats().live_bytes() > 0);
/// ```
///
/// All values of this type are the same allocator: it has a process's memory, not its own.
///
/// Allocation and free of a block up to 32 KiB are a handful of instructions on memory of the calling thread alone.
/// Neither ever panics or changes `errno`. A request that cannot be met gives null; a free of what is not a block in
/// use, where it is noticed, ends the process with one line on standard error.
#[derive(Debug, Clone, Copy)]
pub struct Tenure {
    static_memory: Settings,
}

impl Tenure {
    /// The allocator. Costs nothing. Its static memory grows from the system as scopes fill it.
    pub const fn new() -> Self {
        Self { static_memory: Settings::GROWS }
    }

    /// What memory is used for, now.
    ///
    /// Neither allocates nor stops other threads; what they do meanwhile may be counted or not. Reads the head of every
    /// segment: about 0.15 µs for each 2 MiB of heap.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::new();
        self.stats_into(&mut stats);
        stats
    }

    /// As [`Tenure::stats`], into what the caller has: a snapshot takes 11 KiB, and one that is returned may stand on
    /// the stack twice.
    ///
    /// ```
    /// let mut stats = Box::new(tenure::Stats::new());
    /// tenure::Tenure::new().stats_into(&mut stats);
    /// assert!(stats.is_balanced());
    /// ```
    pub fn stats_into(&self, stats: &mut Stats) {
        stats.fill(&BACKEND, &REGISTRY, &REGION);
    }

    /// Forgets the peaks of committed memory and of live bytes, so that [`Stats::peak_since_reset`] and
    /// [`Stats::peak_live_since_reset`] tell of what comes from now on. Costs some stores.
    ///
    /// What other threads commit and allocate at that very moment may be left out of the new peaks.
    ///
    /// ```
    /// #[global_allocator]
    /// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
    ///
    /// GLOBAL.reset_peak();
    /// let before = GLOBAL.stats().committed;
    /// drop(std::hint::black_box(vec![0u8; 8 << 20]));
    /// let stats = GLOBAL.stats();
    /// assert!(stats.peak_since_reset >= before + (8 << 20));
    /// ```
    pub fn reset_peak(&self) {
        BACKEND.counters.reset_peak();
    }

    /// Gives unused memory back to the system now: the calling thread's magazines, free slots of every heap, whichever
    /// thread has it, unused segments, and freed mappings. What is in magazines of other threads stays.
    ///
    /// Returns how many bytes that was, with what other threads have given back meanwhile. Takes a system call for each
    /// run of free 64 KiB slots, and waits for threads that are just refilling or flushing.
    pub fn purge(&self) -> usize {
        let before = BACKEND.counters.returned();
        upkeep::purge();
        BACKEND.counters.returned() - before
    }

    /// Limits committed memory from now on. What is committed already stays.
    ///
    /// A request that would exceed the hard limit is met as if the system had no memory: what is unused goes back,
    /// [`Tenure::on_pressure`]'s function is called, and then the request fails. Static memory is not counted, and the
    /// owner map, which is 64 KiB for each 64 GiB of addresses, is not refused. Costs an allocation nothing on the fast
    /// path; where there is a hard limit, each new slab, span and mapping takes an atomic operation more.
    pub fn set_limit(&self, limit: Limit) {
        pressure::set_limit(limit);
    }

    /// The limit of committed memory.
    pub fn limit(&self) -> Limit {
        pressure::limit()
    }

    /// Says what is to be called when memory runs short, or nothing: when a soft limit is passed, and before a request
    /// fails. Always after what is unused was given back.
    ///
    /// The function runs on the thread that needs memory, inside of its allocation but outside of all of the
    /// allocator's locks, and it may free and allocate. It may run on several threads at once; a thread that allocates
    /// inside of it does not enter it again, and gets null where it would. At a hard limit that is likely, and only
    /// what is prepared for it, as `Vec::try_reserve` is, is safe there: `Vec::push`, `Box::new`, `format!` and the
    /// like end the process when they are refused. What the thread holds while it allocates, such as a lock, the
    /// function must not wait for. If it panics, the process aborts.
    ///
    /// ```
    /// use std::sync::Mutex;
    ///
    /// static CACHE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    ///
    /// tenure::Tenure::new().on_pressure(Some(|_| {
    ///     if let Ok(mut cache) = CACHE.try_lock() {
    ///         cache.clear();
    ///     }
    /// }));
    /// ```
    pub fn on_pressure(&self, callback: Option<fn(Pressure)>) {
        pressure::set_callback(callback);
    }

    /// Starts a thread that gives unused memory back once the delay is over, also while the program does nothing: the
    /// *purger*. True where it runs, then or already; false where the system has no thread or no memory for it.
    ///
    /// Without it, threads do that on their way, and none does in a process that is idle. With it, no thread does. The
    /// purger looks for unused memory twice in each delay for as long as it finds some, and then ever more rarely, up
    /// to once in 64 seconds, until a thread comes by that allocates or frees. It takes no signals, keeps no process
    /// from ending, has 64 KiB for its stack, from the system, and runs until the process ends. A forked child has
    /// none, and may start one.
    ///
    /// ```
    /// assert!(tenure::Tenure::new().start_purger());
    /// ```
    pub fn start_purger(&self) -> bool {
        purger::start()
    }

    /// How long unused memory is kept before it goes back to the system: a second, unless [`Tenure::set_purge_delay`]
    /// has said otherwise.
    pub fn purge_delay(&self) -> Duration {
        Duration::from_millis(upkeep::PURGE_AFTER.load(Ordering::Relaxed))
    }

    /// Says how long unused memory is kept before it goes back to the system, in whole milliseconds, from the next time
    /// on that somebody looks. At most an hour; longer is taken as that.
    ///
    /// Memory that comes back costs a microsecond or two for each page, so a short delay saves memory and costs time.
    /// Unused memory is looked for twice in each delay, and by slow paths alone: with a delay of zero each of them
    /// looks that looks at the clock, which is every 65th of a thread.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let tenure = tenure::Tenure::new();
    /// tenure.set_purge_delay(Duration::from_secs(10));
    /// assert_eq!(tenure.purge_delay(), Duration::from_secs(10));
    /// ```
    pub fn set_purge_delay(&self, delay: Duration) {
        upkeep::set_purge_delay(delay.min(Duration::from_secs(3600)).as_millis() as u64);
    }
}

impl Default for Tenure {
    fn default() -> Self {
        Self::new()
    }
}

#[inline(always)]
fn into_raw(block: Option<NonNull<u8>>) -> *mut u8 {
    match block {
        Some(block) => block.as_ptr(),
        None => core::ptr::null_mut(),
    }
}
