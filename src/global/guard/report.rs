//! What is said of a guarded block that was misused: the kind of misuse, and the stacks.
//!
//! A fault is told of in a signal handler, on a stack of its own, and nothing here allocates or takes a lock.

use super::super::BACKEND;
use super::{pool, unwinder};
use crate::guarded::{Block, Deed, Pool, Wrong};
use crate::os::report::{complain, fatal_about, line};
use crate::os::{self, Fault, Room, write_frames};
use crate::sampling::{MAX_FRAMES, Trail, Unwinder, walk_from, walk_whole};
use crate::sync::{AtomicBool, Ordering};
use core::fmt::{self, Display, Formatter};
use core::ptr::NonNull;

/// True from when a fault is told of, which ends the process: from then on no page becomes accessible any more.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// Where a fault is told of.
static ROOM: Room = Room::new();

/// How long a thread whose fault comes second waits at most, so that the first is told of in peace, which ends the
/// process. Whoever reads standard error may be slow.
const PATIENCE_MS: u64 = 10_000;

pub(super) fn is_ending() -> bool {
    IS_ENDING.load(Ordering::Relaxed)
}

/// In a forked child: the fault is not its own.
pub(super) fn forget() {
    IS_ENDING.store(false, Ordering::Relaxed);
    os::forget_frames();
}

/// Waits until the process is ended, and not for ever.
fn wait_for_the_end() {
    const STEP_MS: u64 = 10;
    let begun = BACKEND.os.now_ms();
    while BACKEND.os.now_ms().saturating_sub(begun) < PATIENCE_MS {
        if !os::sleep(STEP_MS) {
            os::yield_now();
        }
    }
}

/// A block, and an address near it.
struct Near<'a>(&'a Block<'a>, usize);

impl Display for Near<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(block, address) = self;
        let offset = address.wrapping_sub(block.start) as isize;
        write!(f, "at offset {offset} of a guarded block of {} bytes at {:#x}", block.size, block.start)
    }
}

/// What kind of misuse an access to `address` was, which faulted and to which `block` is nearest.
fn kind(block: &Block<'_>, address: usize) -> &'static str {
    if !block.is_used {
        "use after free"
    } else if address < block.start {
        "buffer underflow"
    } else if address >= block.range().end {
        "buffer overflow"
    } else {
        // It was free when it was accessed, and is in use again.
        "use after free, or before an allocation"
    }
}

/// Tells of a fault, if it is on a page of the pool; false where it is not.
pub(super) fn tell_of_fault(fault: &Fault) -> bool {
    let Some(pool) = pool().filter(|pool| pool.holds(fault.address)) else { return false };
    if IS_ENDING.swap(true, Ordering::Relaxed) {
        wait_for_the_end();
        return true;
    }
    // SAFETY: this thread has set `IS_ENDING`, and nobody else comes here.
    unsafe { ROOM.run(&mut || tell(pool, fault)) };
    true
}

fn tell(pool: &Pool, fault: &Fault) {
    let access = fault.is_write.map_or("access", |is_write| if is_write { "write" } else { "read" });
    let (address, thread) = (fault.address, os::thread_id());
    let block = pool.nearest(address);
    match &block {
        Some(block) => {
            let (kind, near) = (kind(block, address), Near(block, address));
            complain(format_args!("{kind}: {access} of {address:#x}, {near}, by thread {thread}"));
        }
        None => complain(format_args!("wild {access} of {address:#x}, on a guard page, by thread {thread}")),
    }
    let mut trail = Trail::EMPTY;
    trace(fault, &mut trail);
    line(format_args!("  the access was made at:"));
    write_frames(trail.frames());
    if let Some(block) = block {
        tell_of_block(&block);
    }
}

/// The stack of the access.
fn trace(fault: &Fault, trail: &mut Trail) {
    if unwinder() == Unwinder::Tables {
        walk_whole(Unwinder::Tables, trail);
        if trail.begin_at(fault.code) {
            return;
        }
    }
    trail.clear();
    if fault.code != 0 {
        trail.push(fault.code + 1);
    }
    walk_from(fault.frame, fault.stack, trail);
}

/// Writes where a block was allocated, and where it was freed.
#[inline(never)]
fn tell_of_block(block: &Block<'_>) {
    tell_of_deed("allocated", block.allocation);
    tell_of_deed("freed", block.free);
}

fn tell_of_deed(done: &str, deed: &Deed) {
    let Some(thread) = deed.thread() else { return };
    line(format_args!("  the block was {done} by thread {thread} at:"));
    let mut frames = [0; MAX_FRAMES];
    let mut len = 0;
    for (place, frame) in frames.iter_mut().zip(deed.frames()) {
        *place = frame;
        len += 1;
    }
    write_frames(&frames[..len]);
}

/// Writes where the block was allocated and freed to which `address` is nearest, if that is on a page of the pool, and
/// where the misuse is; false where it is not.
pub(in crate::global) fn tell_origin(address: usize) -> bool {
    let Some(pool) = pool().filter(|pool| pool.holds(address)) else { return false };
    let mut trail = Trail::EMPTY;
    walk_whole(unwinder(), &mut trail);
    line(format_args!("  this was noticed in thread {} at:", os::thread_id()));
    write_frames(trail.frames());
    if let Some(block) = pool.nearest(address) {
        tell_of_block(&block);
    }
    true
}

/// Says what is at an address on a page of the pool where no block in use starts.
pub(in crate::global) fn what_is_there(address: usize) -> &'static str {
    match pool().and_then(|pool| pool.nearest(address)) {
        Some(block) if block.start == address && !block.is_used => "the guarded block there has been freed already",
        Some(block) if block.range().contains(&address) && block.is_used => "it lies inside a guarded block",
        _ => "no guarded block starts there",
    }
}

