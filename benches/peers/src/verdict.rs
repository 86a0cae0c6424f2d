//! The targets that Tenure has set itself, and whether a contest meets them.

use std::collections::BTreeMap;

use crate::catalogue::{LEAN, TENURE};
use crate::results::{Contest, Kind, Settings, Task};
use crate::summary::{Metric, best, is_peer, means};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Met,
    Missed,
    /// There is no limit, or there are no figures.
    Open,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Open => "–",
        }
    }
}

/// One target: a ratio of Tenure's figure to another one, and the most that it may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub target: String,
    pub limit: Option<f64>,
    pub ratio: Option<f64>,
    /// What the figures are, or why there are none.
    pub figures: String,
}

impl Verdict {
    pub fn outcome(&self) -> Outcome {
        match (self.limit, self.ratio) {
            (Some(limit), Some(ratio)) if ratio <= limit => Outcome::Met,
            (Some(_), Some(_)) => Outcome::Missed,
            _ => Outcome::Open,
        }
    }
}

/// How much of the time of the best single peer Tenure may take, on the geometric mean.
fn time_limit(profile: &str) -> f64 {
    if profile == "lto" { 0.90 } else { 0.95 }
}

/// More than this times the time at two threads, with the same work on more threads than processors, is a collapse.
const COLLAPSE: f64 = 1.5;

/// All verdicts of a contest. Commands that libraries are preloaded into have no limits: the targets are of linked
/// programs.
pub fn verdicts(contest: &Contest, settings: &Settings) -> Vec<Verdict> {
    let limit = |limit: f64| (contest.kind == Kind::Linked).then_some(limit);
    let mut verdicts = vec![
        mean_against(
            "time, geometric mean, to the best single peer",
            limit(time_limit(&settings.profile)),
            contest,
            Metric::Time,
            is_peer,
        ),
        worst_against("time, worst of all, to the best peer there", limit(1.05), contest, Metric::Time, is_peer),
        mean_against(
            "peak memory, geometric mean, to the leanest of mimalloc, jemalloc and snmalloc",
            limit(1.0),
            contest,
            Metric::Peak,
            is_lean,
        ),
        worst_against(
            "peak memory, worst of all, to the leanest of those three there",
            limit(1.15),
            contest,
            Metric::Peak,
            is_lean,
        ),
        worst_against("peak memory, worst of all, to the best peer there", None, contest, Metric::Peak, is_peer),
        mean_against(
            "page faults, geometric mean, to the best single peer",
            limit(1.0),
            contest,
            Metric::Faults,
            is_peer,
        ),
    ];
    if settings.threads.len() > 1 && contest.kind == Kind::Linked {
        verdicts.extend(scaling(contest, &settings.threads));
    }
    verdicts
}

fn is_lean(name: &str) -> bool {
    LEAN.iter().any(|lean| name.starts_with(lean))
}

fn without_figures(target: &str, limit: Option<f64>, contest: &Contest) -> Verdict {
    let failed = contest.tasks.iter().filter(|task| task.series.get(TENURE).is_some_and(|own| own.failure.is_some()));
    let failed: Vec<_> = failed.map(Task::title).collect();
    let figures = if !contest.contenders.iter().any(|contender| contender.name == TENURE) {
        "Tenure did not run".to_owned()
    } else if failed.is_empty() {
        "nobody to compare with".to_owned()
    } else {
        format!("Tenure failed in {}", failed.join(", "))
    };
    Verdict { target: target.to_owned(), limit, ratio: None, figures }
}

fn mean_against(
    target: &str,
    limit: Option<f64>,
    contest: &Contest,
    metric: Metric,
    among: fn(&str) -> bool,
) -> Verdict {
    let means = means(contest, metric, |task| task.counts);
    match (means.get(TENURE), best(&means, among)) {
        (Some(own), Some((name, other))) => {
            let label = contest.label(name);
            let figures = format!("{} on Tenure, {} on {label}", metric.show(*own), metric.show(other));
            Verdict { target: target.to_owned(), limit, ratio: Some(own / other), figures }
        }
        _ => without_figures(target, limit, contest),
    }
}

