//! Process: the snapshots of one process, in the order of time. Ids are used again, and are the same in different
//! containers, so the time at which a process began tells processes apart too.

use super::snapshot::Snapshot;

/// By how many milliseconds the beginning of one process may seem to differ, since clocks are adjusted.
const SAME_BEGINNING_MS: u64 = 2000;

/// A process and its snapshots, of which there is at least one.
#[derive(Debug)]
pub struct Process {
    pub id: Option<u32>,
    pub snapshots: Vec<Snapshot>,
}

impl Process {
    pub fn first(&self) -> &Snapshot {
        &self.snapshots[0]
    }

    pub fn last(&self) -> &Snapshot {
        &self.snapshots[self.snapshots.len() - 1]
    }

    /// The snapshot with the most committed memory, and among equals with the most that is live; none where the last
    /// has as much.
    pub fn most(&self) -> Option<&Snapshot> {
        let most = self.snapshots.iter().max_by_key(|snapshot| (snapshot.committed, snapshot.live_bytes))?;
        (most.committed > self.last().committed).then_some(most)
    }

    /// The milliseconds at which a snapshot is drawn: since the process began, or where that is not known, since the
    /// first snapshot.
    pub fn clock_ms(&self, snapshot: &Snapshot) -> u64 {
        let since_first = || Some(snapshot.time_ms?.saturating_sub(self.first().time_ms?));
        snapshot.uptime_ms.or_else(since_first).unwrap_or(0)
    }

    fn has(&self, snapshot: &Snapshot) -> bool {
        let is_same_time = match (self.last().began_ms(), snapshot.began_ms()) {
            (Some(one), Some(other)) => one.abs_diff(other) <= SAME_BEGINNING_MS,
            (one, other) => one.is_none() && other.is_none(),
        };
        self.id == snapshot.process_id && is_same_time
    }

    /// True where another file's snapshots may be later ones of this process.
    fn goes_on_in(&self, other: &Self) -> bool {
        let is_before = match (self.last().time_ms, other.first().time_ms) {
            (Some(last), Some(first)) => last < first,
            _ => true,
        };
        is_before && self.has(other.first())
    }
}

/// The snapshots of files, in any order, by process. Processes are in the order of their beginnings. A process that
/// goes on in another file is at its end in the first: those that overlap in time are two, of different containers.
pub fn by_process(files: Vec<Vec<Snapshot>>) -> Vec<Process> {
    let mut parts: Vec<Process> = files.into_iter().flat_map(of_file).collect();
    parts.sort_by_key(|part| part.first().time_ms);
    let mut processes: Vec<Process> = Vec::new();
    for part in parts {
        match processes.iter_mut().rev().find(|process| process.goes_on_in(&part)) {
            Some(process) => process.snapshots.extend(part.snapshots),
            None => processes.push(part),
        }
    }
    processes.sort_by_key(|process| process.first().began_ms());
    processes
}

/// The snapshots of one file, in any order, by process.
fn of_file(mut snapshots: Vec<Snapshot>) -> Vec<Process> {
    snapshots.sort_by_key(|snapshot| snapshot.time_ms);
    let mut processes: Vec<Process> = Vec::new();
    for snapshot in snapshots {
        match processes.iter_mut().rev().find(|process| process.has(&snapshot)) {
            Some(process) => process.snapshots.push(snapshot),
            None => processes.push(Process { id: snapshot.process_id, snapshots: vec![snapshot] }),
        }
    }
    processes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::snapshot_of;

    fn at(id: u32, time_ms: u64, uptime_ms: u64) -> Snapshot {
        let value = serde_json::from_str(&tenure::Tenure::new().stats().json().to_string()).unwrap();
        let snapshot = snapshot_of(value).unwrap();
        Snapshot { process_id: Some(id), time_ms: Some(time_ms), uptime_ms: Some(uptime_ms), ..snapshot }
    }

    #[test]
    fn snapshots_of_several_processes_are_told_apart_and_put_in_order() {
        let processes = by_process(vec![vec![at(1, 10_200, 200), at(2, 10_150, 50)], vec![at(1, 10_100, 100)]]);
        let found: Vec<_> = processes.iter().map(|process| (process.id, process.snapshots.len())).collect();
        assert_eq!(found, [(Some(1), 2), (Some(2), 1)]);
        assert_eq!(processes[0].first().uptime_ms, Some(100));
    }

    #[test]
    fn an_id_that_is_used_again_is_another_process() {
        assert_eq!(by_process(vec![vec![at(1, 10_000, 100), at(1, 90_000, 100)]]).len(), 2);
        assert_eq!(by_process(vec![vec![at(1, 10_000, 100), at(1, 90_000, 80_101)]]).len(), 1);
    }

    #[test]
    fn a_process_goes_on_in_the_next_file_and_two_at_the_same_time_are_two() {
        let part = |times: [u64; 2]| times.map(|time| at(1, time, time - 9_000)).to_vec();
        assert_eq!(by_process(vec![part([12_000, 13_000]), part([10_000, 11_000])]).len(), 1);
        let processes = by_process(vec![part([10_000, 12_000]), part([11_000, 13_000])]);
        assert_eq!(processes.iter().map(|process| process.snapshots.len()).collect::<Vec<_>>(), [2, 2]);
    }
}
