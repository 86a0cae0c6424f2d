//! Sampled guard pages: a few allocations, chosen at random, stand alone at the end of a page, next to one that nobody
//! may touch.
//!
//! What reads or writes beyond such a block, or uses it after it was freed, faults at that moment. The process then
//! says on standard error what it was, with the call stacks of the access, of the allocation and of the free, and ends
//! by the signal. A block that is freed twice, or whose surroundings were written to, is told of in the same way, and
//! the process aborts. So an error that happens once in a while, on one machine of many, is found where it happens, at
//! a cost that a program can bear at all times.
//!
//! One in N allocations of up to a page is chosen, each with the same likelihood. There are [`SLOTS`] places for such
//! blocks; where all are in use, the allocation is served as any other. A place whose block was freed waits until most
//! of the others have been used, and an access faults as long.
//!
//! What is not noticed: accesses of the system, which fails with `EFAULT` instead; those that leap over the guard; and
//! what happens to other blocks. Where the alignment of a block keeps it away from the guard, up to 15 bytes mostly, a
//! write behind its end is noticed when it is freed, and a read is not.
//!
//! While this is armed, an allocation costs what it did, a free some instructions more, and a guarded block some
//! microseconds. A place has a page while its block is in use; what is known of all of them takes 270 KiB.
//!
//! ```
//! use tenure::guard;
//!
//! #[global_allocator]
//! static GLOBAL: tenure::Tenure = tenure::Tenure::new();
//!
//! # if cfg!(feature = "hardened") { return Ok(()) }
//! // Every allocation, as it is a small program.
//! guard::arm(1)?;
//! let name = String::from("guarded");
//! guard::disarm();
//!
//! assert!(guard::totals().guarded >= 1);
//! // SAFETY: there is none. It ends the process.
//! // unsafe { name.as_ptr().add(7).read() };
//! # drop(name);
//! # Ok::<(), guard::CannotArm>(())
//! ```

mod report;

pub use crate::guarded::SLOTS;

use super::{BACKEND, samples, tls};
use crate::guarded::{Pool, Wanted};
use crate::lock::Lock;
use crate::os;
use crate::sampling::Unwinder;
use crate::segment::Owner;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use core::alloc::Layout;
use core::fmt::{self, Display, Formatter};
use core::ptr::{self, NonNull};

/// Null until something is guarded for the first time.
static POOL: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());

/// Held while the handler is installed and the pool is made.
static ARMING: Lock<()> = Lock::new(());

/// One in so many allocations is guarded; 0 where none is.
static ONE_IN: AtomicU64 = AtomicU64::new(0);

/// Where the random gaps begin.
static SEED: AtomicU64 = AtomicU64::new(0);

/// True where callers are found with the tables that serve exceptions.
static READS_TABLES: AtomicBool = AtomicBool::new(false);

/// The largest N of one in N: a tebi.
pub const MAX_ONE_IN: u64 = 1 << 40;

/// Why nothing can be guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CannotArm {
    /// One in none, or in more than [`MAX_ONE_IN`].
    WrongNumber,
    /// The system has no memory for the places: some MiB of addresses.
    NoMemory,
    /// The system does not let the process have a handler for faults.
    NoHandler,
    /// The build is hardened: it looks at all blocks.
    Hardened,
}

impl Display for CannotArm {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongNumber => "one in how many must be from 1 to a tebi",
            Self::NoMemory => "there is no memory for guarded blocks",
            Self::NoHandler => "there can be no handler for faults",
            Self::Hardened => "a hardened build looks at all blocks, and guards none",
        })
    }
}

impl core::error::Error for CannotArm {}

/// Guards one in `one_in` allocations from now on. Where some are guarded already, they go on in this way.
///
/// Callers are found as by [`Unwinder::Tables`](crate::profile::Unwinder::Tables) where that can be had, and else as by
/// [`Unwinder::FramePointers`](crate::profile::Unwinder::FramePointers). The first time takes memory from the system
/// for what is known of guarded blocks, and installs a handler for the signals `SIGSEGV` and `SIGBUS`, on the stack
/// that a thread has for its handlers, if it has one. Other faults go to the handler that was there before. A program
/// that installs its own afterwards does without reports, unless it calls the one that it finds.
///
/// Code that registers its own tables with `__register_frame`, as some compilers at run time do, has gcc's unwinder
/// before version 13 take a lock and, once, allocate under it. Should that allocation be guarded, the thread waits for
/// itself.
///
/// # Errors
///
/// See [`CannotArm`]. Then nothing is guarded that was not before.
pub fn arm(one_in: u64) -> Result<(), CannotArm> {
    if !(1..=MAX_ONE_IN).contains(&one_in) {
        return Err(CannotArm::WrongNumber);
    }
    if cfg!(feature = "hardened") {
        return Err(CannotArm::Hardened);
    }
    // May allocate, and so comes before the lock.
    READS_TABLES.store(os::find_unwinder(), Ordering::Relaxed);
    prepare()?;
    ONE_IN.store(one_in, Ordering::Relaxed);
    Ok(())
}

