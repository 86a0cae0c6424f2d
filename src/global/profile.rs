//! The heap profile: where memory comes from that is in use, and where all of it came from, by call stack.
//!
//! A profile looks at a few allocations, chosen at random so that each byte is as likely to be looked at as any other,
//! and reckons from them what all have been. It is armed and disarmed while the program runs. Before it was armed, it
//! costs nothing. While it is armed, an allocation costs what it did, a free a call and some instructions more, and a
//! sample some microseconds.
//!
//! What a profile does not see: blocks of [static scopes](crate::static_scope), which are there to stay; blocks that
//! were allocated while it was not armed, or in [`unsampled`]; those of threads that have no heap of their own, which
//! are a process's 4,095th and later ones and threads that are ending; and those that a signal handler allocates in the
//! midst of another allocation. The thread that arms a profile is seen at once; another that is at work then, from when
//! one of its magazines runs empty or full.
//!
//! The crate `tenure-profile` writes a profile as pprof, as folded stacks or as a flame graph, and tells what was
//! leaked. This module has the figures and the addresses; it needs neither the standard library nor memory from the
//! allocator.
//!
//! ```
//! use tenure::profile;
//!
//! #[global_allocator]
//! static GLOBAL: tenure::Tenure = tenure::Tenure::new();
//!
//! // Every allocation, as it is a small program.
//! profile::arm(1)?;
//! let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
//! profile::disarm();
//!
//! let mut live = 0;
//! profile::each_stack(|stack| live += stack.live_bytes);
//! assert!(live >= 100 * size_of::<String>() as u64);
//! # drop(names);
//! # Ok::<(), profile::CannotArm>(())
//! ```

mod setting;

pub use crate::sampling::Unwinder;
pub use setting::split_setting;

use super::thread::{Busy, Source, own, source};
use super::{BACKEND, samples, tls};
use crate::os;
use crate::sampling::Profile;
use core::fmt::{self, Display, Formatter};

pub(super) static PROFILE: Profile = Profile::new();

/// Bytes between samples that are usual: 512 KiB. A program that allocates a gigabyte in a second is looked at two
/// thousand times; more than some 2,500 a second are [not taken](Options::rate).
pub const DEFAULT_RATE: usize = 512 * 1024;

/// Most bytes between samples: a tebibyte.
pub const MAX_RATE: usize = 1 << 40;

/// Most return addresses that are kept of a call stack, the innermost ones.
pub const MAX_FRAMES: usize = crate::sampling::MAX_FRAMES;

/// How samples are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes that are allocated from one sample to the next, on average, at most [`MAX_RATE`]. At 1 every allocation is
    /// a sample.
    ///
    /// From [`DEFAULT_RATE`] on, a thread that would take more than some 2,500 samples a second takes fewer: the bytes
    /// between them are doubled until that is so, and each stands for more. Below that rate it takes all that come.
    pub rate: usize,
    /// How the callers are found.
    pub unwinder: Unwinder,
    /// Where the random gaps begin: the same seed gives a thread the same gaps. Where a profile is armed again with the
    /// seed that it had, threads go on with their gaps, and do not begin again. `None` takes one from the clock and the
    /// addresses of the process.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { rate: DEFAULT_RATE, unwinder: Unwinder::default(), seed: None }
    }
}

/// Why a profile cannot be armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CannotArm {
    /// The rate is 0 or above [`MAX_RATE`].
    WrongRate,
    /// The system has no memory for the tables: 12 MiB of addresses, or 42 MiB for a rate below 64 KiB.
    NoMemory,
    /// There is no unwinder here that reads tables and can be used by an allocator.
    NoUnwinder,
}

impl Display for CannotArm {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongRate => "the rate must be from 1 byte to a tebibyte",
            Self::NoMemory => "there is no memory for the profile's tables",
            Self::NoUnwinder => "unwinding with tables needs glibc 2.35 or later",
        })
    }
}

impl core::error::Error for CannotArm {}

/// Takes samples from now on, `rate` bytes apart on average, with the frame pointers' help: see
/// [`Unwinder::FramePointers`].
///
/// # Errors
///
/// As [`arm_with`].
pub fn arm(rate: usize) -> Result<(), CannotArm> {
    arm_with(Options { rate, ..Options::default() })
}

/// Takes samples from now on. Where some are taken already, they go on as `options` say. What earlier samples have told
/// stays.
///
/// The first time takes memory for tables from the system, of which only what is used becomes resident: at most 65,536
/// samples that are live at once, 1,048,576 where the rate is below 64 KiB; 32,768 call stacks; and 1,048,576 return
/// addresses. Samples that find no room are dropped, and [`counted`](totals).
///
/// # Errors
///
/// See [`CannotArm`]. Then nothing has changed.
pub fn arm_with(options: Options) -> Result<(), CannotArm> {
    let Options { rate, unwinder, seed } = options;
    if rate == 0 || rate > MAX_RATE {
        return Err(CannotArm::WrongRate);
    }
    if unwinder == Unwinder::Tables && !os::find_unwinder() {
        return Err(CannotArm::NoUnwinder);
    }
    let mut metadata = 0;
    if !PROFILE.prepare(BACKEND.os, rate as u64, &mut metadata) {
        return Err(CannotArm::NoMemory);
    }
    BACKEND.counters.commit_metadata(metadata);
    let seed = seed.unwrap_or_else(|| BACKEND.os.now_ms() << 20 ^ core::ptr::from_ref(&metadata).addr() as u64);
    PROFILE.arm(rate as u64, unwinder, seed);
    // Other threads learn of it at their next slow path.
    if let Some((heap, thread)) = own() {
        let _busy = Busy::new(thread);
        samples::follow(heap, thread);
    }
    Ok(())
}

