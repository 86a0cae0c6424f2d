//! The platform contract: what Tenure asks of an operating system.
//!
//! Memory calls and the clock go through the [`Platform`] trait, so that a test can make the n-th call fail or move
//! time. A dynamic call costs nothing beside a system call. Everything else is a free function that the one platform
//! file provides. To port Tenure, write that file; `docs/porting.md` has the list.

// `tenure_bare_metal` is for checks: it builds for the host as for a target without a system.
#[cfg(all(target_os = "linux", not(tenure_bare_metal)))]
#[path = "linux.rs"]
mod native;

#[cfg(any(target_os = "none", target_os = "unknown", tenure_bare_metal))]
#[path = "none.rs"]
mod native;

#[cfg(not(any(target_os = "linux", target_os = "none", target_os = "unknown")))]
compile_error!("this operating system has no platform file yet: docs/porting.md says what one must provide");

#[cfg(test)]
pub(crate) mod mock;

#[cfg(feature = "profile")]
mod frames;

pub(crate) mod report;

#[cfg(feature = "profile")]
mod rule;

#[cfg(all(
    feature = "profile",
    target_os = "linux",
    target_arch = "x86_64",
    target_pointer_width = "64",
    not(tenure_bare_metal)
))]
#[path = "linux_tables.rs"]
mod tables;

#[cfg(all(
    feature = "profile",
    not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64", not(tenure_bare_metal)))
))]
#[path = "none_tables.rs"]
mod tables;

#[cfg(all(feature = "std", not(tenure_bare_metal)))]
mod stack;

#[cfg(feature = "profile")]
pub(crate) use frames::{Modules, forget as forget_frames, write_frames};
#[cfg_attr(loom, allow(unused_imports, reason = "no model reports"))]
pub(crate) use native::io;
pub(crate) use native::{Native, abort, on_fork_in_child, on_thread_exit, write_stderr, yield_now};
#[cfg(feature = "profile")]
pub(crate) use native::{Room, find_unwinder, is_readable, on_fault, thread_id, unwind};
#[cfg(feature = "hardened")]
pub(crate) use native::{by_residence, close, guard, open, random, unguard};
#[cfg(feature = "profile")]
pub(crate) use rule::{Rule, Step};
#[cfg(all(feature = "std", not(tenure_bare_metal)))]
pub(crate) use stack::{capture_stack, module_of};
#[cfg(feature = "profile")]
pub(crate) use tables::{Module, registers};

pub(crate) use native::{
    cgroup_limit, end_process, name_thread, start_thread, thread_token, threads_without_first, wait, wake,
};

use crate::sync::plain::AtomicU32;
use core::ptr::NonNull;

/// Waits for so many milliseconds; false where the system does not let a thread wait so.
#[cfg_attr(not(feature = "profile"), allow(dead_code, reason = "a platform may do without"))]
pub(crate) fn sleep(milliseconds: u64) -> bool {
    static NEVER_CHANGED: AtomicU32 = AtomicU32::new(0);
    wait(&NEVER_CHANGED, 0, milliseconds) != EndOfWait::Never
}

/// An access to memory that may not be accessed so.
#[cfg(feature = "profile")]
pub(crate) struct Fault {
    pub(crate) address: usize,
    /// Whether it was a write, where that is known.
    pub(crate) is_write: Option<bool>,
    /// Where the instruction is; 0 where that is not known, as for the other two.
    pub(crate) code: usize,
    /// The frame pointer, if the register has one.
    pub(crate) frame: usize,
    /// The stack pointer.
    pub(crate) stack: usize,
}

/// Why a thread waits no longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EndOfWait {
    /// The word has changed.
    Change,
    /// The time is over, or nearly.
    Time,
    /// The system does not let the thread wait.
    Never,
}

/// Who the process is, and what time it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    /// Milliseconds since 1970 began, by the clock that people set.
    pub(crate) time_ms: u64,
}

/// What the system says that the process has: all of it, not the allocator's alone. Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SystemMemory {
    /// In main memory.
    pub(crate) resident: usize,
    /// The part of it that is of no file.
    pub(crate) anonymous: Option<usize>,
    /// The part of it that was given back, and is taken when it is needed elsewhere.
    pub(crate) lazily_freed: Option<usize>,
    /// In swap space.
    pub(crate) swapped: Option<usize>,
}

/// What came of an attempt to make a mapping longer or shorter where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Resized {
    Yes,
    /// There is no room, or no memory.
    No,
    /// For the system the memory is several mappings: nor can it be moved as one.
    Several,
}

/// The memory calls and the clock.
///
/// Every call keeps `errno`. Lengths and addresses are multiples of [`Platform::page_size`], except for lengths passed
/// to `map` and `reserve`, which the system rounds up itself.
pub(crate) trait Platform: Sync {
    /// Bytes per page, a power of two, read from the running system.
    fn page_size(&self) -> usize;

    /// Maps `len` bytes, readable, writable and zero, at address `hint` where that is free, else anywhere.
    fn map(&self, hint: usize, len: usize) -> Option<NonNull<u8>>;

    /// Maps `len` bytes, readable, writable and zero, at `address` or not at all. Never replaces what is there.
    fn map_exactly(&self, address: usize, len: usize) -> Option<NonNull<u8>>;

