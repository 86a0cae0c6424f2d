//! The limit: how much memory may be committed.
//!
//! Whoever commits asks here first. A refusal is told upward as any other lack of memory; what is done about it,
//! outside of all locks, is the slow paths' matter.

use crate::sync::{AtomicBool, AtomicUsize, Ordering, constructor};

/// Two numbers of committed bytes: from the *soft* one on, memory is given back and the program called; the *hard* one
/// is not exceeded. `usize::MAX` stands for none.
///
/// On a cache line of its own, which is read by all and seldom written.
#[repr(align(64))]
pub(crate) struct Limits {
    pub(super) soft: AtomicUsize,
    pub(super) hard: AtomicUsize,
    /// True from the moment when the soft limit is passed until somebody has seen it.
    is_passed: AtomicBool,
    /// Bytes that the hard limit has refused last; 0 where it has refused none since that was forgotten.
    refused: AtomicUsize,
}

impl Limits {
    constructor! {
        /// No limit.
        pub(super) fn none() -> Self {
            Self {
                soft: AtomicUsize::new(usize::MAX),
                hard: AtomicUsize::new(usize::MAX),
                is_passed: AtomicBool::new(false),
                refused: AtomicUsize::new(0),
            }
        }
    }

    /// The soft and the hard limit.
    pub(crate) fn get(&self) -> (usize, usize) {
        (self.soft.load(Ordering::Relaxed), self.hard.load(Ordering::Relaxed))
    }

    /// True where there is neither, so that memory may become resident before it is needed.
    pub(crate) fn are_none(&self) -> bool {
        self.get() == (usize::MAX, usize::MAX)
    }

    /// Sets both. What is committed already, `committed` bytes, stays so.
    pub(crate) fn set(&self, soft: usize, hard: usize, committed: usize) {
        self.soft.store(soft, Ordering::Relaxed);
        self.hard.store(hard, Ordering::Relaxed);
        self.is_passed.store(committed > soft, Ordering::Relaxed);
    }

    /// True once the soft limit was passed.
    #[inline(always)]
    pub(crate) fn is_passed(&self) -> bool {
        self.is_passed.load(Ordering::Relaxed)
    }

    /// Takes note that somebody has seen that the soft limit was passed; true for the first that does.
    pub(crate) fn take_passed(&self) -> bool {
        self.is_passed.swap(false, Ordering::Relaxed)
    }

    /// What the hard limit has refused last, if it has since [`Limits::forget_refused`]: who asks after an attempt that
    /// failed learns whether the limit was why. Another thread's refusal may be taken for one's own, at the limit.
    pub(crate) fn refused(&self) -> Option<usize> {
        Some(self.refused.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
    }

    /// What was refused so far is made up for, or tried once more.
    pub(crate) fn forget_refused(&self) {
        self.refused.store(0, Ordering::Relaxed);
    }

    /// The hard limit refuses so many bytes.
    pub(super) fn has_refused(&self, bytes: usize) {
        self.refused.store(bytes, Ordering::Relaxed);
    }

    /// Committed memory has grown by `bytes` and is `now`.
    pub(super) fn has_grown(&self, bytes: usize, now: usize) {
        let soft = self.soft.load(Ordering::Relaxed);
        if now > soft && now - bytes <= soft {
            self.is_passed.store(true, Ordering::Relaxed);
        }
    }
}