/// Ends the process on a free of `block`, of which the caller has said that it has `size` bytes, or nothing.
#[cold]
#[inline(never)]
pub(super) fn refuse(pool: &Pool, block: NonNull<u8>, size: Option<usize>, wrong: Wrong) -> ! {
    let address = block.addr().get();
    let known = pool.nearest(address);
    let len = known.as_ref().map_or(0, |block| block.size);
    match (wrong, &known) {
        (Wrong::Freed, _) => fatal_about(
            address,
            format_args!(
                "double free of {block:p}, a guarded block of {len} bytes that is free already: find the second owner"
            ),
        ),
        (Wrong::Size, _) => fatal_about(
            address,
            format_args!(
                "invalid free of {block:p} as a {}-byte block: it is a guarded block of {len} bytes: free it with the layout it was allocated with",
                size.unwrap_or(0)
            ),
        ),
        (Wrong::Written(at), Some(known)) => {
            let kind = if at < known.start { "buffer underflow" } else { "buffer overflow" };
            fatal_about(
                address,
                format_args!("{kind}: something has written to {at:#x}, {}, which is now freed", Near(known, at)),
            )
        }
        _ => fatal_about(address, format_args!("invalid free of {block:p}: {}", what_is_there(address))),
    }
}

/// Ends the process on a resize of `block`, which is said to have `size` bytes.
#[cold]
#[inline(never)]
pub(super) fn refuse_to_resize(pool: &Pool, block: NonNull<u8>, size: usize) -> ! {
    let address = block.addr().get();
    let is_freed = pool.nearest(address).is_some_and(|block| block.start == address && !block.is_used);
    if is_freed {
        fatal_about(
            address,
            format_args!(
                "realloc of {block:p}, a guarded block of {size} bytes that is free already: find who has freed it"
            ),
        );
    }
    match pool.size_of(address) {
        Some(len) => fatal_about(
            address,
            format_args!(
                "invalid use of {block:p} as a {size}-byte block: it is a guarded block of {len} bytes: resize it with the layout it was allocated with"
            ),
        ),
        None => fatal_about(address, format_args!("invalid use of {block:p} as a block: {}", what_is_there(address))),
    }
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::super::ARMING;
    use super::*;
    use core::alloc::{GlobalAlloc, Layout};

    #[test]
    fn a_child_forked_while_somebody_arms_and_tells_of_a_fault_knows_of_neither() {
        let (tenure, layout) = (crate::Tenure::new(), Layout::new::<u64>());
        // With the first heap the child's repair is registered.
        // SAFETY: the size is not zero.
        let block = unsafe { tenure.alloc(layout) };
        let arming = ARMING.lock();
        IS_ENDING.store(true, Ordering::Relaxed);
        // SAFETY: the child does only what a child of many threads may do.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_free = !ARMING.is_locked() && !is_ending();
            // SAFETY: no preconditions.
            unsafe { libc::_exit(if is_free { 0 } else { 1 }) };
        }
        IS_ENDING.store(false, Ordering::Relaxed);
        drop(arming);
        let mut status = 0;
        // SAFETY: the child from above, and a valid place for its status.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        // SAFETY: allocated above.
        unsafe { tenure.dealloc(block, layout) };
    }
}
