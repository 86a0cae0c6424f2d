//! Linux: `mmap`, `mremap`, `madvise`, POSIX threads' keys and fork handlers.
//!
//! A hint is given without `MAP_FIXED`: a kernel that cannot honour it chooses another place, and nothing is ever
//! replaced.

#[path = "linux_cancellation.rs"]
mod cancellation;
#[path = "linux_cgroup.rs"]
mod cgroup;

#[cfg(feature = "profile")]
#[path = "linux_fault.rs"]
mod fault;
#[cfg(feature = "hardened")]
#[path = "linux_hardened.rs"]
mod hardened;

#[path = "linux_huge.rs"]
mod huge;

#[path = "linux_io.rs"]
pub(crate) mod io;

#[cfg(feature = "profile")]
#[path = "linux_modules.rs"]
mod modules;

#[path = "linux_process.rs"]
mod process;

#[cfg(feature = "profile")]
#[path = "linux_room.rs"]
mod room;

#[path = "linux_signals.rs"]
mod signals;

#[cfg(feature = "profile")]
#[path = "linux_stacks.rs"]
mod stacks;

#[path = "linux_text.rs"]
mod text;

#[path = "linux_thread.rs"]
mod thread;

#[path = "linux_yield.rs"]
mod yielding;

pub(crate) use cgroup::cgroup_limit;
#[cfg(feature = "profile")]
pub(crate) use fault::on_fault;
#[cfg(feature = "hardened")]
pub(crate) use hardened::{by_residence, close, guard, open, random, unguard};
#[cfg(feature = "profile")]
pub(crate) use modules::modules_of;
#[cfg(feature = "profile")]
pub(crate) use room::Room;
#[cfg(feature = "profile")]
pub(crate) use stacks::{find_unwinder, is_readable, thread_id, unwind};
pub(crate) use thread::{end_process, name_thread, start_thread, thread_token, threads_without_first, wait, wake};
pub(crate) use yielding::yield_now;

use super::{EndOfWait, Platform, Process, Resized, SystemMemory};
use crate::sync::plain::{AtomicBool, AtomicUsize, Ordering};
use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};

/// The running system.
pub(crate) struct Native;

/// Puts `errno` back when dropped, so that a failing system call inside the allocator stays the allocator's own
/// business.
struct KeepErrno(c_int);

impl KeepErrno {
    fn new() -> Self {
        // SAFETY: the C library gives every thread an `errno`, valid for the thread's life.
        Self(unsafe { *libc::__errno_location() })
    }
}

impl Drop for KeepErrno {
    fn drop(&mut self) {
        // SAFETY: as in `new`; this is the same thread, since the guard is never sent anywhere.
        unsafe { *libc::__errno_location() = self.0 }
    }
}

fn mmap(address: usize, len: usize, protection: c_int, more_flags: c_int) -> Option<NonNull<u8>> {
    let _errno = KeepErrno::new();
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | more_flags;
    // SAFETY: an anonymous mapping that replaces nothing: `MAP_FIXED` is not among the flags that callers pass.
    let start = unsafe { libc::mmap(ptr::without_provenance_mut(address), len, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) }
}

/// Whether the process has a limit on its addresses, as [`Native::reserve`] has found: a filter of system calls may let
/// nobody ask later.
static HAS_FEW_ADDRESSES: AtomicBool = AtomicBool::new(false);

const WRITABLE: c_int = libc::PROT_READ | libc::PROT_WRITE;

