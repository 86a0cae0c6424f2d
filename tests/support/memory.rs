//! What the system says about this process's memory.

use std::fs;

pub const KIB: usize = 1024;
pub const MIB: usize = 1024 * KIB;

/// Resident bytes, counted page by page, which `/proc/self/statm` is not.
pub fn resident() -> usize {
    field("/proc/self/smaps_rollup", "Rss:")
}

/// The most bytes that have been resident at once.
pub fn peak_resident() -> usize {
    field("/proc/self/status", "VmHWM:")
}

fn field(path: &str, name: &str) -> usize {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    let kib: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * KIB
}
