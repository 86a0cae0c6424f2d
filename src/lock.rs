//! The lock of the slow paths.
//!
//! A waiter yields to the scheduler instead of spinning: on a machine with few cores the holder is the one that needs
//! them.

use crate::os;
use spin::mutex::SpinMutex;
use spin::relax::RelaxStrategy;

/// Gives the processor away while a lock is held by another thread.
pub(crate) struct Yield;

impl RelaxStrategy for Yield {
    fn relax() {
        os::yield_now();
    }
}

/// A spin lock that yields. That of a heap is held over memory system calls at most, never over another call into the C
/// library.
pub(crate) type Lock<T> = SpinMutex<T, Yield>;
