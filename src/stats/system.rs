//! What the system says of the process, beside what Tenure knows.

use super::Stats;
use crate::os::{Native, Platform, SystemMemory};

/// What the system says that the whole process has: Tenure's memory, and also code, stacks, files, and whatever maps
/// memory by itself. Bytes.
///
/// On Linux these are figures of `/proc/self/smaps_rollup`, or of `/proc/self/statm` where that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SystemStats {
    /// In main memory (`Rss`).
    pub resident: usize,
    /// The part of it that is of no file (`Anonymous`): memory of Tenure's, stacks, data that was written to.
    pub anonymous: Option<usize>,
    /// The part of it that was given back, and that the system takes when it needs it (`LazyFree`).
    pub lazily_freed: Option<usize>,
    /// In swap space (`Swap`).
    pub swapped: Option<usize>,
    /// What is resident or swapped beyond `committed`: this much at least is not Tenure's. Code, files, stacks, and
    /// mappings of the program's own; and memory that was given back, and is not taken yet.
    pub not_ours: usize,
    /// What of `committed` is neither in memory of no file nor in swap space: this much at least costs nothing at the
    /// moment, since nobody has touched it yet.
    pub untouched: usize,
}

impl SystemStats {
    /// What the system says, beside what is committed.
    pub(super) fn beside(committed: usize, memory: SystemMemory) -> Self {
        let SystemMemory { resident, anonymous, lazily_freed, swapped } = memory;
        let swap = swapped.unwrap_or(0);
        Self {
            resident,
            anonymous,
            lazily_freed,
            swapped,
            not_ours: (resident + swap).saturating_sub(committed),
            untouched: committed.saturating_sub(anonymous.unwrap_or(resident) + swap),
        }
    }
}

impl Stats {
    /// Adds what the system says: fills `uptime_ms` and `system` in, where it can.
    ///
    /// On Linux, reads two files of `/proc` by system calls, without allocating. For the second the kernel goes through
    /// the process's page tables: that took about 50 µs for a small process and 20 ms for one with 512 MiB in pages of
    /// 4 KiB, during which what maps memory may have to wait. So it is not part of
    /// [`Tenure::stats`](crate::Tenure::stats).
    pub fn ask_system(&mut self) {
        self.ask(&Native);
    }

    pub(super) fn ask(&mut self, os: &dyn Platform) {
        self.uptime_ms = os.uptime_ms();
        self.system = os.memory().map(|memory| SystemStats::beside(self.committed, memory));
    }
}