impl Platform for Native {
    fn page_size(&self) -> usize {
        static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);
        match PAGE_SIZE.load(Ordering::Relaxed) {
            0 => {
                // SAFETY: `sysconf` with a name that every Linux knows.
                let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
                PAGE_SIZE.store(size, Ordering::Relaxed);
                size
            }
            size => size,
        }
    }

    fn map(&self, hint: usize, len: usize) -> Option<NonNull<u8>> {
        mmap(hint, len, WRITABLE, 0)
    }

    fn map_exactly(&self, address: usize, len: usize) -> Option<NonNull<u8>> {
        let start = mmap(address, len, WRITABLE, libc::MAP_FIXED_NOREPLACE)?;
        if start.addr().get() == address {
            return Some(start);
        }
        // A kernel older than `MAP_FIXED_NOREPLACE` took the address for a hint.
        // SAFETY: mapped just above, and nobody has seen it.
        unsafe { self.unmap(start, len) };
        None
    }

    fn has_few_addresses(&self) -> bool {
        HAS_FEW_ADDRESSES.load(Ordering::Relaxed)
    }

    fn reserve(&self, len: usize) -> Option<NonNull<u8>> {
        let most = process::most_addresses();
        HAS_FEW_ADDRESSES.store(most < libc::RLIM_INFINITY, Ordering::Relaxed);
        let fits = len as u64 <= most / 4;
        fits.then(|| mmap(0, len, libc::PROT_READ, libc::MAP_NORESERVE)).flatten()
    }

    unsafe fn commit(&self, start: NonNull<u8>, len: usize) -> bool {
        let _errno = KeepErrno::new();
        // SAFETY: the caller's reservation, which holds only zeros until now.
        unsafe { libc::mprotect(start.as_ptr().cast(), len, WRITABLE) == 0 }
    }

    unsafe fn unmap(&self, start: NonNull<u8>, len: usize) -> bool {
        let _errno = KeepErrno::new();
        // SAFETY: the caller vouches that nobody uses the range.
        unsafe { libc::munmap(start.as_ptr().cast(), len) == 0 }
    }

    unsafe fn purge(&self, start: NonNull<u8>, len: usize) -> bool {
        let _errno = KeepErrno::new();
        // SAFETY: the caller needs nothing that the range holds. A private anonymous range reads as zero afterwards.
        unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_DONTNEED) == 0 }
    }

    unsafe fn prefer_huge_pages(&self, start: NonNull<u8>, len: usize) {
        let _errno = KeepErrno::new();
        // SAFETY: the caller's own mapping, whose contents are not changed. Where huge pages are unknown or forbidden,
        // nothing happens.
        unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
    }

    unsafe fn join_pages(&self, start: NonNull<u8>, len: usize) -> bool {
        /// Linux 6.1.
        const MADV_COLLAPSE: c_int = 25;
        let _errno = KeepErrno::new();
        // SAFETY: the caller's own mapping, whose contents are not changed. Kernels that do not know the word refuse
        // it.
        huge::are_allowed() && unsafe { libc::madvise(start.as_ptr().cast(), len, MADV_COLLAPSE) == 0 }
    }

    unsafe fn resident_pages(&self, start: NonNull<u8>, len: usize) -> usize {
        /// Pages for which there is room at a time.
        const PAGES: usize = 512;
        let _errno = KeepErrno::new();
        let part = PAGES * self.page_size();
        let mut states = [0u8; PAGES];
        let resident_in = |at: usize| {
            let part = part.min(len - at);
            let pages = part / self.page_size();
            // SAFETY: inside the caller's own mapping; writes one byte for each page, of which there are no more than
            // there is room for.
            let is_told =
                unsafe { libc::mincore(start.as_ptr().wrapping_add(at).cast(), part, states.as_mut_ptr()) == 0 };
            if is_told { states[..pages].iter().filter(|&&state| state & 1 == 1).count() } else { 0 }
        };
        (0..len).step_by(part).map(resident_in).sum()
    }

    unsafe fn refuse_huge_pages(&self, start: NonNull<u8>, len: usize) {
        let _errno = KeepErrno::new();
        // SAFETY: as above.
        unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_NOHUGEPAGE) };
    }

    unsafe fn protect(&self, start: NonNull<u8>, len: usize) -> bool {
        let _errno = KeepErrno::new();
        // SAFETY: the caller vouches that nobody writes to the range.
        unsafe { libc::mprotect(start.as_ptr().cast(), len, libc::PROT_READ) == 0 }
    }

    #[cfg(feature = "profile")]
    unsafe fn forbid(&self, start: NonNull<u8>, len: usize) -> bool {
        let _errno = KeepErrno::new();
        // SAFETY: the caller's own mapping, whose users are to fault.
        unsafe { libc::mprotect(start.as_ptr().cast(), len, libc::PROT_NONE) == 0 }
    }

    #[cfg(feature = "profile")]
    unsafe fn permit(&self, start: NonNull<u8>, len: usize) -> bool {
        let _errno = KeepErrno::new();
        // SAFETY: the caller's own mapping.
        unsafe { libc::mprotect(start.as_ptr().cast(), len, WRITABLE) == 0 }
    }

    unsafe fn resize(&self, start: NonNull<u8>, old_len: usize, new_len: usize) -> Resized {
        let _errno = KeepErrno::new();
        // SAFETY: the caller's own mapping; without `MREMAP_MAYMOVE` it stays where it is or is left alone.
        if unsafe { libc::mremap(start.as_ptr().cast(), old_len, new_len, 0) } != libc::MAP_FAILED {
            return Resized::Yes;
        }
        // Every kernel says so of what goes beyond the end of the mapping at its start.
        // SAFETY: as in `KeepErrno::new`.
        if unsafe { *libc::__errno_location() } == libc::EFAULT { Resized::Several } else { Resized::No }
    }

    unsafe fn relocate(&self, start: NonNull<u8>, old_len: usize, target: NonNull<u8>, new_len: usize) -> bool {
        let _errno = KeepErrno::new();
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let target: *mut c_void = target.as_ptr().cast();
        // SAFETY: both ranges are the caller's, who gives `target` up to be replaced.
        unsafe { libc::mremap(start.as_ptr().cast(), old_len, new_len, flags, target) != libc::MAP_FAILED }
    }

    fn now_ms(&self) -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a valid place for the answer. This clock is read without a system call and cannot fail.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
        time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
    }

    fn process(&self) -> Option<Process> {
        Some(process::process())
    }

    fn uptime_ms(&self) -> Option<u64> {
        process::uptime_ms()
    }

    fn memory(&self) -> Option<SystemMemory> {
        process::memory(self.page_size())
    }

    fn now_ns(&self) -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a valid place for the answer. This clock cannot fail, and is read without a system call where the
        // hardware allows it.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }

    fn page_faults(&self) -> u64 {
        // SAFETY: zeros are a valid `rusage`.
        let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
        // SAFETY: a valid place for the answer. Cannot fail for the process itself.
        unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
        usage.ru_minflt as u64
    }
}