    /// True where the process may not have as many addresses as it likes, so that unused ones are to be given back; as
    /// far as was known at the first [`Platform::reserve`].
    fn has_few_addresses(&self) -> bool {
        false
    }

    /// Reserves `len` bytes that read as zero and cannot be written until they are committed. `None` also where these
    /// are more than a quarter of the addresses that the process may have: they are more use to the program.
    fn reserve(&self, len: usize) -> Option<NonNull<u8>>;

    /// Makes part of a reservation writable; true on success. May be repeated.
    ///
    /// # Safety
    /// - `start..start + len` lies in one reservation of this platform.
    unsafe fn commit(&self, start: NonNull<u8>, len: usize) -> bool;

    /// Gives memory and addresses back; true on success. On failure nothing has changed.
    ///
    /// # Safety
    /// - `start..start + len` was mapped by this platform and nobody uses it any more.
    unsafe fn unmap(&self, start: NonNull<u8>, len: usize) -> bool;

    /// Gives the memory back and keeps the addresses. True: the bytes now read as zero. False: they are as they were.
    ///
    /// # Safety
    /// - `start..start + len` was mapped by this platform and holds nothing that is needed.
    unsafe fn purge(&self, start: NonNull<u8>, len: usize) -> bool;

    /// Says that a mapping will be used densely, from its start to its end, so that the system may back it with huge
    /// pages. A hint: it may have no effect.
    ///
    /// # Safety
    /// - `start..start + len` was mapped by this platform.
    unsafe fn prefer_huge_pages(&self, start: NonNull<u8>, len: usize);

    /// Makes the small pages of a mapping huge ones, contents and all; what was not resident is, and reads as zero.
    /// False where the system does not, and nothing has changed.
    ///
    /// # Safety
    /// - `start..start + len` was mapped by this platform.
    unsafe fn join_pages(&self, start: NonNull<u8>, len: usize) -> bool;

    /// How many pages of a mapping are resident, as far as the system tells.
    ///
    /// # Safety
    /// - `start..start + len` was mapped by this platform.
    unsafe fn resident_pages(&self, start: NonNull<u8>, len: usize) -> usize;

    /// Says that a mapping is not to be backed by huge pages any more, neither now nor later. A hint: it may have no
    /// effect.
    ///
    /// # Safety
    /// - `start..start + len` was mapped by this platform.
    unsafe fn refuse_huge_pages(&self, start: NonNull<u8>, len: usize);

    /// Makes part of a mapping readable alone, for good: a write there faults from now on. True on success.
    ///
    /// # Safety
    /// - `start..start + len` was mapped by this platform, and nobody writes there any more.
    unsafe fn protect(&self, start: NonNull<u8>, len: usize) -> bool;

    /// Makes part of a mapping inaccessible: any access faults until it is permitted again. True on success; on failure
    /// nothing has changed. What the part holds stays.
    ///
    /// # Safety
    /// - `start..start + len` was mapped by this platform, and whoever uses it wants that to fault.
    #[cfg(feature = "profile")]
    unsafe fn forbid(&self, _start: NonNull<u8>, _len: usize) -> bool {
        false
    }

    /// Makes what was forbidden readable and writable again; true on success. On failure nothing has changed.
    ///
    /// # Safety
    /// - `start..start + len` was mapped by this platform.
    #[cfg(feature = "profile")]
    unsafe fn permit(&self, _start: NonNull<u8>, _len: usize) -> bool {
        false
    }

    /// Grows or shrinks a mapping where it stands, or else changes nothing. Memory that was mapped by several calls, or
    /// parts of which are to have huge pages and others not, may be several mappings.
    ///
    /// # Safety
    /// - `start..start + old_len` was mapped by this platform, and nobody uses what lies beyond `new_len`.
    unsafe fn resize(&self, start: NonNull<u8>, old_len: usize, new_len: usize) -> Resized;

    /// Moves a mapping's pages, without copying them, to `target`, and makes it `new_len` long; true on success. On
    /// failure nothing has changed at `start`, but `target` may be unmapped. Of memory that is several mappings, as for
    /// [`Platform::resize`], it may fail.
    ///
    /// # Safety
    /// - `start..start + old_len` was mapped by this platform.
    /// - `target..target + new_len` is mapped by the caller, who gives it up.
    unsafe fn relocate(&self, start: NonNull<u8>, old_len: usize, target: NonNull<u8>, new_len: usize) -> bool;

    /// Milliseconds since some fixed moment; never goes back. Cheap and coarse.
    fn now_ms(&self) -> u64;

    /// The process and the time, where there is such a thing. Cheap.
    fn process(&self) -> Option<Process> {
        None
    }

    /// Milliseconds since the process was made, by whatever means. Costs some microseconds.
    fn uptime_ms(&self) -> Option<u64> {
        None
    }

    /// What the system says that the process has. Slow: the system may look at every page's entry.
    fn memory(&self) -> Option<SystemMemory> {
        None
    }

    /// Nanoseconds since some fixed moment, as precise as is cheap. For hints alone: may always be 0.
    fn now_ns(&self) -> u64;

    /// Page faults of the process so far that brought memory. For hints alone: may always be 0.
    fn page_faults(&self) -> u64;
}
