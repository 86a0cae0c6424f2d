//! Profile: the tables of a process's samples, and whether new ones are taken.
//!
//! The tables are made when a profile is armed for the first time, and stay: a block may be freed long after the
//! profile was disarmed.

use super::addresses::{Addresses, BUCKET};
use super::recent::{Freed, Recent};
use super::rules::{RULES, Rules};
use super::stacks::{Figures, MAX_FRAMES, Slot, Stacks};
use super::unwind::{Unwinder, walk};
use super::weight::Weight;
use crate::os::Platform;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Cell, Ordering, constructor};
use core::mem;
use core::ptr;
use core::slice;

/// Return addresses, the innermost first.
pub(crate) struct Trail {
    frames: [usize; MAX_FRAMES],
    len: usize,
}

impl Trail {
    pub(crate) const EMPTY: Trail = Trail { frames: [0; MAX_FRAMES], len: 0 };

    /// Adds a caller; false where there is no room for another after it.
    pub(crate) fn push(&mut self, address: usize) -> bool {
        self.frames[self.len] = address;
        self.len += 1;
        self.len < MAX_FRAMES
    }

    /// Leaves out what comes before the instruction at `address`, which was interrupted, and takes that for a call:
    /// with an address behind it. False where it is not there, and nothing has changed.
    pub(crate) fn begin_at(&mut self, address: usize) -> bool {
        let Some(first) = self.frames().iter().position(|&frame| frame == address) else { return false };
        self.frames.copy_within(first..self.len, 0);
        self.len -= first;
        self.frames[0] += 1;
        true
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn frames(&self) -> &[usize] {
        &self.frames[..self.len]
    }
}

/// Samples that may be live at once, where the first profile is a sparse one: those of 32 GiB of heap at the usual
/// rate.
const LIVE: usize = 1 << 16;

/// And where it is dense.
const LIVE_WHEN_DENSE: usize = 1 << 20;

/// The rate below which a profile is dense, in bytes.
const DENSE: u64 = 64 * 1024;

/// Stacks of a process.
const STACKS: usize = 1 << 15;

/// Return addresses of all stacks together.
const FRAMES: usize = 1 << 20;

/// Samples that were freed and are known still.
const FREED: usize = 1 << 12;

/// What is known of a sample, for when it is freed. Touched by whoever holds its slot.
struct Detail {
    size: Cell<usize>,
    weight: Cell<u64>,
    stack: Cell<usize>,
}

/// A block that was sampled.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    size: usize,
    weight: Weight,
    stack: usize,
}

/// The tables.
pub(crate) struct Tables {
    addresses: Addresses<'static>,
    details: &'static [Detail],
    stacks: Stacks<'static>,
    recent: Recent<'static>,
    rules: Rules<'static>,
    samples: AtomicU64,
    dropped: AtomicU64,
}

/// A table within the tables' memory.
struct Part {
    start: usize,
    end: usize,
}

impl Part {
    /// `len` items behind `end`, each of which has its own cache line or divides one.
    fn behind<T>(end: usize, len: usize) -> Self {
        let start = end.next_multiple_of(64);
        Self { start, end: start + len * size_of::<T>() }
    }

    /// # Safety
    /// - The part was laid out for items of this type, for which zeros are valid, in memory at `base` that is zero and
    ///   is never given back.
    unsafe fn items<T>(&self, base: *mut u8) -> &'static [T] {
        let len = (self.end - self.start) / size_of::<T>();
        // SAFETY: the caller says so; a page is aligned for any item, and so is every 64th byte from there.
        unsafe { slice::from_raw_parts(base.add(self.start).cast(), len) }
    }
}

impl Tables {
    /// Tables for a profile of this rate, and how many bytes they have; `None` where the system has no memory.
    fn create(os: &dyn Platform, rate: u64) -> Option<(&'static Self, usize)> {
        let live = if rate < DENSE { LIVE_WHEN_DENSE } else { LIVE };
        let addresses = Part::behind::<AtomicUsize>(size_of::<Self>(), live);
        let details = Part::behind::<Detail>(addresses.end, live);
        let slots = Part::behind::<Slot>(details.end, STACKS);
        let frames = Part::behind::<AtomicUsize>(slots.end, FRAMES);
        let freed = Part::behind::<Freed>(frames.end, FREED);
        let rules = Part::behind::<AtomicU64>(freed.end, RULES);
        let len = rules.end.next_multiple_of(os.page_size());
        let base = os.map(0, len)?;
        let start = base.as_ptr();
        // SAFETY: mapped just now, zero, and laid out above; atomics and cells of numbers are valid as zeros. It is
        // kept, or given back before anybody has seen it.
        let tables = unsafe {
            Self {
                addresses: Addresses::new(addresses.items(start)),
                details: details.items(start),
                stacks: Stacks::new(slots.items(start), frames.items(start)),
                recent: Recent::new(freed.items(start)),
                rules: Rules::new(rules.items(start)),
                samples: AtomicU64::new(0),
                dropped: AtomicU64::new(0),
            }
        };
        let place = base.cast::<Self>();
        // SAFETY: the first part of the memory is for this.
        unsafe { place.write(tables) };
        // SAFETY: written just now.
        Some((unsafe { place.as_ref() }, len))
    }

