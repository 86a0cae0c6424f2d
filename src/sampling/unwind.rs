//! Unwinding: who called, without a lock and without an allocation.
//!
//! Frame pointers are a chain through the stack, but in code that was built without them the register holds anything at
//! all. So nothing is believed: each step must lead up the stack, by no more than a frame may be long, to words that
//! the system says can be read.

use super::profile::Trail;
use super::rules::Rules;
use crate::os;
use core::ptr;

/// How stacks are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Unwinder {
    /// Along the frame pointers: some nanoseconds a frame. Needs a program that was built with them, in Rust with
    /// `-C force-frame-pointers=yes`; functions without are left out, and may end the walk.
    #[default]
    FramePointers,
    /// With the tables that serve exceptions, whatever the program was built from: some ten nanoseconds a frame on
    /// x86-64 where the place in its function was met before, and a microsecond where it was not. Needs glibc 2.35 or
    /// later.
    Tables,
}

/// Most bytes of a function's frame that are believed.
pub(super) const LONGEST_FRAME: usize = 1 << 20;

/// Least bytes of a page on any system.
const PAGE: usize = 4096;

/// What a frame pointer is a multiple of.
const ALIGN: usize = 16;

/// The calling functions, with the rules that are known.
pub(super) fn walk(unwinder: Unwinder, rules: &Rules<'_>, trail: &mut Trail) {
    match unwinder {
        Unwinder::FramePointers => walk_frame_pointers(frame_pointer(), trail),
        Unwinder::Tables => {
            if !rules.walk(trail) {
                trail.clear();
                walk_tables(trail);
            }
        }
    }
}

/// The calling functions, without rules.
pub(crate) fn walk_whole(unwinder: Unwinder, trail: &mut Trail) {
    match unwinder {
        Unwinder::FramePointers => walk_frame_pointers(frame_pointer(), trail),
        Unwinder::Tables => walk_tables(trail),
    }
}

/// The calling functions, by the system's unwinder, which reads the tables that serve exceptions.
pub(super) fn walk_tables(trail: &mut Trail) {
    let mut last = (0, 0);
    os::unwind(&mut |address, stack| {
        // The outermost function of some stacks is its own caller.
        let is_end = address == 0 || last == (address, stack);
        last = (address, stack);
        !is_end && trail.push(address)
    });
}

/// As [`walk`] along the frame pointers, of another place than this: from the frame at `frame`, all of which lies above
/// `below`.
pub(crate) fn walk_from(frame: usize, below: usize, trail: &mut Trail) {
    follow(frame, below, trail);
}

/// The register that holds the frame pointer, where there are frame pointers.
#[inline(always)]
fn frame_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("mov {}, rbp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    // SAFETY: reads a register.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("mov {}, x29", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        pointer = 0;
    }
    pointer
}

/// Follows the chain that starts at `frame`: there lies the caller's frame pointer, and above it the return address.
fn walk_frame_pointers(frame: usize, trail: &mut Trail) {
    let here = 0_u8;
    follow(frame, ptr::from_ref(&here).addr(), trail);
}

fn follow(mut frame: usize, mut below: usize, trail: &mut Trail) {
    let mut readable_page = 0;
    while frame > below && frame - below <= LONGEST_FRAME && frame.is_multiple_of(ALIGN) {
        // Both words are on one page, since the frame is at a multiple of their size.
        if frame / PAGE != readable_page && !os::is_readable(frame) {
            return;
        }
        readable_page = frame / PAGE;
        // SAFETY: the words can be read, as the system has said of their page just now, and lie on this thread's stack
        // or in whatever memory is above it, which nothing else is known of: so they are read as what another thread
        // may change.
        let [caller, address] = unsafe {
            let words = ptr::with_exposed_provenance::<usize>(frame);
            [words.read_volatile(), words.add(1).read_volatile()]
        };
        if address < PAGE || !trail.push(address) {
            return;
        }
        below = frame;
        frame = caller;
    }
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;
    use core::hint::black_box;
    use std::vec::Vec;

    fn walked(frame: usize) -> Vec<usize> {
        let mut trail = Trail::EMPTY;
        walk_frame_pointers(frame, &mut trail);
        trail.frames().to_vec()
    }

    /// Frames as a chain of calls leaves them: on the stack, above whatever is called from here.
    #[repr(align(16))]
    struct Frames([usize; 8]);

    #[test]
    fn a_chain_is_followed_to_its_end() {
        let mut frames = Frames([0; 8]);
        let start = ptr::from_mut(&mut frames).expose_provenance();
        frames.0 = [start + 32, 0x1111, 0, 0, start + 48, 0x2222, 0, 0x3333];
        black_box(&mut frames);
        assert_eq!(walked(start), [0x1111, 0x2222, 0x3333]);
    }

    #[test]
    fn what_cannot_be_a_frame_ends_the_walk_without_a_fault() {
        let mut frames = Frames([0; 8]);
        let start = ptr::from_mut(&mut frames).expose_provenance();
        // Downward, askew, far away, to nowhere, and to itself.
        for next in [start - 16, start + 8, start + 17, start + (1 << 30), 0, 16, usize::MAX - 15, start] {
            frames.0 = [next, 0x1111, 0, 0, 0, 0, 0, 0];
            black_box(&mut frames);
            assert_eq!(walked(start), [0x1111], "{next:#x}");
        }
        for start in [0, 1, 8, 16, start + 8, usize::MAX, 1 << 63] {
            assert!(walked(start).is_empty(), "{start:#x}");
        }
    }

    #[test]
    fn whatever_the_register_holds_the_walk_ends() {
        let here = ptr::from_ref(&0_u8).addr() & !15;
        for step in 0..LONGEST_FRAME / 4096 {
            walked(here + step * 4096);
        }
    }
}