/// Writes to standard error, as far as it can be written: one that nobody reads, or a file that may not grow, does not
/// end the process. Keeps `errno`.
pub(crate) fn write_stderr(mut bytes: &[u8]) {
    let has_failed = |has_failed: &bool| *has_failed;
    signals::without_write_signals_where(has_failed, || {
        while !bytes.is_empty() {
            // SAFETY: the buffer is valid for its length.
            let written = unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
            match usize::try_from(written) {
                Ok(count) if count > 0 => bytes = &bytes[count..],
                _ => return true,
            }
        }
        false
    });
}

/// Stops the process without unwinding.
pub(crate) fn abort() -> ! {
    // SAFETY: no preconditions.
    unsafe { libc::abort() }
}

/// The key whose destructor tells of a thread's end, plus one; 0 while there is none.
static EXIT_KEY: AtomicUsize = AtomicUsize::new(0);

/// Asks for `hook` to be called with `argument`, which is not null, when the calling thread ends; true where that will
/// happen.
///
/// False where the program has taken every key: then this thread's end goes unnoticed. Every call in a process passes
/// the same hook. May allocate.
pub(crate) fn on_thread_exit(hook: unsafe extern "C" fn(*mut c_void), argument: *const c_void) -> bool {
    let Some(key) = exit_key(hook) else { return false };
    // SAFETY: `key` was created by this process and is never deleted.
    unsafe { libc::pthread_setspecific(key, argument) == 0 }
}

fn exit_key(hook: unsafe extern "C" fn(*mut c_void)) -> Option<libc::pthread_key_t> {
    let known = EXIT_KEY.load(Ordering::Relaxed);
    if known != 0 {
        return Some((known - 1) as libc::pthread_key_t);
    }
    let mut key = 0;
    // SAFETY: a valid place for the key, and a destructor that takes the value set by `on_thread_exit`.
    if unsafe { libc::pthread_key_create(&mut key, Some(hook)) } != 0 {
        return None;
    }
    match EXIT_KEY.compare_exchange(0, key as usize + 1, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Some(key),
        Err(first) => {
            // Another thread was first: its key is everybody's.
            // SAFETY: created above, and no value was ever set under it.
            unsafe { libc::pthread_key_delete(key) };
            Some((first - 1) as libc::pthread_key_t)
        }
    }
}

/// Asks for `hook` to be called in the child after every `fork`. Nothing is asked of the parent. May allocate.
pub(crate) fn on_fork_in_child(hook: unsafe extern "C" fn()) -> bool {
    // SAFETY: the hook has no preconditions but to run in the child.
    unsafe { libc::pthread_atfork(None, None, Some(hook)) == 0 }
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_several_mappings_is_told_from_what_has_no_room() {
        let page = Native.page_size();
        let start = Native.map(0, 6 * page).unwrap();
        // SAFETY: the test's own mapping.
        unsafe {
            let behind = start.add(4 * page);
            assert_eq!(Native.resize(start, 2 * page, 3 * page), Resized::No, "the rest of it is there");
            assert!(Native.protect(behind, 2 * page));
            assert_eq!(Native.resize(start, 6 * page, 7 * page), Resized::Several);
            assert!(Native.unmap(behind, 2 * page));
            assert_eq!(Native.resize(start, 4 * page, 3 * page), Resized::Yes);
            assert!(Native.unmap(start, 3 * page));
        }
    }
}