    /// Takes `block`, which the caller has just allocated for a request of `size` bytes, as a sample that stands for as
    /// many as its `weight` says.
    #[inline(never)]
    pub(crate) fn add(&self, block: usize, size: usize, weight: Weight, unwinder: Unwinder) {
        let mut trail = Trail::EMPTY;
        walk(unwinder, &self.rules, &mut trail);
        self.samples.fetch_add(1, Ordering::Relaxed);
        let known = self.stacks.intern(trail.frames());
        match known.filter(|&stack| self.put(block, Sample { size, weight, stack })) {
            Some(stack) => self.stacks.add(stack, size, weight),
            None => _ = self.dropped.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Enters a sample under the address of its block; false where there is no room.
    fn put(&self, block: usize, sample: Sample) -> bool {
        self.addresses.insert(block, |index| {
            let detail = &self.details[index];
            detail.size.set(sample.size);
            detail.weight.set(sample.weight.units());
            detail.stack.set(sample.stack);
        })
    }

    /// Takes the sample out whose block is `block`, if it is one.
    pub(crate) fn take(&self, block: usize) -> Option<Sample> {
        let sample = self.addresses.remove(block, |index| {
            let detail = &self.details[index];
            let weight = Weight::from_units(detail.weight.get());
            Sample { size: detail.size.get(), weight, stack: detail.stack.get() }
        })?;
        self.recent.note(block, sample.stack, sample.size);
        Some(sample)
    }

    /// Where the block at `block` was allocated, if it is a sample, or was one not long ago: writes the return
    /// addresses to the start of `frames`, and returns how many there are, and how many bytes were asked for. For a
    /// process that is about to end: the block is no sample any more.
    pub(crate) fn origin(&self, block: usize, frames: &mut [usize; MAX_FRAMES]) -> Option<(usize, usize)> {
        let _ = self.take(block);
        let (stack, size) = self.recent.find(block)?;
        Some((self.stacks.frames_of(stack, frames), size))
    }

    /// Puts a sample back that was taken out: its block stays in use after all.
    pub(crate) fn put_back(&self, block: usize, sample: Sample) {
        if !self.put(block, sample) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.count_free(sample);
        }
    }

    /// The block of a sample that was taken out is free.
    pub(crate) fn count_free(&self, sample: Sample) {
        self.stacks.subtract(sample.stack, sample.size, sample.weight);
    }

    /// Every stack that a sample came from.
    pub(crate) fn each_stack(&self, visit: impl FnMut(&Figures, &[usize])) {
        self.stacks.each(visit);
    }

    /// Samples so far, and how many of them had no room.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.samples.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

// SAFETY: what is not atomic belongs to whoever holds the slot of its address.
unsafe impl Sync for Tables {}

/// The profile of a process.
pub(crate) struct Profile {
    /// Null until a profile is armed for the first time.
    tables: AtomicPtr<Tables>,
    /// Bytes between samples, on average; 0 while none are taken.
    rate: AtomicU64,
    /// What that was last.
    last_rate: AtomicU64,
    seed: AtomicU64,
    reads_tables: AtomicBool,
}

impl Profile {
    constructor! {
        /// A profile that is not armed.
        pub(crate) fn new() -> Self {
            Self {
                tables: AtomicPtr::new(ptr::null_mut()),
                rate: AtomicU64::new(0),
                last_rate: AtomicU64::new(0),
                seed: AtomicU64::new(0),
                reads_tables: AtomicBool::new(false),
            }
        }
    }

    /// The tables, once there are some.
    #[inline]
    pub(crate) fn tables(&self) -> Option<&'static Tables> {
        // Acquire: pairs with the Release in `prepare`.
        let tables = self.tables.load(Ordering::Acquire);
        // SAFETY: never given back.
        unsafe { tables.as_ref() }
    }

    /// Makes the tables, where there are none yet; false where the system has no memory. Adds their bytes to
    /// `metadata`.
    pub(crate) fn prepare(&self, os: &dyn Platform, rate: u64, metadata: &mut usize) -> bool {
        if self.tables().is_some() {
            return true;
        }
        let Some((tables, len)) = Tables::create(os, rate) else { return false };
        let mine = ptr::from_ref(tables).cast_mut();
        // Release: the tables are made. Pairs with the Acquire in `tables`.
        if self.tables.compare_exchange(ptr::null_mut(), mine, Ordering::Release, Ordering::Relaxed).is_ok() {
            *metadata += len;
        } else if let Some(start) = ptr::NonNull::new(mine.cast()) {
            // SAFETY: made above, and nobody else has seen it.
            unsafe { os.unmap(start, len) };
        }
        true
    }

    /// Takes samples from now on.
    pub(crate) fn arm(&self, rate: u64, unwinder: Unwinder, seed: u64) {
        self.reads_tables.store(unwinder == Unwinder::Tables, Ordering::Relaxed);
        self.seed.store(seed, Ordering::Relaxed);
        self.last_rate.store(rate.max(1), Ordering::Relaxed);
        self.rate.store(rate.max(1), Ordering::Relaxed);
    }

    /// Takes no samples any more.
    pub(crate) fn disarm(&self) {
        self.rate.store(0, Ordering::Relaxed);
    }

    /// Bytes between samples, on average; 0 while none are taken.
    #[inline]
    pub(crate) fn rate(&self) -> u64 {
        self.rate.load(Ordering::Relaxed)
    }

    /// Bytes between samples, on average, as they are or were taken last; 0 before.
    pub(crate) fn last_rate(&self) -> u64 {
        self.last_rate.load(Ordering::Relaxed)
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed.load(Ordering::Relaxed)
    }

    pub(crate) fn unwinder(&self) -> Unwinder {
        if self.reads_tables.load(Ordering::Relaxed) { Unwinder::Tables } else { Unwinder::FramePointers }
    }
}

const _: () = assert!(RULES.is_power_of_two() && FREED.is_power_of_two() && STACKS <= 1 << 16);
const _: () = assert!(BUCKET.is_power_of_two() && LIVE.is_power_of_two() && STACKS.is_power_of_two());
const _: () = assert!(!mem::needs_drop::<Tables>());