/// Takes no samples any more. What earlier samples have told stays, and frees of blocks that are samples are still
/// noticed.
pub fn disarm() {
    PROFILE.disarm();
}

/// True while samples are taken.
pub fn is_armed() -> bool {
    PROFILE.rate() != 0
}

/// Bytes from one sample to the next, on average; `None` while none are taken.
pub fn rate() -> Option<usize> {
    Some(PROFILE.rate() as usize).filter(|&rate| rate != 0)
}

/// Bytes from one sample to the next, on average, as they are taken or were taken last; `None` before a profile was
/// armed for the first time.
pub fn last_rate() -> Option<usize> {
    Some(PROFILE.last_rate() as usize).filter(|&rate| rate != 0)
}

/// Runs `work` without samples of what the calling thread allocates meanwhile: for what looks at a profile, so that it
/// does not look at itself.
///
/// To begin and to end empties the thread's magazines where a profile is armed, which takes some microseconds.
pub fn unsampled<R>(work: impl FnOnce() -> R) -> R {
    /// Sets the thread's flag back when dropped.
    struct Unsampled {
        earlier: Option<bool>,
    }

    impl Unsampled {
        fn set(is_unsampled: bool) -> Option<bool> {
            let Source::Own(heap, thread) = source() else { return None };
            let _busy = Busy::new(thread);
            let earlier = thread.is_unsampled.replace(is_unsampled);
            samples::follow(heap, thread);
            Some(earlier)
        }
    }

    impl Drop for Unsampled {
        fn drop(&mut self) {
            // A thread that has lost its heap has lost the flag with it.
            if let Some(earlier) = self.earlier
                && tls::current().heap.get().is_some()
            {
                Self::set(earlier);
            }
        }
    }

    let _unsampled = Unsampled { earlier: Unsampled::set(true) };
    work()
}

/// What has come from one call stack. Estimates, of what all allocations from there amount to, in blocks and in the
/// bytes that were asked for.
///
/// Where n samples were taken, a sum of as many like blocks is off by less than two parts in √n with a likelihood of 95
/// %.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Stack<'a> {
    /// Return addresses, the innermost first. Those of the allocator's own functions come first.
    pub frames: &'a [usize],
    /// Blocks, since a profile was armed for the first time.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks of these that are still in use.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: u64,
}

/// Passes every call stack to `visit` from which a sample came. Takes neither a lock nor memory from the allocator;
/// samples that other threads take or free meanwhile may be seen or not.
pub fn each_stack(mut visit: impl FnMut(&Stack<'_>)) {
    let Some(tables) = PROFILE.tables() else { return };
    tables.each_stack(|figures, frames| {
        let &crate::sampling::Figures { blocks, bytes, live_blocks, live_bytes } = figures;
        visit(&Stack { frames, blocks, bytes, live_blocks, live_bytes });
    });
}

/// How much a profile rests on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Samples since a profile was armed for the first time.
    pub samples: u64,
    /// Samples of these that found no room in the tables, and are in no figure.
    pub dropped: u64,
}

/// How much the profile rests on.
pub fn totals() -> Totals {
    let (samples, dropped) = PROFILE.tables().map_or((0, 0), |tables| tables.counts());
    Totals { samples, dropped }
}

/// The profile as text, in the form that gperftools writes and that `pprof` reads: a line of sums, and one for each
/// stack. Where code lies in memory belongs behind it, as `/proc/self/maps` has it, after a line that says
/// `MAPPED_LIBRARIES:`.
///
/// Printing it allocates nothing.
#[derive(Debug, Clone, Copy)]
pub struct Text;

impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut sums = [0_u64; 4];
        each_stack(|stack| {
            let figures = [stack.live_blocks, stack.live_bytes, stack.blocks, stack.bytes];
            sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        });
        let [live_blocks, live_bytes, blocks, bytes] = sums;
        writeln!(f, "heap profile: {live_blocks}: {live_bytes} [{blocks}: {bytes}] @ heapprofile")?;
        let Totals { samples, dropped } = totals();
        writeln!(f, "# tenure: {samples} samples, {dropped} dropped, one in {} bytes", PROFILE.last_rate())?;
        let mut result = Ok(());
        each_stack(|stack| {
            if result.is_ok() {
                result = write_stack(f, stack);
            }
        });
        result
    }
}

fn write_stack(f: &mut Formatter<'_>, stack: &Stack<'_>) -> fmt::Result {
    let Stack { frames, blocks, bytes, live_blocks, live_bytes } = *stack;
    write!(f, "{live_blocks}: {live_bytes} [{blocks}: {bytes}] @")?;
    for frame in frames {
        write!(f, " {frame:#x}")?;
    }
    writeln!(f)
}