fn worst_against(
    target: &str,
    limit: Option<f64>,
    contest: &Contest,
    metric: Metric,
    among: fn(&str) -> bool,
) -> Verdict {
    let counting = || contest.tasks.iter().filter(|task| task.counts);
    // The worst of what is left after a failure would be no worst.
    if counting().any(|task| task.median(TENURE, metric).is_none()) {
        return without_figures(target, limit, contest);
    }
    let ratios = counting().filter_map(|task| {
        let own = task.median(TENURE, metric)?;
        let (name, other) = task.best(metric, among)?;
        Some((own / other, task, own, name, other))
    });
    match ratios.max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((ratio, task, own, name, other)) => {
            let label = contest.label(name);
            let figures =
                format!("{}: {} on Tenure, {} on {label}", task.title(), metric.show(own), metric.show(other));
            Verdict { target: target.to_owned(), limit, ratio: Some(ratio), figures }
        }
        None => without_figures(target, limit, contest),
    }
}

/// What more threads do to the time of the workloads that have several.
fn scaling(contest: &Contest, threads: &[u32]) -> Vec<Verdict> {
    let at = |number: u32| means(contest, Metric::Time, move |task| task.threads == Some(number));
    let mut verdicts = Vec::new();
    if threads.contains(&1) && threads.contains(&2) {
        let target = "time at 2 threads of that at 1, geometric mean, to the best peer's";
        let (one, two) = (at(1), at(2));
        let parts: BTreeMap<_, _> =
            one.iter().filter_map(|(name, time)| Some((*name, two.get(name)? / time))).collect();
        verdicts.push(match (parts.get(TENURE).copied(), best(&parts, is_peer)) {
            (Some(own), Some((name, other))) => Verdict {
                target: target.to_owned(),
                limit: Some(1.0),
                ratio: Some(own / other),
                figures: format!("{own:.3} on Tenure, {other:.3} on {}", contest.label(name)),
            },
            _ => without_figures(target, Some(1.0), contest),
        });
    }
    let mut many: Vec<_> = threads.iter().copied().filter(|number| *number > 2 && threads.contains(&2)).collect();
    many.sort_unstable();
    for number in many {
        let target = format!("time at {number} threads, geometric mean, to that at 2");
        let (few, many) = (at(2), at(number));
        verdicts.push(match (few.get(TENURE), many.get(TENURE)) {
            (Some(few), Some(time)) => {
                let against = best(&many, is_peer).map(|(name, other)| {
                    format!("; {:.2} of the time of {}, the best peer there", time / other, contest.label(name))
                });
                let figures = format!("{} and {}", Metric::Time.show(*time), Metric::Time.show(*few));
                let figures = figures + &against.unwrap_or_default();
                Verdict { target, limit: Some(COLLAPSE), ratio: Some(time / few), figures }
            }
            _ => without_figures(&target, Some(COLLAPSE), contest),
        });
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Sample;
    use crate::results::tests::{contest, sample, task};

    fn settings(profile: &str, threads: &[u32]) -> Settings {
        Settings { profile: profile.into(), runs: 1, threads: threads.to_vec(), share: 1.0 }
    }

    /// Two tasks: Tenure, and two peers that are best in one each; one of them leaner.
    fn two() -> Contest {
        let of = |wall: f64, peak: u64, faults: u64| [sample(wall, peak * 1024, faults)];
        let one: [(&str, &[Sample]); 3] =
            [("tenure", &of(0.9, 100, 10)), ("jemalloc", &of(1.0, 100, 20)), ("talc", &of(2.0, 50, 5))];
        let other: [(&str, &[Sample]); 3] =
            [("tenure", &of(0.9, 120, 10)), ("jemalloc", &of(1.0, 100, 20)), ("talc", &of(0.6, 50, 5))];
        contest(vec![task("one", &one), task("other", &other)])
    }

    #[test]
    fn each_target_has_its_ratio_its_limit_and_its_outcome() {
        let verdicts = verdicts(&two(), &settings("lto", &[2]));
        let expected = [
            (Some(0.90), 0.9, Outcome::Met),
            (Some(1.05), 1.5, Outcome::Missed),
            (Some(1.0), 1.2_f64.sqrt(), Outcome::Missed),
            (Some(1.15), 1.2, Outcome::Missed),
            (None, 2.4, Outcome::Open),
            (Some(1.0), 2.0, Outcome::Missed),
        ];
        assert_eq!(verdicts.len(), expected.len());
        for (verdict, (limit, ratio, outcome)) in verdicts.iter().zip(expected) {
            assert_eq!((verdict.limit, verdict.outcome()), (limit, outcome), "{verdict:?}");
            assert!((verdict.ratio.unwrap() - ratio).abs() < 1e-9, "{verdict:?}");
        }
        assert_eq!(verdicts[1].figures, "other: 900 ms on Tenure, 600 ms on the talc");
        assert!(verdicts[0].figures.ends_with("1.00 s on the jemalloc"));
    }

    #[test]
    fn without_link_time_optimisation_the_limit_is_wider() {
        assert_eq!(verdicts(&two(), &settings("release", &[2]))[0].limit, Some(0.95));
        let mut commands = two();
        commands.kind = Kind::Preloaded;
        assert!(verdicts(&commands, &settings("release", &[2])).iter().all(|verdict| verdict.limit.is_none()));
    }

    #[test]
    fn a_target_is_open_where_tenure_failed_or_is_alone() {
        let mut failed = two();
        failed.tasks[1].series.get_mut("tenure").unwrap().failure = Some("signal".into());
        for verdict in verdicts(&failed, &settings("lto", &[2])) {
            assert_eq!((verdict.outcome(), verdict.figures.as_str()), (Outcome::Open, "Tenure failed in other"));
        }
        let alone = contest(vec![task("one", &[("tenure", &[sample(1.0, 1, 1)])])]);
        let verdict = &verdicts(&alone, &settings("lto", &[2]))[0];
        assert_eq!((verdict.outcome(), verdict.figures.as_str()), (Outcome::Open, "nobody to compare with"));
        let absent = contest(vec![task("one", &[("talc", &[sample(1.0, 1, 1)])])]);
        assert_eq!(verdicts(&absent, &settings("lto", &[2]))[0].figures, "Tenure did not run");
    }

    #[test]
    fn scaling_is_compared_with_the_peer_that_gains_most_and_more_threads_may_not_collapse() {
        let at = |threads: u32, own: f64, peer: f64| {
            let mut task = task("t", &[("tenure", &[sample(own, 1, 1)]), ("talc", &[sample(peer, 1, 1)])]);
            task.threads = Some(threads);
            task.counts = threads == 2;
            task
        };
        let contest = contest(vec![at(2, 0.5, 0.8), at(1, 1.0, 1.0), at(8, 0.6, 0.5), at(32, 0.9, 0.5)]);
        let verdicts = verdicts(&contest, &settings("lto", &[2, 1, 8, 32]));
        let found: Vec<_> = verdicts[6..].iter().map(|verdict| (verdict.ratio.unwrap(), verdict.outcome())).collect();
        assert!((found[0].0 - 0.625).abs() < 1e-9 && found[0].1 == Outcome::Met);
        assert!((found[1].0 - 1.2).abs() < 1e-9 && found[1].1 == Outcome::Met);
        assert!((found[2].0 - 1.8).abs() < 1e-9 && found[2].1 == Outcome::Missed);
        assert!(verdicts[7].figures.contains("1.20 of the time of the talc"), "{}", verdicts[7].figures);
    }
}
