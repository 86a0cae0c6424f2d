//! What hardening asks of Linux: pages that may not be touched, and random numbers.

use super::{KeepErrno, Platform};
use crate::sync::plain::{AtomicUsize, Ordering};
use core::ffi::c_int;
use core::ptr::NonNull;

/// Advice of Linux 6.13: pages that fault, without an entry of their own in the table of mappings.
const INSTALL: c_int = 102;
const REMOVE: c_int = 103;

/// How guards are made in this process: whoever makes the first one finds out.
static MEANS: AtomicUsize = AtomicUsize::new(UNKNOWN);
const UNKNOWN: usize = 0;
const ADVICE: usize = 1;
const PROTECTION: usize = 2;

/// Makes pages that hold nothing fault when they are touched; true on success. On failure nothing has changed.
///
/// # Safety
/// - `start..start + len` are whole pages that were mapped by this platform, and nobody uses them.
pub(crate) unsafe fn guard(start: NonNull<u8>, len: usize) -> bool {
    let _errno = KeepErrno::new();
    let start = start.as_ptr().cast();
    if MEANS.load(Ordering::Relaxed) != PROTECTION {
        // SAFETY: the caller's own pages, which nobody uses.
        if unsafe { libc::madvise(start, len, INSTALL) } == 0 {
            MEANS.store(ADVICE, Ordering::Relaxed);
            return true;
        }
        // What was made by advice is undone by advice, so there is one means for all guards.
        if MEANS.compare_exchange(UNKNOWN, PROTECTION, Ordering::Relaxed, Ordering::Relaxed) == Err(ADVICE) {
            return false;
        }
    }
    // SAFETY: as above.
    unsafe { libc::mprotect(start, len, libc::PROT_NONE) == 0 }
}

/// Makes pages usable again that may have been guarded; true on success, also where none of them was.
///
/// # Safety
/// - `start..start + len` are whole pages that were mapped by this platform, and are the caller's.
pub(crate) unsafe fn unguard(start: NonNull<u8>, len: usize) -> bool {
    let _errno = KeepErrno::new();
    let start = start.as_ptr().cast();
    match MEANS.load(Ordering::Relaxed) {
        // SAFETY: the caller's own pages.
        ADVICE => unsafe { libc::madvise(start, len, REMOVE) == 0 },
        // SAFETY: as above.
        PROTECTION => unsafe { libc::mprotect(start, len, libc::PROT_READ | libc::PROT_WRITE) == 0 },
        _ => true,
    }
}

/// Makes pages fault when they are touched, whatever they hold; true on success. On failure nothing has changed.
///
/// # Safety
/// - `start..start + len` are whole pages that were mapped by this platform, and nobody uses them.
pub(crate) unsafe fn close(start: NonNull<u8>, len: usize) -> bool {
    let _errno = KeepErrno::new();
    // SAFETY: the caller's own pages, which nobody uses.
    unsafe { libc::mprotect(start.as_ptr().cast(), len, libc::PROT_NONE) == 0 }
}

/// Makes pages usable again that may have been closed, with what they hold; true on success.
///
/// # Safety
/// - `start..start + len` are whole pages that were mapped by this platform, and are the caller's.
pub(crate) unsafe fn open(start: NonNull<u8>, len: usize) -> bool {
    let _errno = KeepErrno::new();
    // SAFETY: the caller's own pages.
    unsafe { libc::mprotect(start.as_ptr().cast(), len, libc::PROT_READ | libc::PROT_WRITE) == 0 }
}

/// Tells `each` of some pages, run by run, which are resident: of each run where it begins, from `start` on, how many
/// bytes it has, and whether its pages are resident. Those that are not read as zero, where nobody has written to them
/// since they were given back; or they are swapped out. Where the system does not tell, all of them may be resident.
///
/// # Safety
/// - `start..start + len` are whole pages that were mapped by this platform, none of them in a file.
pub(crate) unsafe fn by_residence(start: NonNull<u8>, len: usize, mut each: impl FnMut(usize, usize, bool)) {
    const AT_ONCE: usize = 512;
    let page_size = super::Native.page_size();
    let (mut states, mut done) = ([0_u8; AT_ONCE], 0);
    let _errno = KeepErrno::new();
    while done < len {
        let step = (len - done).min(AT_ONCE * page_size);
        // SAFETY: the caller's pages, and room for as many answers.
        if unsafe { libc::mincore(start.as_ptr().add(done).cast(), step, states.as_mut_ptr()) } != 0 {
            states.fill(1);
        }
        for run in states[..step / page_size].chunk_by(|one, next| one & 1 == next & 1) {
            each(done, run.len() * page_size, run[0] & 1 == 1);
            done += run.len() * page_size;
        }
    }
}

/// A number that nobody can guess where the system has such; one that differs from process to process otherwise. Never
/// waits, and never fails.
pub(crate) fn random() -> u64 {
    let _errno = KeepErrno::new();
    let mut number = 0_u64;
    // What the kernel has put down for each process, without a system call.
    // SAFETY: no preconditions.
    let given = unsafe { libc::getauxval(libc::AT_RANDOM) } as usize;
    if given != 0 {
        // SAFETY: 16 bytes are there, for the life of the process.
        number = unsafe { core::ptr::with_exposed_provenance::<u64>(given + 8).read_unaligned() };
    }
    let mut fresh = 0_u64;
    // A system call that is forbidden leaves zeros.
    // SAFETY: a valid place for the answer.
    unsafe { libc::syscall(libc::SYS_getrandom, &raw mut fresh, size_of::<u64>(), libc::GRND_NONBLOCK) };
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    let place = (&raw const time).addr() as u64;
    number.rotate_left(23) ^ fresh ^ (time.tv_nsec as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ place.rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::super::Native;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn pages_that_were_written_to_are_resident_and_those_beside_them_are_not() {
        const PAGES: usize = 1200;
        let page_size = Native.page_size();
        let start = Native.map(0, PAGES * page_size).unwrap();
        // Nor is one huge page to have them all.
        // SAFETY: the test's own mapping.
        unsafe { Native.refuse_huge_pages(start, PAGES * page_size) };
        let touched: Vec<usize> = (0..PAGES).filter(|page| page % 7 < 2 || (500..530).contains(page)).collect();
        for &page in &touched {
            // SAFETY: as above.
            unsafe { start.add(page * page_size).write_volatile(1) };
        }
        let mut is_resident = vec![];
        let note = |at: usize, len: usize, resident: bool| {
            assert!(at == is_resident.len() * page_size && len > 0);
            is_resident.extend(std::iter::repeat_n(resident, len / page_size));
        };
        // SAFETY: as above.
        unsafe { by_residence(start, PAGES * page_size, note) };
        let found: Vec<usize> = (0..is_resident.len()).filter(|&page| is_resident[page]).collect();
        assert_eq!((is_resident.len(), found), (PAGES, touched));
        // SAFETY: as above, which nobody uses any more.
        assert!(unsafe { Native.unmap(start, PAGES * page_size) });
    }
}