fn prepare() -> Result<(), CannotArm> {
    let _arming = ARMING.lock();
    // Before the pool: without one, no fault is told of.
    if !os::on_fault(report::tell_of_fault) {
        return Err(CannotArm::NoHandler);
    }
    if pool().is_some() {
        return Ok(());
    }
    let here = 0_u8;
    let seed = BACKEND.os.now_ns() ^ (ptr::from_ref(&here).addr() as u64) << 32;
    let pool = Pool::create(&BACKEND, seed).ok_or(CannotArm::NoMemory)?;
    SEED.store(seed, Ordering::Relaxed);
    // Release: the pool is made. Pairs with the Acquire in `pool`.
    POOL.store(ptr::from_ref(pool).cast_mut(), Ordering::Release);
    Ok(())
}

/// In a forked child: whoever was about to make the pool, or to tell of a fault, is not there.
pub(super) fn forget() {
    if ARMING.is_locked() {
        // SAFETY: whoever held it does not exist here, and what it had made nobody has seen.
        unsafe { ARMING.force_unlock() };
    }
    report::forget();
}

/// Guards no allocation any more. Blocks that are guarded stay so until they are freed, and what is known of freed ones
/// stays.
pub fn disarm() {
    ONE_IN.store(0, Ordering::Relaxed);
}

/// One in how many allocations is guarded; `None` where none is.
pub fn one_in() -> Option<u64> {
    Some(pace()).filter(|&one_in| one_in != 0)
}

/// What was guarded so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Allocations that were guarded.
    pub guarded: u64,
    /// Allocations that were to be, and were served as others are, as there was no place or no memory for them.
    pub passed_over: u64,
}

/// What was guarded so far.
pub fn totals() -> Totals {
    let (guarded, passed_over) = pool().map_or((0, 0), Pool::counts);
    Totals { guarded, passed_over }
}

/// One in how many allocations is guarded; 0 where none is.
#[inline]
pub(super) fn pace() -> u64 {
    ONE_IN.load(Ordering::Relaxed)
}

pub(super) fn seed() -> u64 {
    SEED.load(Ordering::Relaxed)
}

fn pool() -> Option<&'static Pool> {
    // Acquire: pairs with the Release in `prepare`.
    let pool = POOL.load(Ordering::Acquire);
    // SAFETY: never given back.
    unsafe { pool.as_ref() }
}

fn unwinder() -> Unwinder {
    if READS_TABLES.load(Ordering::Relaxed) { Unwinder::Tables } else { Unwinder::FramePointers }
}

/// A guarded block for `layout`, and whether it reads as zero; `None` where none can be had.
pub(super) fn alloc(layout: Layout) -> Option<(NonNull<u8>, bool)> {
    if report::is_ending() {
        return None;
    }
    let tag = tls::routing().tag();
    pool()?.take(&BACKEND, Wanted { size: layout.size(), align: layout.align(), tag, unwinder: unwinder() })
}

/// Frees `block`, on a page of the pool, of which the caller says that it has `size` bytes, or nothing. Ends the
/// process where it is no block in use.
pub(super) fn free(block: NonNull<u8>, size: Option<usize>) {
    let Some(pool) = pool() else { return };
    samples::freed(block, Owner::GUARDED);
    if let Err(wrong) = pool.give_back(&BACKEND, block.addr().get(), size, unwinder()) {
        report::refuse(pool, block, size, wrong);
    }
}

/// Bytes of the guarded block in use that starts at `block`, if one does.
pub(super) fn size_of(block: NonNull<u8>) -> Option<usize> {
    pool()?.size_of(block.addr().get())
}

/// Ends the process where no guarded block of `size` bytes is in use at `block`, which is about to be resized.
pub(super) fn check_before_resizing(block: NonNull<u8>, size: usize) {
    if let Some(pool) = pool()
        && pool.size_of(block.addr().get()) != Some(size.max(1))
    {
        report::refuse_to_resize(pool, block, size);
    }
}

pub(super) use report::{tell_origin, what_is_there};
