//! Results: everything that was measured, as `results.json` has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// Raised whenever a reader of the old form would misunderstand the new one.
pub const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Results {
    /// What this is: `tenure-peers`.
    pub format: String,
    pub version: u32,
    /// When the first run began, in UTC.
    pub begun: String,
    /// The commit that was built, where that is known.
    pub commit: Option<String>,
    pub machine: Machine,
    pub settings: Settings,
    pub contests: Vec<Contest>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Cargo's name of the profile.
    pub profile: String,
    pub runs: u32,
    pub threads: Vec<u32>,
    pub share: f64,
}

/// Contenders that ran the same tasks, taking turns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Contest {
    pub kind: Kind,
    pub contenders: Vec<Contender>,
    /// Names of contenders that were asked for and could not take part, and why.
    pub left_out: BTreeMap<String, String>,
    pub tasks: Vec<Task>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Workloads that are linked with an allocator.
    Linked,
    /// Commands that a library is preloaded into.
    Preloaded,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contender {
    pub name: String,
    pub label: String,
    /// What it is, with versions.
    pub about: String,
}

/// A workload at a number of threads, or a command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    pub name: String,
    pub about: String,
    /// Of a workload with several threads: how many.
    pub threads: Option<u32>,
    /// True if means are made of it: not so for further numbers of threads of the same workload.
    pub counts: bool,
    /// By the contender's name.
    pub series: BTreeMap<String, Series>,
}

/// All runs of a task on one contender.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Series {
    pub samples: Vec<Sample>,
    /// Why there are no more samples.
    pub failure: Option<String>,
}

/// What one run took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Of a workload: what it computed, which is the same on all allocators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    pub wall_s: f64,
    pub user_s: f64,
    pub system_s: f64,
    pub peak_rss_kib: u64,
    pub minor_faults: u64,
    pub voluntary_switches: u64,
}

impl Contest {
    pub fn label<'a>(&'a self, name: &'a str) -> &'a str {
        self.contenders.iter().find(|contender| contender.name == name).map_or(name, |contender| &contender.label)
    }

    /// Every failure as a line: the task, the contender, and why.
    pub fn failures(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for task in &self.tasks {
            for (name, series) in &task.series {
                lines.extend(series.failure.iter().map(|why| format!("{}: {}: {why}", task.title(), self.label(name))));
            }
        }
        lines
    }

    /// Every task whose checksums are not all equal, as a line that says who computed what.
    pub fn disagreements(&self) -> Vec<String> {
        self.tasks.iter().filter_map(|task| task.disagreement(self)).collect()
    }
}

impl Task {
    /// How tables and pictures call it.
    pub fn title(&self) -> String {
        match self.threads {
            Some(1) => format!("{}, 1 thread", self.name),
            Some(threads) => format!("{}, {threads} threads", self.name),
            None => self.name.clone(),
        }
    }

    fn disagreement(&self, contest: &Contest) -> Option<String> {
        let mut by_checksum: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, series) in &self.series {
            for checksum in series.samples.iter().filter_map(|sample| sample.checksum.as_deref()) {
                let names = by_checksum.entry(checksum).or_default();
                if names.last() != Some(&contest.label(name)) {
                    names.push(contest.label(name));
                }
            }
        }
        if by_checksum.len() < 2 {
            return None;
        }
        let parts: Vec<_> =
            by_checksum.iter().map(|(checksum, names)| format!("{checksum} on {}", names.join(", "))).collect();
        Some(format!("{}: checksums differ: {}", self.title(), parts.join("; ")))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn sample(wall_s: f64, peak_rss_kib: u64, minor_faults: u64) -> Sample {
        let checksum = Some("00".to_owned());
        Sample { checksum, wall_s, user_s: wall_s, system_s: 0.0, peak_rss_kib, minor_faults, voluntary_switches: 0 }
    }

    pub fn task(name: &str, series: &[(&str, &[Sample])]) -> Task {
        let series = series
            .iter()
            .map(|(name, samples)| ((*name).to_owned(), Series { samples: samples.to_vec(), failure: None }));
        Task { name: name.into(), about: String::new(), threads: None, counts: true, series: series.collect() }
    }

    /// A contest of these tasks, with the contenders of the first.
    pub fn contest(tasks: Vec<Task>) -> Contest {
        let contenders = tasks[0].series.keys().map(|name| Contender {
            name: name.clone(),
            label: format!("the {name}"),
            about: String::new(),
        });
        Contest { kind: Kind::Linked, contenders: contenders.collect(), left_out: BTreeMap::new(), tasks }
    }

    #[test]
    fn a_checksum_that_differs_is_named_with_all_who_computed_it() {
        let mut other = sample(1.0, 1, 1);
        other.checksum = Some("ff".to_owned());
        let good = [sample(1.0, 1, 1), sample(1.0, 1, 1)];
        let mixed = [sample(1.0, 1, 1), other];
        let contest =
            contest(vec![task("a", &[("x", &good), ("y", &mixed), ("z", &good)]), task("b", &[("x", &good)])]);
        assert_eq!(contest.disagreements(), ["a: checksums differ: 00 on the x, the y, the z; ff on the y"]);
    }

    #[test]
    fn a_sample_is_read_from_what_a_contender_prints() {
        let line = r#"{"allocator":"x","workload":"w","checksum":"0a","wall_s":0.5,"user_s":0.25,"system_s":0.125,"peak_rss_kib":2,"minor_faults":3,"voluntary_switches":4}"#;
        let sample: Sample = serde_json::from_str(line).unwrap();
        assert_eq!(sample.checksum.as_deref(), Some("0a"));
        assert_eq!((sample.peak_rss_kib, sample.minor_faults), (2, 3));
        let again: Sample = serde_json::from_str(&serde_json::to_string(&sample).unwrap()).unwrap();
        assert_eq!(again, sample);
    }
}
