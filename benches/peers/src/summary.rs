//! Arithmetic: medians of runs, geometric means of tasks. Nothing here knows how figures came about or are shown.

use std::collections::BTreeMap;

use crate::catalogue::TENURE;
use crate::results::{Contest, Sample, Series, Task};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// On the clock, in seconds.
    Time,
    /// Peak resident memory, in MiB.
    Peak,
    /// Page faults that needed no input.
    Faults,
}

impl Metric {
    pub const ALL: [Self; 3] = [Self::Time, Self::Peak, Self::Faults];

    pub fn of(self, sample: &Sample) -> f64 {
        match self {
            Self::Time => sample.wall_s,
            Self::Peak => sample.peak_rss_kib as f64 / 1024.0,
            Self::Faults => sample.minor_faults as f64,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Peak => "peak memory",
            Self::Faults => "page faults",
        }
    }

    /// A value with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Time if value < 0.1 => format!("{:.2} ms", value * 1e3),
            Self::Time if value < 1.0 => format!("{:.0} ms", value * 1e3),
            Self::Time => format!("{value:.2} s"),
            Self::Peak => format!("{value:.1} MiB"),
            Self::Faults => format!("{value:.0}"),
        }
    }
}

/// Runs of one task on one contender.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { median, min, max })
    }
}

/// The geometric mean of positive numbers.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|value| *value <= 0.0) {
        return None;
    }
    let logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    Some((logarithms / values.len() as f64).exp())
}

impl Series {
    /// Nothing if a run has failed: what is left is no fair sample.
    pub fn spread(&self, metric: Metric) -> Option<Spread> {
        if self.failure.is_some() {
            return None;
        }
        Spread::of(&self.samples.iter().map(|sample| metric.of(sample)).collect::<Vec<_>>())
    }
}

impl Task {
    pub fn median(&self, name: &str, metric: Metric) -> Option<f64> {
        Some(self.series.get(name)?.spread(metric)?.median)
    }

    /// The contender with the least median among some.
    pub fn best(&self, metric: Metric, among: impl Fn(&str) -> bool) -> Option<(&str, f64)> {
        let medians = self.series.keys().filter(|name| among(name));
        let medians = medians.filter_map(|name| Some((name.as_str(), self.median(name, metric)?)));
        medians.min_by(|one, other| one.1.total_cmp(&other.1))
    }
}

/// The geometric mean of the medians of some tasks, by contender. Who failed in one of them has none: all means are of
/// the same tasks.
pub fn means<'a>(contest: &'a Contest, metric: Metric, among: impl Fn(&Task) -> bool) -> BTreeMap<&'a str, f64> {
    let tasks: Vec<_> = contest.tasks.iter().filter(|task| among(task)).collect();
    let mean = |name: &'a str| {
        // What is never seen to happen is not infinitely better than what is seen once.
        let medians = tasks.iter().map(|task| task.median(name, metric).map(|median| median.max(f64::MIN_POSITIVE)));
        Some((name, geometric_mean(&medians.collect::<Option<Vec<_>>>()?)?))
    };
    contest.contenders.iter().filter_map(|contender| mean(&contender.name)).collect()
}

/// The contender with the least mean among some.
pub fn best<'a>(means: &BTreeMap<&'a str, f64>, among: impl Fn(&str) -> bool) -> Option<(&'a str, f64)> {
    let some = means.iter().filter(|(name, _)| among(name)).map(|(name, mean)| (*name, *mean));
    some.min_by(|one, other| one.1.total_cmp(&other.1))
}

pub fn is_peer(name: &str) -> bool {
    name != TENURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{contest, sample, task};

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of(&[7.0]), Some(Spread { median: 7.0, min: 7.0, max: 7.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_geometric_mean_weighs_ratios_alike() {
        assert!((geometric_mean(&[2.0, 0.5]).unwrap() - 1.0).abs() < 1e-12);
        assert!((geometric_mean(&[1.0, 10.0, 100.0]).unwrap() - 10.0).abs() < 1e-9);
        assert_eq!(geometric_mean(&[]), None);
        assert_eq!(geometric_mean(&[1.0, 0.0]), None);
    }

    #[test]
    fn who_failed_in_a_task_has_no_mean_and_no_figure_there() {
        let good = [sample(1.0, 1024, 10)];
        let mut contest =
            contest(vec![task("a", &[("x", &good), ("y", &good)]), task("b", &[("x", &good), ("y", &good)])]);
        contest.tasks[1].series.get_mut("y").unwrap().failure = Some("signal".into());
        assert_eq!(means(&contest, Metric::Time, |_| true), BTreeMap::from([("x", 1.0)]));
        assert_eq!(contest.tasks[1].median("y", Metric::Time), None);
        assert_eq!(contest.tasks[1].best(Metric::Time, |name| name == "y"), None);
        let first = means(&contest, Metric::Time, |task| task.name == "a");
        assert_eq!(first.len(), 2);
    }

    #[test]
    fn the_best_is_looked_for_among_those_that_count() {
        let task = task(
            "a",
            &[("tenure", &[sample(1.0, 1024, 1)]), ("x", &[sample(3.0, 1024, 1)]), ("y", &[sample(2.0, 4096, 1)])],
        );
        assert_eq!(task.best(Metric::Time, |_| true), Some(("tenure", 1.0)));
        assert_eq!(task.best(Metric::Time, is_peer), Some(("y", 2.0)));
        assert_eq!(task.best(Metric::Peak, is_peer), Some(("x", 1.0)));
        let contest = contest(vec![task]);
        assert_eq!(best(&means(&contest, Metric::Peak, |_| true), is_peer), Some(("x", 1.0)));
    }

    #[test]
    fn values_have_units_that_suit_their_size() {
        assert_eq!(Metric::Time.show(1.234), "1.23 s");
        assert_eq!(Metric::Time.show(0.1234), "123 ms");
        assert_eq!(Metric::Time.show(0.01234), "12.34 ms");
        assert_eq!(Metric::Peak.show(12.34), "12.3 MiB");
        assert_eq!(Metric::Faults.show(1234.0), "1234");
    }
}
