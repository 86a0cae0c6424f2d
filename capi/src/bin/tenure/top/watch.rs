//! Watch: what is known of a process at the moment.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::follow::{Follower, News};
use super::source::{Source, is_running};
use crate::series::{self, Snapshot};

/// How long it is said what has become of the file.
const FRESH: Duration = Duration::from_secs(10);

/// As many snapshots are kept for the course.
const COURSE: usize = 512;

/// See the module.
pub struct Watch {
    pub source: Source,
    follower: Follower,
    pub latest: Option<Snapshot>,
    /// That of the same process before the latest.
    pub before: Option<Snapshot>,
    /// What was committed, the latest last.
    pub course: VecDeque<u64>,
    /// Other processes that write to the file.
    pub others: BTreeSet<u32>,
    /// Why the file cannot be read, while that is so.
    waiting: Option<String>,
    /// What has become of the file, and when that was noticed.
    notice: Option<(Instant, String)>,
}

impl Watch {
    pub fn new(source: Source) -> Self {
        let follower = Follower::new(source.file.clone());
        let (latest, before, course, others) = (None, None, VecDeque::new(), BTreeSet::new());
        Self { source, follower, latest, before, course, others, waiting: None, notice: None }
    }

    /// Reads what has been written meanwhile. A file in which no line is a snapshot may have one all the same, over
    /// several lines.
    pub fn refresh(&mut self) {
        self.waiting = None;
        let mut is_malformed = false;
        for news in self.follower.look() {
            let notice = match news {
                News::Snapshot(snapshot) => {
                    self.take(*snapshot);
                    continue;
                }
                News::Unreadable(error) => {
                    self.waiting = Some(format!("waiting for the file, which cannot be read: {error}"));
                    continue;
                }
                News::Truncated => "the file was truncated and is read from its beginning".to_owned(),
                News::Replaced => "the file was replaced and the new one is read".to_owned(),
                News::Malformed(why) => {
                    is_malformed = true;
                    format!("a line of the file is left out: {why}")
                }
            };
            self.notice = Some((Instant::now(), notice));
        }
        if is_malformed
            && self.latest.is_none()
            && let Ok(snapshots) = series::read(&self.source.file)
        {
            snapshots.into_iter().for_each(|snapshot| self.take(snapshot));
            self.notice = None;
        }
    }

    /// Takes a snapshot that follows those before it, if it is one of the process.
    pub fn take(&mut self, snapshot: Snapshot) {
        if let Some(wanted) = self.source.process
            && snapshot.process_id != Some(wanted)
        {
            self.others.extend(snapshot.process_id);
            return;
        }
        let is_same = self.latest.as_ref().is_some_and(|latest| latest.process_id == snapshot.process_id);
        if is_same {
            self.before = self.latest.take();
        } else {
            self.others.extend(self.latest.take().and_then(|latest| latest.process_id));
            self.others.retain(|&other| Some(other) != snapshot.process_id);
            self.before = None;
            self.course.clear();
        }
        if self.course.len() == COURSE {
            self.course.pop_front();
        }
        self.course.push_back(snapshot.committed);
        self.latest = Some(snapshot);
    }

    /// What the user should know beside the figures.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        let process = self.source.process.or_else(|| self.latest.as_ref()?.process_id);
        if let Some(id) = process.filter(|&id| !is_running(id)) {
            notices.push(match self.source.process {
                Some(_) => format!("process {id} has ended; these are its last figures"),
                None => format!("no process {id} is running here; these are its last figures"),
            });
        }
        notices.extend(self.waiting.clone());
        let notice = self.notice.as_ref().filter(|(noticed, _)| noticed.elapsed() < FRESH);
        notices.extend(notice.map(|(_, notice)| notice.clone()));
        if !self.others.is_empty() {
            let count = self.others.len();
            let others =
                if count == 1 { "another process has".to_owned() } else { format!("{count} other processes have") };
            notices.push(format!("{others} written to the file too"));
        }
        notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::snapshot_of;

    fn of(id: u32) -> Snapshot {
        let value = serde_json::from_str(&tenure::Tenure::new().stats().json().to_string()).unwrap();
        Snapshot { process_id: Some(id), ..snapshot_of(value).unwrap() }
    }

    #[test]
    fn a_snapshot_on_several_lines_is_read_without_a_word() {
        let file = std::env::temp_dir().join(format!("tenure-watch-{}", std::process::id()));
        let value: serde_json::Value = serde_json::from_str(&tenure::Tenure::new().stats().json().to_string()).unwrap();
        std::fs::write(&file, serde_json::to_string_pretty(&value).unwrap()).unwrap();
        let mut watch = Watch::new(Source { file: file.clone(), process: None });
        watch.refresh();
        std::fs::remove_file(&file).unwrap();
        assert!(watch.latest.is_some());
        assert_eq!(watch.notices(), [""; 0]);
    }

    fn watch(process: Option<u32>) -> Watch {
        Watch::new(Source { file: "/no/such/file".into(), process })
    }

    #[test]
    fn snapshots_of_other_processes_are_left_out_and_counted() {
        let mut watch = watch(Some(u32::MAX));
        [of(u32::MAX), of(2), of(3), of(2)].into_iter().for_each(|snapshot| watch.take(snapshot));
        assert_eq!(watch.latest.as_ref().unwrap().process_id, Some(u32::MAX));
        assert_eq!(watch.course.len(), 1);
        let notices = watch.notices().join("\n");
        assert!(notices.contains("has ended") && notices.contains("2 other processes"), "{notices}");
    }

    #[test]
    fn without_a_process_the_last_that_wrote_is_shown() {
        let mut watch = watch(None);
        [of(1), of(1), of(2)].into_iter().for_each(|snapshot| watch.take(snapshot));
        assert_eq!(watch.latest.as_ref().unwrap().process_id, Some(2));
        assert!(watch.before.is_none());
        watch.take(of(2));
        assert!(watch.before.is_some());
    }

    #[test]
    fn a_file_that_is_not_there_is_waited_for() {
        let mut watch = watch(None);
        watch.refresh();
        assert!(watch.notices()[0].contains("waiting for the file"));
    }
}
