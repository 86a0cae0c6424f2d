//! Rates: what went on between two snapshots, for each second.

use crate::series::{Snapshot, Traffic};

/// The time between two snapshots of a process, and what it is divided by.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    seconds: f64,
}

impl Interval {
    /// None where the clock has stood still or gone back.
    pub fn between(before: &Snapshot, after: &Snapshot) -> Option<Self> {
        let begin = before.uptime_ms.or(before.time_ms)?;
        let end = after.uptime_ms.or(after.time_ms)?;
        let milliseconds = end.checked_sub(begin).filter(|&time| time > 0)?;
        Some(Self { seconds: milliseconds as f64 / 1000.0 })
    }

    /// What a counter has grown by, for each second.
    pub fn rate(self, before: u64, after: u64) -> f64 {
        after.saturating_sub(before) as f64 / self.seconds
    }
}

/// A class, and how busy it was.
#[derive(Clone, Debug)]
pub struct Busy {
    /// Where it is among the classes of the later snapshot.
    pub index: usize,
    /// Blocks for each second; or since the start, where there is no earlier snapshot.
    pub to_threads: f64,
    pub back: f64,
    pub remote: f64,
}

/// The classes of a snapshot, the busiest first: those with the most blocks that went to threads and back, and among
/// equals those with the most live bytes.
pub fn busiest(before: Option<&Snapshot>, after: &Snapshot) -> Vec<Busy> {
    let interval = before.and_then(|before| Interval::between(before, after));
    let earlier = |block_size: u64| {
        let class = before?.classes.iter().find(|class| class.block_size == block_size)?;
        Some(class.traffic)
    };
    let figures = after.classes.iter().enumerate().map(|(index, class)| {
        let (old, new) = match interval {
            Some(_) => (earlier(class.block_size).unwrap_or_default(), class.traffic),
            None => (Traffic::default(), class.traffic),
        };
        let rate = |old: u64, new: u64| interval.unwrap_or(Interval { seconds: 1.0 }).rate(old, new);
        Busy {
            index,
            to_threads: rate(old.refilled, new.refilled),
            back: rate(old.flushed, new.flushed),
            remote: rate(old.remote_frees, new.remote_frees),
        }
    });
    let mut classes: Vec<_> = figures.collect();
    classes.sort_by(|one, other| {
        let busy = |class: &Busy| class.to_threads + class.back;
        let live = |class: &Busy| after.classes[class.index].live_bytes();
        busy(other).total_cmp(&busy(one)).then(live(other).cmp(&live(one)))
    });
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::snapshot_of;

    fn after(uptime_ms: u64, refilled: &[u64]) -> Snapshot {
        let value = serde_json::from_str(&tenure::Tenure::new().stats().json().to_string()).unwrap();
        let mut snapshot = snapshot_of(value).unwrap();
        snapshot.uptime_ms = Some(uptime_ms);
        let class = |(index, &refilled): (usize, &u64)| {
            let traffic =
                format!("{{\"refills\":1,\"refilled\":{refilled},\"flushes\":0,\"flushed\":0,\"remote_frees\":0}}");
            let class = format!(
                "{{\"block_size\":{},\"slabs\":1,\"live\":1,\"in_magazines\":0,\"in_outboxes\":0,\"free\":0,\"remote_pending\":0,\"traffic\":{traffic}}}",
                16 * (index + 1)
            );
            serde_json::from_str(&class).unwrap()
        };
        snapshot.classes = refilled.iter().enumerate().map(class).collect();
        snapshot
    }

    #[test]
    fn the_busiest_class_is_that_with_the_most_traffic_since_the_snapshot_before() {
        let (before, after) = (after(1000, &[900, 0]), after(1500, &[910, 50]));
        let classes = busiest(Some(&before), &after);
        assert_eq!((classes[0].index, classes[0].to_threads), (1, 100.0));
        assert_eq!((classes[1].index, classes[1].to_threads), (0, 20.0));
        assert_eq!(busiest(None, &after)[0].index, 0);
    }

    #[test]
    fn where_no_time_has_passed_there_is_no_rate() {
        assert!(Interval::between(&after(5, &[]), &after(5, &[])).is_none());
        assert!(Interval::between(&after(6, &[]), &after(5, &[])).is_none());
    }
}
