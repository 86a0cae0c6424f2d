//! The account of memory of a process in which nothing else goes on.

use tenure::{Stats, Tenure};

/// The statistics, in which every byte is accounted for.
pub fn quiet_stats(tenure: &Tenure) -> Stats {
    let stats = tenure.stats();
    assert!(
        stats.is_balanced(),
        "{} bytes are committed and {} accounted for\n{stats}",
        stats.committed,
        stats.balance.total()
    );
    stats
}

pub fn assert_same_live(before: &Stats, after: &Stats) {
    let live = |stats: &Stats| (stats.live_blocks(), stats.live_bytes());
    assert_eq!(live(before), live(after), "blocks and bytes in use, before and after");
}
